//! One look at the world for one rollout: from objects that are known already, without any request.
//!
//! The controller looks at what its watches keep; tests and simulations at a map ([`Memory`]).

pub mod actions;
pub mod hold;
pub mod keys;
mod known;
mod memory;
mod pods;
pub mod rivals;
mod route;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

pub use known::Known;
pub use memory::Memory;

use crate::{
    api::{CanaryRolloutStatus, FINALIZER, MetricSourceSpec, Plan, RELEASE_ANNOTATION},
    engine::contract::{
        kind::Kind,
        observed::{Deletion, Observed, Source},
    },
    kubernetes::json::text,
    router::{RouteId, Target},
    workload::{
        autoscaler::{Autoscaler, AutoscalerKind},
        deployment::Deployment,
        service::Service,
    },
};

/// Objects as far as they are known. The namespace of kinds that have none is empty.
pub trait Objects {
    /// The object of this name.
    fn get(&self, kind: Known, namespace: &str, name: &str) -> Option<Value>;

    /// The objects of a namespace that are about `key` (see [`keys`]), by name.
    fn about(&self, kind: Known, namespace: &str, key: &str) -> Vec<Value>;

    /// Their names.
    fn names_about(&self, kind: Known, namespace: &str, key: &str) -> Vec<String>;

    /// The first of their names, so many at most. The eldest rollouts come first, of other kinds those whose names do.
    fn first_about(&self, kind: Known, namespace: &str, key: &str, at_most: usize) -> Vec<String>;

    /// The version of the object of this name.
    fn version(&self, kind: Known, namespace: &str, name: &str) -> Option<u64>;

    /// Whether the cluster has the kind, so that what is not known does not exist.
    fn is_installed(&self, kind: Known) -> bool;
}

/// The objects of one namespace.
#[derive(Clone, Copy)]
struct Namespace<'a> {
    objects: &'a dyn Objects,
    name: &'a str,
}

impl Namespace<'_> {
    fn get(&self, kind: Known, name: &str) -> Option<Value> {
        self.objects.get(kind, self.name, name)
    }

    /// The object, unless it is being deleted.
    fn standing(&self, kind: Known, name: &str) -> Option<Value> {
        let object = self.get(kind, name)?;
        object
            .pointer("/metadata/deletionTimestamp")
            .is_none()
            .then_some(object)
    }

    fn about(&self, kind: Known, key: &str) -> Vec<Value> {
        self.objects.about(kind, self.name, key)
    }
}

/// What is looked at, and what is known of it besides the objects.
pub struct Viewpoint<'a> {
    /// The rollout's metadata.
    pub rollout: &'a ObjectMeta,
    /// The plan in force, if there is one.
    pub plan: Option<&'a Plan>,
    /// The rollout's status.
    pub status: &'a CanaryRolloutStatus,
    /// An address in the plan that the controller may not talk to, and why.
    pub forbidden_address: Option<String>,
}

/// Everything that the objects tell about one rollout.
pub fn observe(objects: &dyn Objects, subject: Viewpoint<'_>) -> Observed {
    let Viewpoint {
        rollout,
        plan,
        status,
        forbidden_address,
    } = subject;
    let namespace = Namespace {
        objects,
        name: rollout.namespace.as_deref().unwrap_or_default(),
    };
    let name = rollout.name.as_deref().unwrap_or_default();
    let mut seen = Observed {
        deletion: deletion(rollout),
        finalizer: rollout.finalizers.iter().flatten().any(|name| name == FINALIZER),
        actions: actions::of_rollout(namespace, name),
        ..Observed::default()
    };
    let Some(plan) = plan else { return seen };
    seen.forbidden_address = forbidden_address;
    seen.elder = rivals::elder(namespace, rollout, plan);
    seen.route_elder = rivals::route_elder(namespace, rollout, plan);
    seen.crowded_route = rivals::crowded_route(namespace, rollout, plan);
    look_at_workload(&mut seen, namespace, name, plan);
    seen.policy = hold::look_at(objects);
    seen.configs = configs(&seen, namespace);
    look_at_services(&mut seen, namespace, plan);
    look_at_routes(&mut seen, namespace, plan, status);
    if !status.is_active() && !plan.is_pair() {
        // Told when a release begins.
        seen.other_services = pods::other_services(namespace, plan, seen.deployment.as_ref());
    }
    let found = source(objects, &plan.source);
    seen.invalid_source = found.as_ref().and_then(|found| found.as_ref().err()).cloned();
    let found = found.and_then(Result::ok);
    seen.source = found.as_ref().map(|source| Source {
        scrape_interval: source.scrape_interval,
        lag: source.lag,
        preset: source.preset,
    });
    seen.source_spec = found;
    seen.versions = versions(&seen, namespace);
    seen
}

