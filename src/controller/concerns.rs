//! Which rollouts a changed object concerns, and which call for a kind that the cluster may lack.

use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject},
};

use super::{
    kinds::Caches,
    named::{RolloutRef, rollout_ref},
};
use crate::{
    api::{ROLLOUT_LABEL, traffic::RouteKind},
    look::{
        hold,
        keys::{self, named_routes, spec_text},
    },
    router::RouteId,
    workload::autoscaler::AutoscalerKind,
};

fn rollouts_about(caches: &Caches, namespace: Option<&str>, key: &str) -> Vec<RolloutRef> {
    let namespace = namespace.unwrap_or_default();
    caches
        .rollouts
        .names_about(namespace, key)
        .into_iter()
        .map(|name| rollout_ref(Some(namespace.to_owned()), name))
        .collect()
}

/// Rollouts that name a route of this kind.
pub(super) fn naming(caches: &Caches, resource: &ApiResource) -> Vec<RolloutRef> {
    naming_routes(caches, |kind| kind == resource.kind)
}

/// Rollouts that name any route: which Gateway it has as its parent, and which class that is of, stands in other objects.
pub(super) fn naming_any_route(caches: &Caches, _: &ApiResource) -> Vec<RolloutRef> {
    naming_routes(caches, |_| true)
}

fn naming_routes(caches: &Caches, of_kind: impl Fn(&str) -> bool) -> Vec<RolloutRef> {
    let is_of = |key: &str| key.split_once('/').is_some_and(|(kind, _)| of_kind(kind));
    // Those that only named one before have its key, too.
    let found = caches
        .rollouts
        .everywhere(|key| key.strip_prefix(keys::ROUTE).is_some_and(is_of));
    let names = |(namespace, name): &(String, String)| {
        caches
            .rollouts
            .get(Some(namespace), name)
            .is_some_and(|rollout| named_routes(&rollout.data).any(|key| is_of(&key)))
    };
    found
        .into_iter()
        .filter(names)
        .map(|(namespace, name)| rollout_ref(Some(namespace), name))
        .collect()
}

/// Rollouts of Deployments that KEDA scales: it does so through HorizontalPodAutoscalers of its own, so that these tell of it.
pub(super) fn scaled_by_keda(caches: &Caches, _: &ApiResource) -> Vec<RolloutRef> {
    let owned = caches.autoscalers.everywhere(|key| key == keys::OF_SCALED_OBJECT);
    let scalers = owned
        .iter()
        .filter_map(|(namespace, name)| caches.autoscalers.get(Some(namespace), name));
    scalers.flat_map(|scaler| of_autoscaler(caches, &scaler)).collect()
}

/// Itself, and those that share a Deployment or a route with it or wait for another one to go: they may take over.
pub(super) fn of_rollout(caches: &Caches, rollout: &DynamicObject) -> Vec<RolloutRef> {
    let namespace = rollout.namespace();
    let itself = rollout_ref(rollout.namespace(), rollout.name_any());
    let targets = keys::deployments(&rollout.data).map(keys::deployment);
    let routes = named_routes(&rollout.data).map(|key| keys::route(&key));
    let shared = targets.chain(routes).chain([keys::WAITING.to_owned()]);
    let mut concerned: Vec<_> = shared
        .flat_map(|key| rollouts_about(caches, namespace.as_deref(), &key))
        .filter(|other| *other != itself)
        .collect();
    concerned.sort_by(|one, other| one.name.cmp(&other.name));
    concerned.dedup();
    concerned.push(itself);
    concerned
}

pub(super) fn of_action(_: &Caches, action: &DynamicObject) -> Vec<RolloutRef> {
    spec_text(&action.data, "/rollout")
        .map(|name| rollout_ref(action.namespace(), name))
        .into_iter()
        .collect()
}

