//! The world that a status asks for, where one Deployment is released.

use std::collections::BTreeMap;

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{Phase, Run},
    },
    engine::{
        contract::observed::Deletion,
        facts::{self, Facts},
        guards::gates,
        modes::{
            one_deployment::{
                at_rest,
                exchange::{self, Stage},
            },
            route_want,
            want::{Desired, Label, NewSet, SetWant},
        },
    },
    router::Want,
    workload::deployment::Deployment,
};

/// The world that `status` asks for, where one Deployment is released.
pub fn desired(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired {
    if status.originals.paused.is_none() {
        return Desired::default();
    }
    let Some(deployment) = &facts.seen.deployment else {
        return without_deployment(facts, status);
    };
    match (status.phase, &status.run) {
        // Nothing of the release is made before it may start.
        (Phase::Preparing | Phase::RollingBack, Some(run)) if run.undoing.is_none() && gates::keeps_out(facts, run) => {
            at_rest::at_rest(facts, status, deployment)
        }
        (Phase::Preparing | Phase::Shifting | Phase::Baking, Some(run)) => releasing(facts, status, run, deployment),
        (Phase::RollingBack, Some(run)) if run.undoing.is_some() => exchanging(facts, status, run, deployment),
        (Phase::RollingBack, Some(run)) => going_back(facts, status, run, deployment),
        (Phase::Promoting, Some(run)) => exchanging(facts, status, run, deployment),
        (Phase::Idle | Phase::Succeeded | Phase::RolledBack | Phase::Unknown, Some(_))
        | (
            Phase::Idle
            | Phase::Preparing
            | Phase::Shifting
            | Phase::Baking
            | Phase::Promoting
            | Phase::Succeeded
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Unknown,
            None,
        ) => at_rest::at_rest(facts, status, deployment),
    }
}

/// The Deployment is gone: traffic goes back where it was going back, and what was held for a Deployment that does not
/// come back goes.
fn without_deployment(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired {
    let going_back = status.phase == Phase::RollingBack;
    let resting = status.phase.is_at_rest();
    let route = if going_back { Want::Drained } else { Want::Absent };
    let given_up = resting && facts.target_given_up(status);
    let orphans = facts.seen.replica_sets.iter().filter(|_| given_up);
    let gone = SetWant {
        delete: true,
        ..SetWant::held(0)
    };
    let routed = going_back || resting || facts.seen.deletion != Deletion::No;
    Desired {
        route: routed.then_some(route),
        sets: orphans.map(|set| (set.name.clone(), gone)).collect(),
        ..Desired::default()
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
    let successor = facts::successor(run);
    let others = facts
        .seen
        .replica_sets
        .iter()
        .filter(|set| Some(set.hash.as_str()) != serving && set.hash != successor);
    let given_back = facts.serving(status).map(|set| (set.name.clone(), SetWant::given()));
    others
        .map(|set| (set.name.clone(), at_rest::aside(status, set, deployment)))
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

    let selector = facts.narrow_to(status);
    let narrowed = facts
        .narrowed_services()
        .all(|service| service.hash() == selector.as_deref());
    let history_taken = facts.seen.replica_sets.iter().all(|set| {
        Some(set.hash.as_str()) == status.stable_revision.as_deref() || set.hash == run.revision || set.held()
    });
    let mut create = None;
    match facts.canary(run) {
        // Pods come only once no Service of the user's selects them and the Deployment cannot interfere.
        Some(set) => {
            let replicas = (narrowed && history_taken).then_some(replicas);
            sets.insert(set.name.clone(), SetWant::held(replicas));
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

    let (route, testers) = route_want::introduced(facts, run);
    Desired {
        pause: Some(true),
        label: Some(Label::On),
        selector: Some(selector),
        canary_service: may_point_at(facts, run).then(|| Some(run.revision.clone())),
        route: Some(route),
        testers,
        sets,
        create,
    }
}

/// A Service that traffic reaches is never pointed at other pods. What proxies that lag may still send it is seen to by
/// [`Safe`](crate::engine::modes::safe::Safe).
fn may_point_at(facts: &Facts<'_>, run: &Run) -> bool {
    if carries(run) {
        return true;
    }
    let service = facts.seen.services.get(&facts.plan.canary_service);
    let points_already = service.and_then(|service| service.hash()) == Some(run.revision.as_str());
    let quiet = facts.weight_confirmed(Percent::ZERO).is_ok();
    // One that does not exist, and that no route names, nobody can reach: it was removed only after that was confirmed.
    let unknown = service.is_none() && facts.readable_routes().all(|(_, route)| route.state.entry_gone());
    points_already || quiet || unknown
}

/// The entry in the routes is this release's: whatever another hand has made of the canary's Service, requests to it are
/// meant for the release's own pods.
fn carries(run: &Run) -> bool {
    run.entered_at.is_some() || run.intent.is_some() || run.weight_confirmed_at.is_some()
}

/// Traffic may still reach the canary's Service, so it stays what it is, or is made so again.
fn kept_service(facts: &Facts<'_>, run: &Run) -> Option<String> {
    (carries(run) && run.undoing.is_none() && !facts.entry_gone()).then(|| run.revision.clone())
}

fn going_back(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, deployment: &Deployment) -> Desired {
    if !deployment.paused && !facts.serves_alone(status, deployment) {
        // Kubernetes is rolling out by itself: the narrowed pods are about to go.
        return Desired {
            selector: Some(None),
            route: Some(Want::Drained),
            ..Desired::default()
        };
    }
    Desired {
        pause: Some(true),
        label: Some(Label::On),
        selector: Some(facts.narrow_to(status)),
        canary_service: kept_service(facts, run).map(Some),
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
            SetWant::held(deployment.replicas)
        } else {
            SetWant::default()
        };
        sets.insert(old.name.clone(), want);
    }
    if let Some(new) = facts.replica_set(facts::successor(run)) {
        let want = if stage >= Stage::GiveNew {
            SetWant {
                newest: true,
                ..SetWant::given()
            }
        } else {
            SetWant::held(deployment.replicas)
        };
        sets.insert(new.name.clone(), want);
    }
    let routed = stage < Stage::RouteToStable && run.undoing.is_none();
    let route = if routed {
        Want::Weight(run.weight)
    } else {
        Want::Drained
    };
    let gone = (run.undoing.is_some() && facts.entry_gone()).then_some(None);
    let canary_service = gone.or_else(|| kept_service(facts, run).map(Some));
    let testers = run.undoing.is_none() && facts.ready_for_traffic(run) > 0;
    Desired {
        pause: Some(true),
        label: Some(Label::On),
        selector: Some(Some(facts::successor(run).to_owned())),
        canary_service,
        route: Some(route),
        testers,
        sets,
        create: None,
    }
}
