//! Between releases: adopting the Deployment, keeping and dropping old pods, seeing when a release is due.

use super::{
    Draft, ending, exchange,
    facts::Facts,
    notice::{self, Reason},
    observed::{Deletion, RouteSeen},
    report::clock,
};
use crate::{
    api::{
        CanaryRolloutStatus, Duration, Percent,
        status::{CanaryRolloutStatus as Status, Figures, Growing, Kept, Outcome, Phase, Rejected, Run},
    },
    router::RouteId,
    workload::{deployment::Deployment, pod, replica_set::ReplicaSet},
};

pub(super) fn rest(facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
    drop_kept(facts, next);
    forget_outlived(facts, &mut next.status);
    if facts.seen.deletion != Deletion::No {
        if let Some(deployment) = facts
            .seen
            .deployment
            .as_ref()
            .filter(|_| facts.mode().scales() && next.status.taken_over())
        {
            follow_hands(facts, deployment, &mut next.status);
        }
        ending::let_go(facts, next);
        return;
    }
    facts.mode().rest(facts, accepted, next);
}

/// Between releases of one Deployment.
pub(super) fn one_deployment(facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
    let Some(deployment) = &facts.seen.deployment else {
        return;
    };
    if !next.status.taken_over() {
        adopt(facts, accepted, deployment, next);
        return;
    }
    follow_hands(facts, deployment, &mut next.status);
    if !accepted || !deployment.paused || !deployment.settled() || deployment.replicas == 0 || !facts.seen.finalizer {
        return;
    }
    let Some(serving) = facts.serving(&next.status) else {
        return;
    };
    if let Some(old) = exchange::standby(facts, &next.status).filter(|old| facts.wants(old) && !facts.wants(serving)) {
        exchange::undo(
            next,
            &old.hash,
            "Reverted",
            &format!("the template of revision {} was applied again", old.hash),
        );
        return;
    }
    if !facts.wants(serving) && facts.mode().rejection(facts, &next.status).is_none() {
        release(facts, deployment, serving, next);
    }
}

/// Pods that were kept for a while go once it is over.
fn drop_kept(facts: &Facts<'_>, next: &mut Draft) {
    let scaled = facts.mode().scales();
    if scaled && facts.native_rollout(&next.status) {
        // Users' Services reach all pods, those that are kept too.
        return;
    }
    if let Some(deployment) = facts
        .seen
        .deployment
        .as_ref()
        .filter(|deployment| scaled && !deployment.paused && deployment.complete())
    {
        // With its end the Services are narrowed, and who was reached until then is drained. Once: from here on the
        // Deployment is paused, or what serves is known already.
        let unknown = facts
            .active_of(deployment)
            .iter()
            .all(|set| Some(&set.hash) != next.status.stable_revision.as_ref());
        let is_paused_now = facts.seen.deletion == Deletion::No && deployment.unpaused_by.is_none();
        if unknown || is_paused_now {
            let drained = facts.now + ending::DRAIN.signed();
            next.status
                .kept
                .iter_mut()
                .for_each(|kept| kept.until = kept.until.max(drained));
        }
    }
    let (over, kept) = std::mem::take(&mut next.status.kept)
        .into_iter()
        .partition(|kept: &Kept| kept.until <= facts.now);
    next.status.kept = kept;
    for gone in over.into_iter().filter(|_| scaled) {
        let pods = facts.replica_set(&gone.revision).map_or(0, |set| set.total);
        let why = if gone.standby {
            "the old version is no longer kept"
        } else {
            "it was kept to be looked at, and that time is over"
        };
        if pods > 0 {
            next.tell(
                Reason::ScaledDown,
                format!("revision {}: {pods} pods go; {why}", gone.revision),
            );
        }
    }
}

