//! What people read: the message, the figures' columns and the conditions.

use jiff::Timestamp;

use super::{Draft, Identity, capacity, facts::Facts, figures, gates, holds, preparing};
use crate::api::{
    CanaryRolloutStatus, Percent,
    condition::{ConditionType, Refusal, set},
    status::{NO_FIGURE, PauseReason, Phase, Run, Verdict},
    window::opens_at,
};

/// Time of day, as messages carry it.
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}

/// A spec that never was valid.
pub(super) fn refuse(status: &mut CanaryRolloutStatus, id: &Identity, why: &str, now: Timestamp) {
    status.observed_generation = Some(id.generation);
    why.clone_into(&mut status.message);
    let generation = Some(id.generation);
    let conditions = &mut status.conditions;
    set(
        conditions,
        ConditionType::Accepted,
        false,
        Refusal::InvalidSpec.into(),
        why,
        generation,
        now,
    );
    set(
        conditions,
        ConditionType::Progressing,
        false,
        Phase::Idle.into(),
        why,
        generation,
        now,
    );
    set(
        conditions,
        ConditionType::Promoted,
        false,
        "NotStarted",
        why,
        generation,
        now,
    );
}

/// Writes everything that is derived from the rest of the status and the world.
pub(super) fn write(facts: &Facts<'_>, refusal: Option<&(Refusal, String)>, next: &mut Draft) {
    let message = with_obstacle(facts, message(facts, refusal, next));
    let active = next.active();
    let status = &mut next.status;
    status.observed_generation = Some(facts.id.generation);
    columns(status, active);
    let (generation, now) = (Some(facts.id.generation), facts.now);

    let mut conditions = std::mem::take(&mut status.conditions);
    let mut put = |kind, is, reason: &str, text: &str| set(&mut conditions, kind, is, reason, text, generation, now);
    match refusal {
        Some((reason, why)) => put(ConditionType::Accepted, false, (*reason).into(), why),
        None => put(
            ConditionType::Accepted,
            true,
            "Accepted",
            "everything that the rollout names is there and fit",
        ),
    }
    let paused = status.run.as_ref().and_then(|run| run.paused_for).filter(|_| active);
    let phase: &'static str = status.phase.into();
    let progressing = if paused.is_some() { "Paused" } else { phase };
    put(
        ConditionType::Progressing,
        active && paused.is_none(),
        progressing,
        &message,
    );
    put(
        ConditionType::Paused,
        paused.is_some(),
        paused.map_or("NotPaused", Into::into),
        &message,
    );
    let (healthy, reason, text) = health(facts, status);
    put(ConditionType::Healthy, healthy, reason, &text);
    let (promoted, reason) = promoted(facts, status, active);
    put(ConditionType::Promoted, promoted, reason, &message);
    match facts.mode().rejection(facts, status).filter(|_| !active) {
        Some(rejected) => put(ConditionType::RolledBack, true, &rejected.reason, &rejected.message),
        None => put(ConditionType::RolledBack, false, "NotRolledBack", ""),
    }
    status.conditions = conditions;
    status.message = message;
}

fn columns(status: &mut CanaryRolloutStatus, active: bool) {
    let none = || NO_FIGURE.to_owned();
    let run = status.run.as_ref().filter(|_| active);
    status.figures.step = run.map_or_else(none, |run| format!("{}/{}", run.step, run.steps));
    status.figures.weight = run.map_or_else(none, |run| run.weight.to_string());
}

fn health(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str, String) {
    if let Some(run) = status.run.as_ref().filter(|run| run.ended_at.is_none()) {
        let available = facts.candidate(run).available();
        if run.weight > Percent::ZERO && available == 0 {
            return (
                false,
                "CanaryUnavailable",
                format!("no pod of revision {} is Available at {}", run.revision, run.weight),
            );
        }
        if let Some(ending) = run
            .ending
            .as_ref()
            .filter(|ending| facts.now >= ending.at + facts.plan.progress_deadline.signed())
        {
            let waiting = facts.weight_confirmed(Percent::ZERO).err().unwrap_or_default();
            return (
                false,
                "RollbackIncomplete",
                format!(
                    "traffic is being taken back since {}: waiting for {waiting}",
                    clock(ending.at)
                ),
            );
        }
    }
    // By the same rule as the hold and its Event, which is told once because this condition stands.
    let stable = facts.stable(status);
    if capacity::stable_lost(facts, status) || (stable.ready() == 0 && !stable.sets.is_empty() && stable.wanted > 0) {
        let revision = status.stable_revision.as_deref().unwrap_or(NO_FIGURE);
        return (
            false,
            "StableUnavailable",
            format!("no pod of stable revision {revision} is Ready"),
        );
    }
    if let Some(departed) = facts.mode().departure(facts, status) {
        return (false, "RouteDrift", departed);
    }
    if let Some(last) = status.drift.last.as_ref().filter(|_| {
        status
            .run
            .as_ref()
            .is_some_and(|run| run.paused_for == Some(PauseReason::RouteContested))
    }) {
        let by = last.by.as_deref().unwrap_or("another hand");
        return (
            false,
            "RouteDrift",
            format!("{by} undoes our weights in {}", last.object),
        );
    }
    (true, "Serving", "users are served".to_owned())
}

