//! `promote`, `pause`, `resume`, `abort` and `retry`: a RolloutAction, and what the controller answers.

use std::time::Duration;

use kube::{Api, ResourceExt as _, api::PostParams};

use super::{
    Frame,
    connect::Cluster,
    exit::Exit,
    paint::{Tone, clean},
    print, rollout,
};
use crate::api::{
    self, GROUP, RolloutAction, RolloutActionSpec,
    action::{ActionPhase, Verb},
};

/// What the requests have in common.
#[derive(Debug, clap::Args)]
pub struct Request {
    /// Name of the CanaryRollout.
    name: String,
    /// Why, at most 256 characters: it stands in Events and messages.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only if the release is of this revision, a pod-template-hash; otherwise nothing happens. Default: the revision that is seen now, but
    /// for abort and retry, which are about whatever there is.
    #[arg(long, value_name = "HASH")]
    revision: Option<String>,
    /// Only if the release is at this step, counted from 1; otherwise nothing happens.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=100))]
    step: Option<i32>,
    /// How long to wait for the controller's answer.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    timeout: api::Duration,
}

/// Options of `promote`.
#[derive(Debug, clap::Args)]
pub struct Promote {
    #[command(flatten)]
    request: Request,
    /// Leave out the remaining steps: as soon as the pods for 100% are Available and every check passes, the new version gets all traffic.
    #[arg(long)]
    full: bool,
}

impl Promote {
    /// What is asked for.
    pub fn parts(&self) -> (Verb, &Request) {
        let verb = if self.full { Verb::PromoteFully } else { Verb::Promote };
        (verb, &self.request)
    }
}

/// The first pause between two looks for an answer, and the longest.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Asks, and waits for the answer.
pub async fn run(frame: &Frame, verb: Verb, request: &Request) -> anyhow::Result<Exit> {
    let cluster = frame.connect().await?;
    let (action, exit) = ask(&cluster, verb, request).await?;
    if let Some(output) = frame.data() {
        let mut action = action.clone();
        action.metadata.managed_fields = None;
        print::data(output, &action, &[path(&action)])?;
        return Ok(exit);
    }
    let said = told(&cluster, verb, request, &action);
    match exit {
        Exit::Reached => print::lines(&[frame.paint.tone(Tone::Good, &clean(&said))])?,
        Exit::Failed | Exit::RolledBack | Exit::NeedsPerson | Exit::TimedOut | Exit::Superseded => {
            eprintln!("error: {}", clean(&said));
        }
    }
    Ok(exit)
}

fn path(action: &RolloutAction) -> String {
    format!("rolloutaction.{GROUP}/{}", action.name_any())
}

/// Creates the request and waits until it is answered, or time is over.
async fn ask(cluster: &Cluster, verb: Verb, request: &Request) -> anyhow::Result<(RolloutAction, Exit)> {
    let seen = rollout::get(cluster, &request.name).await?;
    let current = seen.status.as_ref().ok().filter(|status| status.is_active());
    let current = current.and_then(|status| Some(status.run.as_ref()?.revision.clone()));
    let bound = match verb {
        // Nobody wants these to fail because something newer has come.
        Verb::Abort | Verb::Retry => None,
        Verb::Promote | Verb::PromoteFully | Verb::Pause | Verb::Resume => current,
    };
    let spec = RolloutActionSpec {
        rollout: request.name.clone(),
        action: verb,
        revision: request.revision.clone().or(bound),
        step: request.step,
        reason: request.reason.clone(),
    };
    let actions: Api<RolloutAction> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut action = RolloutAction::new("", spec);
    action.metadata.name = None;
    action.metadata.generate_name = Some(format!("{}-{}-", request.name, word(verb)));
    let by = PostParams {
        field_manager: Some("kubectl-canary".to_owned()),
        ..PostParams::default()
    };
    let tried = format!(
        "creating a RolloutAction {verb} for CanaryRollout {}/{}",
        cluster.namespace, request.name
    );
    let created = cluster.ask(&tried, actions.create(&by, &action)).await?;
    let waiting = answered(cluster, &actions, created.clone());
    let limit = Duration::from_millis(request.timeout.as_millis());
    match tokio::time::timeout(limit, waiting).await {
        Ok(answered) => {
            let answered = answered?;
            let applied = phase(&answered) == Some(ActionPhase::Applied);
            Ok((answered, if applied { Exit::Reached } else { Exit::Failed }))
        }
        Err(_) => Ok((created, Exit::TimedOut)),
    }
}

fn phase(action: &RolloutAction) -> Option<ActionPhase> {
    action.status.as_ref()?.phase
}

/// Looks until there is an answer. A look that fails is tried again: the request stands.
async fn answered(
    cluster: &Cluster,
    actions: &Api<RolloutAction>,
    mut action: RolloutAction,
) -> anyhow::Result<RolloutAction> {
    let name = action.name_any();
    let (mut pause, longest) = LOOKS;
    while phase(&action).is_none() {
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(longest);
        let tried = format!("reading RolloutAction {}/{name}", cluster.namespace);
        match cluster.ask(&tried, actions.get_opt(&name)).await {
            Ok(Some(found)) => action = found,
            Ok(None) => anyhow::bail!(
                "RolloutAction {}/{name} was deleted before it was answered",
                cluster.namespace
            ),
            Err(error) => eprintln!("{}; trying again", clean(&format!("{error:#}"))),
        }
    }
    Ok(action)
}

/// What the controller answered, for people.
fn told(cluster: &Cluster, verb: Verb, request: &Request, action: &RolloutAction) -> String {
    let (namespace, name) = (&cluster.namespace, &request.name);
    let status = action.status.clone().unwrap_or_default();
    let message = status.message.unwrap_or_default();
    let reason = status.reason.unwrap_or_default();
    match status.phase {
        Some(ActionPhase::Applied) => format!("{name}: {message}"),
        Some(ActionPhase::Rejected | ActionPhase::Expired | ActionPhase::Unknown) => {
            let advice = match reason.as_str() {
                "NotGuarded" => format!("`kubectl canary why {name} -n {namespace}` has the command with the step"),
                "OtherRevision" | "OtherStep" => {
                    format!("look where it is now: `kubectl canary status {name} -n {namespace}`")
                }
                _ => format!("`kubectl canary why {name} -n {namespace}` says what can be done"),
            };
            format!("{verb} of {namespace}/{name} was not carried out, {reason}: {message}; {advice}")
        }
        None => format!(
            "{} has not been answered within {}: does the controller run (`kubectl get pods -A -l app.kubernetes.io/name=warmfront`)? The \
             request stands{}; `kubectl delete rolloutaction {} -n {namespace}` takes it back",
            path(action),
            request.timeout,
            match verb {
                Verb::Abort => ", and is carried out whenever the controller sees it",
                Verb::Promote | Verb::PromoteFully | Verb::Pause | Verb::Resume | Verb::Retry =>
                    ", and is carried out if the controller sees it within ten minutes",
            },
            action.name_any()
        ),
    }
}

/// How the command calls it.
fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Promote => "promote",
        Verb::PromoteFully => "promote-fully",
        Verb::Pause => "pause",
        Verb::Resume => "resume",
        Verb::Abort => "abort",
        Verb::Retry => "retry",
    }
}

#[cfg(test)]
mod tests;
