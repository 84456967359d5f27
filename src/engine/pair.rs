//! A pair: traffic is moved from the baseline Deployment to the candidate, and nothing else is touched.
//!
//! A revision is the `pod-template-hash` that Kubernetes gave to the ReplicaSet of a Deployment's template: the one
//! hash that survives an upgrade of the API server, and that comes back when an older template is applied again.
//! A release is due while the baseline has all traffic and the candidate's revision was not rejected. Once the
//! candidate is promoted there is nothing left to release: the phase `Succeeded` says that it serves, and only an
//! Abort while the old version is kept goes back from there.

use super::{
    Draft,
    desired::{self, Desired},
    drift, ending,
    facts::{Facts, name_too_long},
    mode::{Mode, Side},
    notice::Reason,
    observed::Route,
    rest::{self, Beginning},
};
use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        condition::Refusal,
        status::{NO_FIGURE, Outcome, Phase, Rejected, Run},
    },
    router::{RouteId, Want},
    workload::{deployment::Deployment, replica_set::ReplicaSet},
};

pub(super) struct Pair;

/// ReplicaSets of a Deployment.
fn sets<'a>(facts: &Facts<'a>, deployment: &Deployment) -> Vec<&'a ReplicaSet> {
    facts
        .seen
        .replica_sets
        .iter()
        .filter(|set| set.owned_by(&deployment.uid) && !set.deleting)
        .collect()
}

/// The ReplicaSet of a Deployment's template, once Kubernetes has made it.
fn current<'a>(facts: &Facts<'a>, deployment: &Deployment) -> Option<&'a ReplicaSet> {
    sets(facts, deployment)
        .into_iter()
        .filter(|set| set.template == deployment.template)
        .max_by_key(|set| set.replicas)
}

/// The candidate was promoted: it is what users have.
fn candidate_serves(status: &CanaryRolloutStatus) -> bool {
    status.phase == Phase::Succeeded
}

fn baseline_name<'a>(facts: &Facts<'a>) -> &'a str {
    facts.plan.baseline.as_deref().unwrap_or_default()
}

fn progress(deployment: &Deployment) -> String {
    format!(
        "{}/{} up to date, {}/{} Available",
        deployment.updated, deployment.replicas, deployment.available, deployment.replicas
    )
}

