//! The release machine: told everything, including the time, it says what the status becomes and what is to be done.
//!
//! Pure: no client, no clock, no randomness, no environment. [`needs`] and [`decide`] are the only
//! entry points; the status is the only memory.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod action;
pub mod call;
mod capacity;
mod config;
mod desired;
mod drift;
mod durable;
mod ending;
mod exchange;
mod facts;
mod figures;
mod floor;
mod gates;
mod holds;
mod in_force;
mod interrupts;
mod measure;
mod mode;
mod notice;
pub mod observed;
mod one_deployment;
mod outbox;
mod pair;
mod plan;
mod preparing;
mod report;
mod requests;
mod rest;
mod shifting;
mod verdict;
mod wake;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus, status::Phase},
    provider::Question,
};
pub use action::Action;
pub use call::{Call, Reply};
pub use durable::{may_wait, says_more};
use facts::Facts;
pub use in_force::InForce;
pub use notice::reports_an_end;
use observed::{Deletion, Observed};

/// Identity of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID; spreads the ticks of many rollouts over time.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
}

/// What has to be looked at before [`decide`], beyond the objects that are watched anyway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// A tick is due: what to ask of the plan's MetricSource.
    pub measure: Option<Question>,
    /// Pods of this ReplicaSet are late: find out why.
    pub trouble_of: Option<String>,
    /// ConfigMaps whose contents must be compared.
    pub configs: Vec<String>,
}

/// What follows from one look at the world.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What is to be stored, before anything moves.
    pub status: CanaryRolloutStatus,
    /// What is to be done, in this order; each is what still differs from what the status asks for.
    pub actions: Vec<Action>,
    /// What is to be sent to other systems, once the status is stored; the answers come with a later observation.
    pub calls: Vec<Call>,
    /// When to look again although nothing has changed.
    pub wake: Option<Timestamp>,
}

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
    let facts = Facts { id, plan, seen, now };
    Needs {
        measure: measure::due(&facts, status),
        trouble_of: preparing::late_replica_set(&facts, status),
        configs: config::unread(&facts, status),
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
    let mut next = Draft::new(status, in_force.spec.clone(), now);
    let invalid = in_force.invalid.as_deref();
    let Some(plan) = in_force.plan() else {
        // Nothing was ever valid, so nothing was ever touched.
        report::refuse(&mut next.status, id, invalid.unwrap_or("the spec cannot be read"), now);
        let actions = if seen.deletion == Deletion::No {
            Vec::new()
        } else {
            action::drop_finalizer(seen)
        };
        return Decision {
            status: next.status,
            actions,
            calls: Vec::new(),
            wake: None,
        };
    };
    let facts = Facts { id, plan, seen, now };
    let refusal = match (invalid, facts.refusal(&next.status)) {
        (Some(why), _) => Some((crate::api::condition::Refusal::InvalidSpec, why.to_owned())),
        (None, refusal) => refusal,
    };

    if invalid.is_none() {
        shifting::adopt_plan(&facts, &mut next);
    }
    interrupts::note_target(&facts, &mut next);
    next.forget_routes(&facts);
    measure::ingest(&facts, &mut next);
    gates::ingest(&facts, &mut next);
    outbox::ingest(&facts, &mut next);
    requests::answer(&facts, &mut next);
    transition(&facts, refusal.is_none(), &mut next);
    capacity::tell_of_stable(&facts, &mut next);
    holds::remind(&facts, &mut next);
    interrupts::tell_of_orphans(&facts, &mut next);
    notice::note_told(&facts, &mut next);
    floor::note(&facts, &mut next);
    config::note(&facts, &mut next);

    let wanted = facts.mode().desired(&facts, &next.status);
    let mut actions = plan::actions(&facts, &next.status, &wanted);
    let released = ending::released(&facts, &next, &wanted, &actions);
    if seen.deletion == Deletion::AtOnce || released {
        actions = action::drop_finalizer(seen);
    } else if seen.deletion == Deletion::No && !seen.finalizer && next.status.taken_over() {
        actions.insert(0, Action::AddFinalizer);
    }
    if !seen.finalizer && seen.deletion == Deletion::No {
        // The world is touched only once a deletion would wait for us.
        actions.retain(|action| {
            matches!(
                action,
                Action::AddFinalizer | Action::Answer { .. } | Action::Forget { .. }
            )
        });
    }
    report::write(&facts, refusal.as_ref(), &mut next);
    let wake = wake::next(&facts, &next.status);
    let calls = gates::calls(&facts, &next.status)
        .into_iter()
        .chain(outbox::calls(&facts, &next.status))
        .collect();
    Decision {
        status: next.finish(),
        actions,
        calls,
        wake,
    }
}

/// One transition of the phase machine, in the order of precedence that behaviour R1 asks for.
fn transition(facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
    if next.active() && interrupts::interrupt(facts, next) {
        return;
    }
    match next.status.phase {
        Phase::Idle | Phase::Succeeded | Phase::RolledBack => rest::rest(facts, accepted, next),
        Phase::Preparing => preparing::preparing(facts, accepted, next),
        Phase::Shifting | Phase::Baking => shifting::shifting(facts, accepted, next),
        Phase::Promoting => exchange::promoting(facts, next),
        Phase::RollingBack => ending::rolling_back(facts, next),
    }
}

/// Events that are kept to be told again after a crash: those of several transitions.
const KEPT_EVENTS: usize = 10;

/// The status as it is being rewritten, with what is to be told about it.
struct Draft {
    status: CanaryRolloutStatus,
    spec: Option<Arc<CanaryRolloutSpec>>,
    before: i64,
    now: Timestamp,
}

impl Draft {
    fn new(status: &CanaryRolloutStatus, spec: Option<Arc<CanaryRolloutSpec>>, now: Timestamp) -> Self {
        Self {
            status: status.clone(),
            spec,
            before: status.events.emitted,
            now,
        }
    }

    /// A release is in progress.
    fn active(&self) -> bool {
        self.status.is_active()
    }

    /// The status to be stored. The oldest Events make room for those of this transition, but never so
    /// many that one which a crash left untold is lost with the next transition.
    fn finish(mut self) -> CanaryRolloutStatus {
        let new = usize::try_from(self.status.events.emitted - self.before).unwrap_or(0);
        let surplus = self.status.events.pending.len().saturating_sub(KEPT_EVENTS.max(new));
        self.status.events.pending.drain(..surplus);
        self.status
    }
}
