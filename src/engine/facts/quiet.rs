//! What requests may still reach although it has lost its traffic: gateways confirm weights before all their proxies know them.

use crate::{
    api::{
        CanaryRolloutStatus,
        status::{Draining, Kept, Run},
    },
    engine::facts::{Facts, successor},
    workload::replica_set::ReplicaSet,
};

/// Requests may still reach the pods of this revision.
pub fn pods_in_use(status: &CanaryRolloutStatus, revision: &str) -> bool {
    status
        .draining
        .iter()
        .any(|draining| draining.revision == revision && draining.holds_pods())
}

/// Requests may still come through the canary Service, or through its entry in a route.
pub fn service_in_use(status: &CanaryRolloutStatus) -> bool {
    status.draining.iter().any(Draining::holds_service)
}

/// The new version waits for the canary Service, which still has the pods of a version before it.
pub fn service_awaited(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> bool {
    let service = facts.seen.services.get(&facts.plan.canary_service);
    let others = service.is_some_and(|service| service.hash() != Some(&run.revision));
    facts.mode.keeps_pods() && others && service_in_use(status)
}

/// Pods of ended releases hold the room that the new version's pods lack.
pub fn room_awaited(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> bool {
    lacks_room(facts, run) && old_pods(facts, status, run).next().is_some()
}

/// The API server refuses pods of the new version, as it does where a quota is full.
pub fn lacks_room(facts: &Facts<'_>, run: &Run) -> bool {
    facts.mode.keeps_pods() && facts.candidate(run).failure().is_some()
}

/// ReplicaSets with pods that no release needs any more.
pub fn old_pods<'a>(
    facts: &Facts<'a>,
    status: &'a CanaryRolloutStatus,
    run: &'a Run,
) -> impl Iterator<Item = &'a ReplicaSet> {
    facts.seen.replica_sets.iter().filter(move |set| {
        let needed = Some(set.hash.as_str()) == status.stable_revision.as_deref() || set.hash == successor(run);
        !needed && set.held_by.is_some() && set.total > 0
    })
}

/// The pods of this version may go as soon as their time is over. What the release in progress is about is not kept, it is
/// used.
pub fn may_go(facts: &Facts<'_>, status: &CanaryRolloutStatus, kept: &Kept) -> bool {
    let running = status.run.as_ref().filter(|run| run.ended_at.is_none());
    let used = running.is_some_and(|run| kept.revision == successor(run));
    let pods = facts.replica_set(&kept.revision).is_some_and(|set| set.total > 0);
    !used && !pods_in_use(status, &kept.revision) && (!pods || facts.may_scale_down(status))
}
