//! What keeps a release at its weight although it could go on: people, missing data, approvals, the hold itself.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        Duration,
        plan::PlannedStep,
        status::{Cause, CheckStatus, PauseReason, Phase, Run, Verdict},
        window::opens_at,
    },
    engine::{
        draft::{
            Draft,
            events::{Reason, Severity},
        },
        facts::Facts,
        guards::gates,
    },
};

/// When samples are too few for a verdict, a person is called after this many times the hold,
const PATIENCE_FOR_SAMPLES: u64 = 10;
/// but not before this time,
const SHORTEST_PATIENCE: Duration = Duration::from_mins(60);
/// and not after this one.
const LONGEST_PATIENCE: Duration = Duration::from_mins(360);
/// People are reminded of a pause after this time,
const FIRST_REMINDER: SignedDuration = SignedDuration::from_hours(1);
/// and then each time that this has passed.
const NEXT_REMINDER: SignedDuration = SignedDuration::from_hours(24);

/// Begins and ends a person's pause, by action or in the spec. Ends a wait for a window that has opened.
pub fn for_people(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.run() else { return };
    let (wanted, held) = (facts.plan.paused || run.user_pause, run.paused_for);
    if wanted {
        if held.is_none_or(PauseReason::gives_way_to_a_person) {
            next.hold(PauseReason::User, &facts.mode.way_out(facts.plan));
        }
    } else if held == Some(PauseReason::User) {
        next.resume();
        gates::begin_anew(facts, next);
    } else if held == Some(PauseReason::Window) && opens_at(&facts.plan.windows, facts.now).is_none() {
        next.resume();
    }
}

/// Holds the release when checks have had no data, or too few samples, for too long. Goes on when fresh data is back.
pub fn for_data(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.run() else { return };
    let (held, known) = (run.paused_for, run.no_data_since);
    let status = next.status();
    let is_missing = |check: &&CheckStatus| {
        check.verdict == Verdict::NoData || matches!(check.cause, Some(Cause::NoTraffic | Cause::ShareMismatch))
    };
    let missing = status.checks.iter().find(is_missing).cloned();
    let few = starved(facts, run, status.phase, &status.checks).cloned();
    let began = run.step_started_at.unwrap_or(facts.now);
    let (check, since, due) = match (missing, few) {
        (Some(check), _) => {
            let since = known.unwrap_or(facts.now);
            next.note_no_data(Some(since));
            (check, since, since.plus(facts.plan.no_data_deadline.signed()))
        }
        (None, Some(check)) => {
            next.note_no_data(None);
            (check, began, facts.now)
        }
        (None, None) => {
            next.note_no_data(None);
            if held == Some(PauseReason::NoData) {
                next.resume();
            }
            return;
        }
    };
    if held.is_none() && facts.now >= due {
        let cause = check.cause.map(|cause| cause.to_string()).unwrap_or_default();
        let said = [cause.as_str(), &check.message, &check.evidence];
        let said: Vec<&str> = said.into_iter().filter(|part| !part.is_empty()).collect();
        next.tell(
            Reason::NoData,
            format!("no data for check {} since {since:.0}: {}", check.name, said.join("; ")),
        );
        next.hold(PauseReason::NoData, &format!("{cause} of check {}", check.name));
    }
}

/// When waiting for enough samples of this step ends.
pub fn patience_ends(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Timestamp> {
    let hold = hold(facts, run, phase).as_millis().saturating_mul(PATIENCE_FOR_SAMPLES);
    let patience = Duration::from_millis(hold.clamp(SHORTEST_PATIENCE.as_millis(), LONGEST_PATIENCE.as_millis()));
    run.step_started_at.map(|since| since.plus(patience.signed()))
}

/// A check that has waited for enough samples until then.
fn starved<'a>(facts: &Facts<'_>, run: &Run, phase: Phase, checks: &'a [CheckStatus]) -> Option<&'a CheckStatus> {
    let over = patience_ends(facts, run, phase).is_some_and(|end| facts.now >= end);
    checks
        .iter()
        .find(|check| over && check.verdict == Verdict::Wait && check.cause == Some(Cause::FewSamples))
}

/// The next weight has to wait for a window: the release is held until then.
pub fn hold_outside_windows(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let Some(opens) = opens_at(&facts.plan.windows, facts.now) else {
        return ControlFlow::Continue(());
    };
    if next.run().is_some_and(|run| run.paused_for.is_none()) {
        next.hold(PauseReason::Window, &format!("weights rise from {opens:.0} on"));
    }
    ControlFlow::Break(())
}

/// When people are reminded of a pause that only they, or something else outside, can end.
pub fn reminder_at(run: &Run) -> Option<Timestamp> {
    run.paused_for?;
    Some(
        run.paused_at?
            .plus(FIRST_REMINDER)
            .plus(NEXT_REMINDER.saturating_mul(run.reminders.max(0))),
    )
}

/// Reminds people that the release waits.
pub fn remind(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.run().filter(|run| run.ended_at.is_none()) else {
        return;
    };
    let (Some(reason), Some(since), Some(due)) = (run.paused_for, run.paused_at, reminder_at(run)) else {
        return;
    };
    if facts.now < due {
        return;
    }
    let text = format!(
        "still paused at {}: {reason}, since {since:.0}: {}",
        run.weight,
        next.status().message
    );
    // One reminder is enough for all that were missed while no controller ran.
    let missed = facts
        .now
        .duration_since(due)
        .as_hours()
        .div_euclid(NEXT_REMINDER.as_hours());
    next.reminded(missed);
    next.tell_as(Reason::Paused, Severity::Warning, text);
}

/// The step that the run is at; the first one before it has begun.
pub fn step(facts: &Facts<'_>, run: &Run) -> PlannedStep {
    let index = usize::try_from(run.step).unwrap_or(0).clamp(1, facts.plan.steps.len()) - 1;
    facts.plan.steps[index]
}

/// Least time at the present weight.
fn hold(facts: &Facts<'_>, run: &Run, phase: Phase) -> Duration {
    if phase == Phase::Baking {
        facts.plan.bake
    } else {
        step(facts, run).hold
    }
}

/// When the hold is served; the time of a person's pause is added.
pub fn hold_ends(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Timestamp> {
    run.step_started_at.map(|since| {
        since
            .plus(hold(facts, run, phase).signed())
            .plus(run.paused_total.signed())
    })
}

/// The hold is served, or a person has waived it.
pub fn hold_over(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    run.hold_waived || run.skip_steps || hold_ends(facts, run, phase).is_some_and(|end| facts.now >= end)
}

/// The step waits for a person after its hold.
pub fn needs_approval(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    phase == Phase::Shifting && step(facts, run).approval && !run.approved && !run.skip_steps
}