pub(super) fn of_source(caches: &Caches, source: &DynamicObject) -> Vec<RolloutRef> {
    let wanted = keys::source(&source.name_any());
    caches
        .rollouts
        .everywhere(|key| key == wanted)
        .into_iter()
        .map(|(namespace, name)| rollout_ref(Some(namespace), name))
        .collect()
}

pub(super) fn of_deployment(caches: &Caches, deployment: &DynamicObject) -> Vec<RolloutRef> {
    rollouts_about(
        caches,
        deployment.namespace().as_deref(),
        &keys::deployment(&deployment.name_any()),
    )
}

pub(super) fn of_replica_set(caches: &Caches, set: &DynamicObject) -> Vec<RolloutRef> {
    let namespace = set.namespace();
    if let Some(rollout) = set.labels().get(ROLLOUT_LABEL) {
        return vec![rollout_ref(namespace, rollout)];
    }
    let namespace = namespace.as_deref();
    let owners: Vec<_> = set
        .owner_references()
        .iter()
        .filter(|owner| owner.kind == "Deployment")
        .collect();
    if !owners.is_empty() {
        return owners
            .iter()
            .flat_map(|owner| rollouts_about(caches, namespace, &keys::deployment(&owner.name)))
            .collect();
    }
    // One that was given away and not yet adopted has neither mark; its name begins with the Deployment's.
    let name = set.name_any();
    let prefixes = name.match_indices('-').map(|(end, _)| &name[..end]);
    prefixes
        .flat_map(|deployment| rollouts_about(caches, namespace, &keys::deployment(deployment)))
        .collect()
}

pub(super) fn of_service(caches: &Caches, namespace: &str, name: &str) -> Vec<RolloutRef> {
    rollouts_about(caches, Some(namespace), &keys::service(name))
}

pub(super) fn of_endpoint_slice(caches: &Caches, slice: &DynamicObject) -> Vec<RolloutRef> {
    let namespace = slice.namespace().unwrap_or_default();
    slice
        .labels()
        .get(keys::SERVICE_NAME)
        .map(|service| of_service(caches, &namespace, service))
        .unwrap_or_default()
}

pub(super) fn of_autoscaler(caches: &Caches, scaler: &DynamicObject) -> Vec<RolloutRef> {
    of_scaler(caches, AutoscalerKind::HorizontalPodAutoscaler, scaler)
}

pub(super) fn of_scaled_object(caches: &Caches, scaler: &DynamicObject) -> Vec<RolloutRef> {
    of_scaler(caches, AutoscalerKind::ScaledObject, scaler)
}

fn of_scaler(caches: &Caches, kind: AutoscalerKind, scaler: &DynamicObject) -> Vec<RolloutRef> {
    let Some(scaled) = kind.target(&scaler.data) else {
        return Vec::new();
    };
    rollouts_about(caches, scaler.namespace().as_deref(), &keys::deployment(&scaled))
}

/// The one policy, and its binding, that hold every rollout's Deployment.
pub(super) fn of_policy(caches: &Caches, policy: &DynamicObject) -> Vec<RolloutRef> {
    if policy.name_any() != hold::NAME {
        return Vec::new();
    }
    let all = caches.rollouts.places().into_iter();
    all.map(|(namespace, name)| rollout_ref(Some(namespace), name))
        .collect()
}

pub(super) fn of_config_map(caches: &Caches, config: &DynamicObject) -> Vec<RolloutRef> {
    let readers = caches
        .deployments
        .about(&config.namespace().unwrap_or_default(), &config.name_any());
    readers
        .iter()
        .flat_map(|deployment| of_deployment(caches, deployment))
        .collect()
}

