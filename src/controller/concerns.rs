//! Which rollouts a changed object concerns, and which call for a kind that the cluster may lack.

use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject},
};

use super::{
    kinds::Caches,
    named::{RolloutRef, rollout_ref},
    snapshot::Snapshot,
    sought::{self, Sought},
};
use crate::look::{
    hold,
    keys::{self, named_routes, spec_text},
    rivals::LOOKED_AT,
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

/// Which rollouts a changed object of a kind concerns.
pub(super) fn of(caches: &Caches, sought: Sought, object: &DynamicObject) -> Vec<RolloutRef> {
    let namespace = object.namespace();
    let about = |key: &String| rollouts_about(caches, namespace.as_deref(), key);
    let mut found: Vec<_> = match sought {
        Sought::All(concerns) => return concerns(caches, object),
        Sought::InNamespace(keys) | Sought::ByKey(keys, _) => keys(object).iter().flat_map(about).collect(),
        Sought::ByDeployments(keys) => {
            let namespace = namespace.as_deref().unwrap_or_default();
            let seekers = |key: String| caches.deployments.names_about(namespace, &key);
            let deployments = keys(object).into_iter().flat_map(seekers);
            deployments.flat_map(|name| about(&keys::deployment(&name))).collect()
        }
    };
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found.dedup();
    found
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
    let about = |scaler: Snapshot| of(caches, Sought::InNamespace(sought::autoscaler), &scaler);
    scalers.flat_map(about).collect()
}

/// Itself, and those that came later and share a Deployment or a route with it, or wait for another one to go: they may take over.
/// Those that came before have nothing to do with it, and of those that share a route only the first ones are looked at, so that
/// what one rollout's change costs does not grow with what others cost.
pub(super) fn of_rollout(caches: &Caches, rollout: &DynamicObject) -> Vec<RolloutRef> {
    let namespace = rollout.namespace();
    let place = caches.rollouts.filed(rollout);
    let first = |key: &str, at_most: usize| {
        let found = caches
            .rollouts
            .first_about(namespace.as_deref().unwrap_or_default(), key, at_most);
        found.into_iter()
    };
    let targets = keys::deployments(&rollout.data).map(keys::deployment);
    // All that share a Deployment wait for the first of them that names it.
    let counts = |key: &String| {
        let looked_at = first(key, LOOKED_AT);
        looked_at.len() < LOOKED_AT || looked_at.last() >= Some(place.clone())
    };
    let sharing = targets.filter(counts).flat_map(|key| first(&key, usize::MAX));
    let mut later: Vec<Box<str>> = sharing.filter(|one| *one > place).map(|one| one.name).collect();
    for key in named_routes(&rollout.data).map(|key| keys::route(&key)) {
        // One more: who comes to be looked at when another one goes.
        let sharing = first(&key, LOOKED_AT + 1);
        later.extend(sharing.filter(|one| *one > place).map(|one| one.name));
    }
    if rollout.metadata.generation != Some(1) {
        // What they wait for may have been named in an earlier version of its spec.
        later.extend(first(keys::WAITING, usize::MAX).map(|one| one.name));
    }
    later.sort();
    later.dedup();
    later.retain(|name| *name != place.name);
    let concerned = later.into_iter().chain([place.name]);
    concerned.map(|name| rollout_ref(namespace.clone(), name)).collect()
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

/// The one policy, and its binding, that hold every rollout's Deployment.
pub(super) fn of_policy(caches: &Caches, policy: &DynamicObject) -> Vec<RolloutRef> {
    if policy.name_any() != hold::NAME {
        return Vec::new();
    }
    let all = caches.rollouts.places().into_iter();
    all.map(|(namespace, name)| rollout_ref(Some(namespace), name))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::{
        super::kinds::{Kinds, Pick},
        *,
    };

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
    fn what_comes_later_concerns_nobody_however_many_share_a_route() {
        let route = json!([{"name": "shared"}]);
        let all: Vec<DynamicObject> = (0..1_600)
            .map(|number: i64| {
                let mut one = rollout(
                    &format!("r-{:04}", 1_600 - number),
                    &format!("app-{number}"),
                    &route,
                    "RouteConflict",
                );
                let created = Timestamp::from_second(1_800_000_000 + number).unwrap();
                one.metadata.creation_timestamp = Some(Time(created));
                one.metadata.generation = Some(1);
                one
            })
            .collect();
        let caches = caches(&all);
        let concerned = |rollout: &DynamicObject| of_rollout(&caches, rollout).len();
        let eldest = concerned(&all[0]);
        assert_eq!(eldest, LOOKED_AT + 1, "all that are looked at, and the next one");
        assert_eq!(concerned(&all[LOOKED_AT]), 1);
        assert!(all[LOOKED_AT..].iter().all(|later| concerned(later) == 1));
        let mut edited = all[1_599].clone();
        edited.metadata.generation = Some(2);
        assert_eq!(concerned(&edited), 1_600, "each once");
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
        let of = |pick: Pick, name: &str| {
            let kind = pick(&caches).row();
            names(of(&caches, kind.sought, &object(&kind.resource(), name, &json!({}))))
        };
        assert_eq!(of(|caches| &caches.http_routes, "catalog"), set(&["http"]));
        assert_eq!(of(|caches| &caches.grpc_routes, "catalog"), set(&["grpc"]));
        assert_eq!(of(|caches| &caches.grpc_routes, "left"), set(&["http", "grpc"]));
        assert_eq!(of(|caches| &caches.http_routes, "left"), set(&[]));
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
        assert_eq!(
            names(of(&caches, caches.autoscalers.row().sought, &plain)),
            set(&["one"])
        );
        let of_keda = |target: Value| {
            names(of(
                &caches,
                caches.scaled_objects.row().sought,
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
