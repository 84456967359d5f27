//! What a wait reads off a status, and prints of it: where the release stands, with its numbers, and how it ended.

use jiff::Timestamp;

use super::{
    super::{
        ages::length,
        rollout::{Rollout, condition},
    },
    order::Workload,
};
use crate::api::{
    CanaryRolloutStatus,
    condition::ConditionType,
    status::{NO_FIGURE, Outcome, Run},
};

/// Where the release stands, with its numbers.
pub fn progress(status: &CanaryRolloutStatus, now: Timestamp) -> String {
    let figures = &status.figures;
    let mut text = stage(status);
    if let Some(run) = status.run.as_ref().filter(|_| status.is_active()) {
        text = format!("{text} ({} after it began)", length(now.duration_since(run.started_at)));
    }
    let known = [
        ("hit ratio", &figures.hit_ratio),
        ("errors", &figures.error_rate),
        ("latency", &figures.latency),
    ];
    for (what, value) in known {
        if status.is_active() && *value != NO_FIGURE {
            text = format!("{text}, {what} {value}");
        }
    }
    format!("{text}: {}", status.message)
}

/// The same without what changes with every tick: a line is printed when this is another one.
pub fn state(status: &CanaryRolloutStatus) -> String {
    let message: String = status
        .message
        .chars()
        .filter(|character| !character.is_ascii_digit())
        .collect();
    let accepted = condition(status, ConditionType::Accepted).map(|accepted| accepted.reason.as_str());
    format!("{} {} {message}", stage(status), accepted.unwrap_or_default())
}

fn stage(status: &CanaryRolloutStatus) -> String {
    let Some(run) = status.run.as_ref().filter(|_| status.is_active()) else {
        return status.phase.to_string();
    };
    let paused = run
        .paused_for
        .map(|reason| format!(", paused ({reason})"))
        .unwrap_or_default();
    format!(
        "revision {}: {}, step {}/{}, weight {}{paused}",
        run.revision, status.phase, run.step, run.steps, run.weight
    )
}

/// How a release ended, from its run.
pub fn end(run: &Run, status: &CanaryRolloutStatus) -> String {
    let ended = status.history.iter().find(|ended| ended.run == run.number);
    let why = ended.map_or(status.message.as_str(), |ended| ended.message.as_str());
    let outcome = run.outcome.unwrap_or(Outcome::Unknown);
    let reason = run.reason.map(|reason| format!("{reason}: ")).unwrap_or_default();
    self::ended(&run.revision, outcome, &format!("{reason}{why}"))
}

/// How a release of this revision ended.
pub fn ended(revision: &str, outcome: Outcome, why: &str) -> String {
    let how = match outcome {
        Outcome::Promoted => "was promoted",
        Outcome::RolledBack => "was rolled back",
        Outcome::Superseded => "was superseded",
        Outcome::Unknown => "has ended",
    };
    format!("revision {revision} {how}: {why}")
}

/// What users have is what the Deployment asks for.
pub fn serves(status: &CanaryRolloutStatus) -> String {
    let revision = status.stable_revision.as_deref().unwrap_or(NO_FIGURE);
    format!("revision {revision} serves all users: {}", status.message)
}

/// The controller has not seen the spec as it is now.
pub fn unseen_spec(rollout: &Rollout) -> String {
    let generation = rollout.object.metadata.generation.unwrap_or_default();
    format!("waiting for the controller to see generation {generation} of the CanaryRollout")
}

/// The status does not speak of the Deployment as it was when the wait began.
pub fn unseen_workload(workload: &Workload, status: &CanaryRolloutStatus) -> String {
    let Workload { name, generation, .. } = workload;
    match status.observed_workload_generation {
        Some(seen) => format!(
            "waiting for the controller to come to generation {generation} of Deployment {name}: its status speaks of generation {seen} ({}: {})",
            status.phase, status.message
        ),
        None => format!(
            "waiting for the controller to say that it speaks of generation {generation} of Deployment {name}; one that never does is older than kubectl-canary, or has not taken the Deployment over ({}: {})",
            status.phase, status.message
        ),
    }
}

/// Whether a release of this revision was there before.
pub fn knows(status: &CanaryRolloutStatus, revision: &str) -> bool {
    let run = status.run.iter().map(|run| run.revision.as_str());
    let history = status.history.iter().map(|ended| ended.revision.as_str());
    let rejected = status.rejected.iter().map(|rejected| rejected.revision.as_str());
    let mut known = run
        .chain(history)
        .chain(rejected)
        .chain(status.stable_revision.as_deref());
    known.any(|known| known == revision)
}

/// How the version that the Deployment asks for stands while no release is under way: the outcome, the revisions that may be meant,
/// and why.
pub fn at_rest(status: &CanaryRolloutStatus) -> Option<(Outcome, Vec<&str>, String)> {
    if status.is_active() {
        return None;
    }
    let is_true = |kind| condition(status, kind).filter(|one| one.status == "True");
    if is_true(ConditionType::Promoted).is_some() {
        let revision = status.stable_revision.as_deref();
        return Some((Outcome::Promoted, revision.into_iter().collect(), serves(status)));
    }
    let told = is_true(ConditionType::RolledBack)?;
    // The condition says why, and not which revision: several may have been rejected with the same words.
    let rejected = status.rejected.iter();
    let rejected = rejected.filter(|rejected| told.message.starts_with(&rejected.message));
    let revisions: Vec<&str> = rejected.map(|rejected| rejected.revision.as_str()).collect();
    let whose = revisions.last().copied().unwrap_or("of the Deployment");
    let text = ended(whose, Outcome::RolledBack, &told.message);
    Some((Outcome::RolledBack, revisions, text))
}
