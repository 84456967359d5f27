//! What the last pass over an active rollout read, for the next one: between two ticks mostly nothing has changed.
//!
//! Nothing is taken from here that could differ from a new look: versions are compared first.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kube::{
    ResourceExt,
    api::{DynamicObject, ObjectMeta},
};

use super::shelf::version;
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus},
    engine::observed::Observed,
};

/// What was read of a rollout, and of the world around it.
#[derive(Clone)]
pub struct Look {
    /// The rollout's metadata, nothing else of it.
    pub rollout: DynamicObject,
    /// The spec, if it can be read.
    pub spec: Option<CanaryRolloutSpec>,
    /// The status as it is stored, if one is.
    pub stored: Option<CanaryRolloutStatus>,
    /// The world as the caches have it.
    pub seen: Observed,
    /// State of the caches.
    pub stamp: [u64; 13],
}

/// Namespace and name.
type Place = (String, String);

fn place(rollout: &DynamicObject) -> Place {
    (rollout.namespace().unwrap_or_default(), rollout.name_any())
}

/// The last look at each active rollout.
#[derive(Default)]
pub struct Recent(Mutex<HashMap<Place, Box<Look>>>);

impl Recent {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Place, Box<Look>>) -> T) -> T {
        // Looks are only ever replaced as a whole.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last look, if it was at this version of the rollout and the caches are in the same state.
    pub fn get(&self, namespace: &str, name: &str, newest: u64, stamp: &[u64; 13]) -> Option<Look> {
        let is_same = |look: &Look| version(&look.rollout) == newest && look.stamp == *stamp;
        self.with(|looks| looks.get(&(namespace.to_owned(), name.to_owned())).filter(|look| is_same(look)).map(|look| (**look).clone()))
    }

    /// Remembers a look.
    pub fn keep(&self, look: Look) {
        self.with(|looks| looks.insert(place(&look.rollout), Box::new(look)));
    }

    /// Newer figures were stored, so that the rollout has this metadata now; nothing else differs.
    pub fn restored(&self, before: &DynamicObject, now: ObjectMeta, stored: CanaryRolloutStatus) {
        self.with(|looks| {
            if let Some(look) = looks.get_mut(&place(before)).filter(|look| version(&look.rollout) == version(before)) {
                (look.rollout.metadata, look.stored) = (ObjectMeta { managed_fields: None, ..now }, Some(stored));
            }
        });
    }

    /// The rollout is at rest, or gone.
    pub fn forget(&self, rollout: &DynamicObject) {
        self.with(|looks| looks.remove(&place(rollout)));
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::controller::caches::{Caches, Kinds};

    fn rollout(name: &str, version: &str) -> DynamicObject {
        let mut rollout = DynamicObject::new(name, &Kinds::rollout()).within("shop");
        rollout.metadata.resource_version = Some(version.to_owned());
        rollout.data = json!({"spec": {"workload": {"deployment": {"name": name}}}});
        rollout
    }

    #[test]
    fn a_look_is_taken_again_only_while_nothing_has_changed() {
        let caches = Caches::empty();
        caches.rollouts.follow(Event::Apply(rollout("a", "1")));
        let recent = Recent::default();
        let look = |stamp| Look { rollout: rollout("a", "1"), spec: None, stored: None, seen: Observed::default(), stamp };
        let known = |version: u64| recent.get("shop", "a", version, &caches.stamp("shop")).is_some();
        let keep = || recent.keep(look(caches.stamp("shop")));
        keep();
        assert!(known(1) && !known(2), "another version of the rollout");
        caches.rollouts.follow(Event::Apply(rollout("b", "2")));
        assert!(!known(1), "another rollout of the namespace");
        keep();
        let mut elsewhere = rollout("c", "3");
        elsewhere.metadata.namespace = Some("other".to_owned());
        caches.rollouts.follow(Event::Apply(elsewhere.clone()));
        assert!(known(1), "nothing of this namespace");
        caches.gateways.follow(Event::Apply(elsewhere));
        assert!(!known(1), "a Gateway of any namespace");
        keep();
        caches.rollouts.wrote_finally(rollout("b", "4"));
        assert!(known(1), "another rollout's figures");
        caches.services.follow(Event::Apply(rollout("s", "5")));
        assert!(!known(1), "a Service came");
        keep();
        caches.services.follow(Event::Delete(rollout("s", "6")));
        assert!(!known(1), "a Service went");
        keep();
        caches.grpc_routes.set_installed(false);
        assert!(!known(1), "a kind is missing");
        keep();
        recent.restored(&rollout("a", "1"), rollout("a", "7").metadata, CanaryRolloutStatus::default());
        assert!(known(7) && !known(1), "newer figures");
        recent.forget(&rollout("a", "1"));
        assert!(!known(7));
    }
}