fn deletion(rollout: &ObjectMeta) -> Deletion {
    let annotation = rollout.annotations.as_ref().and_then(|all| all.get(RELEASE_ANNOTATION));
    match (&rollout.deletion_timestamp, annotation.map(String::as_str)) {
        (None, _) => Deletion::No,
        (Some(_), Some("force")) => Deletion::AtOnce,
        (Some(_), _) => Deletion::Asked,
    }
}

/// Deployments, their ReplicaSets, and what scales them.
fn look_at_workload(seen: &mut Observed, namespace: Namespace<'_>, rollout: &str, plan: &Plan) {
    let deployment = |name: &str| {
        let object = namespace.standing(Known::Deployment, name)?;
        Some(Deployment::read(&object))
    };
    seen.deployment = deployment(&plan.deployment);
    if let Some(baseline) = &plan.baseline {
        // Neither is scaled, so nobody has to be kept from scaling them.
        seen.baseline = deployment(baseline);
        let both = seen.deployment.iter().chain(&seen.baseline);
        seen.replica_sets = both
            .flat_map(|deployment| pods::owned_sets(namespace, deployment))
            .collect();
        return;
    }
    seen.replica_sets = pods::replica_sets(namespace, rollout, seen.deployment.as_ref());
    let scaled = keys::deployment(&plan.deployment);
    for kind in [AutoscalerKind::HorizontalPodAutoscaler, AutoscalerKind::ScaledObject] {
        let scalers = namespace.about(Kind::from(kind).into(), &scaled);
        let scalers = scalers.iter().filter_map(|scaler| Autoscaler::read(kind, scaler));
        seen.autoscalers.extend(scalers);
    }
}

/// Versions of the ConfigMaps that the templates name.
fn configs(seen: &Observed, namespace: Namespace<'_>) -> BTreeMap<String, String> {
    let deployments = seen.deployment.iter().chain(&seen.baseline);
    let names: BTreeSet<String> = deployments
        .flat_map(|deployment| deployment.template.config_maps())
        .collect();
    let version = |name: &str| {
        let config = namespace.get(Known::ConfigMap, name)?;
        Some(config.pointer("/metadata/resourceVersion")?.as_str()?.to_owned())
    };
    names
        .into_iter()
        .filter_map(|name| Some((name.clone(), version(&name)?)))
        .collect()
}

/// The plan's Services and the pods behind them.
fn look_at_services(seen: &mut Observed, namespace: Namespace<'_>, plan: &Plan) {
    let names = [&plan.service, &plan.canary_service];
    for name in names.into_iter().chain(&plan.also_narrow) {
        if let Some(service) = namespace.standing(Known::Service, name) {
            seen.services.insert(name.clone(), Service::read(&service));
        }
        seen.endpoints.insert(name.clone(), pods::endpoints(namespace, name));
    }
}

/// The plan's routes, and those that it named before: something of ours may still stand in them.
fn look_at_routes(seen: &mut Observed, namespace: Namespace<'_>, plan: &Plan, status: &CanaryRolloutStatus) {
    let originals = &status.originals.routes;
    let left = originals.keys().filter_map(|key| RouteId::from_key(key));
    let routes: BTreeSet<RouteId> = plan.routes.iter().map(RouteId::from).chain(left).collect();
    for id in routes {
        let ports_of = |service: &str| {
            let service = seen.services.get(service);
            service.map(Service::port_numbers).unwrap_or_default()
        };
        let target = Target::of(plan, &id, originals.get(&id.key()), ports_of);
        let route = route::look_at(namespace, target, &id);
        seen.routes.insert(id, route);
    }
}

/// Of which versions the objects are that a decision may change.
fn versions(seen: &Observed, namespace: Namespace<'_>) -> BTreeMap<(Kind, String), u64> {
    let deployments = seen
        .deployment
        .iter()
        .map(|deployment| (Kind::Deployment, &deployment.name));
    let sets = seen.replica_sets.iter().map(|set| (Kind::ReplicaSet, &set.name));
    let services = seen.services.keys().map(|name| (Kind::Service, name));
    let scalers = seen.autoscalers.iter().map(|scaler| (scaler.kind.into(), &scaler.name));
    let routes = seen.routes.keys().map(|id| (id.kind.into(), &id.name));
    let all = deployments.chain(sets).chain(services).chain(scalers).chain(routes);
    let version = |kind: Kind, name: &str| namespace.objects.version(kind.into(), namespace.name, name);
    all.filter_map(|(kind, name)| Some(((kind, name.clone()), version(kind, name)?)))
        .collect()
}

/// The MetricSource of this name, if it is there, or why it cannot be used.
pub fn source(objects: &dyn Objects, name: &str) -> Option<Result<MetricSourceSpec, String>> {
    let object = objects.get(Known::MetricSource, "", name)?;
    Some(MetricSourceSpec::read(object.get("spec").unwrap_or(&Value::Null)))
}

/// Name of an object.
fn name_of(object: &Value) -> String {
    text(object, "/metadata/name").to_owned()
}
