//! Rollouts that were there first and have what a rollout names.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{Known, Namespace, keys, name_of};
use crate::{
    api::{CanaryRolloutSpec, Plan},
    kubernetes::json::text,
    router::{RouteId, Target, gateway_api},
    workload::service::Service,
};

/// By this rollouts are ordered: the one that was there first has what both name.
fn age(rollout: &Value) -> (Option<Timestamp>, &str) {
    let created = text(rollout, "/metadata/creationTimestamp").parse().ok();
    (created, text(rollout, "/metadata/name"))
}

/// Rollouts of the namespace that are about the same thing and were there first.
fn elders(namespace: Namespace<'_>, rollout: &ObjectMeta, key: &str) -> Vec<Value> {
    let own_name = rollout.name.as_deref().unwrap_or_default();
    let own_age = (rollout.creation_timestamp.as_ref().map(|time| time.0), own_name);
    let names = namespace.objects.names_about(Known::CanaryRollout, namespace.name, key);
    let others = names.iter().filter(|name| *name != own_name);
    let rivals = others.filter_map(|name| namespace.get(Known::CanaryRollout, name));
    rivals.filter(|other| age(other) < own_age).collect()
}

/// The rollout that was there first, if two name one Deployment in any role, and that Deployment.
pub(super) fn elder(namespace: Namespace<'_>, rollout: &ObjectMeta, plan: &Plan) -> Option<(String, String)> {
    let mut named = std::iter::once(&plan.deployment).chain(&plan.baseline);
    named.find_map(|name| {
        let elders = elders(namespace, rollout, &keys::deployment(name));
        Some((name_of(elders.first()?), name.clone()))
    })
}

/// The rollout that was there first, if two set weights in one rule of a route, and that route.
pub(super) fn route_elder(namespace: Namespace<'_>, rollout: &ObjectMeta, plan: &Plan) -> Option<(String, RouteId)> {
    for id in plan.routes.iter().map(RouteId::from) {
        let names = |other: &&Value| keys::named_routes(other).any(|named| named == id.key());
        for other in elders(namespace, rollout, &keys::route(&id.key())).iter().filter(names) {
            let spec = other.get("spec").map(CanaryRolloutSpec::read);
            let Some(theirs) = spec.and_then(|spec| Plan::try_from(&spec.ok()?).ok()) else {
                continue;
            };
            let live = namespace.get(id.kind.into(), &id.name);
            let target = |plan: &Plan| Target::of(plan, &id, None, |service| ports(namespace, service));
            if gateway_api::overlap(live.as_ref(), &target(plan), &target(&theirs)) {
                return Some((name_of(other), id));
            }
        }
    }
    None
}

/// Numbers of a Service's ports, as far as they are known.
fn ports(namespace: Namespace<'_>, service: &str) -> Vec<u64> {
    let service = namespace.get(Known::Service, service);
    service
        .map(|service| Service::read(&service).port_numbers())
        .unwrap_or_default()
}
