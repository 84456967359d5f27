//! CanaryRollouts as they change: a watch that outlives restarts of the API server, expired versions and disconnects.

use std::{collections::BTreeMap, pin::Pin};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, ResourceExt as _,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};

use super::{
    connect::Cluster,
    rollout::{self, Rollout},
    trouble::{cause, explain, is_final},
};

/// What the watch tells.
#[derive(Debug)]
pub enum Told {
    /// All rollouts that are followed, by namespace and name, as they are now.
    Now,
    /// The watch was interrupted, for this reason; it is tried again.
    Interrupted(String),
}

/// Rollouts that are followed.
pub struct Follow {
    server: String,
    events: Pin<Box<dyn Stream<Item = watcher::Result<Event<DynamicObject>>> + Send>>,
    /// By namespace and name.
    known: BTreeMap<(String, String), Rollout>,
    /// Those of a list that has not ended yet.
    listed: Option<BTreeMap<(String, String), Rollout>>,
    begun: bool,
}

impl Follow {
    /// Follows one rollout of the cluster's chosen namespace, which need not exist.
    pub fn one(cluster: &Cluster, name: &str) -> Self {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        Self::new(cluster, rollout::api(cluster), config)
    }

    /// Follows all rollouts that this API gives.
    pub fn all(cluster: &Cluster, api: Api<DynamicObject>) -> Self {
        Self::new(cluster, api, watcher::Config::default())
    }

    fn new(cluster: &Cluster, api: Api<DynamicObject>, config: watcher::Config) -> Self {
        Self {
            server: cluster.server.clone(),
            events: watcher::watcher(api, config).default_backoff().boxed(),
            known: BTreeMap::new(),
            listed: None,
            begun: false,
        }
    }

    /// The rollouts as they are known now.
    pub fn rollouts(&self) -> impl Iterator<Item = &Rollout> {
        self.known.values()
    }

    /// Waits for the next change. An error is one that trying again does not mend, and only at the beginning: later a right that is
    /// missing, or a kind, may be one that comes back.
    pub async fn next(&mut self) -> anyhow::Result<Told> {
        loop {
            let Some(event) = self.events.next().await else {
                anyhow::bail!("the watch of CanaryRollouts ended: try again");
            };
            match event {
                Ok(event) => {
                    if self.take(event) {
                        self.begun = true;
                        return Ok(Told::Now);
                    }
                }
                Err(error) => {
                    let told = match cause(&error) {
                        Some(inner) => explain(&self.server, "watching CanaryRollouts", inner),
                        None => anyhow::anyhow!("watching CanaryRollouts failed: {error}"),
                    };
                    if is_final(&error) && !self.begun {
                        return Err(told);
                    }
                    return Ok(Told::Interrupted(told.to_string()));
                }
            }
        }
    }

    /// Whether there is something to show.
    fn take(&mut self, event: Event<DynamicObject>) -> bool {
        let key = |object: &DynamicObject| (object.namespace().unwrap_or_default(), object.name_any());
        match event {
            Event::Init => self.listed = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                let listed = self.listed.get_or_insert_default();
                listed.insert(key(&object), Rollout::new(object));
            }
            Event::InitDone => {
                self.known = self.listed.take().unwrap_or_default();
                return true;
            }
            Event::Apply(object) => {
                self.known.insert(key(&object), Rollout::new(object));
                return true;
            }
            Event::Delete(object) => {
                self.known.remove(&key(&object));
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
