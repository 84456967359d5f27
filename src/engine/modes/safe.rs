//! The world asked for, without what would take a Service, a backend or pods from requests that may still come.

use std::ops::Deref;

use crate::{
    api::CanaryRolloutStatus,
    engine::{
        facts::{Facts, quiet},
        modes::want::{Desired, SetWant},
    },
    router::Want,
    workload::replica_set::ReplicaSet,
};

/// The world that is asked for now. Changes are planned from nothing else, so nothing goes that requests may still need.
#[derive(Debug)]
pub struct Safe(Desired);

impl Safe {
    /// Holds back what would remove or repoint something in use.
    pub fn new(facts: &Facts<'_>, status: &CanaryRolloutStatus, mut wanted: Desired) -> Self {
        if quiet::service_in_use(status) {
            wanted.canary_service = wanted
                .canary_service
                .filter(|hash| hash.is_some() && hash.as_deref() == points_at(facts));
            wanted.route = wanted.route.map(|want| match want {
                Want::Absent => Want::Drained,
                Want::Weight(_) | Want::Drained | Want::Left => want,
            });
        }
        for set in &facts.seen.replica_sets {
            if let Some(want) = wanted.sets.get_mut(&set.name)
                && quiet::pods_in_use(status, &set.hash)
            {
                *want = not_smaller(set, *want);
            }
        }
        Self(wanted)
    }
}

impl Deref for Safe {
    type Target = Desired;

    fn deref(&self) -> &Desired {
        &self.0
    }
}

/// The version that the canary Service selects.
fn points_at<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    facts
        .seen
        .services
        .get(&facts.plan.canary_service)
        .and_then(|service| service.hash())
}

/// The pods stay in our hands: the Deployment would remove them.
fn not_smaller(set: &ReplicaSet, want: SetWant) -> SetWant {
    SetWant::held(want.replicas.filter(|replicas| *replicas > set.replicas))
}
