//! Whose pods are whose: ReplicaSets of a release, pods behind a Service, and who else selects them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Known, Namespace, keys, name_of};
use crate::{
    api::Plan,
    engine::contract::observed::Endpoint,
    workload::{deployment::Deployment, endpoint_slice::EndpointSlice, replica_set::ReplicaSet, service::Service},
};

/// ReplicaSets that a Deployment owns.
pub(super) fn owned_sets(namespace: Namespace<'_>, deployment: &Deployment) -> Vec<ReplicaSet> {
    let owned = namespace.about(Known::ReplicaSet, &keys::owned_by(&deployment.uid));
    owned.iter().map(ReplicaSet::read).collect()
}

/// ReplicaSets that the rollout holds, that its Deployment owns, and that were given to it a moment ago.
pub(super) fn replica_sets(
    namespace: Namespace<'_>,
    rollout: &str,
    deployment: Option<&Deployment>,
) -> Vec<ReplicaSet> {
    let about = |key: &str| namespace.about(Known::ReplicaSet, key);
    let mut found: Vec<ReplicaSet> = about(&keys::held_by(rollout)).iter().map(ReplicaSet::read).collect();
    if let Some(deployment) = deployment.filter(|deployment| !deployment.selector.is_empty()) {
        // Given away and not yet adopted: its labels answer the selector again.
        let orphans = about(keys::ORPHAN);
        let orphans = orphans.iter().map(ReplicaSet::read);
        found.extend(owned_sets(namespace, deployment));
        found.extend(orphans.filter(|set| answers(&set.labels, &deployment.selector)));
    }
    let by_name: BTreeMap<String, ReplicaSet> = found.into_iter().map(|set| (set.name.clone(), set)).collect();
    by_name.into_values().collect()
}

fn answers(labels: &BTreeMap<String, String>, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Pods behind a Service: a pod of which several slices tell has what any of them says.
pub(super) fn endpoints(namespace: Namespace<'_>, service: &str) -> Vec<Endpoint> {
    let slices = namespace.about(Known::EndpointSlice, service);
    let slices: Vec<EndpointSlice> = slices.iter().map(EndpointSlice::read).collect();
    let mut found: BTreeMap<&str, Endpoint> = BTreeMap::new();
    for slice in &slices {
        for pod in slice.pods() {
            let endpoint = found.entry(pod.name).or_insert_with(|| Endpoint {
                pod: pod.name.to_owned(),
                ready: false,
                serves: false,
                ports: Some(BTreeSet::new()),
            });
            endpoint.ready |= pod.ready;
            endpoint.serves |= pod.serves;
            match (slice.ports(), &mut endpoint.ports) {
                (Some(names), Some(ports)) => ports.extend(names.map(str::to_owned)),
                (None, ports) => *ports = None,
                (Some(_), None) => {}
            }
        }
    }
    found.into_values().collect()
}

/// Services besides the plan's own that select the Deployment's pods.
pub(super) fn other_services(namespace: Namespace<'_>, plan: &Plan, deployment: Option<&Deployment>) -> Vec<String> {
    let Some(labels) = deployment.map(|deployment| deployment.template.labels()) else {
        return Vec::new();
    };
    let own = |name: &String| *name == plan.service || *name == plan.canary_service || plan.also_narrow.contains(name);
    let services = namespace.about(Known::Service, keys::ANY);
    let others = services
        .iter()
        .filter(|service| !own(&name_of(service)))
        .map(Service::read);
    let selecting = others.filter(|service| !service.selector.is_empty() && answers(labels, &service.selector));
    selecting.map(|service| service.name).collect()
}
