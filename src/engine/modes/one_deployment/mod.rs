//! One Deployment: every change of its template is a release, in a ReplicaSet that is held apart until it is promoted.

mod adopt;
mod at_rest;
mod desired;
mod exchange;

use std::ops::ControlFlow;

use jiff::SignedDuration;

use crate::{
    api::{
        CanaryRolloutStatus, Percent, Plan,
        condition::Refusal,
        status::{EndReason, NO_FIGURE, Outcome, Phase, Rejected, Run},
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::{
            self, Facts,
            mode::{Mode, Side},
            text,
        },
        guards::{
            gates, hold, holds,
            refusal::{self, name_too_long},
        },
        modes::{Workflow, texts, want::Desired},
    },
    workload::deployment::Deployment,
};

pub struct OneDeployment;

impl Mode for OneDeployment {
    fn unfit(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Refusal, String)> {
        let name = &facts.plan.deployment;
        let Some(deployment) = &facts.seen.deployment else {
            return Some((Refusal::TargetNotFound, format!("Deployment {name} does not exist")));
        };
        if deployment.recreate {
            let why =
                format!("Deployment {name} has strategy Recreate, which asks that two versions never run together");
            return Some((Refusal::UnsupportedWorkload, why));
        }
        if let Some(why) = hold::contested(facts, status) {
            return Some((Refusal::PauseContested, why));
        }
        if deployment.selector_expressions || deployment.selector.is_empty() {
            let why = format!(
                "the selector of Deployment {name} must consist of matchLabels: Services cannot express anything else"
            );
            return Some((Refusal::UnsupportedWorkload, why));
        }
        name_too_long(name)
            .or_else(|| ready_too_late(facts, deployment))
            .or_else(|| unfit_service(facts, deployment, status))
            .or_else(|| several_active(facts, deployment, status))
    }

    fn is_over(&self, _: &CanaryRolloutStatus) -> bool {
        false
    }

    fn keeps_pods(&self) -> bool {
        true
    }

    fn narrows_services(&self) -> bool {
        true
    }

    fn holds_templates(&self) -> bool {
        true
    }

    fn leaves_entry(&self) -> bool {
        false
    }

    fn whose_pods(&self, _: &Facts<'_>) -> Option<String> {
        None
    }

    fn phase_without_run(&self, _: &Facts<'_>) -> Phase {
        Phase::Idle
    }

    fn way_out(&self, plan: &Plan) -> String {
        format!(
            "to roll out natively in an emergency: kubectl rollout resume deployment/{}; while no controller runs, first: kubectl patch service {} --type=json -p '[{{\"op\":\"remove\",\"path\":\"/spec/selector/pod-template-hash\"}}]'",
            plan.deployment, plan.service
        )
    }

