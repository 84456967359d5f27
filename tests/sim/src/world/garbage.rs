//! The garbage collector: what is owned goes with its last owner; a namespace goes with everything in it.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::{Cluster, Part, Settings, text};
use crate::apiserver::{
    kinds::Kind,
    store::{Key, by},
};

const NAME: &str = "kube-controller-manager";

/// The garbage collector.
pub struct GarbageCollector;

impl Part for GarbageCollector {
    fn follows(&self, kind: Kind) -> bool {
        matches!(
            kind,
            Kind::Namespace
                | Kind::Deployment
                | Kind::ReplicaSet
                | Kind::Service
                | Kind::ScaledObject
                | Kind::CanaryRollout
        )
    }
    fn delay(&self, _: &Settings) -> Duration {
        Duration::from_millis(80)
    }
    fn act(&mut self, cluster: &mut Cluster, now: Instant) -> Option<Instant> {
        let mut wake = None;
        let store = &mut cluster.store;
        let uids: BTreeSet<String> = store
            .all()
            .values()
            .map(|object| text(object, "/metadata/uid").to_owned())
            .collect();
        let gone = |object: &Value| {
            let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.is_some_and(|owners| {
                !owners.is_empty()
                    && owners
                        .iter()
                        .all(|owner| owner["uid"].as_str().is_none_or(|uid| !uids.contains(uid)))
            })
        };
        let orphans: Vec<Key> = store
            .all()
            .iter()
            .filter(|(_, object)| gone(object))
            .map(|(key, _)| key.clone())
            .collect();
        for (kind, namespace, name) in orphans {
            let _ = store.delete(kind, &namespace, &name, None, by(NAME));
        }
        for space in store.list(Kind::Namespace, None) {
            if space.pointer("/metadata/deletionTimestamp").is_none() {
                continue;
            }
            let name = text(&space, "/metadata/name").to_owned();
            let inside: Vec<Key> = store.all().keys().filter(|key| key.1 == name).cloned().collect();
            if inside.is_empty() {
                store.remove(&(Kind::Namespace, String::new(), name), by(NAME));
                continue;
            }
            for (kind, namespace, object) in inside {
                let _ = store.delete(kind, &namespace, &object, None, by(NAME));
            }
            wake = Some(now + Duration::from_millis(500));
        }
        wake
    }
}