pub(super) fn of_route(caches: &Caches, kind: RouteKind, route: &DynamicObject) -> Vec<RolloutRef> {
    let id = RouteId {
        kind,
        name: route.name_any(),
    };
    rollouts_about(caches, route.namespace().as_deref(), &keys::route(&id.key()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::{super::kinds::Kinds, *};

    pub fn object(kind: &ApiResource, name: &str, data: &Value) -> DynamicObject {
        let mut object = DynamicObject::new(name, kind).within("shop");
        object.data = data.clone();
        object
    }

    pub fn rollout(name: &str, deployment: &str, routes: &Value, reason: &str) -> DynamicObject {
        let data = json!({
            "spec": {"workload": {"deployment": {"name": deployment}}, "traffic": {"gatewayAPI": {"routes": routes}}},
            "status": {"conditions": [{"type": "Accepted", "reason": reason}], "originals": {"routes": {"GRPCRoute/left": {}}}},
        });
        object(&Kinds::rollout(), name, &data)
    }

    pub fn caches(rollouts: &[DynamicObject]) -> Caches {
        let caches = Caches::empty();
        for rollout in rollouts {
            caches.rollouts.follow(Event::Apply(rollout.clone()));
        }
        caches
    }

    fn names(found: Vec<RolloutRef>) -> BTreeSet<String> {
        found.into_iter().map(|rollout| rollout.name).collect()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_rollout_that_goes_wakes_those_that_wait_for_it() {
        let own = json!([{"name": "own"}]);
        let shared = json!([{"name": "shared", "rules": ["a"]}]);
        let all = [
            rollout("elder", "catalog", &shared, "Accepted"),
            rollout("same-target", "catalog", &own, "TargetConflict"),
            rollout("same-route", "search", &shared, "RouteConflict"),
            // What it waits for may have been named in an earlier version of the other one's spec.
            rollout("waits", "cart", &json!([{"name": "third"}]), "RouteConflict"),
            rollout(
                "other",
                "orders",
                &json!([{"kind": "GRPCRoute", "name": "shared"}]),
                "Accepted",
            ),
        ];
        let caches = caches(&all[1..]);
        assert_eq!(
            names(of_rollout(&caches, &all[0])),
            set(&["elder", "same-target", "same-route", "waits"])
        );
    }

    #[test]
    fn a_route_concerns_those_that_name_its_kind_or_did() {
        let all = [
            rollout("http", "a", &json!([{"name": "catalog"}]), "Accepted"),
            rollout(
                "grpc",
                "b",
                &json!([{"kind": "GRPCRoute", "name": "catalog"}]),
                "Accepted",
            ),
        ];
        let caches = caches(&all);
        let of = |kind: RouteKind, resource: &ApiResource, name: &str| {
            names(of_route(&caches, kind, &object(resource, name, &json!({}))))
        };
        assert_eq!(of(RouteKind::Http, &Kinds::http_route(), "catalog"), set(&["http"]));
        assert_eq!(of(RouteKind::Grpc, &Kinds::grpc_route(), "catalog"), set(&["grpc"]));
        assert_eq!(
            of(RouteKind::Grpc, &Kinds::grpc_route(), "left"),
            set(&["http", "grpc"])
        );
        assert_eq!(of(RouteKind::Http, &Kinds::http_route(), "left"), set(&[]));
    }

    #[test]
    fn an_autoscaler_concerns_the_rollouts_of_its_deployment() {
        let caches = caches(&[
            rollout("one", "catalog", &json!([]), "Accepted"),
            rollout("other", "search", &json!([]), "Accepted"),
        ]);
        let plain = object(
            &Kinds::autoscaler(),
            "a",
            &json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}}}),
        );
        assert_eq!(names(of_autoscaler(&caches, &plain)), set(&["one"]));
        let of_keda = |target: Value| {
            names(of_scaled_object(
                &caches,
                &object(
                    &Kinds::scaled_object(),
                    "a",
                    &json!({"spec": {"scaleTargetRef": target}}),
                ),
            ))
        };
        assert_eq!(of_keda(json!({"name": "catalog"})), set(&["one"]));
        assert_eq!(of_keda(json!({"name": "catalog", "kind": "StatefulSet"})), set(&[]));
    }
}
