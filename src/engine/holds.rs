//! What keeps a release at its weight although it could go on: people, missing data, approvals, the hold itself.

use jiff::{SignedDuration, Timestamp};

use super::{
    Draft,
    facts::Facts,
    gates,
    notice::{self, Reason},
};
use crate::api::{
    Duration, Percent,
    plan::PlannedStep,
    status::{Cause, CheckStatus, PauseReason, Phase, Run, Verdict},
    window::opens_at,
};

/// A step whose samples stay too few for a verdict is held for so many times its hold …
const PATIENCE_FOR_SAMPLES: u64 = 10;
/// … but at least and at most so long, before a person is called.
const SHORTEST_PATIENCE: Duration = Duration::from_mins(60);
/// People are reminded of a pause after this long …
const FIRST_REMINDER: SignedDuration = SignedDuration::from_hours(1);
/// … and then as often as this.
const NEXT_REMINDER: SignedDuration = SignedDuration::from_hours(24);
const LONGEST_PATIENCE: Duration = Duration::from_mins(360);

/// A person's pause, by action or in the spec; and the end of one that only time was waited for in.
pub(super) fn for_people(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = &next.status.run else { return };
    let (wanted, held) = (facts.plan.paused || run.user_pause, run.paused_for);
    if wanted {
        if held.is_none_or(PauseReason::gives_way_to_a_person) {
            pause(next, Some(PauseReason::User), &notice::way_out(facts.plan));
        }
    } else if held == Some(PauseReason::User) {
        pause(next, None, "");
        gates::begin_anew(facts, next);
    } else if held == Some(PauseReason::Window) && opens_at(&facts.plan.windows, facts.now).is_none() {
        pause(next, None, "");
    }
}

/// Checks without data for too long hold the release until fresh data is back.
pub(super) fn for_data(facts: &Facts<'_>, next: &mut Draft) {
    let phase = next.status.phase;
    let missing = next
        .status
        .checks
        .iter()
        .find(|check| check.verdict == Verdict::NoData || check.cause == Some(Cause::NoTraffic))
        .cloned();
    let few = next
        .status
        .run
        .as_ref()
        .and_then(|run| starved(facts, run, phase, &next.status.checks))
        .cloned();
    let Some(run) = next.status.run.as_mut() else { return };
    let (check, since, due) = match (missing, few) {
        (Some(check), _) => {
            let since = *run.no_data_since.get_or_insert(facts.now);
            (check, since, since + facts.plan.no_data_deadline.signed())
        }
        (None, Some(check)) => {
            run.no_data_since = None;
            (check, run.step_started_at.unwrap_or(facts.now), facts.now)
        }
        (None, None) => {
            run.no_data_since = None;
            if run.paused_for == Some(PauseReason::NoData) {
                pause(next, None, "");
            }
            return;
        }
    };
    if run.paused_for.is_none() && facts.now >= due {
        let cause = check.cause.map(|cause| cause.to_string()).unwrap_or_default();
        next.tell(
            Reason::NoData,
            format!(
                "no data for check {} since {since:.0}: {cause} {}{}",
                check.name, check.message, check.evidence
            ),
        );
        pause(
            next,
            Some(PauseReason::NoData),
            &format!("{cause} of check {}", check.name),
        );
    }
}

