//! A small world that behaves as Kubernetes and a gateway do, each part a moment after what it reacts to.

pub mod autoscaler;
pub mod deployment;
pub mod endpoints;
pub mod garbage;
pub mod gateway;
pub mod hash;
pub mod history;
pub mod hooks;
pub mod keda;
pub mod metrics;
pub mod replica_set;
pub mod settings;
pub mod traffic;

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

pub use settings::Settings;

use crate::{
    apiserver::{Shared, kinds::Kind, lock, refused::Refused, store::Store},
    witness::Witness,
};
use traffic::Traffic;

/// Everything there is.
pub struct Cluster {
    /// Objects.
    pub store: Store,
    /// How the world behaves.
    pub settings: Settings,
    /// Users' requests.
    pub traffic: Traffic,
    /// What other systems were asked and told.
    pub called: Vec<hooks::Called>,
    /// Sees everything, and what must not be.
    pub witness: Witness,
    /// Requests that the API server does not know: the simulation lacks something.
    pub complaints: Vec<String>,
    /// The settings were changed: every part looks again.
    pub poked: bool,
    /// Writes of the controller that are refused for a while.
    pub refused: Vec<Refused>,
    /// The controller that starts next gives every workload back.
    pub uninstalls: bool,
    /// How long requests take, if that is random.
    pub ways: Option<fastrand::Rng>,
}

impl Cluster {
    /// An empty one.
    pub fn new(start: Instant, settings: Settings) -> Self {
        let mut witness = Witness::new(start);
        witness.past.behaves(start, &settings);
        Self {
            store: Store::new(start),
            traffic: Traffic::new(start),
            witness,
            called: Vec::new(),
            settings,
            complaints: Vec::new(),
            poked: false,
            refused: Vec::new(),
            uninstalls: false,
            ways: None,
        }
    }
}

/// A part of the world that reacts to changes.
pub trait Part: Send {
    /// Changes of which kinds it reacts to.
    fn follows(&self, kind: Kind) -> bool;
    /// How long after a change.
    fn delay(&self, settings: &Settings) -> Duration;
    /// Does what is due; returns when it wants to look again by itself.
    fn act(&mut self, cluster: &mut Cluster, now: Instant) -> Option<Instant>;
}

/// Runs the world until its task is ended.
pub async fn run(cluster: Shared) {
    let mut parts: Vec<Box<dyn Part>> = vec![
        Box::new(deployment::DeploymentController),
        Box::new(replica_set::ReplicaSetController),
        Box::new(endpoints::EndpointSliceController),
        Box::new(gateway::Gateway::default()),
        Box::new(traffic::DataPlane),
        Box::new(garbage::GarbageCollector),
        Box::new(autoscaler::Autoscaler),
        Box::new(keda::Keda),
    ];
    let start = Instant::now();
    let mut due: Vec<Option<Instant>> = parts.iter().map(|_| Some(start)).collect();
    let mut changed = lock(&cluster).store.subscribe();
    let mut seen = 0;
    loop {
        let next = {
            let mut guard = lock(&cluster);
            let cluster = &mut *guard;
            for change in cluster.store.since(seen) {
                for (part, due) in parts.iter().zip(&mut due) {
                    if part.follows(change.key.0) {
                        let at = change.at + part.delay(&cluster.settings);
                        *due = Some(due.map_or(at, |due| due.min(at)));
                    }
                }
            }
            seen = cluster.store.version();
            if std::mem::take(&mut cluster.poked) {
                due.fill(Some(Instant::now()));
            }
            cluster.witness.catch_up(&cluster.store, &cluster.traffic);
            due.iter().flatten().min().copied()
        };
        tokio::select! {
            biased;
            () = sleep_until(next) => {
                let mut guard = lock(&cluster);
                let now = Instant::now();
                for (part, due) in parts.iter_mut().zip(&mut due) {
                    if due.is_some_and(|due| due <= now) {
                        *due = part.act(&mut guard, now);
                    }
                }
            }
            _ = changed.changed() => {}
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A text in an object, empty where it is absent.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number in an object.
pub fn number(object: &Value, pointer: &str, default: i64) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

/// UID of the object that controls another.
pub fn controller(object: &Value) -> Option<&str> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    owners
        .iter()
        .find(|owner| owner["controller"] == true)
        .and_then(|owner| owner["uid"].as_str())
}

/// Whether `labels` has everything that `selector` asks for.
pub fn answers(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(selector) = selector
        .and_then(Value::as_object)
        .filter(|selector| !selector.is_empty())
    else {
        return false;
    };
    selector
        .iter()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Shared object.
pub type Object = Arc<Value>;
