//! A pair: traffic is moved from the baseline Deployment to the candidate, and nothing else is touched.
//!
//! A revision is the `pod-template-hash` that Kubernetes gave to the ReplicaSet of a Deployment's template: the one
//! hash that survives an upgrade of the API server, and that comes back when an older template is applied again.
//! A release is due while the baseline has all traffic and the candidate's revision was not rejected. Once the
//! candidate is promoted there is nothing left to release: the phase `Succeeded` says that it serves, and only an
//! Abort while the old version is kept goes back from there.

mod reading;
mod rest;

use std::ops::ControlFlow;

use crate::{
    api::{
        CanaryRolloutStatus, Percent, Plan,
        condition::Refusal,
        status::{EndReason, NO_FIGURE, Phase, Rejected, Run},
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::{
            Facts,
            mode::{Mode, Side},
            text,
        },
        guards::refusal::{self, name_too_long},
        modes::{Workflow, route_want, texts, want::Desired},
    },
    router::{RouteId, Want},
};
use reading::{baseline_name, candidate_has_all, candidate_serves, current, departed, progress, sets, shares};

/// Two Deployments and two Services that stay their owner's.
pub struct Pair;

impl Mode for Pair {
    fn unfit(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Refusal, String)> {
        let plan = facts.plan;
        let missing = |name: &str| Some((Refusal::TargetNotFound, format!("Deployment {name} does not exist")));
        let Some(candidate) = &facts.seen.deployment else {
            return missing(&plan.deployment);
        };
        if self.is_over(status) {
            return None;
        }
        let Some(baseline) = &facts.seen.baseline else {
            return missing(baseline_name(facts));
        };
        for (deployment, service) in [(baseline, &plan.service), (candidate, &plan.canary_service)] {
            let mixed = "a share of its requests would reach neither version";
            let unfit = name_too_long(&deployment.name)
                .or_else(|| refusal::unfit_service(facts, service, deployment, &sets(facts, deployment), mixed));
            if unfit.is_some() {
                return unfit;
            }
        }
        let undecided = facts
            .found_routes()
            .find(|(_, route)| !status.taken_over() && shares(route).0 != shares(route).1);
        let differ = facts.found_routes().any(|(_, route)| shares(route).0 > Percent::ZERO)
            && !candidate_has_all(facts)
            && !status.taken_over();
        let (id, route) = undecided.or_else(|| facts.found_routes().find(|_| differ))?;
        let why = format!(
            "{id} gives Service {} {} already, and not everything in every rule: give it weight 0, from where Warmfront raises it, or everything",
            plan.canary_service,
            shares(route).0
        );
        Some((Refusal::UnsupportedFeature, why))
    }

    fn is_over(&self, status: &CanaryRolloutStatus) -> bool {
        candidate_serves(status)
    }

    fn keeps_pods(&self) -> bool {
        false
    }

    fn narrows_services(&self) -> bool {
        false
    }

    fn holds_templates(&self) -> bool {
        false
    }

    fn leaves_entry(&self) -> bool {
        true
    }

    fn whose_pods(&self, facts: &Facts<'_>) -> Option<String> {
        Some(format!("Deployment {}", facts.plan.deployment))
    }

    fn phase_without_run(&self, facts: &Facts<'_>) -> Phase {
        if candidate_has_all(facts) {
            Phase::Succeeded
        } else {
            Phase::Idle
        }
    }

    fn way_out(&self, plan: &Plan) -> String {
        let routes: Vec<&str> = plan.routes.iter().map(|route| route.name.as_str()).collect();
        format!(
            "in an emergency an Abort action brings all traffic back to Deployment {}; while no controller runs, set the weights in route {} by hand",
            plan.baseline.as_deref().unwrap_or_default(),
            routes.join(", ")
        )
    }