/// When a step's few samples are no longer waited for.
pub(super) fn patience_ends(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Timestamp> {
    let hold = hold(facts, run, phase).as_millis().saturating_mul(PATIENCE_FOR_SAMPLES);
    let patience = Duration::from_millis(hold.clamp(SHORTEST_PATIENCE.as_millis(), LONGEST_PATIENCE.as_millis()));
    run.step_started_at.map(|since| since + patience.signed())
}

/// A check that has waited too long for enough samples.
fn starved<'a>(facts: &Facts<'_>, run: &Run, phase: Phase, checks: &'a [CheckStatus]) -> Option<&'a CheckStatus> {
    let over = patience_ends(facts, run, phase).is_some_and(|end| facts.now >= end);
    checks
        .iter()
        .find(|check| over && check.verdict == Verdict::Wait && check.cause == Some(Cause::FewSamples))
}

/// Enters or leaves a pause, and tells so. Clocks that run for pods and routes do not run in a person's pause.
pub(super) fn pause(next: &mut Draft, reason: Option<PauseReason>, detail: &str) {
    let now = next.now;
    let weight = next.status.run.as_ref().map_or(Percent::ZERO, |run| run.weight);
    next.change(|run| {
        let began = run.paused_at.filter(|_| run.paused_for == Some(PauseReason::User));
        if let Some(lasted) = began
            .map(|at| now.duration_since(at))
            .filter(SignedDuration::is_positive)
        {
            run.paused_total = Duration::from_millis(run.paused_total.as_millis().saturating_add(millis(lasted)));
        }
        if run.paused_for.is_some() {
            // Deadlines begin anew: nothing was waited for meanwhile.
            if let Some(growing) = &mut run.growing {
                growing.since = now;
            }
            if let Some(intent) = &mut run.intent {
                intent.at = now;
            }
        }
        run.paused_for = reason;
        run.paused_at = reason.map(|_| now);
        run.reminders = 0;
    });
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    };
    match reason {
        Some(PauseReason::User) => {
            next.tell_as(Reason::Paused, false, format!("paused at {weight} by a person{detail}"))
        }
        Some(reason) => next.tell_as(
            Reason::Paused,
            reason != PauseReason::Approval,
            format!("paused at {weight}: {reason}{detail}"),
        ),
        None => next.tell(Reason::Resumed, format!("goes on at {weight}")),
    }
}

/// Whether the next weight has to wait for a window.
pub(super) fn outside_windows(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let Some(opens) = opens_at(&facts.plan.windows, facts.now) else {
        return false;
    };
    if next.status.run.as_ref().is_some_and(|run| run.paused_for.is_none()) {
        pause(
            next,
            Some(PauseReason::Window),
            &format!("weights rise from {opens:.0} on"),
        );
    }
    true
}

/// When people are reminded of a pause that only they, or something else outside, can end.
pub(super) fn reminder_at(run: &Run) -> Option<Timestamp> {
    run.paused_for?;
    Some(run.paused_at? + FIRST_REMINDER + NEXT_REMINDER.saturating_mul(run.reminders))
}

/// Reminds people that the release waits.
pub(super) fn remind(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.status.run.as_ref().filter(|run| run.ended_at.is_none()) else {
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
        run.weight, next.status.message
    );
    // After an outage of this controller one is enough.
    let missed = facts.now.duration_since(due).as_hours() / NEXT_REMINDER.as_hours();
    next.change(|run| {
        run.reminders = run
            .reminders
            .saturating_add(1)
            .saturating_add(i32::try_from(missed).unwrap_or(i32::MAX - 1))
    });
    next.tell_as(Reason::Paused, true, text);
}

fn millis(lasted: SignedDuration) -> u64 {
    u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)
}

/// The step that the run is at; the first one before it has begun.
pub(super) fn step(facts: &Facts<'_>, run: &Run) -> PlannedStep {
    let index = usize::try_from(run.step).unwrap_or(0).clamp(1, facts.plan.steps.len()) - 1;
    facts.plan.steps[index]
}

/// Least time at the current weight.
fn hold(facts: &Facts<'_>, run: &Run, phase: Phase) -> Duration {
    if phase == Phase::Baking {
        facts.plan.bake
    } else {
        step(facts, run).hold
    }
}

/// When the time at this weight is served; a person's pause does not count.
pub(super) fn hold_ends(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Timestamp> {
    run.step_started_at
        .map(|since| since + hold(facts, run, phase).signed() + run.paused_total.signed())
}

/// The time at this weight was served, or waived.
pub(super) fn hold_over(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    run.hold_waived || run.skip_steps || hold_ends(facts, run, phase).is_some_and(|end| facts.now >= end)
}

/// The step waits for a person after its hold.
pub(super) fn needs_approval(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    phase == Phase::Shifting && step(facts, run).approval && !run.approved && !run.skip_steps
}
