//! Pods under traffic: what is lost of the new version lowers its weight, and a broken old version holds everything.

use super::{Draft, ending, facts::Facts, notice::Reason};
use crate::api::{
    CanaryRolloutStatus, Percent,
    plan::step_number,
    status::{Growing, Intent, Outcome, Phase, Run},
};

/// How often the new version may lose pods under traffic.
const LOSSES: i32 = 3;

/// Traffic never stays on pods that are gone: it falls to the greatest listed weight that the ready ones carry.
pub(super) fn lost(facts: &Facts<'_>, run: &Run, next: &mut Draft) -> bool {
    let weight = run
        .intent
        .as_ref()
        .map_or(run.weight, |intent| intent.weight.max(run.weight));
    if weight == Percent::ZERO {
        return false;
    }
    let available = facts.candidate(run).available();
    let carriers = u32::try_from(run.carriers).unwrap_or(0);
    let needed = facts.size_for(weight);
    if available > 0 && available >= needed.min(carriers) {
        // More of them than were needed then may be needed now.
        let more = i32::try_from(available.min(needed)).unwrap_or(i32::MAX);
        next.change(|run| run.carriers = run.carriers.max(more));
        return false;
    }
    if available > 0 && stable_lost(facts, &next.status) {
        // Some overloaded pods are better than those of the other version, of which there are none.
        return false;
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
    next.tell(
        Reason::CapacityLost,
        format!("{message}: weight {weight} → {to} ({lost} of {LOSSES} times)"),
    );
    if lost >= LOSSES {
        ending::go_back(next, Outcome::RolledBack, "CapacityLost", &message);
        return true;
    }
    let now = facts.now;
    next.change(|run| {
        run.capacity_lost = lost;
        run.step = step_number(carried);
        run.step_started_at = None;
        run.carriers = i32::try_from(available).unwrap_or(i32::MAX);
        run.intent = carried.map(|_| Intent::new(to, facts.generations(), now));
        // The pods that are missing are waited for, and not removed for the lower weight.
        run.growing = Some(Growing {
            weight: if carried.is_some() { weight } else { steps[0].weight },
            since: now,
        });
        if carried.is_none() {
            run.weight = Percent::ZERO;
            // It enters the routes again when it has pods.
            run.entered_at = None;
        }
    });
    next.status.phase = if carried.is_some() {
        Phase::Shifting
    } else {
        Phase::Preparing
    };
    next.forget_evidence(facts);
    true
}

/// The old version has no pod Ready while traffic is to move: it was lost, scaled to none, or went with its Deployment.
pub(super) fn stable_lost(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    let moving = status.phase.is_moving() && status.is_active();
    moving && facts.stable(status).ready() == 0
}

/// Nothing rises onto a guess: the old version is being changed, or has no pod Ready although it had some when the release began.
pub(super) fn stable_holds(facts: &Facts<'_>, next: &Draft) -> bool {
    let recovery = next.status.run.as_ref().is_some_and(|run| run.recovery);
    (stable_lost(facts, &next.status) && !recovery) || facts.mode().unsettled(facts, &next.status).is_some()
}

/// Tells once that the old version has no pod Ready, whatever the release waits for meanwhile: the condition that says
/// so stands from the same pass on.
pub(super) fn tell_of_stable(facts: &Facts<'_>, next: &mut Draft) {
    let recovery = next.status.run.as_ref().is_some_and(|run| run.recovery);
    let told = next
        .status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Healthy" && condition.reason == "StableUnavailable");
    if stable_lost(facts, &next.status) && !recovery && !told {
        let stable = next.status.stable_revision.clone().unwrap_or_default();
        next.tell(
            Reason::StableUnavailable,
            format!(
                "no pod of stable revision {stable} is Ready: the weight does not rise, and nothing is scaled down"
            ),
        );
    }
}