/// Whether the spec's revision is what users have.
fn promoted(facts: &Facts<'_>, status: &CanaryRolloutStatus, active: bool) -> (bool, &'static str) {
    if !status.taken_over() {
        return (false, "NotStarted");
    }
    let promoted = facts.mode().promoted(facts, status);
    if promoted.0 {
        promoted
    } else if active {
        (false, "InProgress")
    } else if facts.mode().rejection(facts, status).is_some() {
        (false, "RolledBack")
    } else {
        promoted
    }
}

fn message(facts: &Facts<'_>, refusal: Option<&(Refusal, String)>, next: &Draft) -> String {
    let status = &next.status;
    let refused = refusal.map(|(reason, why)| format!("{reason}: {why}"));
    match (&status.run, status.phase) {
        (Some(run), Phase::Preparing) => preparing_message(facts, status, run, refused),
        (Some(run), Phase::Shifting | Phase::Baking) => shifting_message(facts, status, run, refused),
        (Some(run), Phase::Promoting) => facts.mode().promoting_message(facts, status, run),
        (Some(run), Phase::RollingBack) => {
            let why = run
                .ending
                .as_ref()
                .map(|ending| format!("{}: {}", ending.reason, ending.message))
                .unwrap_or_default();
            if run.undoing.is_some() {
                return format!("{}; {why}", facts.mode().promoting_message(facts, status, run));
            }
            let waiting = facts
                .weight_confirmed(Percent::ZERO)
                .err()
                .map(|what| format!("; waiting for {what}"))
                .unwrap_or_default();
            format!("taking traffic back, {why}{waiting}")
        }
        _ => refused.unwrap_or_else(|| facts.mode().rest_message(facts, status)),
    }
}

/// What the API server refused in the last pass comes first: somebody has to act.
fn with_obstacle(facts: &Facts<'_>, message: String) -> String {
    match &facts.seen.obstacle {
        Some(obstacle) => format!("{}; {message}", obstacle.message),
        None => message,
    }
}

fn preparing_message(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, refused: Option<String>) -> String {
    let Some(growing) = &run.growing else {
        return "preparing".to_owned();
    };
    let held = held(facts, status, run)
        .or(refused)
        .map(|text| format!("{text}; "))
        .unwrap_or_default();
    let deadline = |since: Timestamp| match run.paused_for {
        None => format!(
            "; rolls back at {}",
            clock(since + facts.plan.progress_deadline.signed())
        ),
        // None runs while somebody holds the release.
        Some(_) => String::new(),
    };
    if let Some(asking) = gates::waited_for(facts, run).filter(|_| run.paused_for.is_none()) {
        return format!("{held}{asking}");
    }
    if gates::keeps_out(facts, run) {
        return format!("{held}nothing of the new version is made before its gates open");
    }
    if let Some(intent) = &run.intent {
        let waiting = facts
            .weight_confirmed(Percent::ZERO)
            .err()
            .unwrap_or_else(|| "the new version's entry in the route".to_owned());
        return format!("{held}pods ready, waiting for {waiting}{}", deadline(intent.at));
    }
    let ready = !preparing::missing(facts, status.phase, run, growing);
    let unsettled = facts.mode().unsettled(facts, status).filter(|_| ready);
    if let Some(what) = unsettled {
        return format!("{held}waiting for {what}");
    }
    match run.entered_at.filter(|_| ready) {
        Some(_) if run.paused_for.is_some() => return format!("{held}in the route at 0%"),
        Some(entered) => {
            return format!(
                "{held}in the route at 0%, first weight at {}",
                clock(entered + facts.plan.settle.signed())
            );
        }
        None => {}
    }
    if let (true, Err(waiting)) = (ready, facts.weight_confirmed(Percent::ZERO)) {
        return format!("{held}pods ready, waiting for {waiting}{}", deadline(growing.since));
    }
    let waiting = if facts.mode().scales() { "" } else { "waiting for " };
    format!(
        "{held}{waiting}{}{}",
        preparing::waiting_for_pods(facts, status, growing),
        deadline(growing.since)
    )
}

