//! The world between releases of one Deployment: what is kept, given back, put in order and let go.

use crate::{
    api::{CanaryRolloutStatus, status::Outcome},
    engine::{
        contract::observed::Deletion,
        facts::Facts,
        guards::hold,
        modes::want::{Desired, Hands, Label, SetWant},
    },
    router::Want,
    workload::{deployment::Deployment, replica_set::ReplicaSet},
};

/// The world that a status at rest asks for.
pub fn at_rest(facts: &Facts<'_>, status: &CanaryRolloutStatus, deployment: &Deployment) -> Desired {
    let leaving = facts.seen.deletion != Deletion::No;
    let put_in_order = Desired {
        label: Some(if leaving { Label::Off } else { Label::On }),
        route: Some(Want::Absent),
        canary_service: facts.entry_gone().then_some(None),
        ..Desired::default()
    };
    if facts.native_rollout(status) {
        return Desired {
            selector: Some(None),
            ..put_in_order
        };
    }
    if facts.rolls_out(status) {
        return unfinished(facts, status, deployment, put_in_order);
    }
    let Some(serving) = facts.serving(status) else {
        return unserved(facts, status, deployment, put_in_order);
    };
    let others: Vec<&ReplicaSet> = facts
        .seen
        .replica_sets
        .iter()
        .filter(|set| set.hash != serving.hash)
        .collect();
    let at_serving = facts.wants(serving);
    let history = if at_serving || leaving {
        History::GivenBack
    } else {
        History::Held
    };
    let sets = others.iter().map(|set| {
        let want = resting_set(facts, status, set, deployment, history);
        (set.name.clone(), want)
    });
    let sets = sets.collect();
    let alone = others
        .iter()
        .all(|set| set.total == 0 && (set.replicas == 0 || set.deleting));
    let given_back = others.iter().all(|set| set.held_by.is_none());
    let pause = match (leaving, at_serving) {
        (false, _) => hold::wanted_pause(facts, status, deployment),
        (true, true) if given_back && alone => status.originals.paused,
        // Unpausing would ship a version that nobody judged.
        (true, _) => None,
    };
    Desired {
        pause,
        selector: Some(facts.narrow_to(status).filter(|_| !alone)),
        sets,
        ..put_in_order
    }
}

/// The serving ReplicaSet was deleted: users get whatever is ready.
fn unserved(
    facts: &Facts<'_>,
    status: &CanaryRolloutStatus,
    deployment: &Deployment,
    put_in_order: Desired,
) -> Desired {
    if facts.seen.deletion != Deletion::No {
        return unfinished(facts, status, deployment, put_in_order);
    }
    Desired {
        selector: Some(None),
        pause: hold::wanted_pause(facts, status, deployment),
        ..put_in_order
    }
}

/// Kubernetes' own rollout does not come to an end, or nothing serves, and ours is to go: only what the Deployment does not
/// have is put in order.
fn unfinished(
    facts: &Facts<'_>,
    status: &CanaryRolloutStatus,
    deployment: &Deployment,
    put_in_order: Desired,
) -> Desired {
    let held = facts.seen.replica_sets.iter().filter(|set| set.held_by.is_some());
    let sets = held.map(|set| {
        let want = resting_set(facts, status, set, deployment, History::GivenBack);
        (set.name.clone(), want)
    });
    Desired {
        selector: Some(None),
        sets: sets.collect(),
        ..put_in_order
    }
}

/// Size of a ReplicaSet that is neither serving nor being released.
pub fn aside(status: &CanaryRolloutStatus, set: &ReplicaSet, deployment: &Deployment) -> SetWant {
    let kept = status.kept.iter().find(|kept| kept.revision == set.hash);
    match kept {
        Some(kept) if kept.standby => SetWant::held(deployment.replicas),
        Some(_) => SetWant::held(None),
        None => SetWant::held(0),
    }
}

/// What becomes of the ReplicaSets that the Deployment had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    /// The Deployment's template is the serving one, or the rollout goes: they are the Deployment's again.
    GivenBack,
    /// The Deployment could scale one of them up.
    Held,
}

/// A ReplicaSet besides the serving one is kept for a while, remembered, given back, or removed.
fn resting_set(
    facts: &Facts<'_>,
    status: &CanaryRolloutStatus,
    set: &ReplicaSet,
    deployment: &Deployment,
    history: History,
) -> SetWant {
    let held = aside(status, set, deployment);
    if status.kept.iter().any(|kept| kept.revision == set.hash) {
        return held;
    }
    let rejected = status.rejected.iter().find(|rejected| rejected.revision == set.hash);
    if let Some(rejected) = rejected {
        let promoted = status.run.as_ref().filter(|run| run.outcome == Some(Outcome::Promoted));
        let outlived = promoted.is_some_and(|run| run.started_at >= rejected.at);
        return SetWant {
            delete: outlived || facts.seen.deletion != Deletion::No,
            ..held
        };
    }
    match (set.revision, history) {
        // It never was the Deployment's: a release of ours that something newer replaced.
        (None, _) => SetWant { delete: true, ..held },
        (Some(_), History::GivenBack) => SetWant {
            hands: Some(Hands::Deployments),
            ..held
        },
        (Some(_), History::Held) => held,
    }
}
