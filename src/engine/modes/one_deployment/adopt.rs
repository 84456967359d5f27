//! Between releases of one Deployment: it is taken over, followed, and a release is begun when one is due.

use crate::{
    api::status::{EndReason, HeldBy, Run},
    engine::{
        draft::{Draft, cursor::Beginning, events::Reason, originals::Serving},
        facts::Facts,
        guards::hold::{self, Verdict},
        modes::one_deployment::exchange,
    },
    kubernetes::pod_name,
    router::RouteId,
    workload::{deployment::Deployment, replica_set::ReplicaSet},
};

/// Between releases of one Deployment.
pub fn rest(facts: &Facts<'_>, next: &mut Draft) {
    let Some(deployment) = &facts.seen.deployment else {
        return;
    };
    if !next.status().taken_over() {
        adopt(facts, deployment, next);
        return;
    }
    hold::note(facts, next);
    follow_hands(facts, next);
    if facts.refusal.is_some()
        || !deployment.paused
        || !deployment.settled()
        || deployment.replicas == 0
        || !facts.seen.finalizer
    {
        return;
    }
    let serving = facts.serving(next.status());
    let at_serving = match serving {
        Some(serving) => facts.wants(serving),
        // Kubernetes makes its ReplicaSet again.
        None => hold::has_serving_template(next.status(), deployment),
    };
    if at_serving {
        return;
    }
    let back = exchange::standby(facts, next.status()).filter(|old| serving.is_some() && facts.wants(old));
    if let Some(old) = back {
        next.undo(
            &old.hash,
            EndReason::Reverted,
            &format!("the template of revision {} was applied again", old.hash),
        );
        return;
    }
    if facts.mode.rejection(facts, next.status()).is_none() {
        release(facts, deployment, serving, next);
    }
}

/// Takes over a Deployment whose own rollout is complete, or that is paused with one version; until then Kubernetes is
/// left alone.
fn adopt(facts: &Facts<'_>, deployment: &Deployment, next: &mut Draft) {
    let Some(serving) = facts.adoptable(deployment) else {
        if !deployment.paused {
            next.note_first_deploy();
        }
        return;
    };
    // How it is held is asked before it is touched.
    if facts.refusal.is_some() || hold::verdict(facts, deployment) == Verdict::NotKnown {
        return;
    }
    next.note_original_pause(deployment);
    next.take_over(&serving.hash, Serving::Stable);
    hold::begin(facts, deployment, next);
    next.remember_routes(facts);
    let routes: Vec<String> = facts
        .plan
        .routes
        .iter()
        .map(|route| RouteId::from(route).to_string())
        .collect();
    let routes = routes.join(", ");
    let doubling = facts.seen.autoscalers.iter().filter(|scaler| scaler.counts_double);
    let double: Vec<String> = doubling
        .map(|scaler| format!("{} {}", scaler.kind, scaler.name))
        .collect();
    let double = match double.as_slice() {
        [] => String::new(),
        names => {
            format!(
                ". {} has Object or Value metrics: during a release they count the new version's pods double",
                names.join(", ")
            )
        }
    };
    let held = match next.status().hold.by {
        HeldBy::ApiServer => "the API server pauses the Deployment in the request that makes it",
        HeldBy::Pause | HeldBy::Unknown => "the Deployment is paused",
    };
    next.tell(
        Reason::Adopted,
        format!(
            "took over Deployment {} (revision {}, {} pods), Service {}, {routes}; from now on a change of the pod template is a release, and {held}{double}",
            deployment.name, serving.hash, deployment.replicas, facts.plan.service
        ),
    );
}

/// Somebody else decided what is served: Kubernetes' own rollout, or a ReplicaSet made anew.
pub fn follow_hands(facts: &Facts<'_>, next: &mut Draft) {
    let Some(deployment) = facts.seen.deployment.as_ref().filter(|_| next.status().taken_over()) else {
        return;
    };
    let lost = facts
        .serving(next.status())
        .is_none_or(|set| !set.owned_by(&deployment.uid) && set.held_by.is_none());
    let by_hand = !deployment.paused && deployment.complete();
    if let (true, [only]) = (lost || by_hand, facts.active_of(deployment).as_slice())
        // An older version that came back by itself, since a paused Deployment lost its ReplicaSet, is not what is asked for.
        && facts.wants(only)
    {
        next.follow(&only.hash);
    }
}

/// Begins the release of the Deployment's template. Without a serving ReplicaSet it is what users get at all.
fn release(facts: &Facts<'_>, deployment: &Deployment, serving: Option<&ReplicaSet>, next: &mut Draft) {
    let Some(stable_revision) = next.status().stable_revision.clone() else {
        return;
    };
    let known = facts
        .seen
        .replica_sets
        .iter()
        .find(|set| !set.deleting && facts.wants(set) && set.hash != stable_revision);
    let (revision, replica_set) = match known {
        Some(set) => (set.hash.clone(), set.name.clone()),
        None => free_revision(facts, deployment),
    };
    let others = match facts.seen.other_services.as_slice() {
        [] => String::new(),
        others => format!(
            "; Services {} select the same pods and see the new version's from the start: name them in spec.traffic.alsoNarrow if they must not",
            others.join(", ")
        ),
    };
    let what = format!("; up to {} extra pods{others}", deployment.replicas);
    next.begin(
        facts,
        Beginning {
            revision,
            replica_set,
            stable_revision,
            recovery: serving.is_none_or(|serving| serving.ready == 0),
            what,
        },
    );
}

/// A revision whose ReplicaSet, and pods, are not named like those of another template.
fn free_revision(facts: &Facts<'_>, deployment: &Deployment) -> (String, String) {
    let mut attempt = 0;
    loop {
        let revision = deployment.template.revision(attempt);
        let name = format!("{}-{revision}", deployment.name);
        if attempt == u32::MAX
            || !facts
                .seen
                .replica_sets
                .iter()
                .any(|set| pod_name::prefix(&set.name) == pod_name::prefix(&name))
        {
            return (revision, name);
        }
        attempt += 1;
    }
}

/// Whether what is released is what the Deployment asks for.
pub fn is_released(facts: &Facts<'_>, deployment: &Deployment, run: &Run) -> bool {
    match facts.canary(run) {
        Some(canary) => facts.wants(canary),
        None => run.replica_set.ends_with(&run.revision) && is_template_of(deployment, &run.revision),
    }
}

/// Whether a revision of ours, whose ReplicaSet does not exist yet, was made from the Deployment's template.
fn is_template_of(deployment: &Deployment, revision: &str) -> bool {
    /// Names taken by other templates are rare; each makes one more attempt.
    const ATTEMPTS: u32 = 8;
    (0..ATTEMPTS).any(|attempt| deployment.template.revision(attempt) == revision)
}
