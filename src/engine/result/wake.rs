//! When to look again although nothing has changed.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{CanaryRolloutStatus, status::PauseReason, window::opens_at},
    engine::{
        contract::action::FORGET_AFTER,
        facts::Facts,
        guards::{capacity, gates, hold, holds, waits::LATE},
        judge::{drains, ticks},
    },
};

/// The next moment at which time alone changes the decision.
pub fn next(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<Timestamp> {
    let plan = facts.plan;
    let mut moments: Vec<Timestamp> = status.kept.iter().map(|kept| kept.until).collect();
    moments.extend(status.draining.iter().map(|draining| drains::left_at(facts, draining)));
    moments.extend(
        facts
            .seen
            .actions
            .iter()
            .filter_map(|action| Some(action.decided? + FORGET_AFTER)),
    );
    moments.extend(facts.readable_routes().filter_map(|(_, route)| facts.settled_at(route)));
    let settle = plan.settle.signed();
    if let Some(run) = status.run.as_ref().filter(|run| run.ended_at.is_none()) {
        moments.push(run.started_at + settle);
        moments.extend(run.entered_at.map(|entered| entered + settle));
        let deadline = plan.progress_deadline.signed();
        moments.extend(run.growing.as_ref().map(|growing| growing.since + deadline));
        moments.extend(run.growing.as_ref().map(|growing| growing.since + LATE));
        moments.extend(run.intent.as_ref().map(|intent| intent.at + deadline));
        moments.extend(capacity::unreached_until(run));
        moments.extend(run.no_data_since.map(|since| since + plan.no_data_deadline.signed()));
        moments.extend(run.ending.as_ref().map(|ending| ending.at + deadline));
        moments.extend(opens_at(&plan.windows, facts.now).filter(|_| run.paused_for == Some(PauseReason::Window)));
        moments.extend(gates::moments(run));
        moments.extend(holds::reminder_at(run));
        moments.extend(holds::hold_ends(facts, run, status.phase));
        moments.extend(holds::patience_ends(facts, run, status.phase));
    }
    moments.extend(hold::moments(facts, status));
    moments.extend(facts.native_rollout_given_up_at(status));
    moments.extend(status.outbox.iter().map(|notification| notification.next_at));
    moments.extend(
        status
            .target_missing_since
            .map(|since| since + plan.progress_deadline.signed()),
    );
    let later = |due: Timestamp| {
        facts.seen.source.map_or(due, |source| {
            facts.now + ticks::interval(plan, source.scrape_interval).signed()
        })
    };
    let due = status
        .draining
        .iter()
        .filter_map(|draining| drains::due_at(facts, draining));
    moments.extend(due.map(|due| if due > facts.now { due } else { later(due) }));
    if let Some(due) = ticks::due_at(facts, status) {
        // A tick already due: if this pass got an answer we are catching up, so come back in 1 ms; otherwise asking failed, so
        // wait one interval.
        let soon = facts.now + SignedDuration::from_millis(1);
        let again = if facts.seen.measured.is_some() {
            soon
        } else {
            later(due)
        };
        moments.push(if due > facts.now { due } else { again });
    }
    moments.into_iter().filter(|moment| *moment > facts.now).min()
}
