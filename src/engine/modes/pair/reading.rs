//! What can be read off one look at a pair: whose pods are whose, and who has the traffic.

use crate::{
    api::{CanaryRolloutStatus, Percent, status::Phase},
    engine::{contract::observed::Route, facts::Facts},
    router::RouteId,
    workload::{deployment::Deployment, replica_set::ReplicaSet},
};

/// ReplicaSets of a Deployment.
pub fn sets<'a>(facts: &Facts<'a>, deployment: &Deployment) -> Vec<&'a ReplicaSet> {
    facts
        .seen
        .replica_sets
        .iter()
        .filter(|set| set.owned_by(&deployment.uid) && !set.deleting)
        .collect()
}

/// The ReplicaSet of a Deployment's template, once Kubernetes has made it.
pub fn current<'a>(facts: &Facts<'a>, deployment: &Deployment) -> Option<&'a ReplicaSet> {
    sets(facts, deployment)
        .into_iter()
        .filter(|set| set.template == deployment.template)
        .max_by_key(|set| set.replicas)
}

/// The candidate was promoted: it is what users have.
pub fn candidate_serves(status: &CanaryRolloutStatus) -> bool {
    status.phase == Phase::Succeeded
}

pub fn baseline_name<'a>(facts: &Facts<'a>) -> &'a str {
    facts.plan.baseline.as_deref().unwrap_or_default()
}

pub fn progress(deployment: &Deployment) -> String {
    format!(
        "{}/{} up to date, {}/{} Available",
        deployment.updated, deployment.replicas, deployment.available, deployment.replicas
    )
}

/// The greatest and the smallest share that a route gives the candidate.
pub fn shares(route: &Route) -> (Percent, Percent) {
    (
        route.state.canary.unwrap_or(Percent::ZERO),
        route.state.away_from(Percent::FULL),
    )
}

/// A route that has both versions' entries and does not give everything to the candidate.
pub fn departed<'a>(facts: &Facts<'a>) -> Option<(&'a RouteId, &'a Route)> {
    facts
        .found_routes()
        .find(|(_, route)| route.state.rules.iter().any(|rule| rule.routed) && !route.state.carries(Percent::FULL))
}

/// Every route gives everything to the candidate.
pub fn candidate_has_all(facts: &Facts<'_>) -> bool {
    facts.found_routes().next().is_some()
        && facts
            .found_routes()
            .all(|(_, route)| route.state.carries(Percent::FULL))
}
