//! Ends other than promotion: traffic goes back first, then what was taken over is let go.

use super::{Action, Draft, desired::Desired, exchange, facts::Facts, notice::Reason, observed::Deletion};
use crate::{
    api::{
        Duration, Percent,
        status::{Ending, Outcome, Phase, Rejected, Run},
    },
    router::Want,
};

/// Requests in flight and proxies that lag are given this long after weight 0 before pods go.
pub(super) const DRAIN: Duration = Duration::from_secs(30);

/// Rejected revisions of a pair's candidate that are remembered.
const REJECTED: usize = 20;

/// Begins the way back.
pub(super) fn go_back(next: &mut Draft, outcome: Outcome, reason: &str, message: &str) {
    let weight = next.status.run.as_ref().map_or(Percent::ZERO, |run| run.weight);
    let now = next.now;
    next.status.phase = Phase::RollingBack;
    next.change(|run| {
        run.ending = Some(Ending {
            outcome,
            reason: reason.to_owned(),
            message: message.to_owned(),
            at: now,
        });
        run.growing = None;
        run.intent = None;
        run.paused_for = None;
        run.paused_at = None;
        run.user_pause = false;
    });
    next.tell(
        Reason::RollbackStarted,
        format!("{reason}: {message}; weight {weight} → 0%"),
    );
}

pub(super) fn rolling_back(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = next.status.run.clone() else { return };
    if run.undoing.is_some() {
        exchange::undoing(facts, next);
    } else if facts.weight_confirmed(Percent::ZERO).is_ok() {
        close(facts, next, &run, "weight 0% confirmed by the gateway");
    }
}

/// Traffic is where it belongs: the run ends as it was decided. `done` says what was confirmed.
pub(super) fn close(facts: &Facts<'_>, next: &mut Draft, run: &Run, done: &str) {
    let ending = run.ending.clone().unwrap_or(Ending {
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
        next.status
            .rejected
            .retain(|rejected| rejected.revision != run.revision);
        next.status.rejected.push(Rejected {
            revision: run.revision.clone(),
            reason: ending.reason.clone(),
            message: ending.message.clone(),
            at: facts.now,
        });
    }
    if facts.mode().scales() {
        next.keep(
            &run.revision,
            if rolled_back {
                facts.plan.keep_canary.max(DRAIN)
            } else {
                DRAIN
            },
            false,
        );
    } else {
        // Without a ReplicaSet of ours that goes with it, a rejection would stay for ever.
        let surplus = next.status.rejected.len().saturating_sub(REJECTED);
        next.status.rejected.drain(..surplus);
    }
    let text = format!(
        "{}: {}; {done} {took}ms after the decision",
        ending.reason, ending.message
    );
    next.tell(
        if rolled_back {
            Reason::RolledBack
        } else {
            Reason::Superseded
        },
        text,
    );
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
        (Phase::Succeeded, Some(_)) => facts
            .mode()
            .standby(facts, &next.status)
            .map_or(AbortPath::Nothing, AbortPath::Undo),
        (Phase::Idle | Phase::RolledBack, _) | (_, None) => AbortPath::Nothing,
    }
}

/// After a deletion, at rest: pods that are only kept to be looked at go after the drain.
pub(super) fn let_go(facts: &Facts<'_>, next: &mut Draft) {
    let ended = next
        .status
        .run
        .as_ref()
        .and_then(|run| run.ended_at)
        .unwrap_or(facts.now);
    let drained = ended + DRAIN.signed();
    for kept in next.status.kept.iter_mut().filter(|_| !next.status.originals.released) {
        kept.until = if facts.mode().scales() {
            kept.until.min(drained)
        } else {
            facts.now
        };
    }
    if !facts.mode().scales() || !facts.native_rollout(&next.status) {
        next.status.kept.retain(|kept| kept.until > facts.now);
    }
    if next.status.originals.released || !next.status.taken_over() {
        return;
    }
    next.status.originals.released = true;
    facts.mode().tell_release(facts, next);
}

/// A deleted rollout has given back everything.
pub(super) fn released(facts: &Facts<'_>, next: &Draft, wanted: &Desired, actions: &[Action]) -> bool {
    let gone = facts.seen.deletion != Deletion::No;
    let untouched = !next.status.taken_over();
    let settled = !next.active() && next.status.kept.is_empty() && next.status.originals.released;
    let held = facts.seen.replica_sets.iter().any(|set| set.held_by.is_some());
    let narrowed = wanted.selector.as_ref().is_some_and(Option::is_some);
    let routed = match wanted.route {
        // The shares stay as they stand.
        Some(Want::Left) => false,
        // The entry may be the user's: only after this the weights are as found.
        Some(Want::Drained) if !facts.mode().scales() => true,
        _ => !facts.entry_gone(),
    };
    let nothing_left = actions
        .iter()
        .all(|action| matches!(action, Action::Answer { .. } | Action::Forget { .. }));
    let floors = next.status.originals.floors.is_empty();
    let target_gone = facts.seen.deployment.is_none();
    gone && (untouched || (settled && nothing_left && floors && !routed && (target_gone || (!held && !narrowed))))
}
