//! Pods under traffic: what is lost of the new version lowers its weight, and a broken old version holds everything.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{EndReason, PauseReason, Run},
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::{Facts, text},
    },
};

/// The loss of pods under traffic that rolls back: the third in one release.
const FATAL_LOSS: i32 = 3;

/// Pods that are Available and no longer behind their Service are lost after this long: EndpointSlices follow a change of
/// the Service or of its pods a moment later.
const SLICES_LAG: SignedDuration = SignedDuration::from_secs(3);

/// Traffic never stays on pods that are gone, or that are not behind the new version's Service any more: it falls to the
/// greatest listed weight that the others carry.
pub fn fall_if_pods_lost(facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()> {
    let weight = run
        .intent
        .as_ref()
        .map_or(run.weight, |intent| intent.weight.max(run.weight));
    if weight == Percent::ZERO {
        return ControlFlow::Continue(());
    }
    let needed = facts.size_for(weight);
    let carriers = u32::try_from(run.carriers).unwrap_or(0);
    let carry = |pods: u32| pods > 0 && pods >= needed.min(carriers);
    let (available, reached) = (facts.candidate(run).available(), facts.ready_for_traffic(run));
    if carry(reached) {
        // More of them than were needed then may be needed now.
        next.note_carriers(reached.min(needed));
        return ControlFlow::Continue(());
    }
    let loss = if carry(available) { Loss::Endpoints } else { Loss::Pods };
    if loss == Loss::Endpoints
        && run
            .unreached_since
            .is_none_or(|since| facts.now < since.plus(SLICES_LAG))
    {
        next.note_unreached();
        return ControlFlow::Continue(());
    }
    let left = match loss {
        Loss::Endpoints => reached,
        Loss::Pods => available,
    };
    if left > 0 && stable_lost(facts, next.status()) {
        // Some overloaded pods are better than those of the other version, of which there are none.
        return ControlFlow::Continue(());
    }
    fall(facts, run, weight, (loss, left), next);
    ControlFlow::Break(())
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// Pods are gone or not Available.
    Pods,
    /// The pods are Available, and requests to their Service do not reach them.
    Endpoints,
}

/// The weight falls to what the pods that are left carry. Pods that are lost time and again are the version's own fault; if
/// it is the Service, a person must see who changes it.
fn fall(facts: &Facts<'_>, run: &Run, weight: Percent, (loss, left): (Loss, u32), next: &mut Draft) {
    let lost = run.capacity_lost.saturating_add(1);
    let steps = &facts.plan.steps;
    let carried = steps
        .iter()
        .rposition(|step| left > 0 && step.weight < weight && facts.size_for(step.weight) <= left);
    let to = carried.map_or(Percent::ZERO, |index| steps[index].weight);
    let needed = facts.size_for(weight);
    let service = &facts.plan.canary_service;
    let how = match loss {
        Loss::Pods => "Available".to_owned(),
        Loss::Endpoints => format!("behind Service {service}, though Available,"),
    };
    let message = format!("{left} of {needed} pods of revision {} {how} at {weight}", run.revision);
    let (to, then) = match loss {
        Loss::Pods if lost >= FATAL_LOSS => (Percent::ZERO, "the release is rolled back"),
        Loss::Endpoints if lost >= FATAL_LOSS => (Percent::ZERO, "the release is paused"),
        Loss::Pods | Loss::Endpoints => (to, "the missing pods are waited for"),
    };
    next.tell(
        Reason::CapacityLost,
        format!("{message}: weight {weight} → {to}, loss {lost} of {FATAL_LOSS}: {then}"),
    );
    match loss {
        Loss::Pods if lost >= FATAL_LOSS => next.go_back(EndReason::CapacityLost, &message),
        Loss::Endpoints if lost >= FATAL_LOSS => {
            next.fall_to(facts, None, weight, 0);
            let changed_by = facts
                .seen
                .services
                .get(service)
                .and_then(|service| service.other_manager.as_deref());
            let detail = format!(
                "Service {service}{}: its pods are Available and not behind it, for the third time. See who changes or deletes it",
                text::by(changed_by)
            );
            next.hold(PauseReason::ServiceContested, &detail);
        }
        Loss::Pods | Loss::Endpoints => next.fall_to(facts, carried, weight, left),
    }
}

/// When pods that are not behind their Service count as lost.
pub fn unreached_until(run: &Run) -> Option<Timestamp> {
    run.unreached_since.map(|since| since.plus(SLICES_LAG))
}

/// Requests to the user's Service reach no ready pod of the old version while traffic is to move: the pods were lost, scaled
/// to none, or went with their Deployment, or the Service was deleted or selects others.
pub fn stable_lost(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    let moving = status.phase.is_moving() && status.is_active();
    moving && facts.reached(&facts.stable(status)) == 0
}

/// Nothing rises onto a guess: the old version is being changed, or requests reach none of its pods although they did when the release began.
pub fn stable_holds(facts: &Facts<'_>, next: &Draft) -> bool {
    let recovery = next.run().is_some_and(|run| run.recovery);
    let comes_back = !recovery && !stable_is_gone(facts, next.status());
    (stable_lost(facts, next.status()) && comes_back) || facts.mode.unsettled(facts, next.status()).is_some()
}

/// Whom requests to the user's Service do not reach, for people.
pub fn unserved(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
    if let Some(stable) = status
        .stable_revision
        .as_ref()
        .filter(|_| stable_is_gone(facts, status))
    {
        return format!("the ReplicaSet of stable revision {stable} is gone, and its pods with it");
    }
    let service = facts.stable(status).service;
    if !facts.seen.services.contains_key(service) {
        return format!("Service {service} does not exist: requests to it reach nobody");
    }
    match &status.stable_revision {
        Some(stable) => format!("no ready pod of stable revision {stable} is behind Service {service}"),
        None => format!(
            "no ready pod of Deployment {} is behind Service {service}",
            facts.plan.deployment
        ),
    }
}

/// The serving ReplicaSet was deleted, though the Deployment is to have pods.
fn stable_is_gone(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    let deployment = facts.seen.deployment.as_ref();
    let wanted = deployment.is_some_and(|deployment| deployment.replicas > 0);
    wanted && status.taken_over() && facts.mode.keeps_pods() && facts.stable(status).sets.is_empty()
}

/// Tells once that the old version has no pod that users reach, whatever the release waits for meanwhile: the condition that says
/// so stands from the same pass on.
pub fn tell_of_stable(facts: &Facts<'_>, next: &mut Draft) {
    let recovery = next.run().is_some_and(|run| run.recovery);
    let told = next
        .status()
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Healthy" && condition.reason == "StableUnavailable");
    if stable_lost(facts, next.status()) && !recovery && !told {
        let what = unserved(facts, next.status());
        let then = if stable_is_gone(facts, next.status()) {
            "users get the new version's pods, and the release goes on"
        } else {
            "the weight does not rise, and nothing is scaled down"
        };
        next.tell(Reason::StableUnavailable, format!("{what}: {then}"));
    }
}
