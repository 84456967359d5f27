//! The world asked for, without what would take a Service, a backend or pods from requests that may still come.

use std::ops::Deref;

use crate::{
    api::{CanaryRolloutStatus, Percent},
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
            wanted.canary_service = in_use(facts, status, wanted.canary_service.flatten()).map(Some);
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

/// The version that the canary Service has to select while requests may come through it: the one that it selects, or, once
/// another hand has deleted or changed it, the one that they are meant for. If that one is gone, the one that serves.
fn in_use(facts: &Facts<'_>, status: &CanaryRolloutStatus, wanted: Option<String>) -> Option<String> {
    let running = status.run.as_ref().filter(|run| run.ended_at.is_none());
    let carries = running.is_some_and(|run| run.weight > Percent::ZERO || run.entered_at.is_some());
    let draining = status.draining.iter().filter(|draining| draining.holds_service());
    let drains: Vec<&str> = draining.map(|draining| draining.revision.as_str()).collect();
    let stands = |hash: &&str| facts.replica_set(hash).is_some_and(|set| set.total > 0);
    let meant = |hash: &&str| wanted.as_deref() == Some(hash) || (drains.contains(hash) && stands(hash));
    if let Some(hash) = points_at(facts).filter(meant) {
        return Some(hash.to_owned());
    }
    let drains = drains.iter().rev().copied().find(stands).map(str::to_owned);
    wanted
        .filter(|_| carries)
        .or(drains)
        .or_else(|| facts.narrow_to(status))
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
