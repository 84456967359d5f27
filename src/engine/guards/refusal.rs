//! Why nothing new is begun: what the rollout names is missing or unfit.

use crate::{
    api::{CanaryRolloutStatus, condition::Refusal},
    engine::{
        contract::observed::{Endpoint, RouteSeen},
        facts::Facts,
    },
    kubernetes::pod_name,
    router::{RouteError, RouteId},
    workload::{deployment::Deployment, replica_set::ReplicaSet},
};

/// Why nothing new is begun, if anything needed is missing or unfit.
pub fn of(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Refusal, String)> {
    let plan = facts.plan;
    if let Some((elder, deployment)) = &facts.seen.elder {
        let why = format!("CanaryRollout {elder} releases Deployment {deployment} already: delete one of the two");
        return Some((Refusal::TargetConflict, why));
    }
    if let Some((elder, route)) = &facts.seen.route_elder {
        let why = format!(
            "CanaryRollout {elder} sets weights in the same rule of {route} already: name different rules, or delete one of the two"
        );
        return Some((Refusal::RouteConflict, why));
    }
    if let Some(field) = &facts.seen.not_stored {
        let why = format!(
            "the installed CustomResourceDefinition does not know status.{field}: upgrade it (helm upgrade does), or this controller cannot remember what it did"
        );
        return Some((Refusal::CRDOutdated, why));
    }
    if let Some(obstacle) = facts.seen.obstacle.as_ref().filter(|obstacle| obstacle.forbidden) {
        return Some((Refusal::NotPermitted, obstacle.message.clone()));
    }
    if let Some(why) = &facts.seen.forbidden_address {
        return Some((Refusal::NotPermitted, why.clone()));
    }
    if let Some(unfit) = facts.mode.unfit(facts, status) {
        return Some(unfit);
    }
    if facts.mode.is_over(status) {
        return None;
    }
    unfit_route(facts).or_else(|| {
        let missing = facts.seen.source.is_none() && !plan.checks.is_empty();
        missing.then(|| {
            (
                Refusal::MetricSourceNotFound,
                format!(
                    "MetricSource {} does not exist: create it, or name another one in spec.metrics.source",
                    plan.source
                ),
            )
        })
    })
}

/// Why Service `name` does not select exactly the pods of `sets`, ReplicaSets of a Deployment. `foreign` is the
/// consequence to print if it also selects others.
pub fn unfit_service(
    facts: &Facts<'_>,
    name: &str,
    deployment: &Deployment,
    sets: &[&ReplicaSet],
    foreign: &str,
) -> Option<(Refusal, String)> {
    let Some(service) = facts.seen.services.get(name) else {
        return Some((Refusal::ServiceNotFound, format!("Service {name} does not exist")));
    };
    let answers = |key: &String, value: &String| deployment.template.labels().get(key) == Some(value);
    let selector = service
        .selector
        .iter()
        .filter(|(key, _)| key.as_str() != crate::api::HASH_LABEL);
    if service.external || service.selector.is_empty() {
        let why = format!("Service {name} has no selector, so nothing tells which version's pods it has");
        return Some((Refusal::UnsupportedService, why));
    }
    let endpoints = facts
        .seen
        .endpoints
        .get(name)
        .into_iter()
        .flatten()
        .filter(|endpoint| endpoint.ready);
    let ours = |endpoint: &&Endpoint| sets.iter().any(|set| pod_name::is_of(&endpoint.pod, &set.name));
    if let Some(other) = endpoints.into_iter().find(|endpoint| !ours(endpoint)) {
        let why = format!(
            "Service {name} also selects pod {}, which is not of Deployment {}: {foreign}",
            other.pod, deployment.name
        );
        return Some((Refusal::UnsupportedService, why));
    }
    let (key, value) = selector.into_iter().find(|(key, value)| !answers(key, value))?;
    let why = format!(
        "Service {name} selects {key}={value}, which the pod template of Deployment {} does not carry",
        deployment.name
    );
    Some((Refusal::UnsupportedService, why))
}

fn unfit_route(facts: &Facts<'_>) -> Option<(Refusal, String)> {
    let smallest = facts.plan.steps[0].weight;
    facts.plan.routes.iter().map(RouteId::from).find_map(|id| match facts.seen.routes.get(&id) {
        Some(RouteSeen::Found(route)) => match &route.state.problem {
            Some(problem) => Some(unfit(problem)),
            None => route.state.too_fine(smallest).map(|why| (Refusal::UnsupportedFeature, format!("{id}: {why}"))),
        },
        None | Some(RouteSeen::Missing) => Some((Refusal::RouteNotFound, format!("{id} does not exist"))),
        Some(RouteSeen::NotInstalled) => {
            let why = format!(
                "{id} cannot exist: this cluster has no kind {} of gateway.networking.k8s.io/v1; install the Gateway API, or name another route",
                id.kind
            );
            Some((Refusal::RouteNotFound, why))
        }
        Some(RouteSeen::Unusable(error)) => Some(unfit(error)),
    })
}

/// Kubernetes cuts long names of pods, and cut names do not tell versions apart.
pub fn name_too_long(name: &str) -> Option<(Refusal, String)> {
    (name.len() > pod_name::LONGEST_DEPLOYMENT).then(|| {
        let why = format!(
            "the name of Deployment {name} is longer than {} characters: Kubernetes would cut its pods' names, and versions could not be told apart",
            pod_name::LONGEST_DEPLOYMENT
        );
        (Refusal::UnsupportedWorkload, why)
    })
}

fn unfit(error: &RouteError) -> (Refusal, String) {
    let reason = match error {
        RouteError::AmbiguousRule { .. } => Refusal::AmbiguousRule,
        RouteError::Unsupported { .. } => Refusal::UnsupportedFeature,
        RouteError::NoRule { .. }
        | RouteError::NoSuchRule { .. }
        | RouteError::NotInRule { .. }
        | RouteError::Malformed { .. } => Refusal::RouteNotFound,
    };
    (reason, error.to_string())
}