    fn candidate<'a>(&self, facts: &Facts<'a>, run: &Run) -> Side<'a> {
        let Some(candidate) = &facts.seen.deployment else {
            return Side {
                service: &facts.plan.canary_service,
                ..Side::default()
            };
        };
        let mut sets = sets(facts, candidate);
        sets.retain(|set| set.hash == run.revision);
        Side {
            sets,
            service: &facts.plan.canary_service,
        }
    }

    fn stable<'a>(&self, facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Side<'a> {
        let (serving, service) = if candidate_serves(status) {
            (&facts.seen.deployment, &facts.plan.canary_service)
        } else {
            (&facts.seen.baseline, &facts.plan.service)
        };
        Side {
            sets: serving.as_ref().map(|serving| sets(facts, serving)).unwrap_or_default(),
            service,
        }
    }

    fn candidate_workload(&self, facts: &Facts<'_>, _: &Run) -> String {
        facts.plan.deployment.clone()
    }

    fn stable_workload(&self, facts: &Facts<'_>, _: &Side<'_>) -> String {
        baseline_name(facts).to_owned()
    }

    fn to_begin(&self, facts: &Facts<'_>, _: Percent) -> u32 {
        facts.size_for(Percent::FULL)
    }

    fn unfinished(&self, facts: &Facts<'_>) -> Option<String> {
        let candidate = facts
            .seen
            .deployment
            .as_ref()
            .filter(|candidate| !candidate.complete())?;
        Some(format!("its own rollout is not over ({})", progress(candidate)))
    }

    /// A baseline that was changed holds the weight until it is whole: nothing is compared with two versions at once.
    fn unsettled(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
        let baseline = facts.seen.baseline.as_ref()?;
        let same = current(facts, baseline).is_some_and(|set| Some(&set.hash) == status.stable_revision.as_ref());
        // One that was changed to and fro still has pods of both templates.
        let mixed = !baseline.settled() || baseline.total > baseline.updated;
        (!same || mixed).then(|| {
            format!(
                "Deployment {} to be whole after its change ({})",
                baseline.name,
                progress(baseline)
            )
        })
    }

    fn rejection<'s>(&self, facts: &Facts<'_>, status: &'s CanaryRolloutStatus) -> Option<&'s Rejected> {
        let set = current(facts, facts.seen.deployment.as_ref()?)?;
        status.rejected.iter().find(|rejected| rejected.revision == set.hash)
    }

    fn finishes_forward(&self) -> bool {
        false
    }

    fn is_reversible(&self, _: &Facts<'_>, _: &Run) -> bool {
        true
    }

    fn has_taken_over(&self, facts: &Facts<'_>, _: &CanaryRolloutStatus, run: &Run) -> Option<String> {
        let (weight, name) = if run.undoing.is_some() {
            (Percent::ZERO, baseline_name(facts))
        } else {
            (Percent::FULL, facts.plan.deployment.as_str())
        };
        facts.weight_confirmed(weight).ok()?;
        Some(format!("Deployment {name} has all traffic"))
    }

    fn standby(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
        let kept = status.kept.iter().find(|kept| kept.standby)?;
        let ready: u32 = sets(facts, facts.seen.baseline.as_ref()?)
            .iter()
            .map(|set| set.ready)
            .sum();
        (ready > 0).then(|| kept.revision.clone())
    }

    fn promoted(&self, _: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str) {
        match (candidate_serves(status), &status.run) {
            (true, Some(_)) => (true, "Promoted"),
            (true, None) => (true, "Adopted"),
            (false, _) => (false, "NotStarted"),
        }
    }

    fn speaks_of_newest(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
        let Some(candidate) = &facts.seen.deployment else {
            return false;
        };
        let newest = current(facts, candidate);
        match status.run.as_ref().filter(|_| status.is_active()) {
            Some(run) => {
                let released = self.candidate(facts, run).sets;
                released.iter().any(|set| set.template == candidate.template)
            }
            // It serves: that is so of a changed template once Kubernetes has rolled it out.
            None if candidate_serves(status) => {
                candidate.complete() && newest.is_some_and(|set| Some(&set.hash) == status.stable_revision.as_ref())
            }
            // Its revision is known when Kubernetes has made its ReplicaSet, which it does not while the Deployment is paused.
            None => newest.is_some() || candidate.paused || candidate.settled(),
        }
    }

    fn baseline_generation(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<i64> {
        let baseline = facts.seen.baseline.as_ref()?;
        let whole =
            || baseline.complete() && current(facts, baseline).map(|set| &set.hash) == status.stable_revision.as_ref();
        let serves = status.taken_over() && !candidate_serves(status);
        (!serves || whole()).then_some(baseline.generation)
    }

    fn promoting_message(&self, facts: &Facts<'_>, _: &CanaryRolloutStatus, run: &Run) -> String {
        let (weight, name) = if run.undoing.is_some() {
            (Percent::ZERO, baseline_name(facts))
        } else {
            (Percent::FULL, facts.plan.deployment.as_str())
        };
        let waiting = facts
            .weight_confirmed(weight)
            .err()
            .map(|what| format!(": waiting for {what}"))
            .unwrap_or_default();
        format!("all traffic goes to Deployment {name}{waiting}")
    }

    fn rest_message(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
        let (Some(candidate), name) = (&facts.seen.deployment, baseline_name(facts)) else {
            return String::new();
        };
        if !status.taken_over() {
            let baseline = facts.seen.baseline.as_ref().map(progress).unwrap_or_default();
            return format!("waiting for the rollout of Deployment {name}: {baseline}");
        }
        if candidate_serves(status) {
            let standby = texts::standby_message(status, "an Abort action brings its traffic back at once");
            let departed = self
                .departure(facts, status)
                .map(|what| format!("; {what}"))
                .unwrap_or_default();
            let revision = status.stable_revision.as_deref().unwrap_or(NO_FIGURE);
            return format!(
                "Deployment {} serves (revision {revision}){standby}{departed}",
                candidate.name
            );
        }
        if let Some(rejected) = self.rejection(facts, status) {
            return texts::rejected_message(rejected);
        }
        if candidate.replicas == 0 {
            return format!(
                "Deployment {name} serves; Deployment {} has 0 replicas, and at 0 no release starts",
                candidate.name
            );
        }
        if current(facts, candidate).is_none() {
            let paused = if candidate.paused { ", which is paused" } else { "" };
            return format!(
                "Deployment {name} serves; waiting for Kubernetes to roll out Deployment {}{paused}",
                candidate.name
            );
        }
        format!("Deployment {name} serves")
    }

    fn departure(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String> {
        let (id, route) = departed(facts).filter(|_| candidate_serves(status))?;
        let by = text::by(route.other_manager.as_deref());
        Some(format!(
            "{id} gives Deployment {} {} and not 100%: another hand{by} has changed it since, and it is left so",
            facts.plan.deployment,
            shares(route).1
        ))
    }
}

impl Workflow for Pair {
    fn rest(&self, facts: &Facts<'_>, next: &mut Draft) {
        rest::rest(facts, next);
    }

    fn follow(&self, _: &Facts<'_>, _: &mut Draft) {}

    fn end_if_overtaken(&self, facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()> {
        let Some(candidate) = &facts.seen.deployment else {
            return ControlFlow::Continue(());
        };
        let judged = self.candidate(facts, run).sets;
        let newer = match judged.as_slice() {
            [] => current(facts, candidate).is_some(),
            known => known.iter().all(|set| set.template != candidate.template),
        };
        if newer {
            // Kubernetes replaces its pods already: nobody has judged what traffic meets from now on.
            let message = format!("the template of Deployment {} was changed", candidate.name);
            next.go_back(EndReason::NewerRevision, &message);
            return ControlFlow::Break(());
        }
        rest::follow_changed_baseline(facts, next);
        ControlFlow::Continue(())
    }

    fn tell_release(&self, facts: &Facts<'_>, next: &mut Draft) {
        let routes: Vec<String> = facts
            .plan
            .routes
            .iter()
            .map(|route| RouteId::from(route).to_string())
            .collect();
        let how = if candidate_serves(next.status()) {
            format!("stay at Deployment {}", facts.plan.deployment)
        } else {
            "are as they were found".to_owned()
        };
        next.tell(
            Reason::Released,
            format!("{} {how}; nothing else was touched", routes.join(", ")),
        );
    }

    fn desired(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired {
        if !status.taken_over() {
            return Desired::default();
        }
        let (route, testers) = match (status.phase, &status.run) {
            (Phase::Preparing | Phase::Shifting | Phase::Baking, Some(run)) => route_want::introduced(facts, run),
            (Phase::Promoting, Some(run)) => (Want::Weight(run.weight), facts.ready_for_traffic(run) > 0),
            (Phase::RollingBack, Some(_)) => (Want::Drained, false),
            // The route is its owner's again, at 100%: whoever lowers it from now on has a reason.
            (Phase::Succeeded, _) => (Want::Left, false),
            (
                Phase::Idle
                | Phase::Preparing
                | Phase::Shifting
                | Phase::Baking
                | Phase::Promoting
                | Phase::RollingBack
                | Phase::RolledBack
                | Phase::Unknown,
                _,
            ) => (Want::Absent, false),
        };
        Desired {
            route: Some(route),
            testers,
            ..Desired::default()
        }
    }
}
