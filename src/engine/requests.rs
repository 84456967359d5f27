//! What people and pipelines ask for by RolloutAction, each answered once.

use jiff::SignedDuration;

use super::{
    Draft,
    ending::{self, AbortPath},
    exchange,
    facts::Facts,
    gates, holds,
    notice::Reason,
    observed::ActionSeen,
};
use crate::api::{
    action::{ActionPhase, Verb},
    status::{HandledAction, Outcome, PauseReason, Phase},
};

/// A request that nobody saw for so long is no longer what its author means. Abort never grows old.
const EXPIRES_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Answered requests are removed after a day.
pub(super) const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How many answers are remembered; by then their objects carry them.
const REMEMBERED: usize = 20;

struct Answer {
    phase: ActionPhase,
    reason: &'static str,
    message: String,
}

fn applied(message: impl Into<String>) -> Answer {
    Answer {
        phase: ActionPhase::Applied,
        reason: "Applied",
        message: message.into(),
    }
}

fn rejected(reason: &'static str, message: impl Into<String>) -> Answer {
    Answer {
        phase: ActionPhase::Rejected,
        reason,
        message: message.into(),
    }
}

fn expired(reason: &'static str, message: impl Into<String>) -> Answer {
    Answer {
        phase: ActionPhase::Expired,
        reason,
        message: message.into(),
    }
}

/// Answers every request that was not answered yet; Abort comes before all others.
pub(super) fn answer(facts: &Facts<'_>, next: &mut Draft) {
    let mut open: Vec<&ActionSeen> = facts
        .seen
        .actions
        .iter()
        .filter(|action| action.decided.is_none())
        .collect();
    open.retain(|action| !next.status.actions.iter().any(|handled| handled.uid == action.uid));
    open.sort_by_key(|action| (action.spec.action != Verb::Abort, action.created));
    for action in open {
        let answer = guard(facts, next, action).unwrap_or_else(|| carry_out(facts, next, action));
        let why = action
            .spec
            .reason
            .as_deref()
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        let reason = if answer.phase == ActionPhase::Applied {
            Reason::ActionApplied
        } else {
            Reason::ActionRejected
        };
        let by = action
            .by
            .as_deref()
            .map(|manager| format!(" of {manager}"))
            .unwrap_or_default();
        next.tell(
            reason,
            format!(
                "{} by RolloutAction {}{by}{why}: {}",
                action.spec.action, action.name, answer.message
            ),
        );
        next.status.actions.push(HandledAction {
            uid: action.uid.clone(),
            phase: answer.phase,
            reason: answer.reason.to_owned(),
            message: answer.message,
        });
    }
    let surplus = next.status.actions.len().saturating_sub(REMEMBERED);
    next.status.actions.drain(..surplus);
}

/// Whether the request still means this run and step.
fn guard(facts: &Facts<'_>, next: &Draft, action: &ActionSeen) -> Option<Answer> {
    let spec = &action.spec;
    if spec.action != Verb::Abort && facts.now.duration_since(action.created) > EXPIRES_AFTER {
        return Some(expired("TooOld", "nobody saw it within ten minutes"));
    }
    let run = next.status.run.as_ref();
    if let (Some(revision), current) = (&spec.revision, run.map(|run| run.revision.as_str()))
        && current != Some(revision)
    {
        return Some(expired(
            "OtherRevision",
            format!(
                "meant for revision {revision}, the release is of {}",
                current.unwrap_or("none")
            ),
        ));
    }
    if let (Some(step), current) = (spec.step, run.map_or(0, |run| run.step))
        && step != current
    {
        return Some(expired(
            "OtherStep",
            format!("meant for step {step}, the release is at step {current}"),
        ));
    }
    None
}

fn carry_out(facts: &Facts<'_>, next: &mut Draft, action: &ActionSeen) -> Answer {
    let why = action
        .spec
        .reason
        .clone()
        .unwrap_or_else(|| "no reason given".to_owned());
    match action.spec.action {
        Verb::Abort => abort(facts, next, &why),
        Verb::Retry => retry(facts, next),
        Verb::Pause => pause(next),
        Verb::Resume => resume(facts, next),
        Verb::Promote => promote(facts, next),
        Verb::PromoteFully => promote_fully(next),
    }
}

