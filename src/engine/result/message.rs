//! The sentence about what happens, with numbers, or what is waited for and until when.

use crate::api::moment::Moment as _;
use jiff::Timestamp;

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{NO_FIGURE, PauseReason, Phase, Run, Verdict},
        window::opens_at,
    },
    engine::{
        facts::{Facts, text},
        guards::{capacity, gates, holds, waits},
        judge::{figures, ticks},
        result::leaving,
    },
};

/// What the API server refuses comes first: somebody has to act. That the release is refused for it says the same.
pub fn message(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
    let obstacles = facts.seen.obstacles.iter().map(|obstacle| obstacle.message.clone());
    let texts: Vec<String> = obstacles.chain([of_phase(facts, status)]).collect();
    texts.join("; ")
}

fn of_phase(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
    // An obstacle stands before the message already.
    let said = |why: &String| facts.seen.obstacles.iter().any(|obstacle| obstacle.message == *why);
    let refusal = facts.refusal.as_ref().filter(|(_, why)| !said(why));
    let refused = refusal.map(|(reason, why)| format!("{reason}: {why}"));
    let at_rest = || {
        format!(
            "{}{}",
            facts.mode.rest_message(facts, status),
            leaving::message(facts, status)
        )
    };
    let Some(run) = &status.run else {
        return refused.unwrap_or_else(at_rest);
    };
    let recovery = if run.recovery {
        "; recovery: no pod of the stable version was Ready when the release began, so nothing waits for it"
    } else {
        ""
    };
    match status.phase {
        Phase::Preparing => preparing(facts, status, run, refused) + &told(run) + recovery,
        Phase::Shifting | Phase::Baking => shifting(facts, status, run, refused) + recovery,
        Phase::Promoting => facts.mode.promoting_message(facts, status, run),
        Phase::RollingBack => rolling_back(facts, status, run),
        Phase::Idle | Phase::Succeeded | Phase::RolledBack | Phase::Unknown => refused.unwrap_or_else(at_rest),
    }
}

