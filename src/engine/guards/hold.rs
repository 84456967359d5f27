//! What keeps a changed template from being rolled out by Kubernetes itself between releases: the API server where that
//! is certain, else a pause. And other hands that undo it.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus,
        status::{HeldBy, Hold, Unpaused},
    },
    engine::{
        contract::{
            kind::Kind,
            observed::{Deletion, Policy, Probed},
        },
        draft::{Draft, events::Reason},
        facts::{Facts, text},
    },
    workload::deployment::Deployment,
};

/// So many times a manager may unpause the Deployment in a day; the last time contests the pause.
const CONTESTED: usize = 3;
/// For so long it is remembered.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Times that are remembered.
const REMEMBERED: usize = 12;
/// So long an API server that does not answer a dry run changes nothing; after that it counts as one that does not hold.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);
/// So long an API server may take to follow a policy that was just made: meanwhile it is asked again.
const SETTLES: SignedDuration = SignedDuration::from_secs(60);
/// Least time between two dry runs that are not answered.
const LEAST_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// Longest.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// Whether the API server holds a changed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A dry run has shown it.
    Holds,
    /// It does not; why.
    DoesNot(String),
    /// Nobody knows yet.
    NotKnown,
}

/// Whether the API server holds a changed template of this Deployment.
pub fn verdict(facts: &Facts<'_>, deployment: &Deployment) -> Verdict {
    if let Policy::Absent(why) = &facts.seen.policy {
        return Verdict::DoesNot(why.clone());
    }
    if let (false, Some(obstacle)) = (is_labelled(facts, deployment), facts.seen.obstacle_to(Kind::Deployment)) {
        return Verdict::DoesNot(format!("its label cannot be put on: {}", obstacle.message));
    }
    match &facts.seen.probed {
        Some(Probed::Holds) => Verdict::Holds,
        Some(Probed::DoesNotHold { why, .. }) => Verdict::DoesNot(why.clone()),
        Some(Probed::Unanswered { since, why }) if facts.now.duration_since(*since) >= PATIENCE => {
            Verdict::DoesNot(format!("no answer since {}: {why}", text::clock(*since)))
        }
        None | Some(Probed::Unanswered { .. }) => Verdict::NotKnown,
    }
}

/// Whether a dry run is to be made: at rest, once for each policy, again while it is not answered or the API server may not follow
/// the policy yet, and when a changed template was not held.
pub fn wants_probe(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    let Some(deployment) = &facts.seen.deployment else {
        return false;
    };
    let asked = facts.mode.holds_templates()
        && facts.seen.deletion == Deletion::No
        && facts.seen.elder.is_none()
        && status.phase.is_at_rest()
        && matches!(facts.seen.policy, Policy::Standing(_))
        && (status.taken_over() || facts.adoptable(deployment).is_some());
    let open = match &facts.seen.probed {
        None | Some(Probed::Unanswered { .. }) => true,
        Some(Probed::DoesNotHold { since, .. }) => facts.now.duration_since(*since) < SETTLES,
        Some(Probed::Holds) => false,
    };
    asked && (open || slipped(facts, status, deployment))
}