/// Takes over a Deployment whose own rollout is complete; until then Kubernetes is left alone.
fn adopt(facts: &Facts<'_>, accepted: bool, deployment: &Deployment, next: &mut Draft) {
    if !deployment.complete() || facts.active_of(deployment).len() > 1 {
        next.status.originals.first_deploy |= !deployment.paused;
        return;
    }
    let serving = facts
        .seen
        .replica_sets
        .iter()
        .find(|set| set.owned_by(&deployment.uid) && facts.wants(set));
    let Some(serving) = serving.filter(|_| accepted) else {
        return;
    };
    next.status.originals.paused = Some(deployment.paused);
    next.status.stable_revision = Some(serving.hash.clone());
    next.status.phase = Phase::Idle;
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
    next.tell(
        Reason::Adopted,
        format!(
            "took over Deployment {} (revision {}, {} pods), Service {}, {routes}; from now on a change of the pod template is a release, and the Deployment is paused{double}",
            deployment.name, serving.hash, deployment.replicas, facts.plan.service
        ),
    );
}

/// Somebody else decided what is served: Kubernetes' own rollout, or a ReplicaSet made anew.
fn follow_hands(facts: &Facts<'_>, deployment: &Deployment, status: &mut Status) {
    let lost = facts
        .serving(status)
        .is_none_or(|set| !set.owned_by(&deployment.uid) && set.held_by.is_none());
    let by_hand = !deployment.paused && deployment.complete();
    if let (true, [only]) = (lost || by_hand, facts.active_of(deployment).as_slice()) {
        status.stable_revision = Some(only.hash.clone());
    }
}

/// A rejection has served its purpose once a newer revision was promoted and its ReplicaSet is gone.
fn forget_outlived(facts: &Facts<'_>, status: &mut CanaryRolloutStatus) {
    let promoted = status
        .run
        .as_ref()
        .filter(|run| run.outcome == Some(Outcome::Promoted))
        .map(|run| run.started_at);
    let outlived = |rejected: &Rejected| {
        promoted.is_some_and(|started| started >= rejected.at) && facts.replica_set(&rejected.revision).is_none()
    };
    status.rejected.retain(|rejected| !outlived(rejected));
}

/// Begins the release of the Deployment's template.
fn release(facts: &Facts<'_>, deployment: &Deployment, serving: &ReplicaSet, next: &mut Draft) {
    let known = facts
        .seen
        .replica_sets
        .iter()
        .find(|set| !set.deleting && facts.wants(set) && set.hash != serving.hash);
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
    start(
        facts,
        next,
        Beginning {
            revision,
            replica_set,
            from: serving.hash.clone(),
            recovery: serving.ready == 0,
            what,
        },
    );
}

/// What a release begins with.
pub(super) struct Beginning {
    /// What is released.
    pub revision: String,
    /// The ReplicaSet that has its pods, or will have.
    pub replica_set: String,
    /// What users have.
    pub from: String,
    /// What users have is broken, so nothing waits for it.
    pub recovery: bool,
    /// For people: what it means for their pods.
    pub what: String,
}

/// Begins a release.
pub(super) fn start(facts: &Facts<'_>, next: &mut Draft, beginning: Beginning) {
    let Beginning {
        revision,
        replica_set,
        from,
        recovery,
        what,
    } = beginning;
    let status = &mut next.status;
    let number = status.run.as_ref().map_or(0, |run| run.number) + 1;
    let weight = facts.plan.steps[0].weight;
    let Some(plan) = next.spec.clone() else { return };
    status.kept.retain(|kept| !kept.standby && kept.revision != revision);
    status.run = Some(Run {
        number,
        revision: revision.clone(),
        replica_set,
        stable_revision: from.clone(),
        started_at: facts.now,
        step: 0,
        steps: i32::try_from(facts.plan.steps.len()).unwrap_or(i32::MAX),
        weight: Percent::ZERO,
        entered_at: None,
        weight_confirmed_at: None,
        step_started_at: None,
        intent: None,
        growing: Some(Growing {
            weight,
            since: facts.now,
        }),
        paused_for: None,
        paused_at: None,
        reminders: 0,
        paused_total: Duration::ZERO,
        user_pause: false,
        approved: false,
        hold_waived: false,
        skip_steps: false,
        gates: Vec::new(),
        no_data_since: None,
        capacity_lost: 0,
        carriers: 0,
        recovery,
        narrowed: false,
        undoing: None,
        abort: None,
        ending: None,
        outcome: None,
        reason: None,
        ended_at: None,
        plan,
        judge: crate::api::status::JudgeMemory::default(),
    });
    status.phase = Phase::Preparing;
    status.figures = Figures::default();
    status.checks.clear();
    status.drift = crate::api::status::Drift::default();
    next.remember_routes(facts);
    let steps: Vec<String> = facts.plan.steps.iter().map(|step| step.weight.to_string()).collect();
    let left_out: String = facts
        .found_routes()
        .flat_map(|(id, route)| route.state.left_out.iter().map(move |what| format!("; {id}: {what}")))
        .collect();
    next.tell(
        Reason::ReleaseStarted,
        format!(
            "release {number}: {from} → {revision} in steps {}{what}{left_out}; {}",
            steps.join(", "),
            notice::way_out(facts.plan)
        ),
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
                .any(|set| pod::prefix(&set.name) == pod::prefix(&name))
        {
            return (revision, name);
        }
        attempt += 1;
    }
}

