//! The world that a status asks for, as far as Warmfront has a say in it.

use std::collections::BTreeMap;

use super::{
    exchange::{self, Stage},
    facts::Facts,
    gates,
    observed::Deletion,
};
use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{Outcome, Phase, Run},
    },
    router::Want,
    workload::{deployment::Deployment, replica_set::ReplicaSet},
};

/// What is asked of each object; `None` leaves it as it is.
#[allow(clippy::option_option, reason = "left alone, absent and present are three things")]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Desired {
    /// `spec.paused` of the Deployment.
    pub pause: Option<bool>,
    /// Version to which the user's Services are narrowed; inner `None` is wide.
    pub selector: Option<Option<String>>,
    /// Version of the canary Service; inner `None` is absent.
    pub canary_service: Option<Option<String>>,
    /// What every route says.
    pub route: Option<Want>,
    /// Testers reach the new version.
    pub testers: bool,
    /// By name.
    pub sets: BTreeMap<String, SetWant>,
    /// A ReplicaSet to be made for the new version.
    pub create: Option<NewSet>,
}

/// What is asked of one ReplicaSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SetWant {
    /// In whose hands it is.
    pub hands: Option<Hands>,
    /// Its size.
    pub replicas: Option<u32>,
    /// It becomes the newest in the Deployment's history.
    pub newest: bool,
    /// It goes once it has no pods.
    pub delete: bool,
}

/// Who decides over a ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hands {
    Ours,
    Deployments,
}

/// A ReplicaSet to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewSet {
    pub name: String,
    pub revision: String,
    pub replicas: u32,
}

