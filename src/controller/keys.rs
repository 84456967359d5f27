//! What objects in memory are about: the keys by which they are found without looking at all of them.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::caches::controller_uid;
use crate::{
    api::{ROLLOUT_LABEL, condition::Refusal, traffic::RouteKind},
    workload::{
        autoscaler::{AutoscalerKind, is_scaled_object},
        template::config_maps,
    },
};

/// Label of an EndpointSlice: its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// ReplicaSets that nobody owns or holds: given away and not yet adopted.
pub const ORPHAN: &str = "orphan";
/// Rollouts that are refused because an elder one has what they name.
pub const WAITING: &str = "waiting";
/// What the keys of routes begin with.
pub const ROUTE: &str = "route/";
/// HorizontalPodAutoscalers that a ScaledObject owns.
pub const OF_SCALED_OBJECT: &str = "of-scaled-object";
/// Every object of a namespace.
pub const ANY: &str = "any";

/// Text in an object's spec.
pub fn spec_text<'a>(object: &'a DynamicObject, pointer: &str) -> Option<&'a str> {
    object.data.get("spec")?.pointer(pointer).and_then(Value::as_str)
}

/// Rollouts of a Deployment.
pub fn deployment(name: &str) -> String {
    format!("deployment/{name}")
}

/// Rollouts that name a Service, or have it as the canary's.
pub fn service(name: &str) -> String {
    format!("service/{name}")
}

/// Rollouts that set weights in a route, or did, by the route's key such as `HTTPRoute/catalog`.
pub fn route(key: &str) -> String {
    format!("{ROUTE}{key}")
}

/// Rollouts whose checks ask this MetricSource.
pub fn source(name: &str) -> String {
    format!("source/{name}")
}

/// Keys of the routes that a rollout names, such as `HTTPRoute/catalog`.
pub fn named_routes(rollout: &DynamicObject) -> impl Iterator<Item = String> {
    let routes = rollout
        .data
        .pointer("/spec/traffic/gatewayAPI/routes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let kind = |route: &Value| {
        route
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_else(|| RouteKind::default().into())
            .to_owned()
    };
    routes.filter_map(move |route| Some(format!("{}/{}", kind(route), route.get("name")?.as_str()?)))
}

/// Names of the Deployments that a rollout names: one, or a pair.
pub fn deployments(rollout: &DynamicObject) -> impl Iterator<Item = &str> {
    const PLACES: [&str; 3] = [
        "/workload/deployment/name",
        "/workload/pair/candidate/deployment",
        "/workload/pair/baseline/deployment",
    ];
    PLACES.iter().filter_map(|place| spec_text(rollout, place))
}

/// Names of the two versions' Services.
fn services(rollout: &DynamicObject) -> Vec<String> {
    let Some(target) = spec_text(rollout, "/workload/deployment/name") else {
        let sides = ["/workload/pair/candidate/service", "/workload/pair/baseline/service"];
        return sides
            .iter()
            .filter_map(|place| spec_text(rollout, place))
            .map(str::to_owned)
            .collect();
    };
    let stable = spec_text(rollout, "/traffic/service").unwrap_or(target);
    let canary = spec_text(rollout, "/traffic/canaryService").map_or_else(|| format!("{stable}-canary"), str::to_owned);
    vec![stable.to_owned(), canary]
}

/// ReplicaSets that a rollout holds.
pub fn held_by(rollout: &str) -> String {
    format!("held/{rollout}")
}

/// ReplicaSets of the owner with this UID.
pub fn owned_by(uid: &str) -> String {
    format!("owner/{uid}")
}

/// A rollout is about everything that it names.
pub(super) fn rollout(object: &DynamicObject) -> Vec<String> {
    let list = |pointer: &str| {
        object
            .data
            .pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let narrowed = list("/spec/traffic/alsoNarrow").filter_map(Value::as_str);
    // Something of ours may still stand in routes that it named before.
    let left = object
        .data
        .pointer("/status/originals/routes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, _)| route(key));
    let conflicts: [&str; 2] = [Refusal::TargetConflict.into(), Refusal::RouteConflict.into()];
    let waits = list("/status/conditions")
        .filter_map(|condition| condition["reason"].as_str())
        .any(|reason| conflicts.contains(&reason));
    let mut keys: Vec<String> = deployments(object).map(deployment).collect();
    keys.extend(services(object).iter().map(|name| service(name)));
    keys.push(source(spec_text(object, "/metrics/source").unwrap_or("default")));
    keys.extend(narrowed.map(service));
    keys.extend(named_routes(object).map(|key| route(&key)).chain(left));
    keys.extend(waits.then(|| WAITING.to_owned()));
    keys
}

pub(super) fn action(object: &DynamicObject) -> Vec<String> {
    spec_text(object, "/rollout").map(str::to_owned).into_iter().collect()
}

pub(super) fn replica_set(object: &DynamicObject) -> Vec<String> {
    let held = object.labels().get(ROLLOUT_LABEL).map(|rollout| held_by(rollout));
    let owner = controller_uid(object).map(owned_by);
    if held.is_none() && owner.is_none() {
        return vec![ORPHAN.to_owned()];
    }
    held.into_iter().chain(owner).collect()
}

/// A Deployment is about the ConfigMaps that its template names.
pub(super) fn of_deployment(object: &DynamicObject) -> Vec<String> {
    object
        .data
        .pointer("/spec/template")
        .map(config_maps)
        .unwrap_or_default()
        .into_iter()
        .collect()
}

/// An autoscaler is about the Deployment that it scales.
pub(super) fn autoscaler(object: &DynamicObject) -> Vec<String> {
    let target = AutoscalerKind::HorizontalPodAutoscaler
        .target(&object.data)
        .map(|name| deployment(&name));
    let owned = object
        .owner_references()
        .iter()
        .any(|owner| is_scaled_object(&owner.api_version, &owner.kind));
    target
        .into_iter()
        .chain(owned.then(|| OF_SCALED_OBJECT.to_owned()))
        .collect()
}

/// So is a ScaledObject.
pub(super) fn scaled_object(object: &DynamicObject) -> Vec<String> {
    AutoscalerKind::ScaledObject
        .target(&object.data)
        .map(|name| deployment(&name))
        .into_iter()
        .collect()
}

pub(super) fn endpoint_slice(object: &DynamicObject) -> Vec<String> {
    object.labels().get(SERVICE_NAME).cloned().into_iter().collect()
}

pub(super) fn namespace(_: &DynamicObject) -> Vec<String> {
    vec![ANY.to_owned()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::caches::Kinds, *};

    #[test]
    fn both_deployments_and_services_of_a_pair_concern_it() {
        let side = |name: &str| json!({"deployment": name, "service": format!("{name}-http")});
        let workload = json!({"pair": {"baseline": side("plain"), "candidate": side("cached")}});
        let mut pair = DynamicObject::new("pair", &Kinds::rollout());
        pair.data =
            json!({"spec": {"workload": workload, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}}});
        let mut keys = rollout(&pair);
        keys.sort();
        assert_eq!(
            keys,
            [
                "deployment/cached",
                "deployment/plain",
                "route/HTTPRoute/catalog",
                "service/cached-http",
                "service/plain-http",
                "source/default"
            ]
        );
    }
}
