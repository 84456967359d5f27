//! Promotion: the Deployment takes over the new version's ReplicaSet, warm pods and all; and the same in reverse.
//!
//! While the old version's pods still stand, a promotion is undone by the same exchange. How far the exchange has come is read off the objects, so it can be taken up after any interruption.

use super::{Draft, capacity, ending, facts::Facts, notice::Reason};
use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{Ending, HistoryEntry, Outcome, Phase, Rejected, Run},
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

/// The revision that takes over: the new one, or the old one where a promotion is undone.
pub(super) fn successor(run: &Run) -> &str {
    run.undoing.as_deref().unwrap_or(&run.revision)
}

/// How far the exchange has come.
pub(super) fn stage(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Stage {
    let (Some(new), Some(deployment)) = (facts.replica_set(successor(run)), &facts.seen.deployment) else {
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
    let moved = facts
        .narrowed_services()
        .all(|service| service.hash() == Some(&new.hash));
    let (own, others) = facts.ready_behind(&facts.plan.service, &[new]);
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

/// The ReplicaSet that has taken over, once the Deployment has it and counts its pods.
pub(super) fn adopted<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus, run: &Run) -> Option<&'a ReplicaSet> {
    let (new, deployment) = (facts.replica_set(successor(run))?, facts.seen.deployment.as_ref()?);
    let adopted = stage(facts, status, run) == Stage::Done && deployment.settled();
    let up_to_date = !facts.wants(new) || deployment.updated == deployment.replicas;
    (adopted && up_to_date).then_some(new)
}

/// No Service of the user's selects the new version yet, so the exchange can still be called off.
pub(super) fn can_be_called_off(facts: &Facts<'_>, run: &Run) -> bool {
    facts
        .narrowed_services()
        .all(|service| service.hash() != Some(&run.revision))
}

/// The new version is not in the Deployment's hands yet: the old one has all its pods and gets everything back by one
/// change of the route and one of the Services.
fn is_reversible(facts: &Facts<'_>, run: &Run) -> bool {
    !facts.mode().scales() || facts.canary(run).is_none_or(|new| new.held_by.is_some())
}

pub(super) fn promoting(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.status.run.clone() else { return };
    // A few lost pods come again while the rest carry the traffic; without any, users have nothing.
    if facts.candidate(&run).available() == 0 && is_reversible(facts, &run) {
        match &run.abort {
            Some(why) => ending::go_back(
                next,
                Outcome::RolledBack,
                "Aborted",
                &format!("aborted by request: {why}"),
            ),
            None if !capacity::lost(facts, &run, next) => {}
            // The Services are narrowed to the old version again: that is no other hand's doing.
            None => next.change(|run| run.narrowed = false),
        }
        return;
    }
    let Some(how) = facts.mode().taken_over(facts, &next.status, &run) else {
        return;
    };
    let old = next
        .status
        .stable_revision
        .replace(run.revision.clone())
        .filter(|old| *old != run.revision);
    if let Some(old) = &old {
        next.keep(old, facts.plan.keep_stable, true);
    }
    next.status.kept.retain(|kept| kept.revision != run.revision);
    next.status.phase = Phase::Succeeded;
    let duration = facts.now.duration_since(run.started_at).as_secs();
    let message = format!("{} → {} in {duration}s; {how}", run.stable_revision, run.revision);
    next.tell(Reason::Promoted, message.clone());
    next.end(Outcome::Promoted, "Promoted", &message);
    if let (Some(why), Some(old)) = (run.abort, old) {
        undo(next, &old, "Aborted", &format!("aborted by request: {why}"));
    }
}

/// The old version, if its pods still stand by after a promotion.
pub(super) fn standby<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Option<&'a ReplicaSet> {
    let kept = status.kept.iter().find(|kept| kept.standby)?;
    facts
        .replica_set(&kept.revision)
        .filter(|set| set.held() && set.available > 0)
}

/// Undoes a promotion: the pods of `revision`, which still stand by, serve again.
pub(super) fn undo(next: &mut Draft, revision: &str, reason: &str, message: &str) {
    let now = next.now;
    next.status.phase = Phase::RollingBack;
    next.change(|run| {
        run.undoing = Some(revision.to_owned());
        run.abort = None;
        run.outcome = None;
        run.reason = None;
        run.ended_at = None;
        run.ending = Some(Ending {
            outcome: Outcome::RolledBack,
            reason: reason.to_owned(),
            message: message.to_owned(),
            at: now,
        });
    });
    next.tell(
        Reason::RollbackStarted,
        format!("{reason}: {message}; the promotion is undone, revision {revision} serves again"),
    );
}

/// The exchange in reverse.
pub(super) fn undoing(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.status.run.clone() else { return };
    let Some(old) = run
        .undoing
        .clone()
        .filter(|_| facts.mode().taken_over(facts, &next.status, &run).is_some())
    else {
        return;
    };
    let served = next.status.stable_revision.replace(old.clone());
    next.status.kept.retain(|kept| kept.revision != old);
    ending::close(facts, next, &run, &format!("revision {old} serves again"));
    // What had followed the promoted revision without a release is taken back with it.
    let later = served.filter(|served| *served != run.revision && *served != old);
    let rejected = next
        .status
        .rejected
        .last()
        .filter(|rejected| rejected.revision == run.revision)
        .cloned();
    next.status.rejected.extend(
        later
            .zip(rejected)
            .map(|(revision, rejected)| Rejected { revision, ..rejected }),
    );
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
        run.ending = None;
        run.undoing = None;
        run.abort = None;
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
            worst: run
                .judge
                .worst
                .iter()
                .map(|(check, worst)| (check.clone(), worst.value.clone()))
                .collect(),
        };
        self.status.history.insert(0, entry);
        self.status.history.truncate(HISTORY);
    }
}
