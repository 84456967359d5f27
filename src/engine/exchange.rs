//! Promotion: the Deployment takes over the new version's ReplicaSet, warm pods and all.
//!
//! How far the exchange has come is read off the objects, so it can be taken up after any interruption.

use super::{Draft, facts::Facts, notice::Reason};
use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{HistoryEntry, Outcome, Phase, Run},
    },
    workload::replica_set::ReplicaSet,
};

/// What is being done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The user's Services select the new version.
    Select,
    /// The route goes to the user's Service alone; both Services have the same pods now.
    RouteToStable,
    /// The old version leaves the Deployment's hands.
    TakeOld,
    /// The new version goes into them.
    GiveNew,
    /// The Deployment has it.
    Done,
}

/// How far the exchange has come.
pub(super) fn stage(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Stage {
    let (Some(new), Some(deployment)) = (facts.canary(run), &facts.seen.deployment) else {
        return Stage::Select;
    };
    if new.owned_by(&deployment.uid) && new.held_by.is_none() {
        return Stage::Done;
    }
    // Between our hands and the Deployment's: its labels are back, the Deployment has not taken it yet.
    if new.held_by.is_none() {
        return Stage::GiveNew;
    }
    // A newer release's pods and the history are in our hands, the old version too once it is taken.
    let owns_nothing = !facts.seen.replica_sets.iter().any(|set| set.owned_by(&deployment.uid));
    if facts.serving(status).is_none_or(ReplicaSet::held) && owns_nothing {
        return Stage::GiveNew;
    }
    if !selects(facts, new) {
        return Stage::Select;
    }
    if facts.weight_confirmed(Percent::ZERO).is_err() {
        return Stage::RouteToStable;
    }
    Stage::TakeOld
}

/// The user's Service is narrowed to the new version and has all its ready pods and no others.
fn selects(facts: &Facts<'_>, new: &ReplicaSet) -> bool {
    let names = std::iter::once(&facts.plan.service).chain(&facts.plan.also_narrow);
    let moved = names.filter_map(|name| facts.seen.services.get(name)).all(|service| service.hash() == Some(&new.hash));
    let (own, others) = facts.ready_behind(&facts.plan.service, &new.name);
    moved && others == 0 && own > 0 && own >= new.ready
}

/// From here on the exchange is finished forward, whatever happens.
pub(super) fn begin(next: &mut Draft) {
    next.status.phase = Phase::Promoting;
    next.change(|run| {
        run.paused_for = None;
        run.paused_at = None;
    });
}

pub(super) fn promoting(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.status.run.clone() else { return };
    let (Some(new), Some(deployment)) = (facts.canary(&run), &facts.seen.deployment) else { return };
    let adopted = stage(facts, &next.status, &run) == Stage::Done && deployment.settled();
    let up_to_date = !facts.wants(new) || deployment.updated == deployment.replicas;
    if !adopted || !up_to_date {
        return;
    }
    let old = next.status.stable_revision.replace(run.revision.clone());
    if let Some(old) = old.filter(|old| *old != run.revision) {
        next.keep(&old, facts.plan.keep_stable, true);
    }
    next.status.kept.retain(|kept| kept.revision != run.revision);
    next.status.phase = Phase::Succeeded;
    let duration = facts.now.duration_since(run.started_at).as_secs();
    let message = format!("{} → {} in {duration}s; {} pods adopted, none restarted", run.from, run.revision, new.total);
    next.tell(Reason::Promoted, message.clone());
    next.end(Outcome::Promoted, "Promoted", &message);
}

/// How many ended runs are remembered.
const HISTORY: usize = 10;

impl Draft {
    /// Closes the run.
    pub(super) fn end(&mut self, outcome: Outcome, reason: &str, message: &str) {
        let now = self.now;
        let Some(run) = &mut self.status.run else { return };
        run.outcome = Some(outcome);
        run.reason = Some(reason.to_owned());
        run.ended_at = Some(now);
        run.verdict = None;
        run.paused_for = None;
        run.paused_at = None;
        let entry = HistoryEntry {
            run: run.number,
            revision: run.revision.clone(),
            outcome,
            reason: reason.to_owned(),
            message: message.to_owned(),
            from: run.started_at,
            to: now,
        };
        self.status.history.insert(0, entry);
        self.status.history.truncate(HISTORY);
    }
}