/// The greatest and the smallest share that a route gives the candidate.
fn shares(route: &Route) -> (Percent, Percent) {
    (
        route.state.canary.unwrap_or(Percent::ZERO),
        route.state.away_from(Percent::FULL),
    )
}

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
                .or_else(|| facts.unfit_service(service, deployment, &sets(facts, deployment), mixed));
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

    fn scales(&self) -> bool {
        false
    }

    fn candidate<'a>(&self, facts: &Facts<'a>, run: &Run) -> Side<'a> {
        let Some(candidate) = &facts.seen.deployment else {
            return Side::default();
        };
        let mut sets = sets(facts, candidate);
        sets.retain(|set| set.hash == run.revision);
        Side {
            sets,
            wanted: candidate.replicas,
        }
    }

    fn stable<'a>(&self, facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Side<'a> {
        let serving = if candidate_serves(status) {
            &facts.seen.deployment
        } else {
            &facts.seen.baseline
        };
        serving.as_ref().map_or_else(Side::default, |serving| Side {
            sets: sets(facts, serving),
            wanted: serving.replicas,
        })
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

    fn rest(&self, facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
        if !next.status.taken_over() {
            adopt(facts, accepted, next);
            return;
        }
        if candidate_serves(&next.status) {
            watch_promoted(facts, next);
            return;
        }
        next.remember_routes(facts);
        follow_baseline(facts, next);
        let Some(candidate) = facts
            .seen
            .deployment
            .as_ref()
            .filter(|candidate| candidate.replicas > 0)
        else {
            return;
        };
        let Some(set) = current(facts, candidate) else { return };
        if accepted && facts.seen.finalizer && self.rejection(facts, &next.status).is_none() {
            let (from, to) = (baseline_name(facts), &facts.plan.deployment);
            let beginning = Beginning {
                revision: set.hash.clone(),
                replica_set: set.name.clone(),
                from: next.status.stable_revision.clone().unwrap_or_default(),
                recovery: self.stable(facts, &next.status).ready() == 0,
                what: format!("; all of it from Deployment {from} to Deployment {to}, both of which stay as they are"),
            };
            rest::start(facts, next, beginning);
        }
    }

    fn rejection<'s>(&self, facts: &Facts<'_>, status: &'s CanaryRolloutStatus) -> Option<&'s Rejected> {
        let set = current(facts, facts.seen.deployment.as_ref()?)?;
        status.rejected.iter().find(|rejected| rejected.revision == set.hash)
    }

    fn overtaken(&self, facts: &Facts<'_>, run: &Run, next: &mut Draft) -> bool {
        // A route that an edit of the plan has just named is remembered before it is touched.
        next.remember_routes(facts);
        let Some(candidate) = &facts.seen.deployment else {
            return false;
        };
        let judged = self.candidate(facts, run).sets;
        let newer = match judged.as_slice() {
            [] => current(facts, candidate).is_some(),
            known => known.iter().all(|set| set.template != candidate.template),
        };
        if newer {
            // Kubernetes replaces its pods already: nobody has judged what traffic meets from now on.
            let message = format!("the template of Deployment {} was changed", candidate.name);
            ending::go_back(next, Outcome::Superseded, "NewerRevision", &message);
            return true;
        }
        follow_changed_baseline(facts, next);
        false
    }

    fn finishes_forward(&self) -> bool {
        false
    }

    fn taken_over(&self, facts: &Facts<'_>, _: &CanaryRolloutStatus, run: &Run) -> Option<String> {
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

    fn desired(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired {
        if !status.taken_over() {
            return Desired::default();
        }
        let run = status.run.as_ref();
        let (route, testers) = match (status.phase, run) {
            (Phase::Preparing | Phase::Shifting | Phase::Baking, Some(run)) => desired::introduced(facts, run),
            (Phase::Promoting, Some(run)) => (Want::Weight(run.weight), facts.ready_for_traffic(run) > 0),
            (Phase::RollingBack, Some(_)) => (Want::Drained, false),
            // The route is its owner's again, at 100%: whoever lowers it from now on has a reason.
            (Phase::Succeeded, _) => (Want::Left, false),
            _ => (desired::at_rest_route(facts, status), false),
        };
        Desired {
            route: Some(route),
            testers,
            ..Desired::default()
        }
    }

    fn tell_release(&self, facts: &Facts<'_>, next: &mut Draft) {
        let routes: Vec<String> = facts
            .plan
            .routes
            .iter()
            .map(|route| RouteId::from(route).to_string())
            .collect();
        let how = if candidate_serves(&next.status) {
            format!("stay at Deployment {}", facts.plan.deployment)
        } else {
            "are as they were found".to_owned()
        };
        next.tell(
            Reason::Released,
            format!("{} {how}; nothing else was touched", routes.join(", ")),
        );
    }

    fn promoted(&self, _: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str) {
        match (candidate_serves(status), &status.run) {
            (true, Some(_)) => (true, "Promoted"),
            (true, None) => (true, "Adopted"),
            (false, _) => (false, "NotStarted"),
        }
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
            let standby = rest::standby_message(status, "an Abort action brings its traffic back at once");
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
            return rest::rejected_message(rejected);
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
        let by = route
            .other_manager
            .as_deref()
            .map(|manager| format!(" (manager {manager})"))
            .unwrap_or_default();
        Some(format!(
            "{id} gives Deployment {} {} and not 100%: another hand{by} has changed it since, and it is left so",
            facts.plan.deployment,
            shares(route).1
        ))
    }
}

/// A route that has both versions' entries and does not give everything to the candidate.
fn departed<'a>(facts: &Facts<'a>) -> Option<(&'a RouteId, &'a Route)> {
    facts
        .found_routes()
        .find(|(_, route)| route.state.rules.iter().any(|rule| rule.routed) && !route.state.carries(Percent::FULL))
}

/// Every route gives everything to the candidate.
fn candidate_has_all(facts: &Facts<'_>) -> bool {
    facts.found_routes().next().is_some()
        && facts
            .found_routes()
            .all(|(_, route)| route.state.carries(Percent::FULL))
}

/// Takes over the routes: from the baseline, once it is rolled out, or as a promotion has left them.
fn adopt(facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
    let (Some(baseline), Some(candidate), true) = (&facts.seen.baseline, &facts.seen.deployment, accepted) else {
        return;
    };
    let promoted = candidate_has_all(facts);
    let serving = if promoted { candidate } else { baseline };
    let Some(set) = current(facts, serving).filter(|_| promoted || serving.complete()) else {
        return;
    };
    next.status.stable_revision = Some(set.hash.clone());
    next.status.phase = if promoted { Phase::Succeeded } else { Phase::Idle };
    next.remember_routes(facts);
    let routes: Vec<String> = facts
        .plan
        .routes
        .iter()
        .map(|route| RouteId::from(route).to_string())
        .collect();
    next.tell(
        Reason::Adopted,
        format!(
            "took over the weights of {}: Deployment {} has all traffic (revision {}); Deployments {} and {} and their Services stay as they are",
            routes.join(", "),
            serving.name,
            set.hash,
            baseline.name,
            candidate.name
        ),
    );
}

/// Between releases the baseline is whatever its owner has rolled out.
fn follow_baseline(facts: &Facts<'_>, next: &mut Draft) {
    let Some(baseline) = facts.seen.baseline.as_ref().filter(|baseline| baseline.complete()) else {
        return;
    };
    if let Some(set) = current(facts, baseline) {
        next.status.stable_revision = Some(set.hash.clone());
    }
}

/// A baseline that was changed while a release runs, and is whole again: the release goes on.
///
/// Void is only what was compared with the old baseline. Every check so far has a limit of its own, so its evidence
/// would stand; that the whole step begins anew costs one hold and stays right when checks compare the two.
fn follow_changed_baseline(facts: &Facts<'_>, next: &mut Draft) {
    let Some(baseline) = facts.seen.baseline.as_ref().filter(|baseline| baseline.complete()) else {
        return;
    };
    let Some(set) = current(facts, baseline).filter(|set| Some(&set.hash) != next.status.stable_revision.as_ref())
    else {
        return;
    };
    let old = next
        .status
        .stable_revision
        .replace(set.hash.clone())
        .unwrap_or_default();
    next.tell(
        Reason::BaselineChanged,
        format!("Deployment {} was changed: {old} → {}; it is whole again, and the hold and the evidence of this step begin anew", baseline.name, set.hash),
    );
    next.begin_step_anew(facts);
}

/// After a promotion all traffic is the candidate's: what changes now is told, and no more.
fn watch_promoted(facts: &Facts<'_>, next: &mut Draft) {
    let changed = facts
        .seen
        .deployment
        .as_ref()
        .and_then(|candidate| Some((candidate, current(facts, candidate)?)));
    if let Some((candidate, set)) = changed.filter(|(_, set)| Some(&set.hash) != next.status.stable_revision.as_ref()) {
        let old = next
            .status
            .stable_revision
            .replace(set.hash.clone())
            .unwrap_or_default();
        next.tell(
            Reason::CandidateChanged,
            format!("Deployment {} was changed: {old} → {}; it has all traffic, so the change reaches everyone without any step", candidate.name, set.hash),
        );
    }
    let Some((id, route)) = departed(facts) else { return };
    let edit = drift::of_route(facts, id, route);
    let told = next
        .status
        .drift
        .last
        .as_ref()
        .is_some_and(|last| last.object == edit.object && last.generation >= edit.generation);
    if let Some(what) = Pair.departure(facts, &next.status).filter(|_| !told) {
        next.tell(Reason::RouteDrift, what);
        next.status.drift.last = Some(edit);
    }
}
