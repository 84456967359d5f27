//! What people and pipelines ask for by RolloutAction, each answered once.

use jiff::SignedDuration;

use crate::{
    api::{
        CanaryRolloutStatus,
        action::{ActionPhase, Verb},
        status::{Advice, Cause, EndReason, HandledAction, Left, PauseReason, Phase, Run},
    },
    engine::{
        contract::{action::EXPIRES_AFTER, observed::ActionSeen},
        draft::{Draft, events::Reason},
        facts::{self, Facts},
        guards::{gates, hold, holds},
        judge::memory::{self, Reset},
        phases::queue,
    },
};

/// What an abort can do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AbortPath {
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

fn abort_path(facts: &Facts<'_>, next: &Draft) -> AbortPath {
    let Some(run) = next.run() else {
        return AbortPath::Nothing;
    };
    match next.status().phase {
        Phase::Preparing | Phase::Shifting | Phase::Baking | Phase::Unknown => AbortPath::Back,
        Phase::RollingBack => AbortPath::GoingBack,
        Phase::Promoting if facts::can_be_called_off(facts, run) => AbortPath::Back,
        Phase::Promoting => AbortPath::AfterExchange,
        Phase::Succeeded => {
            let standby = facts.mode.standby(facts, next.status());
            standby.map_or(AbortPath::Nothing, AbortPath::Undo)
        }
        Phase::Idle | Phase::RolledBack => AbortPath::Nothing,
    }
}

/// Equal requests that were made within this time are one.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(1);

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

/// Answers the requests that are taken in this pass.
pub fn answer(facts: &Facts<'_>, next: &mut Draft) {
    for action in queue::taken(facts, next.status()) {
        let answer = already(facts, next, action).or_else(|| guard(facts, next, action));
        let answer = answer.unwrap_or_else(|| carry_out(facts, next, action));
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
        let answer = HandledAction {
            name: action.name.clone(),
            uid: action.uid.clone(),
            phase: answer.phase,
            reason: answer.reason.to_owned(),
            message: answer.message,
        };
        next.answered(answer, |handled| queue::is_told(facts, handled));
    }
}

/// The same was asked at the same moment, and was the last thing done: two people, or a client that asked again, mean
/// one move.
fn already(facts: &Facts<'_>, next: &Draft, action: &ActionSeen) -> Option<Answer> {
    if action.spec.action == Verb::Abort && next.status().phase.is_moving() {
        // What was taken back was the release before this one.
        return None;
    }
    let mut answers = next.status().actions.iter().rev();
    let last = answers.find(|handled| handled.phase == ActionPhase::Applied)?;
    let other = facts.seen.actions.iter().find(|other| other.uid == last.uid)?;
    let (one, two) = (&action.spec, &other.spec);
    let same = (one.action, one.step, &one.revision) == (two.action, two.step, &two.revision);
    let apart = action.created.duration_since(other.created).abs();
    (same && apart <= AT_ONCE).then(|| applied(format!("already done for RolloutAction {}", other.name)))
}

/// Whether the request still means this run and step.
fn guard(facts: &Facts<'_>, next: &Draft, action: &ActionSeen) -> Option<Answer> {
    let spec = &action.spec;
    if spec.action != Verb::Abort && facts.now.duration_since(action.created) > EXPIRES_AFTER {
        return Some(expired("TooOld", "nobody saw it within ten minutes"));
    }
    let run = next.run();
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
        Verb::Promote => promote(facts, next, Guarded::new(action)),
        Verb::PromoteFully => promote_fully(next),
    }
}

fn abort(facts: &Facts<'_>, next: &mut Draft, why: &str) -> Answer {
    match abort_path(facts, next) {
        AbortPath::Back => {
            let message = format!("aborted by request: {why}");
            next.go_back(EndReason::Aborted, &message);
            applied("all traffic goes back to the stable version")
        }
        AbortPath::GoingBack => applied("traffic is on its way back already"),
        AbortPath::AfterExchange => {
            next.abort_later(why);
            applied(
                "the Deployment is taking the new version over; as soon as that is done, the old version's pods serve again",
            )
        }
        AbortPath::Undo(revision) => {
            next.undo(&revision, EndReason::Aborted, &format!("aborted by request: {why}"));
            applied(format!("the pods of revision {revision} serve again"))
        }
        AbortPath::Nothing => rejected(
            "NothingToAbort",
            "no release is in progress and the old version's pods are gone",
        ),
    }
}

fn retry(facts: &Facts<'_>, next: &mut Draft) -> Answer {
    if next.status().is_active() {
        return rejected("InProgress", "a release is in progress");
    }
    let wanted = facts
        .mode
        .rejection(facts, next.status())
        .map(|rejected| rejected.revision.clone());
    match wanted {
        Some(revision) => {
            next.forgive(&revision);
            applied(format!("revision {revision} starts again at step 1"))
        }
        None => rejected("NothingToRetry", "the Deployment's template is not a rejected one"),
    }
}

