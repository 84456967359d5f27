//! The release machine: told everything, including the time, it says what the status becomes and what is to be done.
//!
//! Pure: no client, no clock, no randomness, no environment. [`needs`], [`decide`] and [`settle`] are the
//! only entry points; the status is the only memory. Each folder imports only those before it:
//! `contract`, `facts`, `judge`, `draft`, `guards`, `modes`, `phases`, `result`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod contract;
mod draft;
mod facts;
mod guards;
pub mod judge;
mod modes;
mod phases;
mod result;

#[cfg(test)]
mod tests;

use std::{ops::ControlFlow, sync::Arc};

use jiff::Timestamp;

use crate::api::{CanaryRolloutSpec, CanaryRolloutStatus, Percent, Plan, condition::Refusal, status::Phase};
use contract::{
    Decision, Identity, Needs,
    action::{Action, Ordered, Part},
    durable,
    in_force::InForce,
    observed::{Deletion, Measured, Observed},
};
use draft::Draft;
pub use draft::events::reports_an_end;
use facts::Facts;
pub use facts::salvage;
use guards::{
    capacity, config, drift, floor, gates, hold, holds, inspect, kept, measure, outbox, quiet, refusal, waits,
};
use judge::{drains, inspection, ticks};
use modes::{Workflow, one_deployment::OneDeployment, pair::Pair, safe::Safe};
use phases::{interrupts, plan_edit, preparing, promoting, queue, requests, rest, rolling_back, shifting};
use result::{changes, release, report, wake};