    fn candidate<'a>(&self, facts: &Facts<'a>, run: &Run) -> Side<'a> {
        Side {
            sets: facts.canary(run).into_iter().collect(),
            service: &facts.plan.canary_service,
        }
    }

    fn stable<'a>(&self, facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Side<'a> {
        Side {
            sets: facts.serving(status).into_iter().collect(),
            service: &facts.plan.service,
        }
    }

    fn serving<'a>(&self, facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Side<'a> {
        let mut side = self.stable(facts, status);
        let run = status.run.as_ref().filter(|run| run.ended_at.is_none());
        let taking_over = run.filter(|run| status.phase == Phase::Promoting || run.undoing.is_some());
        side.sets
            .extend(taking_over.and_then(|run| facts.replica_set(facts::successor(run))));
        let deployment = facts.seen.deployment.as_ref();
        // Kubernetes decides what serves.
        let native = deployment.filter(|deployment| !deployment.paused || !status.taken_over());
        side.sets
            .extend(native.map(|deployment| facts.active_of(deployment)).unwrap_or_default());
        side
    }

    fn candidate_workload(&self, _: &Facts<'_>, run: &Run) -> String {
        run.replica_set.clone()
    }

    fn stable_workload(&self, _: &Facts<'_>, stable: &Side<'_>) -> String {
        stable.names().pop().unwrap_or_default()
    }

    fn to_begin(&self, facts: &Facts<'_>, weight: Percent) -> u32 {
        facts.size_for(weight)
    }

    fn unfinished(&self, _: &Facts<'_>) -> Option<String> {
        None
    }

    fn unsettled(&self, _: &Facts<'_>, _: &CanaryRolloutStatus) -> Option<String> {
        None
    }

    fn rejection<'s>(&self, facts: &Facts<'_>, status: &'s CanaryRolloutStatus) -> Option<&'s Rejected> {
        let template = &facts.seen.deployment.as_ref()?.template;
        status
            .rejected
            .iter()
            .find(|rejected| match facts.replica_set(&rejected.revision) {
                Some(set) => set.template == *template,
                // Its ReplicaSet is gone; a revision of ours still tells the template.
                None => template.revision(0) == rejected.revision,
            })
    }

    fn finishes_forward(&self) -> bool {
        true
    }

    fn is_reversible(&self, facts: &Facts<'_>, run: &Run) -> bool {
        facts.canary(run).is_none_or(|new| new.held_by.is_some())
    }

    fn has_taken_over(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Option<String> {
        let new = exchange::adopted(facts, status, run)?;
        Some(format!("{} pods adopted, none restarted", new.total))
    }

    fn standby(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
        exchange::standby(facts, status).map(|set| set.hash.clone())
    }

    fn promoted(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str) {
        let at_serving = facts.serving(status).is_some_and(|set| facts.wants(set));
        if !at_serving {
            return (false, "NotStarted");
        }
        let promoted = status.run.as_ref().filter(|run| run.outcome == Some(Outcome::Promoted));
        let is_promoted = promoted.is_some_and(|run| Some(&run.revision) == status.stable_revision.as_ref());
        match (is_promoted, &status.run) {
            (true, _) => (true, "Promoted"),
            (false, Some(_)) => (true, "AtStable"),
            (false, None) if status.originals.first_deploy => (true, "FirstDeploy"),
            (false, None) => (true, "Adopted"),
        }
    }

    fn speaks_of_newest(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
        let Some(deployment) = &facts.seen.deployment else {
            return false;
        };
        // Between releases conditions compare templates, as they are now.
        let run = status.run.as_ref().filter(|_| status.is_active());
        run.is_none_or(|run| adopt::is_released(facts, deployment, run))
    }

    fn baseline_generation(&self, _: &Facts<'_>, _: &CanaryRolloutStatus) -> Option<i64> {
        None
    }

    fn promoting_message(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> String {
        let stage = exchange::stage(facts, status, run);
        match &run.undoing {
            Some(old) => format!("the pods of {old} take over again: {stage:?}"),
            None => format!("the Deployment takes over the pods of {}: {stage:?}", run.revision),
        }
    }

    fn rest_message(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
        let Some(deployment) = &facts.seen.deployment else {
            return String::new();
        };
        if !status.taken_over() {
            return format!(
                "waiting for the first rollout of Deployment {}: {}/{} Available{}",
                deployment.name,
                deployment.available,
                deployment.replicas,
                paused_before(deployment)
            );
        }
        let lost = facts.serving(status).is_none() && hold::has_serving_template(status, deployment);
        if lost {
            let stable = status.stable_revision.as_deref().unwrap_or(NO_FIGURE);
            return format!(
                "the ReplicaSet of revision {stable} was deleted: Kubernetes makes it again, {}/{} pods up to date and Available",
                deployment.updated.min(deployment.available),
                deployment.replicas
            );
        }
        if facts.rolls_out(status) {
            return format!(
                "Deployment {} is not paused: Kubernetes rolls it out, {}/{} up to date",
                deployment.name, deployment.updated, deployment.replicas
            );
        }
        if let Some(rejected) = self.rejection(facts, status) {
            return texts::rejected_message(rejected);
        }
        let at_serving = facts.serving(status).is_some_and(|set| facts.wants(set));
        if !at_serving && deployment.replicas == 0 {
            return format!(
                "a new template waits: Deployment {} has 0 replicas, and at 0 no release starts",
                deployment.name
            );
        }
        let stable = status.stable_revision.as_deref().unwrap_or(NO_FIGURE);
        let standby = texts::standby_message(status, "an Abort action, or its template, brings it back at once");
        format!("revision {stable} serves{standby}")
    }

    fn departure(&self, _: &Facts<'_>, _: &CanaryRolloutStatus) -> Option<String> {
        None
    }
}

impl Workflow for OneDeployment {
    fn rest(&self, facts: &Facts<'_>, next: &mut Draft) {
        adopt::rest(facts, next);
    }

    fn follow(&self, facts: &Facts<'_>, next: &mut Draft) {
        adopt::follow_hands(facts, next);
    }

    fn end_if_overtaken(&self, facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()> {
        let Some(deployment) = &facts.seen.deployment else {
            return ControlFlow::Continue(());
        };
        if !deployment.paused {
            let by = text::by(deployment.other_manager.as_deref());
            hold::note_unpaused(facts, next);
            next.go_back(EndReason::Unpaused, &format!("the Deployment was unpaused by hand{by}"));
            return ControlFlow::Break(());
        }
        if facts.serving(next.status()).is_some_and(|serving| facts.wants(serving)) {
            let message = format!(
                "the template of stable revision {} was applied again",
                run.stable_revision
            );
            next.go_back(EndReason::Reverted, &message);
            return ControlFlow::Break(());
        }
        if adopt::is_released(facts, deployment, run) {
            return ControlFlow::Continue(());
        }
        let baked = next.status().phase == Phase::Baking && holds::only_time_is_left(facts, run, &next.status().checks);
        if baked && !gates::left_to_ask(facts, run) {
            // It has passed everything: promote it now, or whoever releases daily never gets through a long bake.
            next.promote();
            return ControlFlow::Break(());
        }
        next.go_back(EndReason::NewerRevision, "a newer template was applied");
        ControlFlow::Break(())
    }

    fn tell_release(&self, facts: &Facts<'_>, next: &mut Draft) {
        let name = &facts.plan.deployment;
        next.tell(
            Reason::Released,
            format!("Deployment {name}, its ReplicaSets, Services and routes are given back"),
        );
        let paused = facts
            .seen
            .deployment
            .as_ref()
            .is_some_and(|deployment| deployment.paused);
        if paused && facts.serving(next.status()).is_some_and(|set| !facts.wants(set)) {
            next.tell(
                Reason::LeftPaused,
                format!("Deployment {name} stays paused: its template is not the version that serves, and unpausing would ship it to everyone. Change the template back, or run: kubectl rollout resume deployment/{name}"),
            );
        }
    }

    fn desired(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired {
        desired::desired(facts, status)
    }
}

/// How a Deployment that is found paused is taken over.
fn paused_before(deployment: &Deployment) -> &'static str {
    if deployment.paused {
        "; it is paused, and taken over once one ReplicaSet has all its pods and all are Available"
    } else {
        ""
    }
}

/// Pods would count as Available only when nobody waits for them any more.
fn ready_too_late(facts: &Facts<'_>, deployment: &Deployment) -> Option<(Refusal, String)> {
    let (late, deadline) = (deployment.min_ready_seconds, facts.plan.progress_deadline);
    let too_late = SignedDuration::from_secs(i64::from(late)) > deadline.signed();
    too_late.then(|| {
        let why = format!(
            "pods of Deployment {} count as Available after minReadySeconds: {late}, and spec.progressDeadline is {deadline}: every release would end as NotReady. Raise the deadline above it",
            deployment.name
        );
        (Refusal::UnsupportedWorkload, why)
    })
}

fn unfit_service(
    facts: &Facts<'_>,
    deployment: &Deployment,
    status: &CanaryRolloutStatus,
) -> Option<(Refusal, String)> {
    let plan = facts.plan;
    let sets: Vec<_> = facts.seen.replica_sets.iter().collect();
    let serving = match facts.serving(status) {
        Some(serving) => Some(serving),
        None => facts.active_of(deployment).into_iter().next(),
    };
    let unfit = |name: &String| {
        refusal::unfit_service(facts, name, deployment, &sets, "narrowed, it would lose it")
            .or_else(|| refusal::without_pods(facts, name, serving?))
    };
    let unfit = std::iter::once(&plan.service).chain(&plan.also_narrow).find_map(unfit);
    if let Some(unfit) = unfit.or_else(|| refusal::unfit_ports(facts, deployment, serving)) {
        return Some(unfit);
    }
    let taken = facts
        .seen
        .services
        .get(&plan.canary_service)
        .is_some_and(|service| service.made_by.as_deref() != Some(&facts.id.name));
    taken.then(|| {
        let why = format!(
            "Service {} exists and is not Warmfront's: name another one in spec.traffic.canaryService",
            plan.canary_service
        );
        (Refusal::CanaryServiceConflict, why)
    })
}

fn several_active(
    facts: &Facts<'_>,
    deployment: &Deployment,
    status: &CanaryRolloutStatus,
) -> Option<(Refusal, String)> {
    let active = facts.active_of(deployment);
    let stuck = deployment.paused && active.len() > 1 && !status.taken_over();
    stuck.then(|| {
        let names: Vec<&str> = active.iter().map(|set| set.name.as_str()).collect();
        let why = format!(
            "Deployment {} is paused half-way with {}: finish or undo its rollout first",
            deployment.name,
            names.join(" and ")
        );
        (Refusal::RolloutIncomplete, why)
    })
}
