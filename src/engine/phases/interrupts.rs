//! What ends a running release from outside: deletion, a target that is gone, another hand's change of what is released.

use std::ops::ControlFlow;

use crate::{
    api::status::{EndReason, Phase},
    engine::{
        contract::observed::Deletion,
        draft::{Draft, events::Reason},
        facts::{self, Facts, quiet},
        modes::Workflow,
    },
};

/// Notes since when the Deployment, once taken over, is missing.
pub fn note_target(facts: &Facts<'_>, next: &mut Draft) {
    // What cannot be read is not gone.
    let gone = facts.seen.deployment.is_none() && facts.seen.unreadable.is_none();
    let missing = gone && facts.seen.deletion == Deletion::No && next.status().taken_over();
    let since = next.status().target_missing_since.unwrap_or(facts.now);
    next.note_target_missing(missing.then_some(since));
}

/// What was held for a Deployment that does not come back is about to go.
pub fn tell_of_orphans(facts: &Facts<'_>, next: &mut Draft) {
    let held: Vec<_> = facts
        .seen
        .replica_sets
        .iter()
        .filter(|set| set.held() && set.replicas > 0 && !quiet::pods_in_use(next.status(), &set.hash))
        .collect();
    if held.is_empty() || next.status().is_active() || !facts.target_given_up(next.status()) {
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

/// Ends the run if something outside asks for it.
pub fn interrupt(facts: &Facts<'_>, workflow: &dyn Workflow, next: &mut Draft) -> ControlFlow<()> {
    let phase = next.status().phase;
    let deleted = match facts.seen.deletion {
        Deletion::No => None,
        Deletion::Asked | Deletion::AtOnce => Some("the CanaryRollout was deleted"),
        Deletion::Uninstall => Some("Warmfront is being uninstalled"),
    };
    let called_off = deleted.is_some() && next.run().is_some_and(|run| facts::can_be_called_off(facts, run));
    // Once users have the new version an exchange is finished forward, and a way back has no turning.
    let forward = phase == Phase::Promoting && facts.mode.finishes_forward() && !called_off;
    if phase == Phase::RollingBack || forward {
        return ControlFlow::Continue(());
    }
    if let Some(why) = deleted {
        next.go_back(EndReason::Deleted, why);
        return ControlFlow::Break(());
    }
    if facts.target_given_up(next.status()) {
        let message = format!(
            "Deployment {} did not come back within {}",
            facts.plan.deployment, facts.plan.progress_deadline
        );
        next.go_back(EndReason::TargetNotFound, &message);
        return ControlFlow::Break(());
    }
    match next.run().cloned() {
        Some(run) => workflow.end_if_overtaken(facts, &run, next),
        None => ControlFlow::Continue(()),
    }
}