/// What must be looked at before deciding.
pub fn needs(
    id: &Identity,
    in_force: &InForce,
    status: &CanaryRolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Needs {
    let Some(plan) = in_force.plan() else {
        return Needs::default();
    };
    let facts = Facts::new(id, plan, seen, now, workflow(plan));
    Needs {
        measure: ticks::due(&facts, status),
        drained: drains::due(&facts, status),
        inspect: inspection::due(&facts, status),
        trouble_of: waits::late_replica_set(&facts, status),
        probe: hold::wants_probe(&facts, status),
        configs: config::unread(&facts, status),
        actions: queue::unread(&facts, status),
    }
}

/// The whole policy. Total: any status, even one edited by hand, and any observation give a decision.
pub fn decide(
    id: &Identity,
    in_force: &InForce,
    status: &CanaryRolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Decision {
    let mut next = Draft::new(status, in_force.spec().cloned(), now);
    if seen.deletion == Deletion::No {
        next.begin_anew_if_let_go();
    }
    let invalid = in_force.invalid();
    let Some(plan) = in_force.plan() else {
        let why = invalid.unwrap_or("the spec cannot be read");
        next.report(report::refused(id, status, why, now));
        return untouched(seen, next);
    };
    let workflow = workflow(plan);
    let mut facts = Facts::new(id, plan, seen, now, workflow);
    next.know_phase(&facts);
    facts.refusal = match invalid {
        Some(why) => Some((Refusal::InvalidSpec, why.to_owned())),
        None => refusal::of(&facts, next.status()),
    };

    if invalid.is_none() {
        plan_edit::adopt_plan(&facts, &mut next);
    }
    interrupts::note_target(&facts, &mut next);
    next.forget_routes(&facts);
    measure::ingest(&facts, &mut next);
    quiet::ingest(&facts, &mut next);
    inspect::ingest(&facts, &mut next);
    gates::ingest(&facts, &mut next);
    outbox::ingest(&facts, &mut next);
    requests::answer(&facts, &mut next);
    drift::watch_entries(&facts, &mut next);
    // The result only says whether the pass ended early; what happened stands in the status.
    let _ = transition(&facts, workflow, &mut next);
    capacity::tell_of_stable(&facts, &mut next);
    holds::remind(&facts, &mut next);
    interrupts::tell_of_orphans(&facts, &mut next);
    next.note_delivered(seen.told);
    floor::note(&facts, &mut next);
    config::note(&facts, &mut next);

    let wanted = wanted(&facts, workflow, &mut next);
    let actions = actions(&facts, next.status(), &wanted);
    next.report(report::report(&facts, next.status()));
    let wake = wake::next(&facts, next.status());
    let calls = gates::calls(&facts, next.status());
    let calls = calls.into_iter().chain(outbox::calls(&facts, next.status()));
    Decision {
        calls: calls.collect(),
        status: next.finish(seen.stored_events, seen.told),
        actions,
        wake,
        measured: None,
    }
}

/// The world that the new status asks for, as far as it is safe.
fn wanted(facts: &Facts<'_>, workflow: &dyn Workflow, next: &mut Draft) -> Safe {
    let desired = workflow.desired(facts, next.status());
    if desired.pause == Some(false) {
        // What is seen unpaused from now on is our own doing.
        next.hold_mut().paused = false;
    }
    Safe::new(facts, next.status(), desired)
}

/// The status with nothing new in it but what the metrics store has answered: that is known, whatever can be stored.
pub fn judged(
    id: &Identity,
    in_force: &InForce,
    status: &CanaryRolloutStatus,
    seen: &Observed,
    measured: Option<&Measured>,
    now: Timestamp,
) -> CanaryRolloutStatus {
    let mut next = Draft::new(status, in_force.spec().cloned(), now);
    if let (Some(plan), Some(measured)) = (in_force.plan(), measured) {
        let facts = Facts::new(id, plan, seen, now, workflow(plan));
        measure::take_in(&facts, measured, &mut next);
    }
    next.finish(seen.stored_events, seen.told)
}

/// Whether `next` gives the new version more than `status` did, be it a weight or the whole Deployment.
pub fn gives_more(status: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let aimed = |status: &CanaryRolloutStatus| {
        let run = status.run.as_ref().filter(|run| run.ended_at.is_none());
        run.map_or(Percent::ZERO, |run| {
            run.intent.as_ref().map_or(run.weight, |intent| intent.weight)
        })
    };
    let promotes = next.phase == Phase::Promoting && status.phase != Phase::Promoting;
    promotes || aimed(next) > aimed(status)
}

/// What still differs from what a status asks for, as it stands: nothing is decided.
pub fn asked_for(
    id: &Identity,
    spec: Result<&Arc<CanaryRolloutSpec>, &str>,
    status: &CanaryRolloutStatus,
    seen: &Observed,
    now: Timestamp,
) -> Vec<Ordered> {
    let in_force = InForce::new(spec, status);
    let Some(plan) = in_force.plan() else {
        return let_go_untouched(seen);
    };
    let workflow = workflow(plan);
    let facts = Facts::new(id, plan, seen, now, workflow);
    let wanted = Safe::new(&facts, status, workflow.desired(&facts, status));
    actions(&facts, status, &wanted)
}

/// Nothing was ever valid, so nothing was ever touched.
fn untouched(seen: &Observed, next: Draft) -> Decision {
    Decision {
        status: next.finish(seen.stored_events, seen.told),
        actions: let_go_untouched(seen),
        calls: Vec::new(),
        wake: None,
        measured: None,
    }
}

fn let_go_untouched(seen: &Observed) -> Vec<Ordered> {
    match seen.deletion {
        Deletion::No => Vec::new(),
        Deletion::Asked | Deletion::Uninstall | Deletion::AtOnce => drop_finalizer(seen),
    }
}

/// Most transitions that one pass takes when nothing is to be done between them.
const MOST_AT_ONCE: usize = 4;

/// Decides, and decides again as long as nothing is to be done and the new status alone leads to another transition: that
/// need not wait until the status is stored. `spec` is the one as it was read. Takes out of `seen` what was asked for this
/// pass alone.
pub fn settle(
    id: &Identity,
    spec: Result<&Arc<CanaryRolloutSpec>, &str>,
    in_force: &InForce,
    status: &CanaryRolloutStatus,
    seen: &mut Observed,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(id, in_force, status, seen, now);
    // A tick is counted once.
    let measured = seen.measured.take();
    seen.drained = None;
    seen.inspected = None;
    let mut says_more = decision.actions.is_empty() && durable::says_more(status, &decision.status);
    for _ in 1..MOST_AT_ONCE {
        if !says_more || !decision.actions.is_empty() {
            break;
        }
        let next = decide(id, &InForce::new(spec, &decision.status), &decision.status, seen, now);
        let settled = next.status == decision.status;
        says_more = !settled && durable::says_more(&decision.status, &next.status);
        let wake = decision.wake.into_iter().chain(next.wake).min();
        decision = Decision { wake, ..next };
    }
    seen.trouble = None;
    seen.actions_read.clear();
    seen.config_digests.clear();
    Decision { measured, ..decision }
}

/// What is to be done. Until our finalizer is on the rollout only RolloutActions are answered: a deletion would
/// not wait for what we had changed.
fn actions(facts: &Facts<'_>, status: &CanaryRolloutStatus, wanted: &Safe) -> Vec<Ordered> {
    let seen = facts.seen;
    let mut actions = changes::actions(facts, status, wanted);
    match seen.deletion {
        Deletion::AtOnce => drop_finalizer(seen),
        Deletion::Asked | Deletion::Uninstall if release::released(facts, status, wanted, &actions) => {
            drop_finalizer(seen)
        }
        Deletion::Asked | Deletion::Uninstall => actions,
        Deletion::No if seen.finalizer => actions,
        Deletion::No => {
            actions.retain(|one| one.part == Part::Answer);
            if status.taken_over() {
                actions.insert(0, of_finalizer(Action::AddFinalizer));
            }
            actions
        }
    }
}

/// Lets go of the CanaryRollout.
fn drop_finalizer(seen: &Observed) -> Vec<Ordered> {
    if seen.finalizer {
        vec![of_finalizer(Action::DropFinalizer)]
    } else {
        Vec::new()
    }
}

fn of_finalizer(action: Action) -> Ordered {
    Ordered {
        part: Part::Finalizer,
        action,
    }
}

/// How the two versions are run.
fn workflow(plan: &Plan) -> &'static dyn Workflow {
    if plan.is_pair() { &Pair } else { &OneDeployment }
}

/// One transition of the phase machine: what ends a release comes first, then the step of its phase.
fn transition(facts: &Facts<'_>, workflow: &dyn Workflow, next: &mut Draft) -> ControlFlow<()> {
    if next.status().is_active() {
        kept::expire(facts, next);
        interrupts::interrupt(facts, workflow, next)?;
    }
    match next.status().phase {
        Phase::Idle | Phase::Succeeded | Phase::RolledBack | Phase::Unknown => rest::rest(facts, workflow, next),
        Phase::Preparing => preparing::preparing(facts, next),
        Phase::Shifting | Phase::Baking => shifting::shifting(facts, next),
        Phase::Promoting => promoting::promoting(facts, next),
        Phase::RollingBack => rolling_back::rolling_back(facts, next),
    }
}
