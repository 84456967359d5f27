//! When to look again although nothing has changed.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{CanaryRolloutStatus, status::PauseReason, window::opens_at},
    engine::{
        facts::Facts,
        guards::{capacity, gates, hold, holds, waits::LATE},
        judge::{drains, inspection, ticks},
        phases::queue,
    },
};

/// How long it may take until something that is due is begun, where nothing waits for it.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// The next moment at which time alone changes the decision.
pub fn next(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<Timestamp> {
    let plan = facts.plan;
    let mut moments: Vec<Timestamp> = status.kept.iter().map(|kept| kept.until).collect();
    moments.extend(status.draining.iter().map(|draining| drains::left_at(facts, draining)));
    moments.extend(queue::moments(facts, status));
    moments.extend(facts.readable_routes().filter_map(|(_, route)| facts.settled_at(route)));
    moments.extend(of_run(facts, status));
    moments.extend(hold::moments(facts, status));
    moments.extend(facts.native_rollout_given_up_at(status));
    moments.extend(status.outbox.iter().map(|notification| notification.next_at));
    moments.extend(
        status
            .target_missing_since
            .map(|since| since.plus(plan.progress_deadline.signed())),
    );
    let later = |due: Timestamp| {
        facts.seen.source.map_or(due, |source| {
            facts.now.plus(ticks::interval(plan, source.scrape_interval).signed())
        })
    };
    let due = status
        .draining
        .iter()
        .filter_map(|draining| drains::due_at(facts, draining));
    moments.extend(due.map(|due| if due > facts.now { due } else { later(due) }));
    // One that is due now is made in the pass that begins a moment after what was to be done first.
    let inspection = inspection::due_at(facts, status);
    moments.extend(inspection.map(|due| due.max(facts.now.plus(SOON))));
    if let Some(due) = ticks::due_at(facts, status) {
        // A tick already due: if this pass got an answer we are catching up, so come back in 1 ms; otherwise asking failed, so
        // wait one interval.
        let soon = facts.now.plus(SignedDuration::from_millis(1));
        let again = if facts.seen.measured.is_some() {
            soon
        } else {
            later(due)
        };
        moments.push(if due > facts.now { due } else { again });
    }
    moments.into_iter().filter(|moment| *moment > facts.now).min()
}

/// Moments of the release in progress.
fn of_run(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Timestamp> {
    let Some(run) = status.run.as_ref().filter(|run| run.ended_at.is_none()) else {
        return Vec::new();
    };
    let (settle, deadline) = (facts.plan.settle.signed(), facts.plan.progress_deadline.signed());
    let no_data = facts.plan.no_data_deadline.signed();
    let opens = opens_at(&facts.plan.windows, facts.now).filter(|_| run.paused_for == Some(PauseReason::Window));
    let growing = run.growing.as_ref().map(|growing| growing.since);
    let moments = [
        Some(run.started_at.plus(settle)),
        run.entered_at.map(|entered| entered.plus(settle)),
        growing.map(|since| since.plus(deadline)),
        growing.map(|since| since.plus(LATE)),
        run.intent.as_ref().map(|intent| intent.at.plus(deadline)),
        capacity::unreached_until(run),
        run.no_data_since.map(|since| since.plus(no_data)),
        run.ending.as_ref().map(|ending| ending.at.plus(deadline)),
        opens,
        holds::reminder_at(run),
        holds::hold_ends(facts, run, status.phase),
        run.judge.rests_until,
        ticks::looks_back(facts, status).then(|| ticks::before_ends(run)),
    ];
    moments.into_iter().flatten().chain(gates::moments(run)).collect()
}