/// When to look again although nothing has changed.
pub fn moments(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Timestamp> {
    let asks_again = match &facts.seen.probed {
        Some(Probed::Unanswered { since, .. } | Probed::DoesNotHold { since, .. }) => {
            // The longer it lasts, the more seldom it is asked.
            let wait = facts.now.duration_since(*since).clamp(LEAST_WAIT, LONGEST_WAIT);
            Some(facts.now.plus(wait))
        }
        None => Some(facts.now.plus(LEAST_WAIT)),
        Some(Probed::Holds) => None,
    };
    let asks_again = asks_again.filter(|_| wants_probe(facts, status));
    let forgets = contested(facts, status).and_then(|_| Some(status.hold.unpaused.first()?.at.plus(REMEMBERED_FOR)));
    asks_again.into_iter().chain(forgets).collect()
}

/// Whether our label is on the Deployment.
fn is_labelled(facts: &Facts<'_>, deployment: &Deployment) -> bool {
    deployment.rollout() == Some(&facts.id.name)
}

/// The Deployment has the serving version's template.
fn at_serving(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    facts.serving(status).is_some_and(|serving| facts.wants(serving))
}

/// A changed template is being rolled out by Kubernetes although the API server was to hold it.
fn slipped(facts: &Facts<'_>, status: &CanaryRolloutStatus, deployment: &Deployment) -> bool {
    let hold = &status.hold;
    status.taken_over()
        && hold.by == HeldBy::ApiServer
        && !hold.paused
        && !deployment.paused
        && hold.deployment == deployment.uid
        && is_labelled(facts, deployment)
        && !at_serving(facts, status)
        && !has_serving_template(status, deployment)
}

/// The Deployment asks for what serves, or served until its ReplicaSet was deleted.
pub fn has_serving_template(status: &CanaryRolloutStatus, deployment: &Deployment) -> bool {
    status.hold.template.as_deref() == Some(deployment.template.revision(0).as_str())
}

/// What is asked of `spec.paused` between releases; nothing leaves it as it is.
pub fn wanted_pause(facts: &Facts<'_>, status: &CanaryRolloutStatus, deployment: &Deployment) -> Option<bool> {
    let Some(serving) = facts.serving(status) else {
        // Unpaused, Kubernetes makes the same version again; otherwise it would ship one that nobody judged.
        return has_serving_template(status, deployment).then_some(false);
    };
    // Its own rollout is over: it has the serving version's ReplicaSet in its hands.
    let native = facts.wants(serving) && serving.owned_by(&deployment.uid) && serving.held_by.is_none();
    match status.hold.by {
        // Who has paused it by hand has a reason.
        HeldBy::ApiServer if native && deployment.paused_by.is_some() => None,
        HeldBy::ApiServer if native => Some(false),
        // Whose manifests say otherwise is told so, and not fought.
        HeldBy::ApiServer | HeldBy::Pause | HeldBy::Unknown => contested(facts, status).is_none().then_some(true),
    }
}

/// Why the pause is contested: by a manifest that says otherwise, or by a manager that undoes it time and again.
pub fn contested(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
    let deployment = facts.seen.deployment.as_ref()?;
    let name = &deployment.name;
    if let Some(manager) = &deployment.unpaused_by {
        return Some(format!(
            "manager {manager} holds spec.paused: false of Deployment {name}: with it every release would go round the steps. Remove the field from its manifests"
        ));
    }
    let recent = || {
        let oldest = facts.now.minus(REMEMBERED_FOR);
        status.hold.unpaused.iter().filter(move |unpaused| unpaused.at > oldest)
    };
    let by = recent().find(|one| recent().filter(|other| other.by == one.by).count() >= CONTESTED)?;
    let by = by.by.as_deref().unwrap_or("another hand");
    Some(format!(
        "{by} has unpaused Deployment {name} {CONTESTED} times in a day: with that every release goes round the steps. Remove spec.paused: false from its manifests, then create a RolloutAction Resume"
    ))
}

/// Why the Deployment is paused between releases, if it is.
pub fn why_paused(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
    let deployment = facts.seen.deployment.as_ref().filter(|_| status.taken_over())?;
    if !facts.mode.holds_templates() || status.hold.by == HeldBy::ApiServer {
        return None;
    }
    match verdict(facts, deployment) {
        Verdict::DoesNot(why) => Some(why),
        Verdict::Holds | Verdict::NotKnown => None,
    }
}

/// Takes in how the Deployment is held when it is taken over. It is paused or not as it was found.
pub fn begin(facts: &Facts<'_>, deployment: &Deployment, next: &mut Draft) {
    let by = match verdict(facts, deployment) {
        Verdict::Holds => HeldBy::ApiServer,
        Verdict::DoesNot(_) | Verdict::NotKnown => HeldBy::Pause,
    };
    *next.hold_mut() = Hold { by, ..Hold::default() };
    remember(facts, deployment, next);
}

/// Between releases: who holds a changed template, and what other hands have done to that.
pub fn note(facts: &Facts<'_>, next: &mut Draft) {
    let Some(deployment) = &facts.seen.deployment else {
        return;
    };
    let known = next.status().hold.deployment == deployment.uid;
    if known && next.status().hold.paused && !deployment.paused {
        note_unpaused(facts, next);
    } else if slipped(facts, next.status(), deployment) {
        lose(
            facts,
            next,
            "a changed template was not held, and Kubernetes rolls it out",
        );
    }
    if known && next.status().hold.labelled && !is_labelled(facts, deployment) {
        next.tell(
            Reason::HoldDrift,
            format!(
                "the label warmfront.dev/rollout was taken off Deployment {}{}, and without it the API server does not hold a changed template: it is put back",
                deployment.name,
                text::by(deployment.other_manager.as_deref())
            ),
        );
    }
    choose(facts, deployment, next);
    remember(facts, deployment, next);
}

/// The API server holds a changed template from now on, or does no longer.
fn choose(facts: &Facts<'_>, deployment: &Deployment, next: &mut Draft) {
    let calm = at_serving(facts, next.status()) && !facts.rolls_out(next.status());
    match (verdict(facts, deployment), next.status().hold.by) {
        (Verdict::Holds, HeldBy::Pause | HeldBy::Unknown) if calm && is_labelled(facts, deployment) => {
            next.hold_mut().by = HeldBy::ApiServer;
            next.tell(
                Reason::HoldGained,
                format!(
                    "the API server pauses Deployment {} in the request that changes its template: until then it is paused no longer",
                    deployment.name
                ),
            );
        }
        (Verdict::DoesNot(why), HeldBy::ApiServer) => lose(facts, next, &why),
        (Verdict::Holds | Verdict::DoesNot(_) | Verdict::NotKnown, _) => {}
    }
}

fn lose(facts: &Facts<'_>, next: &mut Draft, why: &str) {
    next.hold_mut().by = HeldBy::Pause;
    next.tell(
        Reason::HoldLost,
        format!(
            "the API server does not hold a changed template of Deployment {} any more ({why}): it is paused between releases from now on",
            facts.plan.deployment
        ),
    );
}

/// Remembers what is seen, by which the next look knows what another hand has done.
fn remember(facts: &Facts<'_>, deployment: &Deployment, next: &mut Draft) {
    let template = at_serving(facts, next.status()).then(|| deployment.template.revision(0));
    let labelled = is_labelled(facts, deployment);
    let oldest = facts.now.minus(REMEMBERED_FOR);
    let hold = next.hold_mut();
    hold.deployment.clone_from(&deployment.uid);
    hold.paused = deployment.paused;
    hold.labelled = labelled;
    hold.template = template.or(hold.template.take());
    hold.unpaused.retain(|unpaused| unpaused.at > oldest);
}

/// Another hand has unpaused the Deployment: Kubernetes rolls it out.
pub fn note_unpaused(facts: &Facts<'_>, next: &mut Draft) {
    let Some(deployment) = &facts.seen.deployment else {
        return;
    };
    let by = deployment.other_manager.clone();
    let follows = if at_serving(facts, next.status()) {
        "nothing is rolled out, since it has the template of the version that serves"
    } else {
        "Kubernetes rolls it out"
    };
    next.tell(
        Reason::Unpaused,
        format!(
            "Deployment {} was unpaused by another hand{}: {follows}",
            deployment.name,
            text::by(by.as_deref())
        ),
    );
    let hold = next.hold_mut();
    hold.paused = false;
    hold.unpaused.push(Unpaused { by, at: facts.now });
    let surplus = hold.unpaused.len().saturating_sub(REMEMBERED);
    hold.unpaused.drain(..surplus);
}

/// A person has settled who may unpause the Deployment: it is counted anew. False if nobody's count contests the pause.
pub fn settle(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let counts = contested(facts, next.status()).is_some() && !next.status().hold.unpaused.is_empty();
    if counts {
        next.hold_mut().unpaused.clear();
    }
    counts
}