fn pause(next: &mut Draft) -> Answer {
    let moving = next.status().phase.is_moving();
    match next.run().filter(|_| moving) {
        None => rejected("NothingToPause", "no release is moving"),
        Some(run) if run.user_pause => rejected("AlreadyPaused", "the release is paused already"),
        Some(_) => {
            next.hold_for_a_person();
            applied("the weight stays; the checks go on")
        }
    }
}

fn resume(facts: &Facts<'_>, next: &mut Draft) -> Answer {
    let user_pause = next.run().is_some_and(|run| run.user_pause);
    let held = next.run().and_then(|run| run.paused_for);
    if user_pause {
        next.let_go_by_a_person();
        return match held.filter(|held| *held != PauseReason::User) {
            Some(held) => applied(format!(
                "no person holds the release any more; it is still paused for {held}"
            )),
            None => applied("the release goes on"),
        };
    }
    if held.is_some_and(PauseReason::is_contested) {
        next.settle_contest();
        next.resume();
        return applied("the object is written again");
    }
    if held.is_some_and(PauseReason::is_of_gates) {
        next.resume();
        gates::begin_anew(facts, next);
        return applied("the gate is asked again, with its whole deadline");
    }
    if held == Some(PauseReason::CheckFailed) || held == Some(PauseReason::Unknown) {
        next.resume();
        next.forget(Reset::Evidence);
        return applied("the release goes on; the checks begin anew");
    }
    if hold::settle(facts, next) {
        return applied("who unpauses the Deployment is counted anew");
    }
    rejected(
        "NotPaused",
        "no person paused the release; a pause in the spec is lifted there",
    )
}

/// Whether a request names the step that it is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guarded {
    Yes,
    No,
}

impl Guarded {
    fn new(action: &ActionSeen) -> Self {
        if action.spec.step.is_some() {
            Self::Yes
        } else {
            Self::No
        }
    }
}

/// Ends the first that holds at this step: a person's pause, the hold, the approval, a doubt of the judge's. To accept what is too
/// close to call a person must say at which step.
fn promote(facts: &Facts<'_>, next: &mut Draft, guarded: Guarded) -> Answer {
    let phase = next.status().phase;
    let Some(run) = next.run().filter(|_| phase.is_moving()) else {
        return rejected("NothingToPromote", "no release is moving");
    };
    let step = run.step;
    if run.user_pause {
        next.let_go_by_a_person();
        return applied("the pause is lifted");
    }
    let ready = phase != Phase::Preparing && run.intent.is_none();
    if ready && waits_for_a_doubt(facts, run, next.status()) && !holds::needs_approval(facts, run, phase) {
        if guarded == Guarded::No {
            return rejected(
                "NotGuarded",
                format!("step {step} waits for evidence: to accept it as it is name the step"),
            );
        }
        next.accept();
        return applied(format!("what is too close to call at step {step} is accepted"));
    }
    if ready && run.hold_waived && run.paused_for != Some(PauseReason::Approval) {
        // In a hold every Promote means the hold: an approval is asked for once it is over.
        return applied(format!("the rest of the hold at step {step} is waived already"));
    }
    if ready && !holds::hold_over(facts, run, phase) {
        next.waive_hold();
        return applied(format!(
            "the rest of the hold at step {step} is waived; the next weight still needs a pass"
        ));
    }
    if ready && holds::needs_approval(facts, run, phase) {
        next.approve();
        return applied(format!("step {step} is approved"));
    }
    let said = run
        .judge
        .said
        .as_ref()
        .filter(|said| ready && said.advice == Advice::Hold);
    let why = match said {
        Some(_) if !memory::all_read(facts.plan, &next.status().checks) => {
            format!("step {step} waits for data, and that there is none nobody can accept")
        }
        Some(said) => format!("step {step} waits for what nobody can accept: {}", said.message),
        None => format!("step {step} waits for no person"),
    };
    rejected("NothingToPromote", why)
}

/// Nothing holds the weight but doubts of the judge's that a person may accept. Who has waived the hold has not said that nothing need
/// be seen of this step at all.
fn waits_for_a_doubt(facts: &Facts<'_>, run: &Run, status: &CanaryRolloutStatus) -> bool {
    let Some(said) = run.judge.said.as_ref().filter(|said| said.left == Some(Left::Doubt)) else {
        return false;
    };
    let too_early = run.hold_waived && said.pause.is_none() && said.cause == Some(Cause::FewSamples);
    !too_early && memory::all_read(facts.plan, &status.checks)
}

/// Drops the remaining steps. It never replaces evidence: the next weight needs its pods and a pass.
fn promote_fully(next: &mut Draft) -> Answer {
    let moving = next.status().phase.is_moving() && next.status().phase != Phase::Baking;
    if !moving || next.run().is_none() {
        return rejected("NothingToPromote", "no release has steps left to drop");
    }
    next.skip_steps();
    applied(
        "the remaining steps are dropped: 100% follows as soon as all its pods are Available and every check passes",
    )
}
