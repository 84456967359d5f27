//! How far the exchange has come in which the Deployment takes over the new version, read off the objects.

use crate::{
    api::{CanaryRolloutStatus, Percent, status::Run},
    engine::facts::{self, Facts},
    workload::replica_set::ReplicaSet,
};

/// What is being done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The user's Services select the new version.
    Select,
    /// The route goes to the user's Service alone; both Services have the same pods now.
    RouteToStable,
    /// The old version leaves the Deployment's hands.
    TakeOld,
    /// The new version goes into them.
    GiveNew,
    /// The Deployment has it.
    Done,
}

/// How far the exchange has come.
pub fn stage(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Stage {
    let (Some(new), Some(deployment)) = (facts.replica_set(facts::successor(run)), &facts.seen.deployment) else {
        return Stage::Select;
    };
    if new.owned_by(&deployment.uid) && new.held_by.is_none() {
        return Stage::Done;
    }
    // Between our hands and the Deployment's: its labels are back, the Deployment has not taken it yet.
    if new.held_by.is_none() {
        return Stage::GiveNew;
    }
    // A newer release's pods and the history are in our hands, the old version too once it is taken.
    let owns_nothing = !facts.seen.replica_sets.iter().any(|set| set.owned_by(&deployment.uid));
    if facts.serving(status).is_none_or(ReplicaSet::held) && owns_nothing {
        return Stage::GiveNew;
    }
    if !selects(facts, new) {
        return Stage::Select;
    }
    if facts.weight_confirmed(Percent::ZERO).is_err() {
        return Stage::RouteToStable;
    }
    Stage::TakeOld
}

/// The user's Service is narrowed to the new version and has all its ready pods and no others.
fn selects(facts: &Facts<'_>, new: &ReplicaSet) -> bool {
    let moved = facts
        .narrowed_services()
        .all(|service| service.hash() == Some(&new.hash));
    let (own, others) = facts.ready_behind(&facts.plan.service, &[new]);
    moved && others == 0 && own > 0 && own >= new.ready
}

/// The ReplicaSet that has taken over, once the Deployment has it and counts its pods.
pub fn adopted<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus, run: &Run) -> Option<&'a ReplicaSet> {
    let (new, deployment) = (
        facts.replica_set(facts::successor(run))?,
        facts.seen.deployment.as_ref()?,
    );
    let adopted = stage(facts, status, run) == Stage::Done && deployment.settled();
    let up_to_date = !facts.wants(new) || deployment.updated == deployment.replicas;
    (adopted && up_to_date).then_some(new)
}

/// The old version, if its pods still stand by after a promotion.
pub fn standby<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Option<&'a ReplicaSet> {
    let kept = status.kept.iter().find(|kept| kept.standby)?;
    facts
        .replica_set(&kept.revision)
        .filter(|set| set.held() && set.available > 0)
}