/// The world that `status` asks for, where one Deployment is released.
pub(super) fn one_deployment(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired {
    let Some(original_pause) = status.originals.paused else {
        return Desired::default();
    };
    let Some(deployment) = &facts.seen.deployment else {
        let back = status.phase == Phase::RollingBack || facts.seen.deletion != Deletion::No;
        let route = if status.phase == Phase::RollingBack {
            Want::Drained
        } else {
            at_rest_route(facts, status)
        };
        let resting = status.phase.is_at_rest();
        // The Deployment does not come back: what was held for it goes.
        let orphans = facts
            .seen
            .replica_sets
            .iter()
            .filter(|_| resting && facts.target_given_up(status));
        let sets = orphans
            .map(|set| {
                (
                    set.name.clone(),
                    SetWant {
                        hands: Some(Hands::Ours),
                        replicas: Some(0),
                        newest: false,
                        delete: true,
                    },
                )
            })
            .collect();
        return Desired {
            route: (back || resting).then_some(route),
            sets,
            ..Desired::default()
        };
    };
    match (status.phase, &status.run) {
        // Nothing of the release is made before it may start.
        (Phase::Preparing | Phase::RollingBack, Some(run)) if run.undoing.is_none() && gates::keeps_out(facts, run) => {
            at_rest(facts, status, deployment, original_pause)
        }
        (Phase::Preparing | Phase::Shifting | Phase::Baking, Some(run)) => releasing(facts, status, run, deployment),
        (Phase::RollingBack, Some(run)) if run.undoing.is_some() => exchanging(facts, status, run, deployment),
        (Phase::RollingBack, Some(run)) => going_back(facts, status, run, deployment),
        (Phase::Promoting, Some(run)) => exchanging(facts, status, run, deployment),
        _ => at_rest(facts, status, deployment, original_pause),
    }
}

/// Size of a ReplicaSet that is neither serving nor being released.
fn aside(status: &CanaryRolloutStatus, set: &ReplicaSet, deployment: &Deployment) -> SetWant {
    let kept = status.kept.iter().find(|kept| kept.revision == set.hash);
    let replicas = match kept {
        Some(kept) if kept.standby => Some(deployment.replicas),
        Some(_) => None,
        None => Some(0),
    };
    SetWant {
        hands: Some(Hands::Ours),
        replicas,
        ..SetWant::default()
    }
}

/// The serving version is the Deployment's, also after an exchange that was called off half-way; everything besides it
/// and the one that is to follow it is in our hands.
fn others_held(
    facts: &Facts<'_>,
    status: &CanaryRolloutStatus,
    run: &Run,
    deployment: &Deployment,
) -> BTreeMap<String, SetWant> {
    let serving = status.stable_revision.as_deref();
    let successor = exchange::successor(run);
    let others = facts
        .seen
        .replica_sets
        .iter()
        .filter(|set| Some(set.hash.as_str()) != serving && set.hash != successor);
    let given_back = facts.serving(status).map(|set| {
        (
            set.name.clone(),
            SetWant {
                hands: Some(Hands::Deployments),
                ..SetWant::default()
            },
        )
    });
    others
        .map(|set| (set.name.clone(), aside(status, set, deployment)))
        .chain(given_back)
        .collect()
}

fn releasing(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, deployment: &Deployment) -> Desired {
    let mut sets = others_held(facts, status, run, deployment);
    let weight = run.intent.as_ref().map_or(run.weight, |intent| intent.weight);
    let largest = run
        .growing
        .as_ref()
        .map_or(weight, |growing| weight.max(growing.weight))
        .max(run.weight);
    let replicas = facts.size_for(largest);

    let narrowed = facts
        .narrowed_services()
        .all(|service| service.hash() == status.stable_revision.as_deref());
    let history_taken = facts.seen.replica_sets.iter().all(|set| {
        Some(set.hash.as_str()) == status.stable_revision.as_deref() || set.hash == run.revision || set.held()
    });
    let mut create = None;
    match facts.canary(run) {
        // Pods come only once no Service of the user's selects them and the Deployment cannot interfere.
        Some(set) => {
            let replicas = (narrowed && history_taken).then_some(replicas);
            sets.insert(
                set.name.clone(),
                SetWant {
                    hands: Some(Hands::Ours),
                    replicas,
                    ..SetWant::default()
                },
            );
        }
        None if narrowed && history_taken => {
            create = Some(NewSet {
                name: run.replica_set.clone(),
                revision: run.revision.clone(),
                replicas,
            });
        }
        None => {}
    }

    // A Service that traffic reaches, or did a moment ago, is never pointed at other pods.
    let current = facts
        .seen
        .services
        .get(&facts.plan.canary_service)
        .and_then(|service| service.hash());
    let quiet = facts.entry_gone()
        || (facts.weight_confirmed(Percent::ZERO).is_ok() && facts.now >= run.started_at + facts.plan.settle.signed());
    // One that does not exist, and that no route names, nobody can reach: it was removed only after that was confirmed.
    let unknown = !facts.seen.services.contains_key(&facts.plan.canary_service)
        && facts.readable_routes().all(|(_, route)| route.state.entry_gone());
    let repoint = current == Some(run.revision.as_str()) || quiet || unknown;
    let (route, testers) = introduced(facts, run);
    Desired {
        pause: Some(true),
        selector: Some(status.stable_revision.clone()),
        canary_service: repoint.then(|| Some(run.revision.clone())),
        route: Some(route),
        testers,
        sets,
        create,
    }
}

/// What the routes say while a release moves, and whether testers reach the new version.
pub(super) fn introduced(facts: &Facts<'_>, run: &Run) -> (Want, bool) {
    let weight = run.intent.as_ref().map_or(run.weight, |intent| intent.weight);
    let introduced = run.intent.is_some() || run.entered_at.is_some();
    // A proxy has had time to learn of the new version's backend before a rule leads to it alone.
    let testers = run.entered_at.is_some() && facts.ready_for_traffic(run) > 0;
    (
        if introduced {
            Want::Weight(weight)
        } else {
            Want::Drained
        },
        testers,
    )
}

/// An entry leaves a moment after its weight: a proxy that learns of the missing backend before it
/// learns of the weight would fail the requests in between.
pub(super) fn at_rest_route(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Want {
    let ended = status.run.as_ref().and_then(|run| run.ended_at);
    if ended.is_some_and(|ended| facts.now < ended + facts.plan.settle.signed()) {
        Want::Drained
    } else {
        Want::Absent
    }
}

fn going_back(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, deployment: &Deployment) -> Desired {
    if !deployment.paused {
        // Kubernetes is rolling out by itself: the narrowed pods are about to go.
        return Desired {
            selector: Some(None),
            route: Some(Want::Drained),
            ..Desired::default()
        };
    }
    Desired {
        pause: Some(true),
        selector: Some(status.stable_revision.clone()),
        route: Some(Want::Drained),
        sets: others_held(facts, status, run, deployment),
        ..Desired::default()
    }
}

fn exchanging(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, deployment: &Deployment) -> Desired {
    let stage = exchange::stage(facts, status, run);
    let mut sets = others_held(facts, status, run, deployment);
    if let Some(old) = facts.serving(status) {
        let want = if stage >= Stage::TakeOld {
            SetWant {
                hands: Some(Hands::Ours),
                replicas: Some(deployment.replicas),
                ..SetWant::default()
            }
        } else {
            SetWant::default()
        };
        sets.insert(old.name.clone(), want);
    }
    if let Some(new) = facts.replica_set(exchange::successor(run)) {
        let want = if stage >= Stage::GiveNew {
            SetWant {
                hands: Some(Hands::Deployments),
                newest: true,
                ..SetWant::default()
            }
        } else {
            SetWant {
                hands: Some(Hands::Ours),
                replicas: Some(deployment.replicas),
                ..SetWant::default()
            }
        };
        sets.insert(new.name.clone(), want);
    }
    let routed = stage < Stage::RouteToStable && run.undoing.is_none();
    let route = if routed {
        Want::Weight(run.weight)
    } else {
        Want::Drained
    };
    let canary_service = (run.undoing.is_some() && facts.entry_gone()).then_some(None);
    let testers = run.undoing.is_none() && facts.ready_for_traffic(run) > 0;
    Desired {
        pause: Some(true),
        selector: Some(Some(exchange::successor(run).to_owned())),
        canary_service,
        route: Some(route),
        testers,
        sets,
        create: None,
    }
}

fn at_rest(facts: &Facts<'_>, status: &CanaryRolloutStatus, deployment: &Deployment, original_pause: bool) -> Desired {
    let leaving = facts.seen.deletion != Deletion::No;
    let route = Some(at_rest_route(facts, status));
    let canary_service = facts.entry_gone().then_some(None);
    if facts.native_rollout(status) {
        return Desired {
            selector: Some(None),
            route,
            canary_service,
            ..Desired::default()
        };
    }
    if !deployment.paused && !deployment.complete() {
        // It does not come to an end, and the rollout is to go: only what the Deployment does not have is put in order.
        let held = facts.seen.replica_sets.iter().filter(|set| set.held_by.is_some());
        let sets = held
            .map(|set| (set.name.clone(), resting_set(status, set, deployment, true, leaving)))
            .collect();
        return Desired {
            selector: Some(None),
            route,
            canary_service,
            sets,
            ..Desired::default()
        };
    }
    let Some(serving) = facts.serving(status) else {
        return Desired {
            route,
            ..Desired::default()
        };
    };
    let at_serving = facts.wants(serving);
    let others = || facts.seen.replica_sets.iter().filter(|set| set.hash != serving.hash);
    let sets: BTreeMap<String, SetWant> = others()
        .map(|set| {
            (
                set.name.clone(),
                resting_set(status, set, deployment, at_serving || leaving, leaving),
            )
        })
        .collect();
    let alone = others().all(|set| set.total == 0 && (set.replicas == 0 || set.deleting));
    let selector = if alone { None } else { Some(serving.hash.clone()) };
    let given_back = others().all(|set| set.held_by.is_none());
    let pause = match (leaving, at_serving) {
        // Whose manifests say otherwise is told so, and not fought.
        (false, _) => deployment.unpaused_by.is_none().then_some(true),
        (true, true) if given_back && alone => Some(original_pause),
        // Unpausing would ship a version that nobody judged.
        (true, _) => None,
    };
    Desired {
        pause,
        selector: Some(selector),
        canary_service,
        route,
        testers: false,
        sets,
        create: None,
    }
}

/// At rest a ReplicaSet besides the serving one is kept for a while, remembered, given back, or removed.
fn resting_set(
    status: &CanaryRolloutStatus,
    set: &ReplicaSet,
    deployment: &Deployment,
    may_give: bool,
    leaving: bool,
) -> SetWant {
    let held = aside(status, set, deployment);
    if status.kept.iter().any(|kept| kept.revision == set.hash) {
        return held;
    }
    if let Some(rejected) = status.rejected.iter().find(|rejected| rejected.revision == set.hash) {
        let promoted = status.run.as_ref().filter(|run| run.outcome == Some(Outcome::Promoted));
        let outlived = promoted.is_some_and(|run| run.started_at >= rejected.at);
        return SetWant {
            delete: outlived || leaving,
            ..held
        };
    }
    match set.revision {
        // It never was the Deployment's: a release of ours that something newer replaced.
        None => SetWant { delete: true, ..held },
        Some(_) if may_give => SetWant {
            hands: Some(Hands::Deployments),
            ..held
        },
        Some(_) => held,
    }
}
