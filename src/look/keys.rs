//! What objects are about: the keys by which they are found without looking at all of them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::Known;
use crate::{
    api::{
        ROLLOUT_LABEL,
        condition::Refusal,
        plan::{DEFAULT_SOURCE, default_canary_service, default_service},
        traffic::RouteKind,
    },
    kubernetes::json::list,
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

/// Tells what an object is about, by its metadata and the rest of it.
pub type Keys = fn(&ObjectMeta, &Value) -> Vec<String>;

/// What objects of a kind are about.
pub fn of(kind: Known) -> Keys {
    match kind {
        Known::CanaryRollout => rollout,
        Known::RolloutAction => action,
        Known::Deployment => of_deployment,
        Known::ReplicaSet => replica_set,
        Known::Service => |_, _| vec![ANY.to_owned()],
        Known::EndpointSlice => endpoint_slice,
        Known::HorizontalPodAutoscaler => autoscaler,
        Known::ScaledObject => scaled_object,
        // They are found by name only.
        Known::MetricSource
        | Known::ConfigMap
        | Known::HttpRoute
        | Known::GrpcRoute
        | Known::Gateway
        | Known::GatewayClass
        | Known::HoldPolicy
        | Known::HoldBinding
        | Known::HoldPolicyBeta
        | Known::HoldBindingBeta => |_, _| Vec::new(),
    }
}

/// Text in an object's spec.
pub fn spec_text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.get("spec")?.pointer(pointer).and_then(Value::as_str)
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
pub fn named_routes(rollout: &Value) -> impl Iterator<Item = String> {
    let kind = |route: &Value| {
        let named = route.get("kind").and_then(Value::as_str);
        named.unwrap_or_else(|| RouteKind::default().into()).to_owned()
    };
    let routes = list(rollout, "/spec/traffic/gatewayAPI/routes").iter();
    routes.filter_map(move |route| Some(format!("{}/{}", kind(route), route.get("name")?.as_str()?)))
}

/// Names of the Deployments that a rollout names: one, or a pair.
pub fn deployments(rollout: &Value) -> impl Iterator<Item = &str> {
    const PLACES: [&str; 3] = [
        "/workload/deployment/name",
        "/workload/pair/candidate/deployment",
        "/workload/pair/baseline/deployment",
    ];
    PLACES.iter().filter_map(|place| spec_text(rollout, place))
}

/// Names of the two versions' Services.
fn services(rollout: &Value) -> Vec<String> {
    let Some(target) = spec_text(rollout, "/workload/deployment/name") else {
        let sides = ["/workload/pair/candidate/service", "/workload/pair/baseline/service"];
        let named = sides.iter().filter_map(|place| spec_text(rollout, place));
        return named.map(str::to_owned).collect();
    };
    let stable = spec_text(rollout, "/traffic/service").unwrap_or_else(|| default_service(target));
    let canary = spec_text(rollout, "/traffic/canaryService").map(str::to_owned);
    let canary = canary.unwrap_or_else(|| default_canary_service(stable));
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

/// A rollout is about everything that it names, about what it holds, and about its namespace. What its release began with
/// it needs until the end, whatever its spec says by then.
fn rollout(metadata: &ObjectMeta, object: &Value) -> Vec<String> {
    // Something of ours may still stand in routes that it named before.
    let left = object.pointer("/status/originals/routes").and_then(Value::as_object);
    let left = left.into_iter().flatten().map(|(key, _)| route(key));
    let conflicts: [&str; 2] = [Refusal::TargetConflict.into(), Refusal::RouteConflict.into()];
    let waits = list(object, "/status/conditions")
        .iter()
        .filter_map(|condition| condition["reason"].as_str())
        .any(|reason| conflicts.contains(&reason));
    let mut keys = named(object);
    if let Some(plan) = object
        .pointer("/status/run/plan")
        .filter(|plan| object.get("spec") != Some(plan))
    {
        keys.extend(named(&json!({"spec": plan})));
    }
    keys.push(source(spec_text(object, "/metrics/source").unwrap_or(DEFAULT_SOURCE)));
    keys.extend(left);
    keys.extend(waits.then(|| WAITING.to_owned()));
    keys.extend(metadata.name.as_deref().map(held_by));
    keys.push(ANY.to_owned());
    keys.sort();
    keys.dedup();
    keys
}

/// Keys of the Deployments, Services and routes that a spec names.
fn named(object: &Value) -> Vec<String> {
    let narrowed = list(object, "/spec/traffic/alsoNarrow")
        .iter()
        .filter_map(Value::as_str);
    let mut keys: Vec<String> = deployments(object).map(deployment).collect();
    keys.extend(services(object).iter().map(|name| service(name)));
    keys.extend(narrowed.map(service));
    keys.extend(named_routes(object).map(|key| route(&key)));
    keys
}

fn action(_: &ObjectMeta, object: &Value) -> Vec<String> {
    spec_text(object, "/rollout").map(str::to_owned).into_iter().collect()
}

fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a String> {
    metadata.labels.as_ref()?.get(key)
}

fn replica_set(metadata: &ObjectMeta, _: &Value) -> Vec<String> {
    let held = label(metadata, ROLLOUT_LABEL).map(|rollout| held_by(rollout));
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owned_by(&owner.uid));
    if held.is_none() && owner.is_none() {
        return vec![ORPHAN.to_owned()];
    }
    held.into_iter().chain(owner).collect()
}

/// A Deployment is about the ConfigMaps that its template names.
fn of_deployment(_: &ObjectMeta, object: &Value) -> Vec<String> {
    let template = object.pointer("/spec/template");
    template.map(config_maps).unwrap_or_default().into_iter().collect()
}

/// An autoscaler is about the Deployment that it scales.
fn autoscaler(metadata: &ObjectMeta, object: &Value) -> Vec<String> {
    let mut owners = metadata.owner_references.iter().flatten();
    let owned = owners.any(|owner| is_scaled_object(&owner.api_version, &owner.kind));
    let mut keys = scaled(AutoscalerKind::HorizontalPodAutoscaler, object);
    keys.extend(owned.then(|| OF_SCALED_OBJECT.to_owned()));
    keys
}

/// So is a ScaledObject.
fn scaled_object(_: &ObjectMeta, object: &Value) -> Vec<String> {
    scaled(AutoscalerKind::ScaledObject, object)
}

fn scaled(kind: AutoscalerKind, object: &Value) -> Vec<String> {
    kind.target(object).map(|name| deployment(&name)).into_iter().collect()
}

fn endpoint_slice(metadata: &ObjectMeta, _: &Value) -> Vec<String> {
    label(metadata, SERVICE_NAME).cloned().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_deployments_and_services_of_a_pair_concern_it() {
        let side = |name: &str| json!({"deployment": name, "service": format!("{name}-http")});
        let workload = json!({"pair": {"baseline": side("plain"), "candidate": side("cached")}});
        let pair =
            json!({"spec": {"workload": workload, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}}});
        assert_eq!(
            rollout(&ObjectMeta::default(), &pair),
            [
                ANY,
                "deployment/cached",
                "deployment/plain",
                "route/HTTPRoute/catalog",
                "service/cached-http",
                "service/plain-http",
                "source/default"
            ]
        );
    }

    #[test]
    fn a_rollout_needs_what_its_release_began_with() {
        let spec = |deployment: &str, route: &str| json!({"workload": {"deployment": {"name": deployment}}, "traffic": {"gatewayAPI": {"routes": [{"name": route}]}}});
        let edited = json!({"spec": spec("new", "b"), "status": {"run": {"plan": spec("old", "a")}}});
        let keys = rollout(&ObjectMeta::default(), &edited);
        for key in [
            "deployment/new",
            "deployment/old",
            "route/HTTPRoute/a",
            "route/HTTPRoute/b",
            "service/old-canary",
        ] {
            assert!(keys.iter().any(|known| known == key), "{key} of {keys:?}");
        }
    }
}
