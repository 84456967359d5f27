//! What the last pass over an active rollout read, for the next one: between two ticks mostly nothing has changed.
//!
//! Nothing is taken from here that could differ from a new look: versions are compared first.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use kube::{ResourceExt, api::DynamicObject};

use super::{kinds::KINDS, shelf::version};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus, metric_source::MetricSourceSpec},
    engine::contract::{in_force::InForce, observed::Observed},
};

/// What was read of a rollout, and of the world around it.
pub struct Look {
    /// The rollout's metadata, nothing else of it.
    pub rollout: DynamicObject,
    /// The spec, or why it cannot be read.
    pub spec: Result<Arc<CanaryRolloutSpec>, String>,
    /// The plan in force: spec and status, validated once and not in every pass.
    pub in_force: InForce,
    /// Where metrics are asked for.
    pub source: Option<MetricSourceSpec>,
    /// The status as it is stored, if one is.
    pub stored: Option<Arc<CanaryRolloutStatus>>,
    /// The world as the caches have it.
    pub seen: Observed,
    /// Fingerprint of the caches when they were read.
    pub stamp: [u64; KINDS],
}

/// Namespace and name.
pub type Place = (String, String);

fn place(rollout: &DynamicObject) -> Place {
    (rollout.namespace().unwrap_or_default(), rollout.name_any())
}

/// The last look at each active rollout.
#[derive(Default)]
pub struct Recent(Mutex<HashMap<Place, Box<Look>>>);

impl Recent {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Place, Box<Look>>) -> T) -> T {
        // Looks are put in and taken out whole, so a panic leaves none half-written.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the last look, if it was at this version of the rollout, or at what a write of ours has made of it, and the caches
    /// are in the same state.
    pub fn take(&self, namespace: &str, name: &str, newest: u64, stamp: &[u64; KINDS]) -> Option<Look> {
        let look = self.with(|looks| looks.remove(&(namespace.to_owned(), name.to_owned())))?;
        (version(&look.rollout) >= newest && look.stamp == *stamp).then_some(*look)
    }

    /// Remembers a look.
    pub fn keep(&self, look: Look) {
        self.with(|looks| looks.insert(place(&look.rollout), Box::new(look)));
    }

    /// All others are gone.
    pub fn keep_only(&self, places: &HashSet<Place>) {
        self.with(|looks| looks.retain(|place, _| places.contains(place)));
    }

    /// The rollout is gone.
    pub fn forget(&self, rollout: &DynamicObject) {
        self.with(|looks| looks.remove(&place(rollout)));
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::controller::kinds::{Caches, Kinds};

    fn rollout(name: &str, version: &str) -> DynamicObject {
        let mut rollout = DynamicObject::new(name, &Kinds::rollout()).within("shop");
        rollout.metadata.resource_version = Some(version.to_owned());
        rollout.metadata.generation = Some(1);
        rollout.data = json!({"spec": {"workload": {"deployment": {"name": name}}}});
        rollout
    }

    #[test]
    fn a_look_is_taken_again_only_while_nothing_has_changed() {
        let caches = Caches::empty();
        caches.rollouts.follow(Event::Apply(rollout("a", "2")));
        let recent = Recent::default();
        let keep = || {
            recent.keep(Look {
                rollout: rollout("a", "2"),
                spec: Err(String::new()),
                in_force: InForce::new(Err(""), &CanaryRolloutStatus::default()),
                source: None,
                stored: None,
                seen: Observed::default(),
                stamp: caches.stamp("shop"),
            });
        };
        let known = |version: u64| recent.take("shop", "a", version, &caches.stamp("shop")).is_some();
        keep();
        assert!(known(2));
        assert!(!known(2), "two passes never have the same look");
        keep();
        assert!(!known(3), "the watch is past it");
        keep();
        assert!(known(1), "the watch has yet to tell what we have written");
        keep();
        caches.rollouts.follow(Event::Apply(rollout("b", "3")));
        assert!(!known(2), "another rollout of the namespace came");
        keep();
        let mut elsewhere = rollout("c", "4");
        elsewhere.metadata.namespace = Some("other".to_owned());
        caches.rollouts.follow(Event::Apply(elsewhere.clone()));
        assert!(known(2), "nothing of this namespace");
        keep();
        caches.gateways.follow(Event::Apply(elsewhere));
        assert!(!known(2), "a Gateway of any namespace");
        keep();
        caches.rollouts.follow(Event::Apply(rollout("b", "5")));
        assert!(known(2), "another rollout's status");
        keep();
        let mut edited = rollout("b", "6");
        edited.metadata.generation = Some(2);
        caches.rollouts.follow(Event::Apply(edited));
        assert!(!known(2), "another rollout's spec");
        keep();
        caches.services.follow(Event::Apply(rollout("s", "7")));
        assert!(!known(2), "a Service came");
        keep();
        caches.services.follow(Event::Apply(rollout("s", "8")));
        assert!(!known(2), "what is said about a Service");
        keep();
        caches.services.follow(Event::Delete(rollout("s", "9")));
        assert!(!known(2), "a Service went");
        keep();
        caches.grpc_routes.set_installed(false);
        assert!(!known(2), "a kind is missing");
    }
}
