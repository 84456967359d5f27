//! Records what an object said over time, with the version at which it said so.

use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt;
use kube::{
    Api,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::PATIENCE;

/// Every change of one thing about an object, in order. The API server numbers the changes of all
/// objects together, so those of different objects can be put in order too.
pub struct Record<T> {
    api: Api<DynamicObject>,
    name: String,
    seen: watch::Receiver<Seen<T>>,
    task: JoinHandle<()>,
}

struct Seen<T> {
    newest: u64,
    values: Vec<(u64, T)>,
}

fn version(object: &DynamicObject) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Record<T> {
    /// Starts recording what `read` finds in the object of this name, which exists; its value as it stands is the first.
    pub async fn start(
        api: Api<DynamicObject>,
        name: &str,
        read: impl Fn(&DynamicObject) -> T + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (told, seen) = watch::channel(Seen {
            newest: 0,
            values: Vec::new(),
        });
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let watched = api.clone();
        let task = tokio::spawn(async move {
            let mut changes = std::pin::pin!(watcher(watched, only).default_backoff().applied_objects());
            while let Some(change) = changes.next().await {
                let Ok(object) = change else { continue };
                let (version, found) = (version(&object), read(&object));
                told.send_modify(|seen| {
                    seen.newest = version;
                    if seen.values.last().is_none_or(|(_, last)| *last != found) {
                        seen.values.push((version, found));
                    }
                });
            }
        });
        let record = Self {
            api,
            name: name.to_owned(),
            seen,
            task,
        };
        record.versions().await?;
        Ok(record)
    }

    /// Every value up to this moment with the version of the object that had it first, without repetitions.
    pub async fn versions(&self) -> anyhow::Result<Vec<(u64, T)>> {
        let now = self.api.get_opt(&self.name).await?.as_ref().map_or(0, version);
        let mut seen = self.seen.clone();
        let caught_up = tokio::time::timeout(
            PATIENCE,
            seen.wait_for(|seen| !seen.values.is_empty() && seen.newest >= now),
        )
        .await;
        let values = caught_up
            .with_context(|| format!("the watch of {} lags by {PATIENCE:?}", self.name))??
            .values
            .clone();
        Ok(values)
    }

    /// Watches for so long, and tells every value up to then: for what must not happen, which nobody can wait for.
    pub async fn after(&self, length: Duration) -> anyhow::Result<Vec<T>> {
        tokio::time::sleep(length).await;
        self.so_far().await
    }

    /// Every value up to this moment, without repetitions.
    pub async fn so_far(&self) -> anyhow::Result<Vec<T>> {
        Ok(self.versions().await?.into_iter().map(|(_, value)| value).collect())
    }
}

impl<T> Drop for Record<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Backends of all rules with their weights; an absent weight is 1.
fn backends(route: &DynamicObject) -> impl Iterator<Item = (&str, i64)> {
    let rules = route
        .data
        .pointer("/spec/rules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let backends = rules.filter_map(|rule| rule["backendRefs"].as_array()).flatten();
    backends.map(|backend| {
        (
            backend["name"].as_str().unwrap_or_default(),
            backend["weight"].as_i64().unwrap_or(1),
        )
    })
}

/// The canary's share in percent of what goes to either version of the app, rounded.
pub fn canary_percent(route: &DynamicObject) -> i64 {
    let sum = |name: &str| {
        backends(route)
            .filter(|(backend, _)| *backend == name)
            .map(|(_, weight)| weight)
            .sum::<i64>()
    };
    // The last one is a pair's candidate.
    let (canary, stable) = (sum("catalog-canary") + sum("catalog-cached"), sum("catalog"));
    if canary == 0 {
        0
    } else {
        (200 * canary + canary + stable) / (2 * (canary + stable))
    }
}
