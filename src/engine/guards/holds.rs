//! What keeps a release at its weight although it could go on: people, missing data, approvals, the hold itself.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        Duration,
        plan::PlannedStep,
        status::{Advice, Cause, CheckStatus, Left, PauseReason, Phase, Run, Verdict},
        window::opens_at,
    },
    engine::{
        draft::{
            Draft,
            events::{Reason, Severity},
        },
        facts::Facts,
        guards::gates,
        judge::{memory, ticks},
    },
};

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

/// At 0% nothing is judged and no step waits for an approval: what held a greater weight has ended with it.
pub fn for_nothing_judged(next: &mut Draft) {
    let held = next.run().and_then(|run| run.paused_for);
    if held.is_some_and(|held| held.is_of_the_judge() || held == PauseReason::Approval) {
        next.resume();
    }
}

/// Holds the release when checks have had no data for too long, or while the judge says so. Goes on when that is over.
pub fn for_data(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.run() else { return };
    let (held, known) = (run.paused_for, run.no_data_since);
    let said = run.judge.said.as_ref();
    let by_judge = said.and_then(|said| Some((said.pause?, said.message.clone())));
    // A check that only pauses has a pause of its own, which a person ends.
    let by_judge = by_judge.filter(|(pause, _)| pause.is_of_the_judge());
    let accepted = run.accepted;
    let is_missing = |check: &&CheckStatus| match check.cause {
        Some(Cause::NoTraffic | Cause::ShareMismatch) => !accepted,
        _ => check.verdict == Verdict::NoData,
    };
    let missing = next.status().checks.iter().find(is_missing).cloned();
    let since = missing.as_ref().map(|_| known.unwrap_or(facts.now));
    next.note_no_data(since);
    let overdue = since.is_some_and(|since| facts.now >= since.plus(facts.plan.no_data_deadline.signed()));
    match (missing.filter(|_| overdue), by_judge) {
        (Some(check), _) if held.is_none() => {
            next.accept_no_longer();
            hold_without_data(&check, since.unwrap_or(facts.now), next);
        }
        (None, Some((pause, _))) if held == Some(pause) => {}
        (None, Some((pause, why))) if held.is_none_or(PauseReason::is_of_the_judge) => {
            if pause == PauseReason::NoData {
                let checks = &next.status().checks;
                let waiting = checks.iter().filter(|check| check.verdict == Verdict::Wait);
                if let Some(check) = waiting.min_by_key(|check| check.cause.is_none()).cloned() {
                    let began = next.run().and_then(|run| run.step_started_at).unwrap_or(facts.now);
                    return hold_without_data(&check, began, next);
                }
            }
            next.hold(pause, &why);
        }
        (None, None) if held.is_some_and(PauseReason::is_of_the_judge) && since.is_none() => next.resume(),
        _ => {}
    }
}

fn hold_without_data(check: &CheckStatus, since: Timestamp, next: &mut Draft) {
    let cause = check.cause.map(|cause| cause.to_string()).unwrap_or_default();
    let said = [cause.as_str(), &check.message];
    let said: Vec<&str> = said.into_iter().filter(|part| !part.is_empty()).collect();
    next.tell(
        Reason::NoData,
        format!("no data for check {} since {since:.0}: {}", check.name, said.join("; ")),
    );
    next.hold(PauseReason::NoData, &format!("{cause} of check {}", check.name));
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

/// Least time at the present weight, of a release without checks.
fn hold(facts: &Facts<'_>, run: &Run, phase: Phase) -> Duration {
    if phase == Phase::Baking {
        facts.plan.bake
    } else {
        step(facts, run).hold
    }
}

/// The last weight has passed everything and waits for the end of its bake alone: neither the judge nor a broken check holds it.
pub fn only_time_is_left(facts: &Facts<'_>, run: &Run, checks: &[CheckStatus]) -> bool {
    let said = run.judge.said.as_ref();
    // When the bake begins all has just passed, and nothing is said of it yet.
    let passes = said.is_none_or(|said| said.advice == Advice::Promote || said.left == Some(Left::Time));
    let held = run.paused_for;
    let held = held.is_some_and(|held| held.is_of_the_judge() || held == PauseReason::CheckFailed);
    passes && !held && memory::all_pass(facts.plan, checks)
}

/// When the hold is served; the time of a person's pause is added. Of a judged release only time with data counts.
pub fn hold_ends(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Timestamp> {
    if !facts.plan.checks.is_empty() {
        return ticks::hold_end(facts, run, phase);
    }
    run.step_started_at.map(|since| {
        since
            .plus(hold(facts, run, phase).signed())
            .plus(run.paused_total.signed())
    })
}

/// The hold is served, or a person has waived it.
pub fn hold_over(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    let over = || {
        if facts.plan.checks.is_empty() {
            hold_ends(facts, run, phase).is_some_and(|end| facts.now >= end)
        } else {
            ticks::hold_served(facts, run, phase)
        }
    };
    run.hold_waived || run.skip_steps || over()
}

/// The weight has fallen to 0%, and stays there for a while.
pub fn rests(facts: &Facts<'_>, run: &Run) -> bool {
    run.judge.rests_until.is_some_and(|until| facts.now < until)
}

/// The step waits for a person after its hold.
pub fn needs_approval(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    phase == Phase::Shifting && step(facts, run).approval && !run.approved && !run.skip_steps
}
