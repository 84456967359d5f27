//! Before the first request: the new version's pods become ready, or their deadline ends the release.

use jiff::SignedDuration;

use super::{Draft, capacity, drift, ending, facts::Facts, gates, holds, notice::Reason, shifting};
use crate::api::{
    CanaryRolloutStatus, Percent,
    status::{Growing, Intent, Outcome, PauseReason, Phase, Run},
    webhook::Before,
};

/// Pods that take longer than this to become ready are asked why: most are ready sooner, and asking lists them.
pub(super) const LATE: SignedDuration = SignedDuration::from_secs(3);

pub(super) fn preparing(facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
    next.remember_routes(facts);
    drift::services(facts, next);
    holds::for_people(facts, next);
    let Some(run) = next.status.run.clone() else { return };
    let Some(growing) = run.growing.clone() else {
        // A status edited by hand; the wait begins anew.
        let weight = facts.plan.steps[0].weight;
        next.change(|run| {
            run.growing = Some(Growing {
                weight,
                since: facts.now,
            })
        });
        return;
    };
    if gates::rejected(facts, next) {
        return;
    }
    if run.paused_for != Some(PauseReason::User) && !run.paused_for.is_none_or(PauseReason::is_looked_at_anew) {
        return;
    }
    if gates::keeps_out(facts, &run) {
        gates::closed(facts, Before::Start, 0, next);
        return;
    }
    if missing(facts, next.status.phase, &run, &growing) {
        if run.paused_for.is_none() {
            give_up_late(facts, next, &growing);
        }
        return;
    }
    // Testers may reach a version that a person holds at 0%.
    let held = run.paused_for == Some(PauseReason::User);
    if !accepted || (held && facts.plan.testers.is_empty()) || capacity::stable_holds(facts, next) {
        return;
    }
    if !introduced(facts, &run, &growing, next)
        || held
        || holds::outside_windows(facts, next)
        || gates::closed(facts, Before::Step, 1, next)
    {
        return;
    }
    let seconds = facts.now.duration_since(growing.since).as_secs();
    let needed = needed(facts, Phase::Preparing, &growing);
    next.tell(
        Reason::CanaryReady,
        format!(
            "{needed} of {needed} pods of revision {} ready after {seconds}s",
            run.revision
        ),
    );
    next.status.phase = Phase::Shifting;
    let now = facts.now;
    next.change(|run| {
        run.step = 1;
        run.intent = Some(Intent::new(growing.weight, facts.generations(), now));
        run.carriers = i32::try_from(facts.size_for(growing.weight)).unwrap_or(i32::MAX);
        run.growing = None;
    });
}

/// Pods that the new version is waited for to have.
fn needed(facts: &Facts<'_>, phase: Phase, growing: &Growing) -> u32 {
    if phase == Phase::Preparing {
        facts.mode().to_begin(facts, growing.weight)
    } else {
        facts.size_for(growing.weight)
    }
}

/// The new version is still waited for.
pub(super) fn missing(facts: &Facts<'_>, phase: Phase, run: &Run, growing: &Growing) -> bool {
    facts.ready_for_traffic(run) < needed(facts, phase, growing)
        || (phase == Phase::Preparing && facts.mode().unfinished(facts).is_some())
}

/// The new version stands in the route at weight 0, and the data plane has had time to learn of it:
/// a proxy that learns of a share before it learns of the backend would fail that share.
fn introduced(facts: &Facts<'_>, run: &Run, growing: &Growing, next: &mut Draft) -> bool {
    if let Some(intent) = &run.intent {
        match facts.weight_confirmed(Percent::ZERO) {
            Ok(()) if facts.entry_stands() => next.change(|run| {
                run.intent = None;
                run.entered_at = Some(facts.now);
            }),
            _ if drift::undone(facts, intent, next) => {}
            _ if run.paused_for.is_some() => {}
            waiting => {
                let waiting = waiting
                    .err()
                    .unwrap_or_else(|| "the new version's entry to stand in the route".to_owned());
                shifting::give_up_unaccepted(facts, intent, &waiting, next);
            }
        }
        return false;
    }
    match run.entered_at {
        Some(entered) if facts.entry_stands() => facts.now >= entered + facts.plan.settle.signed(),
        Some(_) if drift::entry_removed(facts, next) => false,
        // The route must be as found, and served so, before our entry is put in.
        _ => {
            let intent = Intent::new(Percent::ZERO, facts.generations(), facts.now);
            match facts.weight_confirmed(Percent::ZERO) {
                Ok(()) => next.change(|run| {
                    run.entered_at = None;
                    run.intent = Some(intent);
                }),
                Err(_) if run.paused_for.is_some() => {}
                Err(waiting) => shifting::give_up_unaccepted(
                    facts,
                    &Intent {
                        at: growing.since,
                        ..intent
                    },
                    &waiting,
                    next,
                ),
            }
            false
        }
    }
}

/// Rolls back once pods have been waited for as long as the plan allows.
pub(super) fn give_up_late(facts: &Facts<'_>, next: &mut Draft, growing: &Growing) {
    let paused = next.status.run.as_ref().is_some_and(|run| run.paused_for.is_some());
    if paused || facts.now < growing.since + facts.plan.progress_deadline.signed() {
        return;
    }
    let message = waiting_for_pods(facts, &next.status, growing);
    ending::go_back(
        next,
        Outcome::RolledBack,
        "NotReady",
        &format!("not ready within {}: {message}", facts.plan.progress_deadline),
    );
}

/// What is missing, with numbers and the API's own words.
pub(super) fn waiting_for_pods(facts: &Facts<'_>, status: &CanaryRolloutStatus, growing: &Growing) -> String {
    let Some(run) = &status.run else { return String::new() };
    let needed = needed(facts, status.phase, growing);
    let candidate = facts.candidate(run);
    let available = candidate.available();
    let failure = candidate.failure();
    let unfinished = facts
        .mode()
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
    let of = if facts.mode().scales() {
        String::new()
    } else {
        format!("Deployment {}: ", facts.plan.deployment)
    };
    format!(
        "{of}{available}/{needed} pods Available for {}{reached}{unfinished}{trouble}",
        growing.weight
    )
}

/// The new version's ReplicaSet, if its pods keep a release waiting: the shell finds out why.
pub(super) fn late_replica_set(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
    let run = status.run.as_ref()?;
    let growing = run
        .growing
        .as_ref()
        .filter(|_| matches!(status.phase, Phase::Preparing | Phase::Shifting))?;
    let late = facts.now >= growing.since + LATE;
    (late && missing(facts, status.phase, run, growing)).then(|| run.replica_set.clone())
}
