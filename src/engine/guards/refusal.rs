//! Why nothing new is begun: what the rollout names is missing or unfit.

use crate::{
    api::{CanaryRolloutStatus, HASH_LABEL, condition::Refusal},
    engine::{
        contract::observed::{Endpoint, Obstacle, RouteSeen},
        facts::Facts,
    },
    kubernetes::pod_name,
    router::{RouteError, RouteId},
    workload::{deployment::Deployment, replica_set::ReplicaSet, service::Service, template::Template},
};

/// Why nothing new is begun, if anything needed is missing or unfit.
pub fn of(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Refusal, String)> {
    let plan = facts.plan;
    if let Some(why) = &facts.seen.unreadable {
        return Some((Refusal::ObjectUnreadable, why.clone()));
    }
    if let Some(claimed) = claimed(facts) {
        return Some(claimed);
    }
    if let Some(field) = &facts.seen.not_stored {
        let why = format!(
            "the installed CustomResourceDefinition does not know status.{field}: upgrade it (helm upgrade does), or this controller cannot remember what it did"
        );
        return Some((Refusal::CRDOutdated, why));
    }
    if let Some(obstacle) = facts.seen.obstacles.iter().find(|obstacle| is_needed(obstacle)) {
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
    let invalid = facts.seen.invalid_source.as_ref().filter(|_| !plan.checks.is_empty());
    unfit_route(facts)
        .or_else(|| {
            invalid.map(|why| {
                (
                    Refusal::MetricSourceInvalid,
                    format!("MetricSource {}: {why}", plan.source),
                )
            })
        })
        .or_else(|| {
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

/// Why another rollout has what this one names.
fn claimed(facts: &Facts<'_>) -> Option<(Refusal, String)> {
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
    if let Some(route) = &facts.seen.crowded_route {
        let why = format!(
            "too many CanaryRollouts name {route}, and of those only the eldest can set weights in it: delete some, or name another route"
        );
        return Some((Refusal::RouteConflict, why));
    }
    None
}

/// Nothing can begin without the right to do this. An autoscaler's minimum that cannot be raised is told, and the release
/// goes on without.
fn is_needed(obstacle: &Obstacle) -> bool {
    let object = obstacle.object.as_ref().map(|(kind, _)| *kind);
    obstacle.forbidden && object.is_some_and(|kind| !kind.is_autoscaler())
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
    let template = format!("pods from the template of Deployment {}", deployment.name);
    unanswered(
        service,
        &deployment.template,
        &template,
        "its pods would get no requests",
    )
}

/// Why the pods of `serving`, which users have, are not behind Service `name`, as its selector stands: then nobody is, from
/// the first weight to the promotion.
pub fn without_pods(facts: &Facts<'_>, name: &str, serving: &ReplicaSet) -> Option<(Refusal, String)> {
    let pods = format!("the pods of the serving revision {}", serving.hash);
    let service = facts.seen.services.get(name)?;
    unanswered(
        service,
        &serving.template,
        &pods,
        "its users would have no pods until the promotion",
    )
}

/// What of a Service's selector pods from `template` do not answer; `whose` pods they are.
fn unanswered(service: &Service, template: &Template, whose: &str, then: &str) -> Option<(Refusal, String)> {
    let labels = template.labels();
    let mut selector = service.selector.iter().filter(|(key, _)| *key != HASH_LABEL);
    let (key, value) = selector.find(|(key, value)| labels.get(*key) != Some(*value))?;
    let found = labels
        .get(key)
        .map_or("lack that label".to_owned(), |found| format!("have {key}={found}"));
    let why = format!(
        "Service {} selects {key}={value}, and {whose} {found}: {then}. Take {key} out of the Service's selector, or give both versions' pods the same value",
        service.name
    );
    Some((Refusal::UnsupportedService, why))
}

/// Why requests to the user's Service do not reach pods of both versions at the ports that routes name.
pub fn unfit_ports(
    facts: &Facts<'_>,
    deployment: &Deployment,
    serving: Option<&ReplicaSet>,
) -> Option<(Refusal, String)> {
    let service = facts.seen.services.get(&facts.plan.service)?;
    let name = &service.name;
    if service.ports.is_empty() {
        let why = format!(
            "Service {name} has no ports, so no route can send requests to it: give it the port that the route names"
        );
        return Some((Refusal::UnsupportedService, why));
    }
    let routed = facts.found_routes().flat_map(|(_, route)| &route.state.ports);
    let mut targets = routed.filter_map(|port| service.target_name((*port).into()));
    let new = (
        &deployment.template,
        format!("no container of the pod template of Deployment {}", deployment.name),
    );
    let old = serving.map(|set| {
        (
            &set.template,
            format!("no container of the serving revision {}", set.hash),
        )
    });
    let versions: Vec<_> = std::iter::once(new).chain(old).collect();
    let (target, (_, who)) = targets.find_map(|target| {
        let lacks = versions.iter().find(|(template, _)| !template.ports().contains(target));
        Some((target, lacks?))
    })?;
    let why = format!(
        "Service {name} leads to the port named {target}, and {who} has a port of that name: its pods would get no requests. Name the port in both versions, or let targetPort be its number"
    );
    Some((Refusal::UnsupportedService, why))
}

fn unfit_route(facts: &Facts<'_>) -> Option<(Refusal, String)> {
    too_much_to_remember(facts).or_else(|| unusable_route(facts))
}

/// What the routes' rules say is remembered in the status, which has a limit.
fn too_much_to_remember(facts: &Facts<'_>) -> Option<(Refusal, String)> {
    /// Most bytes of names.
    const MOST: usize = 8_192;
    /// What a rule, or a backend, has besides its name.
    const ITEM: usize = 40;
    let rules = facts
        .readable_routes()
        .flat_map(|(_, route)| &route.state.weights.rules);
    let names = rules.flat_map(|rule| {
        let backends = rule.backends.iter().map(|backend| backend.backend.len());
        backends.chain([rule.rule.len()])
    });
    let size = names.fold(0_usize, |size, name| size.saturating_add(name).saturating_add(ITEM));
    (size > MOST).then(|| {
        let service = &facts.plan.service;
        let why = format!(
            "the rules with Service {service} in the routes have too many backends to be remembered ({size} bytes, at most {MOST}): name fewer rules or routes"
        );
        (Refusal::UnsupportedFeature, why)
    })
}

fn unusable_route(facts: &Facts<'_>) -> Option<(Refusal, String)> {
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