fn rolling_back(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> String {
    let why = run
        .ending
        .as_ref()
        .map(|ending| format!("{}: {}", ending.reason, ending.message))
        .unwrap_or_default();
    if run.undoing.is_some() {
        return format!("{}; {why}", facts.mode.promoting_message(facts, status, run));
    }
    let waiting = facts
        .weight_confirmed(Percent::ZERO)
        .err()
        .map(|what| format!("; waiting for {what}"))
        .unwrap_or_default();
    format!("taking traffic back, {why}{waiting}")
}

fn preparing(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, refused: Option<String>) -> String {
    let Some(growing) = &run.growing else {
        return "preparing".to_owned();
    };
    let held = held(facts, status, run)
        .or(refused)
        .map(|text| format!("{text}; "))
        .unwrap_or_default();
    let deadline = |since: Timestamp| match run.paused_for {
        // None runs while pods of an ended release are waited for.
        None if waits::ours_to_wait_for(facts, status, run).is_some() => String::new(),
        None => format!(
            "; rolls back at {}",
            text::clock(since.plus(facts.plan.progress_deadline.signed()))
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
    let ready = !waits::missing(facts, status.phase, run, growing);
    let unsettled = facts.mode.unsettled(facts, status).filter(|_| ready);
    if let Some(what) = unsettled {
        return format!("{held}waiting for {what}");
    }
    if let Some(waiting) = at_nothing(facts, status, run).filter(|_| ready) {
        return format!("{held}in the route at 0%, {waiting}");
    }
    match run.entered_at.filter(|_| ready) {
        Some(_) if run.paused_for.is_some() => return format!("{held}in the route at 0%"),
        Some(entered) => {
            return format!(
                "{held}in the route at 0%, first weight at {}",
                text::clock(entered.plus(facts.plan.settle.signed()))
            );
        }
        None => {}
    }
    if let (true, Err(waiting)) = (ready, facts.weight_confirmed(Percent::ZERO)) {
        return format!("{held}pods ready, waiting for {waiting}{}", deadline(growing.since));
    }
    let waiting = facts.mode.whose_pods(facts).map_or("", |_| "waiting for ");
    format!(
        "{held}{waiting}{}{}",
        waits::waiting_for_pods(facts, status, growing),
        deadline(growing.since)
    )
}

/// How long the release will take, until it has begun to.
fn told(run: &Run) -> String {
    let before = run.weight_confirmed_at.is_none() && run.paused_for.is_none();
    let said = run
        .judge
        .said
        .as_ref()
        .filter(|said| before && !said.message.is_empty());
    said.map_or_else(String::new, |said| format!("; {}", said.message))
}

/// What the first weight waits for though its pods are ready.
fn at_nothing(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Option<String> {
    run.entered_at?;
    if holds::rests(facts, run) {
        let until = run.judge.rests_until.map(text::clock).unwrap_or_default();
        return Some(format!("where it stays until {until} after a step back"));
    }
    ticks::looks_back(facts, status).then(|| "looking at what the old version does".to_owned())
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
        .map(|at| format!(" since {}", text::clock(at)))
        .unwrap_or_default();
    let end = match reason {
        PauseReason::User => "a Resume action or spec.paused: false lets it go on",
        PauseReason::Approval => "a Promote action lets it go on",
        PauseReason::Gate => "goes on with a 2xx",
        PauseReason::Window => "goes on by itself",
        PauseReason::GateDeadline => "a Resume action asks again, an Abort action takes it back",
        PauseReason::NoData => "goes on when the checks have data",
        PauseReason::SharedIncident => "goes on when the old version keeps the limit again",
        PauseReason::OriginLimit => "goes on when the database can carry more",
        PauseReason::Inconclusive => "goes on when it is clear; a Promote action for this step accepts it",
        PauseReason::WarmingSlow => "goes on when the cache is warm; a Promote action for this step accepts it",
        PauseReason::RouteContested | PauseReason::ServiceContested => "a Resume action tries again",
        PauseReason::Unknown => "a newer version of Warmfront has held it: a Resume action lets it go on",
        PauseReason::WriteRefused => "goes on when the write is accepted",
        PauseReason::CheckFailed => "a Resume action lets the checks begin anew, an Abort action takes it back",
    };
    Some(format!("paused for {reason}{contested}{gates}{opens}{since}, {end}"))
}

fn shifting(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run, refused: Option<String>) -> String {
    let deadline = facts.plan.progress_deadline.signed();
    if let Some(intent) = &run.intent {
        let waiting = facts.weight_confirmed(intent.weight).err().unwrap_or_default();
        return format!(
            "step {}/{}: {} → {}, waiting for {waiting}; rolls back at {}",
            run.step,
            run.steps,
            run.weight,
            intent.weight,
            text::clock(intent.at.plus(deadline))
        );
    }
    let missing = run
        .growing
        .as_ref()
        .filter(|growing| waits::missing(facts, status.phase, run, growing));
    let what = if let Some(held) = held(facts, status, run) {
        held
    } else if let Some(growing) = missing {
        let ours = waits::ours_to_wait_for(facts, status, run);
        let deadline = text::clock(growing.since.plus(deadline));
        let deadline = ours.map_or_else(|| format!("; rolls back at {deadline}"), |_| String::new());
        format!(
            "waiting for {}{deadline}",
            waits::waiting_for_pods(facts, status, growing)
        )
    } else if let Some(refused) = refused {
        refused
    } else if holds::hold_over(facts, run, status.phase) {
        after_the_hold(facts, status, run)
    } else {
        let until = holds::hold_ends(facts, run, status.phase)
            .map(text::clock)
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
    format!("{what}{}{sessions}", checks(facts, status))
}

/// What the next weight waits for besides the hold.
fn after_the_hold(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> String {
    if let Some(since) = run.no_data_since {
        return format!(
            "no data since {}, pauses at {}",
            text::clock(since),
            text::clock(since.plus(facts.plan.no_data_deadline.signed()))
        );
    }
    if capacity::stable_lost(facts, status) && !run.recovery {
        return format!("{}: the weight does not rise", capacity::unserved(facts, status));
    }
    if run.unreached_since.is_some() {
        return format!(
            "waiting for {} to have the pods of revision {} again",
            facts.plan.canary_service, run.revision
        );
    }
    if let Some(gates) = gates::waited_for(facts, run) {
        return gates;
    }
    let said = run.judge.said.as_ref().filter(|said| !said.message.is_empty());
    match (facts.mode.unsettled(facts, status), said) {
        (Some(what), _) => format!("waiting for {what}"),
        (None, Some(said)) => said.message.clone(),
        (None, None) => "waiting for the checks to pass".to_owned(),
    }
}

/// Each check's figure, limit and verdict, after a semicolon.
fn checks(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
    let checks = facts.plan.checks.iter().zip(&status.checks);
    let texts: Vec<String> = checks
        .map(|(planned, check)| {
            let value = check.value.as_deref().unwrap_or(NO_FIGURE);
            let verdict = match (check.verdict, check.cause) {
                (Verdict::Pass, _) => String::new(),
                (verdict, Some(cause)) => format!(", {verdict} {cause}"),
                (verdict, None) => format!(", {verdict}"),
            };
            let noun = figures::noun(&planned.kind);
            format!("{noun} {value} ({}{verdict})", check.threshold)
        })
        .collect();
    if texts.is_empty() {
        String::new()
    } else {
        format!("; {}", texts.join(", "))
    }
}
