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

/// So many rollouts of a route are looked at, the eldest: a route has 16 rules at most, and each rollout sets weights in one of its own.
/// Those that came later are refused without a look, so that one edit costs no more the more of them there are.
pub const LOOKED_AT: usize = 32;

/// By this rollouts are ordered: the one that was there first has what both name.
pub(super) fn age(rollout: &Value) -> (Option<Timestamp>, &str) {
    let created = text(rollout, "/metadata/creationTimestamp").parse().ok();
    (created, text(rollout, "/metadata/name"))
}

/// The first rollouts of the namespace that are about the same thing and were there before this one, so many at most.
fn elders<'a>(
    namespace: Namespace<'a>,
    rollout: &'a ObjectMeta,
    key: &str,
    at_most: usize,
) -> impl Iterator<Item = Value> + use<'a> {
    let own_name = rollout.name.as_deref().unwrap_or_default();
    let own_age = (rollout.creation_timestamp.as_ref().map(|time| time.0), own_name);
    let first = namespace
        .objects
        .first_about(Known::CanaryRollout, namespace.name, key, at_most);
    let before = first.into_iter().take_while(move |name| name != own_name);
    let others = before.filter_map(move |name| namespace.get(Known::CanaryRollout, &name));
    others.filter(move |other| age(other) < own_age)
}

/// The rollout that was there first, if two name one Deployment in any role, and that Deployment.
pub(super) fn elder(namespace: Namespace<'_>, rollout: &ObjectMeta, plan: &Plan) -> Option<(String, String)> {
    let mut named = std::iter::once(&plan.deployment).chain(&plan.baseline);
    named.find_map(|name| {
        let elders: Vec<Value> = elders(namespace, rollout, &keys::deployment(name), LOOKED_AT).collect();
        // One may be kept under what it named before.
        let mut naming = elders
            .iter()
            .filter(|elder| keys::deployments(elder).any(|named| named == name));
        // Where there are more than are looked at, one of them names it.
        let elder = naming.next().or(elders.first().filter(|_| elders.len() == LOOKED_AT))?;
        Some((name_of(elder), name.clone()))
    })
}

/// A route that more rollouts name than are looked at, if this one came too late.
pub(super) fn crowded_route(namespace: Namespace<'_>, rollout: &ObjectMeta, plan: &Plan) -> Option<RouteId> {
    let own_name = rollout.name.as_deref().unwrap_or_default();
    plan.routes.iter().map(RouteId::from).find(|id| {
        let key = keys::route(&id.key());
        let first = namespace
            .objects
            .first_about(Known::CanaryRollout, namespace.name, &key, LOOKED_AT);
        let created = rollout.creation_timestamp.as_ref().map(|time| time.0);
        let is_elder = |name: &String| {
            let other = namespace.get(Known::CanaryRollout, name);
            other.is_some_and(|other| age(&other) < (created, own_name))
        };
        // If the last of them is an elder, all are.
        first.len() == LOOKED_AT && !first.iter().any(|name| name == own_name) && first.last().is_some_and(is_elder)
    })
}

/// The rollout that was there first, if two set weights in one rule of a route, and that route.
pub(super) fn route_elder(namespace: Namespace<'_>, rollout: &ObjectMeta, plan: &Plan) -> Option<(String, RouteId)> {
    if crowded_route(namespace, rollout, plan).is_some() {
        return None;
    }
    for id in plan.routes.iter().map(RouteId::from) {
        let names = |other: &Value| keys::named_routes(other).any(|named| named == id.key());
        for other in elders(namespace, rollout, &keys::route(&id.key()), LOOKED_AT).filter(names) {
            let spec = other.get("spec").map(CanaryRolloutSpec::read);
            let Some(theirs) = spec.and_then(|spec| Plan::try_from(&spec.ok()?).ok()) else {
                continue;
            };
            let live = namespace.get(id.kind.into(), &id.name);
            let target = |plan: &Plan| Target::of(plan, &id, None, |service| ports(namespace, service));
            if gateway_api::overlap(live.as_ref(), &target(plan), &target(&theirs)) {
                return Some((name_of(&other), id));
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;
    use crate::look::{Memory, Objects};

    /// Objects, and how many were read.
    struct Counted(Memory, Cell<usize>);

    impl Objects for Counted {
        fn get(&self, kind: Known, namespace: &str, name: &str) -> Option<Value> {
            self.1.set(self.1.get() + 1);
            self.0.get(kind, namespace, name)
        }
        fn about(&self, kind: Known, namespace: &str, key: &str) -> Vec<Value> {
            let found = self.0.about(kind, namespace, key);
            self.1.set(self.1.get() + found.len());
            found
        }
        fn names_about(&self, kind: Known, namespace: &str, key: &str) -> Vec<String> {
            self.0.names_about(kind, namespace, key)
        }
        fn first_about(&self, kind: Known, namespace: &str, key: &str, at_most: usize) -> Vec<String> {
            self.0.first_about(kind, namespace, key, at_most)
        }
        fn version(&self, kind: Known, namespace: &str, name: &str) -> Option<u64> {
            self.0.version(kind, namespace, name)
        }
        fn is_installed(&self, kind: Known) -> bool {
            self.0.is_installed(kind)
        }
    }

    /// The youngest has the name that comes first.
    fn rollout(number: usize, of: usize) -> Value {
        let (app, name) = (format!("app-{number}"), format!("r-{:04}", of - number));
        let created = Timestamp::from_second(1_800_000_000 + i64::try_from(number).unwrap()).unwrap();
        let route = json!({"name": "shared", "rules": [format!("rule-{number}")]});
        json!({
            "metadata": {"name": name, "namespace": "shop", "creationTimestamp": created.to_string()},
            "spec": {"workload": {"deployment": {"name": app}}, "traffic": {"gatewayAPI": {"routes": [route]}}, "checks": [{"errorRate": {"max": "1%"}}]},
        })
    }

    #[test]
    fn however_many_rollouts_share_a_route_only_the_eldest_are_looked_at() {
        const ALL: usize = 200;
        let mut memory = Memory::default();
        let all: Vec<Value> = (0..ALL).map(|number| rollout(number, ALL)).collect();
        for rollout in &all {
            memory.put(Known::CanaryRollout, "shop", rollout.clone());
        }
        let objects = Counted(memory, Cell::new(0));
        let namespace = Namespace {
            objects: &objects,
            name: "shop",
        };
        for (number, rollout) in all.iter().enumerate() {
            let metadata: ObjectMeta = serde_json::from_value(rollout["metadata"].clone()).unwrap();
            let plan = Plan::try_from(&CanaryRolloutSpec::read(&rollout["spec"]).unwrap()).unwrap();
            objects.1.set(0);
            assert_eq!(elder(namespace, &metadata, &plan), None);
            route_elder(namespace, &metadata, &plan);
            let crowded = crowded_route(namespace, &metadata, &plan).is_some();
            assert_eq!(crowded, number >= LOOKED_AT, "{number}");
            let read = objects.1.get();
            // Of each elder its object, the route and the two sides' Services.
            assert!(
                read <= 8 * LOOKED_AT && (!crowded || read <= 8),
                "{number} reads {read}"
            );
        }
    }
}