fn abort(facts: &Facts<'_>, next: &mut Draft, why: &str) -> Answer {
    match ending::abort_path(facts, next) {
        AbortPath::Back => {
            let message = format!("aborted by request: {why}");
            ending::go_back(next, Outcome::RolledBack, "Aborted", &message);
            applied("all traffic goes back to the stable version")
        }
        AbortPath::GoingBack => applied("traffic is on its way back already"),
        AbortPath::AfterExchange => {
            next.change(|run| run.abort = Some(why.to_owned()));
            applied(
                "the Deployment is taking the new version over; as soon as that is done, the old version's pods serve again",
            )
        }
        AbortPath::Undo(revision) => {
            exchange::undo(next, &revision, "Aborted", &format!("aborted by request: {why}"));
            applied(format!("the pods of revision {revision} serve again"))
        }
        AbortPath::Nothing => rejected(
            "NothingToAbort",
            "no release is in progress and the old version's pods are gone",
        ),
    }
}

fn retry(facts: &Facts<'_>, next: &mut Draft) -> Answer {
    if next.active() {
        return rejected("InProgress", "a release is in progress");
    }
    let wanted = facts
        .mode()
        .rejection(facts, &next.status)
        .map(|rejected| rejected.revision.clone());
    match wanted {
        Some(revision) => {
            next.status.rejected.retain(|rejected| rejected.revision != revision);
            applied(format!("revision {revision} starts again at step 1"))
        }
        None => rejected("NothingToRetry", "the Deployment's template is not a rejected one"),
    }
}

fn pause(next: &mut Draft) -> Answer {
    if !next.status.phase.is_moving() {
        return rejected("NothingToPause", "no release is moving");
    }
    match &mut next.status.run {
        Some(run) if run.user_pause => rejected("AlreadyPaused", "the release is paused already"),
        Some(run) => {
            run.user_pause = true;
            applied("the weight stays; the checks go on")
        }
        None => rejected("NothingToPause", "no release is moving"),
    }
}

fn resume(facts: &Facts<'_>, next: &mut Draft) -> Answer {
    match &mut next.status.run {
        Some(run) if run.user_pause => {
            run.user_pause = false;
            applied("the release goes on")
        }
        Some(run) if run.paused_for.is_some_and(PauseReason::is_contested) => {
            next.status.drift.recent.clear();
            holds::pause(next, None, "");
            applied("the object is written again")
        }
        Some(run) if run.paused_for.is_some_and(PauseReason::is_of_gates) => {
            holds::pause(next, None, "");
            gates::begin_anew(facts, next);
            applied("the gate is asked again, with its whole deadline")
        }
        Some(run) if run.paused_for == Some(PauseReason::CheckFailed) => {
            holds::pause(next, None, "");
            next.forget_evidence(facts);
            applied("the release goes on; the checks begin anew")
        }
        _ => rejected(
            "NotPaused",
            "no person paused the release; a pause in the spec is lifted there",
        ),
    }
}

/// Ends the first that holds at this step: a person's pause, the hold, the approval.
fn promote(facts: &Facts<'_>, next: &mut Draft) -> Answer {
    let phase = next.status.phase;
    let Some(run) = next.status.run.as_mut().filter(|_| phase.is_moving()) else {
        return rejected("NothingToPromote", "no release is moving");
    };
    if run.user_pause {
        run.user_pause = false;
        return applied("the pause is lifted");
    }
    let ready = phase != Phase::Preparing && run.intent.is_none();
    if ready && !holds::hold_over(facts, run, phase) {
        run.hold_waived = true;
        return applied(format!(
            "the rest of the hold at step {} is waived; the next weight still needs a pass",
            run.step
        ));
    }
    if ready && holds::needs_approval(facts, run, phase) {
        run.approved = true;
        return applied(format!("step {} is approved", run.step));
    }
    rejected("NothingToPromote", format!("step {} waits for no person", run.step))
}

/// Drops the remaining steps. It never replaces evidence: the next weight needs its pods and a pass.
fn promote_fully(next: &mut Draft) -> Answer {
    let moving = next.status.phase.is_moving() && next.status.phase != Phase::Baking;
    let Some(run) = next.status.run.as_mut().filter(|_| moving) else {
        return rejected("NothingToPromote", "no release has steps left to drop");
    };
    run.skip_steps = true;
    run.user_pause = false;
    applied(
        "the remaining steps are dropped: 100% follows as soon as all its pods are Available and every check passes",
    )
}
