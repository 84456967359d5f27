//! Why a release is paused, who ends that, and how.

use super::{Subject, sentence};
use crate::api::status::{PauseReason, Run};

/// Says why the run is paused, and offers what ends it.
pub fn explain(subject: &mut Subject<'_>, run: &Run, reason: PauseReason) {
    let since = run
        .paused_at
        .map(|at| format!(" since {}", subject.moment(at)))
        .unwrap_or_default();
    let why = why(reason);
    subject.say(format!("It is paused for {reason}{since}: {why}."));
    if let Some(detail) = detail(subject, run, reason) {
        subject.say(sentence(&detail));
    }
    offer(subject, run, reason);
}

fn why(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::User => "a person paused it, by a Pause action or by spec.paused",
        PauseReason::Approval => "this step needs an approval",
        PauseReason::Window => "weights may not rise now; it goes on by itself when a window opens",
        PauseReason::Gate => {
            "a gate has not said yes yet; it is asked again, and the release goes on with its first yes"
        }
        PauseReason::GateDeadline => "a gate has not said yes within its deadline",
        PauseReason::NoData => {
            "a check has had no data, or too few requests, for too long; it goes on when there is data"
        }
        PauseReason::SharedIncident => {
            "both versions break a limit, so neither is blamed; it goes on when the old version keeps the limit again"
        }
        PauseReason::OriginLimit => {
            "the database behind the cache cannot carry a greater weight yet; it goes on when it can"
        }
        PauseReason::Inconclusive => {
            "the share of bad requests has long been too close to the limit to tell; it goes on when it is clear"
        }
        PauseReason::WarmingSlow => {
            "only the cache's warming has been waited for, and for long; it goes on when the cache is warm"
        }
        PauseReason::RouteContested => {
            "somebody else keeps undoing the weights of a route, so the new version has no traffic"
        }
        PauseReason::ServiceContested => "somebody else keeps undoing the selector of a Service",
        PauseReason::CheckFailed => "a check with onBreach: Pause failed",
        PauseReason::WriteRefused => {
            "a change that the release needs was refused by the API server; it goes on when the change is accepted"
        }
        PauseReason::Unknown => {
            "a newer version of Warmfront has paused it, for a reason that this kubectl-canary does not know"
        }
    }
}

/// The numbers and names of this very pause.
fn detail(subject: &Subject<'_>, run: &Run, reason: PauseReason) -> Option<String> {
    let said = run
        .judge
        .said
        .as_ref()
        .map(|said| said.message.clone())
        .filter(|said| !said.is_empty());
    let controller = || Some(format!("The controller says: {}", subject.status.message));
    match reason {
        PauseReason::User | PauseReason::Approval => said.map(|said| format!("The checks say: {said}")),
        PauseReason::NoData => run
            .no_data_since
            .map(|since| format!("There has been no data since {}", subject.moment(since))),
        PauseReason::SharedIncident
        | PauseReason::OriginLimit
        | PauseReason::Inconclusive
        | PauseReason::WarmingSlow
        | PauseReason::CheckFailed => said.or_else(controller),
        PauseReason::RouteContested | PauseReason::ServiceContested => {
            let last = subject.status.drift.last.as_ref()?;
            let by = last.by.as_deref().unwrap_or("a manager that the object does not name");
            Some(format!(
                "{} was changed by {by} at {}",
                last.object,
                subject.moment(last.at)
            ))
        }
        PauseReason::Window
        | PauseReason::Gate
        | PauseReason::GateDeadline
        | PauseReason::WriteRefused
        | PauseReason::Unknown => controller(),
    }
}

fn offer(subject: &mut Subject<'_>, run: &Run, reason: PauseReason) {
    let step = super::step(run);
    let (promote, resume) = (subject.canary("promote", &step), subject.canary("resume", ""));
    match reason {
        PauseReason::User => {
            if run.user_pause {
                subject.offer("let it go on", resume);
            } else {
                let patch = format!(
                    "kubectl patch canaryrollout {} -n {} --type=merge -p '{{\"spec\":{{\"paused\":false}}}}'",
                    subject.rollout.name(),
                    subject.rollout.namespace()
                );
                subject.offer(
                    "let it go on: spec.paused holds it (change it in Git too, where it comes from there)",
                    patch,
                );
            }
        }
        PauseReason::Approval => subject.offer("approve this step", promote),
        PauseReason::Gate | PauseReason::GateDeadline => {
            subject.offer("ask the gate again, with its whole deadline", resume);
        }
        PauseReason::Inconclusive | PauseReason::WarmingSlow => {
            subject.offer("accept this step as it is", promote);
        }
        PauseReason::RouteContested | PauseReason::ServiceContested => {
            subject.offer("try again, once the other hand leaves the object alone", resume);
        }
        PauseReason::CheckFailed => subject.offer("let the checks begin anew", resume),
        PauseReason::Unknown => subject.offer("let it go on", resume),
        PauseReason::NoData => {
            let checks = subject.canary("status", "");
            subject.offer("see which check has no data, and why", checks);
        }
        PauseReason::Window | PauseReason::SharedIncident | PauseReason::OriginLimit | PauseReason::WriteRefused => {}
    }
}
