//! Waiting for pods and for the router, and the deadlines that end it.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{EndReason, Growing, PauseReason, Phase, Run},
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::{Facts, quiet},
    },
};

/// Pods that take longer than this to become ready are asked why: most are ready sooner, and asking lists them.
pub const LATE: SignedDuration = SignedDuration::from_secs(3);

/// How many pods of the new version are waited for.
pub fn needed(facts: &Facts<'_>, phase: Phase, growing: &Growing) -> u32 {
    if phase == Phase::Preparing {
        facts.mode.to_begin(facts, growing.weight)
    } else {
        facts.size_for(growing.weight)
    }
}

/// The new version has too few pods yet.
pub fn missing(facts: &Facts<'_>, phase: Phase, run: &Run, growing: &Growing) -> bool {
    facts.ready_for_traffic(run) < needed(facts, phase, growing)
        || (phase == Phase::Preparing && facts.mode.unfinished(facts).is_some())
}

/// Rolls back once pods have been waited for as long as the plan allows. What the controller could not make is no fault of
/// theirs: the release is held instead.
pub fn give_up_late(facts: &Facts<'_>, next: &mut Draft, growing: &Growing) {
    let held = |run: &Run| run.paused_for.is_some() || ours_to_wait_for(facts, next.status(), run).is_some();
    if next.run().is_some_and(held) || facts.now < growing.since.plus(facts.plan.progress_deadline.signed()) {
        return;
    }
    let needed = needed(facts, next.status().phase, growing);
    if let Some(unmade) = next.run().and_then(|run| unmade(facts, run, needed)) {
        hold_for_write(facts, &unmade, next);
        return;
    }
    let message = waiting_for_pods(facts, next.status(), growing);
    next.go_back(
        EndReason::NotReady,
        &format!("not ready within {}: {message}", facts.plan.progress_deadline),
    );
}

