//! Pods under traffic: what is lost of the new version lowers its weight, and a broken old version holds everything.

use std::ops::ControlFlow;

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{EndReason, Run},
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
    },
};

/// The loss of pods under traffic that rolls back: the third in one release.
const FATAL_LOSS: i32 = 3;

/// Traffic never stays on pods that are gone: it falls to the greatest listed weight that the ready ones carry.
pub fn fall_if_pods_lost(facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()> {
    let weight = run
        .intent
        .as_ref()
        .map_or(run.weight, |intent| intent.weight.max(run.weight));
    if weight == Percent::ZERO {
        return ControlFlow::Continue(());
    }
    let available = facts.candidate(run).available();
    let carriers = u32::try_from(run.carriers).unwrap_or(0);
    let needed = facts.size_for(weight);
    if available > 0 && available >= needed.min(carriers) {
        // More of them than were needed then may be needed now.
        next.note_carriers(available.min(needed));
        return ControlFlow::Continue(());
    }
    if available > 0 && stable_lost(facts, next.status()) {
        // Some overloaded pods are better than those of the other version, of which there are none.
        return ControlFlow::Continue(());
    }
    let lost = run.capacity_lost + 1;
    let steps = &facts.plan.steps;
    let carried = steps
        .iter()
        .rposition(|step| available > 0 && step.weight < weight && facts.size_for(step.weight) <= available);
    let to = carried.map_or(Percent::ZERO, |index| steps[index].weight);
    let message = format!(
        "{available} of {needed} pods of revision {} Available at {weight}",
        run.revision
    );
    let (to, then) = if lost >= FATAL_LOSS {
        (Percent::ZERO, "the release is rolled back")
    } else {
        (to, "the missing pods are waited for")
    };
    next.tell(
        Reason::CapacityLost,
        format!("{message}: weight {weight} → {to}, loss {lost} of {FATAL_LOSS}: {then}"),
    );
    if lost >= FATAL_LOSS {
        next.go_back(EndReason::CapacityLost, &message);
    } else {
        next.fall_to(facts, carried, weight, available);
    }
    ControlFlow::Break(())
}

/// The old version has no pod Ready while traffic is to move: it was lost, scaled to none, or went with its Deployment.
pub fn stable_lost(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    let moving = status.phase.is_moving() && status.is_active();
    moving && facts.stable(status).ready() == 0
}

/// Nothing rises onto a guess: the old version is being changed, or has no pod Ready although it had some when the release began.
pub fn stable_holds(facts: &Facts<'_>, next: &Draft) -> bool {
    let recovery = next.run().is_some_and(|run| run.recovery);
    (stable_lost(facts, next.status()) && !recovery) || facts.mode.unsettled(facts, next.status()).is_some()
}

/// Tells once that the old version has no pod Ready, whatever the release waits for meanwhile: the condition that says
/// so stands from the same pass on.
pub fn tell_of_stable(facts: &Facts<'_>, next: &mut Draft) {
    let recovery = next.run().is_some_and(|run| run.recovery);
    let told = next
        .status()
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Healthy" && condition.reason == "StableUnavailable");
    if stable_lost(facts, next.status()) && !recovery && !told {
        let stable = next.status().stable_revision.clone().unwrap_or_default();
        next.tell(
            Reason::StableUnavailable,
            format!(
                "no pod of stable revision {stable} is Ready: the weight does not rise, and nothing is scaled down"
            ),
        );
    }
}