/// Why a rejected revision is not started again by itself.
pub(super) fn rejected_message(rejected: &Rejected) -> String {
    format!(
        "revision {} was rejected at {}: {}: {}; a Retry action starts it again",
        rejected.revision,
        clock(rejected.at),
        rejected.reason,
        rejected.message
    )
}

/// The old version stands by; `how` says what brings it back.
pub(super) fn standby_message(status: &CanaryRolloutStatus, how: &str) -> String {
    let standby = status.kept.iter().find(|kept| kept.standby);
    standby
        .map(|kept| {
            format!(
                "; the old version {} stands by until {}: {how}",
                kept.revision,
                clock(kept.until)
            )
        })
        .unwrap_or_default()
}

impl Draft {
    /// Stores the weights as found, while nothing of ours stands in the routes.
    pub(super) fn remember_routes(&mut self, facts: &Facts<'_>) {
        for (id, route) in facts.found_routes().filter(|(_, route)| route.state.problem.is_none()) {
            let state = &route.state;
            let remembered = &mut self.status.originals.routes;
            // Where the canary's entry may be the user's, our mark of ownership tells that the weights are not.
            if state.canary.is_none()
                || (state.entry_may_stay && route.written_at.is_none() && state.carries(Percent::ZERO))
            {
                remembered.insert(id.key(), state.weights.clone());
            } else if let Some(known) = remembered
                .get_mut(&id.key())
                .filter(|known| state.entry_may_stay && (known.rules.len(), state.rules.len()) != (1, 1))
            {
                // A rule that its owner has added since; the only one may as well have got another name.
                let found = state.rules.iter().filter(|rule| rule.routed).zip(&state.weights.rules);
                let untouched = found
                    .filter(|(rule, _)| rule.parts.is_none_or(|(_, canary)| canary <= 0))
                    .map(|(_, found)| found);
                let new: Vec<_> = untouched
                    .filter(|found| known.rules.iter().all(|rule| rule.rule != found.rule))
                    .cloned()
                    .collect();
                known.rules.extend(new);
            }
        }
    }

    /// Forgets routes that the plan no longer names, once nothing of ours is left in them.
    pub(super) fn forget_routes(&mut self, facts: &Facts<'_>) {
        self.status.originals.routes.retain(|key, _| {
            let Some(id) = RouteId::from_key(key) else { return false };
            facts.names(&id)
                || match facts.seen.routes.get(&id) {
                    Some(RouteSeen::Found(route)) => {
                        !route.state.entry_gone()
                            || route.written_at.is_some()
                            || matches!(route.acceptance, crate::router::Acceptance::Waiting(_))
                    }
                    // Not looked at yet, or not readable now.
                    None | Some(RouteSeen::Unusable(_)) => true,
                    Some(RouteSeen::NotInstalled | RouteSeen::Missing) => false,
                }
        });
    }

    /// Keeps the pods of a ReplicaSet for a while.
    pub(super) fn keep(&mut self, revision: &str, length: Duration, standby: bool) {
        self.status.kept.retain(|kept| kept.revision != revision);
        let until = self.now + length.signed();
        self.status.kept.push(Kept {
            revision: revision.to_owned(),
            until,
            standby,
        });
    }
}