/// What the pods of releases before this one keep it waiting for: that ends by itself, and counts against nobody.
pub fn ours_to_wait_for(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Option<String> {
    if quiet::service_awaited(facts, status, run) {
        return Some(format!(
            "Service {} to get no more requests for the version before: then it gets the new pods",
            facts.plan.canary_service
        ));
    }
    let old = quiet::old_pods(facts, status, run).next();
    let old = old.filter(|_| quiet::lacks_room(facts, run))?;
    Some(format!(
        "the room of {} pods of revision {}, which go as soon as no request reaches them",
        old.total, old.hash
    ))
}

/// What is missing, with numbers and the API's own words.
pub fn waiting_for_pods(facts: &Facts<'_>, status: &CanaryRolloutStatus, growing: &Growing) -> String {
    let Some(run) = &status.run else { return String::new() };
    let needed = needed(facts, status.phase, growing);
    let candidate = facts.candidate(run);
    let available = candidate.available();
    let failure = candidate.failure();
    let unfinished = facts
        .mode
        .unfinished(facts)
        .filter(|_| status.phase == Phase::Preparing && available >= needed);
    let unfinished = unfinished.map(|what| format!("; {what}")).unwrap_or_default();
    let trouble = facts
        .seen
        .trouble
        .as_deref()
        .or(failure)
        .map(|text| format!("; {text}"))
        .unwrap_or_default();
    let reached = facts.ready_for_traffic(run);
    let reached = if reached < available {
        format!(", {reached} behind Service {}", facts.plan.canary_service)
    } else {
        String::new()
    };
    // The pods of a pair are not Warmfront's: their owner is told which Deployment is meant.
    let of = facts
        .mode
        .whose_pods(facts)
        .map(|owner| format!("{owner}: "))
        .unwrap_or_default();
    let ours = ours_to_wait_for(facts, status, run)
        .map(|what| format!("; waiting for {what}"))
        .unwrap_or_default();
    format!(
        "{of}{available}/{needed} pods Available for {}{reached}{unfinished}{trouble}{ours}",
        growing.weight
    )
}

/// The new version's ReplicaSet, if its pods keep a release waiting: the shell finds out why.
pub fn late_replica_set(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
    let run = status.run.as_ref()?;
    let growing = run
        .growing
        .as_ref()
        .filter(|_| status.phase == Phase::Preparing || status.phase == Phase::Shifting)?;
    let late = facts.now >= growing.since.plus(LATE);
    (late && missing(facts, status.phase, run, growing)).then(|| run.replica_set.clone())
}

/// Rolls back once the router has been waited for as long as the plan allows. A route that could not be written is no fault
/// of the version: the release is held instead, without traffic, because not all routes carry the same weight.
pub fn give_up_unaccepted(facts: &Facts<'_>, since: Timestamp, waiting: &str, next: &mut Draft) {
    let paused = next.run().is_some_and(|run| run.paused_for.is_some());
    if paused || facts.now < since.plus(facts.plan.progress_deadline.signed()) {
        return;
    }
    if let Some(unwritten) = next.run().and_then(|run| unwritten(facts, run)) {
        if next.status().phase != Phase::Preparing {
            next.start_over(facts);
        }
        hold_for_write(facts, &unwritten, next);
        return;
    }
    let message = format!(
        "not accepted within {}: waiting for {waiting}",
        facts.plan.progress_deadline
    );
    next.tell(Reason::RouteNotAccepted, message.clone());
    next.go_back(EndReason::RouteNotAccepted, &message);
}

/// What of the new version the controller has yet to make, so that pods can come. A pair's pods are their owner's.
fn unmade(facts: &Facts<'_>, run: &Run, needed: u32) -> Option<String> {
    if facts.mode.whose_pods(facts).is_some() {
        return None;
    }
    let (name, service) = (&run.replica_set, &facts.plan.canary_service);
    let Some(set) = facts.canary(run) else {
        return Some(format!("ReplicaSet {name} to be created"));
    };
    if set.replicas < needed {
        return Some(format!(
            "ReplicaSet {name} to ask for {needed} pods (now {})",
            set.replicas
        ));
    }
    let stands = facts.seen.services.get(service).and_then(|service| service.hash());
    (stands != Some(&run.revision)).then(|| format!("Service {service} to select revision {}", run.revision))
}

/// A route that does not say what the release asks of it. One that is not fit, or not there, is not the controller's to write.
fn unwritten(facts: &Facts<'_>, run: &Run) -> Option<String> {
    let weight = run.intent.as_ref().map_or(Percent::ZERO, |intent| intent.weight);
    let mut routes = facts.found_routes().filter(|(_, route)| route.state.problem.is_none());
    let (id, route) = routes.find(|(_, route)| {
        let entry = run.intent.is_none() || route.state.entry_stands();
        !entry || !route.state.carries(weight)
    })?;
    let share = route.state.away_from(weight);
    Some(format!(
        "{id} to be written: the new version's share {weight} (now {share})"
    ))
}

/// The controller's own write has not been accepted in time: people are called, and nothing is rejected for it.
fn hold_for_write(facts: &Facts<'_>, waiting: &str, next: &mut Draft) {
    let refused: Vec<&str> = facts
        .seen
        .obstacles
        .iter()
        .map(|obstacle| obstacle.message.as_str())
        .collect();
    let why = if refused.is_empty() {
        String::new()
    } else {
        format!("; {}", refused.join("; "))
    };
    let deadline = facts.plan.progress_deadline;
    next.hold(
        PauseReason::WriteRefused,
        &format!("not within {deadline}: waiting for {waiting}{why}"),
    );
}

/// Lets a release go on that was held for a write, once that has been accepted. Its deadlines begin anew.
pub fn go_on_when_written(facts: &Facts<'_>, next: &mut Draft) {
    let phase = next.status().phase;
    let Some(run) = next
        .run()
        .filter(|run| run.paused_for == Some(PauseReason::WriteRefused))
    else {
        return;
    };
    let pods = run.growing.as_ref().map(|growing| needed(facts, phase, growing));
    let unmade = pods.and_then(|needed| unmade(facts, run, needed));
    let unwritten = unwritten(facts, run).filter(|_| phase == Phase::Preparing);
    if unmade.is_none() && unwritten.is_none() {
        next.resume();
    }
}
