//! Ends other than promotion: traffic goes back first, then what was taken over is let go.

use super::{Action, Draft, desired::Desired, exchange, facts::Facts, notice::Reason, observed::Deletion};
use crate::api::{
    Duration, Percent,
    status::{Ending, Outcome, Phase, Rejected, Run},
};

/// Requests in flight and proxies that lag are given this long after weight 0 before pods go.
const DRAIN: Duration = Duration::from_secs(30);

/// Begins the way back.
pub(super) fn go_back(next: &mut Draft, outcome: Outcome, reason: &str, message: &str) {
    let weight = next.status.run.as_ref().map_or(Percent::ZERO, |run| run.weight);
    let now = next.now;
    next.status.phase = Phase::RollingBack;
    next.change(|run| {
        run.verdict = Some(Ending { outcome, reason: reason.to_owned(), message: message.to_owned(), at: now });
        run.growing = None;
        run.intent = None;
        run.paused_for = None;
        run.paused_at = None;
        run.user_pause = false;
    });
    next.tell(Reason::RollbackStarted, format!("{reason}: {message}; weight {weight} → 0%"));
}

pub(super) fn rolling_back(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.status.run.clone() else { return };
    if run.undo.is_some() {
        exchange::undoing(facts, next);
    } else if facts.weight_confirmed(Percent::ZERO).is_ok() {
        close(facts, next, &run, "weight 0% confirmed by the gateway");
    }
}

/// Traffic is where it belongs: the run ends as it was decided. `done` says what was confirmed.
pub(super) fn close(facts: &Facts<'_>, next: &mut Draft, run: &Run, done: &str) {
    let ending = run.verdict.clone().unwrap_or(Ending {
        outcome: Outcome::RolledBack,
        reason: "Aborted".to_owned(),
        message: "the reason was not recorded".to_owned(),
        at: facts.now,
    });
    let took = facts.now.duration_since(ending.at).as_millis();
    next.change(|run| {
        run.weight = Percent::ZERO;
        run.weight_confirmed_at = Some(facts.now);
    });
    let rolled_back = ending.outcome == Outcome::RolledBack;
    next.status.phase = if rolled_back { Phase::RolledBack } else { Phase::Idle };
    if rolled_back && ending.reason != "Reverted" {
        next.status.rejected.retain(|rejected| rejected.revision != run.revision);
        next.status.rejected.push(Rejected { revision: run.revision.clone(), reason: ending.reason.clone(), message: ending.message.clone(), at: facts.now });
    }
    next.keep(&run.revision, if rolled_back { facts.plan.keep_canary.max(DRAIN) } else { DRAIN }, false);
    let text = format!("{}: {}; {done} {took}ms after the decision", ending.reason, ending.message);
    next.tell(if rolled_back { Reason::RolledBack } else { Reason::Superseded }, text);
    next.end(ending.outcome, &ending.reason, &ending.message);
}

/// What an abort can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AbortPath {
    /// Traffic goes back.
    Back,
    /// It is going back already.
    GoingBack,
    /// The exchange is under way: it is finished first and then undone.
    AfterExchange,
    /// The promotion is undone: the pods of this revision still stand by.
    Undo(String),
    /// There is nothing to take back.
    Nothing,
}

pub(super) fn abort_path(facts: &Facts<'_>, next: &Draft) -> AbortPath {
    match (next.status.phase, &next.status.run) {
        (Phase::Preparing | Phase::Shifting | Phase::Baking, Some(_)) => AbortPath::Back,
        (Phase::RollingBack, Some(_)) => AbortPath::GoingBack,
        (Phase::Promoting, Some(run)) if exchange::can_be_called_off(facts, run) => AbortPath::Back,
        (Phase::Promoting, Some(_)) => AbortPath::AfterExchange,
        (Phase::Succeeded, Some(_)) => exchange::standby(facts, &next.status).map_or(AbortPath::Nothing, |set| AbortPath::Undo(set.hash.clone())),
        (Phase::Idle | Phase::RolledBack, _) | (_, None) => AbortPath::Nothing,
    }
}

/// After a deletion, at rest: pods that are only kept to be looked at go after the drain.
pub(super) fn let_go(facts: &Facts<'_>, next: &mut Draft) {
    let ended = next.status.run.as_ref().and_then(|run| run.ended_at).unwrap_or(facts.now);
    let drained = ended + DRAIN.signed();
    for kept in &mut next.status.kept {
        kept.until = kept.until.min(drained);
    }
    next.status.kept.retain(|kept| kept.until > facts.now);
    if next.status.originals.released || next.status.originals.paused.is_none() {
        return;
    }
    next.status.originals.released = true;
    let name = &facts.plan.deployment;
    next.tell(Reason::Released, format!("Deployment {name}, its ReplicaSets, Services and routes are given back"));
    if facts.serving(&next.status).is_some_and(|set| !facts.wants(set)) {
        next.tell(
            Reason::LeftPaused,
            format!("Deployment {name} stays paused: its template is not the version that serves, and unpausing would ship it to everyone. Change the template back, or run: kubectl rollout resume deployment/{name}"),
        );
    }
}

/// A deleted rollout has given back everything.
pub(super) fn released(facts: &Facts<'_>, next: &Draft, wanted: &Desired, actions: &[Action]) -> bool {
    let gone = facts.seen.deletion != Deletion::No;
    let untouched = next.status.originals.paused.is_none();
    let settled = !next.active() && next.status.kept.is_empty() && next.status.originals.released;
    let held = facts.seen.replica_sets.iter().any(|set| set.held_by.is_some());
    let narrowed = wanted.selector.as_ref().is_some_and(Option::is_some);
    let routed = !facts.entry_gone();
    let nothing_left = actions.iter().all(|action| matches!(action, Action::Answer { .. } | Action::Forget { .. }));
    let floors = next.status.originals.floors.is_empty();
    let target_gone = facts.seen.deployment.is_none();
    gone && (untouched || (settled && nothing_left && floors && !routed && (target_gone || (!held && !narrowed))))
}
