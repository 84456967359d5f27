//! Records how every ReplicaSet of a namespace looked when it was seen first.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
    runtime::{WatchStreamExt, watcher},
};
use tokio::{sync::watch, task::JoinHandle};
use warmfront::controller::kinds::Kinds;

use super::Shop;

/// A ReplicaSet as it was seen first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// A Deployment owned it, so that it is not one of ours.
    pub owned: bool,
    /// Pods it was to have.
    pub replicas: i64,
}

/// Every ReplicaSet since the start, those that stood already included.
pub struct Births {
    sets: Api<DynamicObject>,
    seen: watch::Receiver<BTreeMap<String, Birth>>,
    task: JoinHandle<()>,
}

fn birth(set: &DynamicObject) -> Birth {
    Birth {
        owned: set.owner_references().iter().any(|owner| owner.kind == "Deployment"),
        replicas: set.data["spec"]["replicas"].as_i64().unwrap_or(1),
    }
}

impl Births {
    /// Starts watching, and knows those that stand.
    pub async fn start(shop: &Shop) -> anyhow::Result<Self> {
        let sets = shop.api(&Kinds::replica_set());
        let (told, seen) = watch::channel(BTreeMap::new());
        let watched = sets.clone();
        let task = tokio::spawn(async move {
            let stream = watcher(watched, watcher::Config::default())
                .default_backoff()
                .applied_objects();
            let mut changes = std::pin::pin!(stream);
            while let Some(change) = changes.next().await {
                let Ok(set) = change else { continue };
                told.send_modify(|seen: &mut BTreeMap<String, Birth>| {
                    seen.entry(set.name_any()).or_insert_with(|| birth(&set));
                });
            }
        });
        let births = Self { sets, seen, task };
        births.so_far().await?;
        Ok(births)
    }

    /// All up to this moment, by name.
    pub async fn so_far(&self) -> anyhow::Result<BTreeMap<String, Birth>> {
        let standing = self.sets.list(&ListParams::default()).await?;
        let mut seen = self.seen.clone();
        let all = seen.wait_for(|seen| standing.items.iter().all(|set| seen.contains_key(&set.name_any())));
        let caught_up = tokio::time::timeout(Duration::from_secs(30), all).await;
        Ok(caught_up.context("the watch of ReplicaSets lags")??.clone())
    }
}

impl Drop for Births {
    fn drop(&mut self) {
        self.task.abort();
    }
}
