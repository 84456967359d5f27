//! Between releases: kept pods go in time, and what a deletion leaves is let go.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use crate::{
    api::status::{Outcome, Rejected},
    engine::{
        contract::observed::Deletion, draft::Draft, facts::Facts, guards::kept, judge::drains::DRAIN, modes::Workflow,
    },
};

/// From no release to one that is due, or to a rollout that is let go.
pub fn rest(facts: &Facts<'_>, workflow: &dyn Workflow, next: &mut Draft) -> ControlFlow<()> {
    drop_kept(facts, next);
    forget_outlived(facts, next);
    match facts.seen.deletion {
        Deletion::No => {
            workflow.rest(facts, next);
            // What serves may have become another version: then this is the last look at Services that are wide.
            keep_what_was_reached(facts, next);
        }
        Deletion::Asked | Deletion::Uninstall | Deletion::AtOnce => {
            workflow.follow(facts, next);
            let_go(facts, workflow, next);
        }
    }
    ControlFlow::Continue(())
}

/// Pods that were kept for a while go once it is over.
fn drop_kept(facts: &Facts<'_>, next: &mut Draft) {
    if facts.mode.keeps_pods() && facts.native_rollout(next.status()) {
        // Users' Services are wide and reach the kept pods too.
        return;
    }
    keep_what_was_reached(facts, next);
    kept::expire(facts, next);
}

/// Kubernetes' rollout just ended: Services narrow now, so the other pods stay for one drain from then.
fn keep_what_was_reached(facts: &Facts<'_>, next: &mut Draft) {
    let at_rest = next.status().phase.is_at_rest();
    if at_rest
        && facts.mode.keeps_pods()
        && !facts.native_rollout(next.status())
        && facts.reach_kept_pods(next.status())
    {
        next.keep_longer(facts.now.plus(DRAIN.signed()));
        next.drain_anew();
    }
}

/// Forgets rejections of revisions whose ReplicaSet is gone, once a newer revision was promoted.
fn forget_outlived(facts: &Facts<'_>, next: &mut Draft) {
    let promoted = next.run().filter(|run| run.outcome == Some(Outcome::Promoted));
    let Some(started) = promoted.map(|run| run.started_at) else {
        return;
    };
    next.forget_rejected(|rejected: &Rejected| {
        started >= rejected.at && facts.replica_set(&rejected.revision).is_none()
    });
}

/// After a deletion: pods that are only kept to be looked at go after one drain; then it is told what stays.
fn let_go(facts: &Facts<'_>, workflow: &dyn Workflow, next: &mut Draft) {
    let keeps_pods = facts.mode.keeps_pods();
    let released = next.status().originals.released;
    if !released {
        let ended = next.run().and_then(|run| run.ended_at).unwrap_or(facts.now);
        let drained = ended.plus(DRAIN.signed());
        next.keep_no_longer(if keeps_pods { drained } else { facts.now });
    }
    if !keeps_pods || !facts.native_rollout(next.status()) {
        kept::expire(facts, next);
    }
    if released || !next.status().taken_over() {
        return;
    }
    next.note_released();
    workflow.tell_release(facts, next);
}