/// What holds the run, and who can end that.
fn held(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Option<String> {
    let reason = run.paused_for?;
    let by = status
        .drift
        .last
        .as_ref()
        .and_then(|last| Some(format!("{} by {}", last.object, last.by.as_deref()?)));
    let contested = by.filter(|_| reason.is_contested());
    let contested = contested.map(|by| format!(" ({by})")).unwrap_or_default();
    let gates = gates::waited_for(facts, run)
        .filter(|_| reason.is_of_gates())
        .map(|gates| format!(" ({gates})"))
        .unwrap_or_default();
    let opens = opens_at(&facts.plan.windows, facts.now).filter(|_| reason == PauseReason::Window);
    let opens = opens
        .map(|opens| format!(" (weights rise from {opens:.0} on)"))
        .unwrap_or_default();
    let since = run
        .paused_at
        .map(|at| format!(" since {}", clock(at)))
        .unwrap_or_default();
    let end = match reason {
        PauseReason::User => "a Resume action or spec.paused: false lets it go on",
        PauseReason::Approval => "a Promote action lets it go on",
        PauseReason::Gate => "goes on with a 2xx",
        PauseReason::Window => "goes on by itself",
        PauseReason::GateDeadline => "a Resume action asks again, an Abort action takes it back",
        PauseReason::NoData => "goes on when the checks have data",
        PauseReason::RouteContested | PauseReason::ServiceContested => "a Resume action tries again",
        PauseReason::CheckFailed => "a Resume action lets the checks begin anew, an Abort action takes it back",
    };
    Some(format!("paused for {reason}{contested}{gates}{opens}{since}, {end}"))
}

fn shifting_message(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, refused: Option<String>) -> String {
    let deadline = facts.plan.progress_deadline.signed();
    if let Some(intent) = &run.intent {
        let waiting = facts.weight_confirmed(intent.weight).err().unwrap_or_default();
        return format!(
            "step {}/{}: {} → {}, waiting for {waiting}; rolls back at {}",
            run.step,
            run.steps,
            run.weight,
            intent.weight,
            clock(intent.at + deadline)
        );
    }
    let checks: Vec<String> = facts
        .plan
        .checks
        .iter()
        .zip(&status.checks)
        .map(|(planned, check)| {
            let value = check.value.as_deref().unwrap_or(NO_FIGURE);
            let verdict = match (check.verdict, check.cause) {
                (Verdict::Pass, _) => String::new(),
                (verdict, Some(cause)) => format!(", {verdict} {cause}"),
                (verdict, None) => format!(", {verdict}"),
            };
            format!(
                "{} {value} ({}{verdict})",
                figures::noun(&planned.kind),
                check.threshold
            )
        })
        .collect();
    let checks = if checks.is_empty() {
        String::new()
    } else {
        format!("; {}", checks.join(", "))
    };
    let missing = run
        .growing
        .as_ref()
        .filter(|growing| preparing::missing(facts, status.phase, run, growing));
    let what = if let Some(held) = held(facts, status, run) {
        held
    } else if let Some(growing) = missing {
        format!(
            "waiting for {}; rolls back at {}",
            preparing::waiting_for_pods(facts, status, growing),
            clock(growing.since + deadline)
        )
    } else if let Some(refused) = refused {
        refused
    } else if holds::hold_over(facts, run, status.phase) {
        match run.no_data_since {
            Some(since) => format!(
                "no data since {}, pauses at {}",
                clock(since),
                clock(since + facts.plan.no_data_deadline.signed())
            ),
            None if facts.stable(status).ready() == 0 && !run.recovery => {
                "no pod of the stable version is Ready: the weight does not rise".to_owned()
            }
            None => match (gates::waited_for(facts, run), facts.mode().unsettled(facts, status)) {
                (Some(gates), _) => gates,
                (None, Some(what)) => format!("waiting for {what}"),
                (None, None) => "waiting for the checks to pass".to_owned(),
            },
        }
    } else {
        let until = holds::hold_ends(facts, run, status.phase)
            .map(clock)
            .unwrap_or_default();
        if status.phase == Phase::Baking {
            format!("baking until {until}")
        } else {
            format!("holding until {until}")
        }
    };
    let sessions = facts.found_routes().any(|(_, route)| route.state.keeps_sessions);
    let sessions = if sessions {
        format!(
            "; sessions stay on their version (sessionPersistence): its share may run above {}",
            run.weight
        )
    } else {
        String::new()
    };
    format!("{what}{checks}{sessions}")
}
