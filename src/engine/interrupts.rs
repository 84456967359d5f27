//! What ends a running release from outside: deletion, a target that is gone, another hand's change of what is released.

use super::{Draft, ending, facts::Facts, notice::Reason, observed::Deletion};
use crate::api::status::{Outcome, Phase};

/// Notes since when the Deployment, once taken over, is missing.
pub(super) fn note_target(facts: &Facts<'_>, next: &mut Draft) {
    let missing = facts.seen.deployment.is_none() && facts.seen.deletion == Deletion::No && next.status.taken_over();
    let since = next.status.target_missing_since.unwrap_or(facts.now);
    next.status.target_missing_since = missing.then_some(since);
}

/// What was held for a Deployment that does not come back is about to go.
pub(super) fn tell_of_orphans(facts: &Facts<'_>, next: &mut Draft) {
    let held: Vec<_> = facts
        .seen
        .replica_sets
        .iter()
        .filter(|set| set.held() && set.replicas > 0)
        .collect();
    if held.is_empty() || next.active() || !facts.target_given_up(&next.status) {
        return;
    }
    let sets: Vec<String> = held
        .iter()
        .map(|set| format!("{} ({} pods)", set.name, set.replicas))
        .collect();
    let (deployment, deadline) = (&facts.plan.deployment, facts.plan.progress_deadline);
    next.tell(
        Reason::ScaledDown,
        format!(
            "Deployment {deployment} did not come back within {deadline}: {} go",
            sets.join(", ")
        ),
    );
}

/// Ends the run if something outside asks for it. Returns whether it did.
pub(super) fn interrupt(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let phase = next.status.phase;
    // An exchange is finished forward, and a way back has no turning.
    if phase == Phase::RollingBack || (phase == Phase::Promoting && facts.mode().finishes_forward()) {
        return false;
    }
    if facts.seen.deletion != Deletion::No {
        ending::go_back(next, Outcome::Superseded, "Deleted", "the CanaryRollout was deleted");
        return true;
    }
    if facts.target_given_up(&next.status) {
        let message = format!(
            "Deployment {} did not come back within {}",
            facts.plan.deployment, facts.plan.progress_deadline
        );
        ending::go_back(next, Outcome::Superseded, "TargetNotFound", &message);
        return true;
    }
    next.status
        .run
        .clone()
        .is_some_and(|run| facts.mode().overtaken(facts, &run, next))
}
