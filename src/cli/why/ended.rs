//! Why a release ended as it did, and what can be done after it.

use super::{Subject, sentence};
use crate::{
    api::status::{EndReason, Outcome, Run},
    cli::words,
};

/// Says how the last release ended, and offers what comes next.
pub fn explain(subject: &mut Subject<'_>, run: &Run) {
    let past = subject.status.history.iter().find(|entry| entry.run == run.number);
    let message = past.map(|entry| entry.message.clone()).unwrap_or_default();
    let outcome = run.outcome.unwrap_or(Outcome::Unknown);
    let at = run
        .ended_at
        .map(|at| format!(" {}", subject.moment(at)))
        .unwrap_or_default();
    let because = run
        .reason
        .map(|reason| format!(", because {}", meaning(reason)))
        .unwrap_or_default();
    let because = if outcome == Outcome::Promoted {
        String::new()
    } else {
        because
    };
    subject.say(format!(
        "{} {}{at}, after {}, at step {} of {}{because}.",
        super::title(run),
        words::became(outcome),
        words::took(run, subject.now),
        run.step,
        run.steps
    ));
    if !message.is_empty() {
        subject.say(sentence(&capital(&message)));
    }
    if let Some(serving) = &subject.status.stable_revision {
        let serving = format!("Revision {serving} serves all users.");
        subject.say(serving);
    }
    match outcome {
        Outcome::RolledBack => after_a_rollback(subject, run),
        Outcome::Promoted => after_a_promotion(subject),
        Outcome::Superseded | Outcome::Unknown => subject.offer_a_release(),
    }
    if subject.status.history.len() > 1 {
        let history = subject.canary("history", "");
        subject.offer("see the releases before it", history);
    }
}

fn after_a_rollback(subject: &mut Subject<'_>, run: &Run) {
    let rejected = subject
        .status
        .rejected
        .iter()
        .any(|rejected| rejected.revision == run.revision);
    if !rejected {
        subject.offer_a_release();
        return;
    }
    subject.say(format!(
        "Revision {} is not released again by itself; another revision is, as soon as it is applied.",
        run.revision
    ));
    let kept = subject.status.kept.iter().find(|kept| kept.revision == run.revision);
    if let Some(kept) = kept {
        let until = subject.moment(kept.until);
        let logs = format!(
            "kubectl logs -n {} -l pod-template-hash={} --tail=100",
            subject.rollout.namespace(),
            run.revision
        );
        subject.offer(&format!("look at its pods, which are kept until {until}"), logs);
    }
    let retry = subject.canary("retry", "");
    subject.offer("release the same revision again, once the cause is gone", retry);
    subject.offer_a_release();
    subject.offer_an_undo("give the Deployment the template back that serves (in Git too, where it comes from there)");
}

fn after_a_promotion(subject: &mut Subject<'_>) {
    let standby = subject.status.kept.iter().find(|kept| kept.standby);
    if let Some(kept) = standby {
        let until = subject.moment(kept.until);
        let abort = subject.canary("abort", "");
        subject.offer(
            &format!("bring the old version back at once: its pods stand by until {until}"),
            abort,
        );
    } else {
        subject.offer_an_undo("go back to the version before, by a release");
    }
    subject.offer_a_release();
}

/// What the reason of an end means.
pub fn meaning(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Promoted => "every step and check passed",
        EndReason::Aborted => "a person or a pipeline asked for it",
        EndReason::Reverted => "the old version was applied again",
        EndReason::Deleted => "the CanaryRollout was deleted, or Warmfront was uninstalled",
        EndReason::TargetNotFound => "the Deployment was deleted and not created again in time",
        EndReason::Unpaused => "somebody else unpaused the Deployment, so Kubernetes rolled it out",
        EndReason::NewerRevision => "a newer revision was applied",
        EndReason::NotReady => "the new version's pods were not Available in time",
        EndReason::RouteNotAccepted => "the gateway did not accept the route in time",
        EndReason::CapacityLost => "the new version lost pods under traffic for the third time",
        EndReason::GateRejected => "a gate said no",
        EndReason::ErrorRateAboveMax => "too many requests to the new version failed",
        EndReason::ErrorRateAboveStable => "more requests to the new version failed than to the old one",
        EndReason::LatencyAboveMax => "too many requests to the new version were slow",
        EndReason::HitRatioBelowMin => "too many cache lookups of the new version were misses",
        EndReason::HitRatioBelowStable => "more cache lookups of the new version were misses than of the old one",
        EndReason::StableRegressed => "the old version fails since the new one has traffic, and they share a cache",
        EndReason::OriginOverloaded => "what both versions share was overloaded again after a step back",
        EndReason::CheckFailed => "too many values of a query were outside its limits",
        EndReason::Unknown => "of something that only a newer kubectl-canary knows",
    }
}

/// With a capital letter.
fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        // A revision or a name stays as it is written.
        Some(first)
            if text
                .split(' ')
                .next()
                .is_some_and(|word| word.chars().all(char::is_alphabetic)) =>
        {
            first.to_uppercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}
