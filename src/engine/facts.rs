//! What can be read off one look at the world: which ReplicaSet is which, what a weight needs, what is missing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Identity,
    observed::{Deletion, Endpoint, Observed, Route, RouteSeen},
};
use crate::{
    api::{CanaryRolloutStatus, Percent, Plan, condition::Refusal, status::Run},
    router::{Acceptance, RouteError, Target},
    workload::{deployment::Deployment, pod, replica_set::ReplicaSet, service::Service},
};

/// The plan in force and one look at the world.
pub(super) struct Facts<'a> {
    pub id: &'a Identity,
    pub plan: &'a Plan,
    pub seen: &'a Observed,
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    pub fn replica_set(&self, hash: &str) -> Option<&'a ReplicaSet> {
        self.seen.replica_sets.iter().find(|set| set.hash == hash && !set.deleting)
    }

    /// What users have when no release runs.
    pub fn serving(&self, status: &CanaryRolloutStatus) -> Option<&'a ReplicaSet> {
        self.replica_set(status.stable_revision.as_deref()?)
    }

    pub fn canary(&self, run: &Run) -> Option<&'a ReplicaSet> {
        self.replica_set(&run.revision)
    }

    /// The Deployment asks for this ReplicaSet's template.
    pub fn wants(&self, set: &ReplicaSet) -> bool {
        self.seen.deployment.as_ref().is_some_and(|deployment| deployment.template == set.template)
    }

    /// ReplicaSets in the Deployment's hands that have or want pods.
    pub fn active_of(&self, deployment: &Deployment) -> Vec<&'a ReplicaSet> {
        let owned = self.seen.replica_sets.iter().filter(|set| set.owned_by(&deployment.uid));
        owned.filter(|set| set.replicas > 0 || set.total > 0).collect()
    }

    /// Pods that the new version needs before it gets `weight`.
    pub fn size_for(&self, weight: Percent) -> u32 {
        let replicas = self.seen.deployment.as_ref().map_or(0, |deployment| deployment.replicas);
        weight.ceil_of(replicas).max(1)
    }

    /// Pods of the new version that are Available and reached through its Service.
    pub fn ready_for_traffic(&self, run: &Run) -> u32 {
        let available = self.canary(run).map_or(0, |set| set.available);
        let reached = self.ready_behind(&self.plan.canary_service, &run.replica_set).0;
        available.min(reached)
    }

    /// Ready pods of a ReplicaSet behind a Service, and ready pods of others there.
    pub fn ready_behind(&self, service: &str, replica_set: &str) -> (u32, u32) {
        let (mut own, mut others) = (0, 0);
        for endpoint in self.seen.endpoints.get(service).into_iter().flatten().filter(|endpoint| endpoint.ready) {
            if pod::is_of(&endpoint.pod, replica_set) { own += 1 } else { others += 1 }
        }
        (own, others)
    }

    /// The Deployment has been gone for longer than anything is waited for.
    pub fn target_given_up(&self, status: &CanaryRolloutStatus) -> bool {
        status.target_missing_since.is_some_and(|since| self.now >= since + self.plan.progress_deadline.signed())
    }

    /// Pods may go: the version that serves is whole, or cannot become so and has some left.
    pub fn may_scale_down(&self, status: &CanaryRolloutStatus) -> bool {
        let Some(serving) = self.serving(status) else { return true };
        let wanted = self.seen.deployment.as_ref().map_or(0, |deployment| deployment.replicas);
        let stuck = serving.failure.is_some() || self.seen.deletion != Deletion::No;
        serving.available >= wanted || (stuck && serving.available > 0)
    }

    /// The user's Services that are narrowed during a release, as far as they exist.
    pub fn narrowed_services(&self) -> impl Iterator<Item = &'a Service> {
        let seen = self.seen;
        std::iter::once(&self.plan.service).chain(&self.plan.also_narrow).filter_map(move |name| seen.services.get(name))
    }

    /// The two Services between which routes split.
    pub fn target(&self) -> Target {
        Target { stable: self.plan.service.clone(), canary: self.plan.canary_service.clone() }
    }

    pub fn routes(&self) -> impl Iterator<Item = (&'a str, &'a RouteSeen)> {
        let seen = self.seen;
        self.plan.routes.iter().filter_map(move |name| seen.routes.get_key_value(name)).map(|(name, route)| (name.as_str(), route))
    }

    pub fn found_routes(&self) -> impl Iterator<Item = (&'a str, &'a Route)> {
        self.routes().filter_map(|(name, route)| match route {
            RouteSeen::Found(route) => Some((name, &**route)),
            RouteSeen::Missing | RouteSeen::Unusable(_) => None,
        })
    }

    /// Every route gives the new version exactly `weight` and the data plane serves that; else what is waited for.
    pub fn weight_confirmed(&self, weight: Percent) -> Result<(), String> {
        for (name, route) in self.routes() {
            match route {
                // Nothing is routed by a route that is not there or does not name our Services.
                RouteSeen::Missing | RouteSeen::Unusable(_) if weight == Percent::ZERO => {}
                RouteSeen::Missing => return Err(format!("HTTPRoute {name} to exist")),
                RouteSeen::Unusable(error) => return Err(format!("HTTPRoute {name}: {error}")),
                RouteSeen::Found(route) => {
                    let share = route.state.canary.unwrap_or(Percent::ZERO);
                    if !route.state.carries(weight) {
                        return Err(format!("HTTPRoute {name} to carry {weight} (now {share})"));
                    }
                    if let Acceptance::Waiting(what) = &route.acceptance {
                        return Err(what.clone());
                    }
                }
            }
        }
        Ok(())
    }

    /// Generations of the routes by name.
    pub fn generations(&self) -> BTreeMap<String, i64> {
        self.found_routes().map(|(name, route)| (name.to_owned(), route.generation)).collect()
    }

    /// The new version has an entry in every route.
    pub fn entry_stands(&self) -> bool {
        self.found_routes().all(|(_, route)| route.state.canary.is_some())
    }

    /// No route has an entry of ours, and the data plane knows.
    pub fn entry_gone(&self) -> bool {
        self.weight_confirmed(Percent::ZERO).is_ok() && self.found_routes().all(|(_, route)| route.state.canary.is_none())
    }

    /// Why nothing new is begun, if anything needed is missing or unfit.
    pub fn refusal(&self, status: &CanaryRolloutStatus) -> Option<(Refusal, String)> {
        let plan = self.plan;
        if let Some(elder) = &self.seen.elder {
            let why = format!("CanaryRollout {elder} releases Deployment {} already: delete one of the two", plan.deployment);
            return Some((Refusal::TargetConflict, why));
        }
        let Some(deployment) = &self.seen.deployment else {
            return Some((Refusal::TargetNotFound, format!("Deployment {} does not exist", plan.deployment)));
        };
        if deployment.recreate {
            let why = format!("Deployment {} has strategy Recreate, which asks that two versions never run together", plan.deployment);
            return Some((Refusal::UnsupportedWorkload, why));
        }
        if let Some(manager) = &deployment.unpaused_by {
            let why = format!(
                "manager {manager} holds spec.paused: false of Deployment {}: with it every release would go round the steps. Remove the field from its manifests",
                plan.deployment
            );
            return Some((Refusal::PauseContested, why));
        }
        if let Some(field) = &self.seen.not_stored {
            let why = format!(
                "the installed CustomResourceDefinition does not know status.{field}: upgrade it (helm upgrade does), or this controller cannot remember what it did"
            );
            return Some((Refusal::CRDOutdated, why));
        }
        if let Some(obstacle) = self.seen.obstacle.as_ref().filter(|obstacle| obstacle.forbidden) {
            return Some((Refusal::NotPermitted, obstacle.message.clone()));
        }
        if deployment.selector_expressions || deployment.selector.is_empty() {
            let why = format!("the selector of Deployment {} must consist of matchLabels: Services cannot express anything else", plan.deployment);
            return Some((Refusal::UnsupportedWorkload, why));
        }
        if deployment.name.len() > pod::LONGEST_DEPLOYMENT {
            let why = format!(
                "the name of Deployment {} is longer than {} characters: Kubernetes would cut its pods' names, and versions could not be told apart",
                plan.deployment,
                pod::LONGEST_DEPLOYMENT
            );
            return Some((Refusal::UnsupportedWorkload, why));
        }
        self.unfit_service(deployment).or_else(|| self.unfit_route()).or_else(|| self.several_active(deployment, status)).or_else(|| {
            let missing = self.seen.source.is_none() && !plan.checks.is_empty();
            missing.then(|| {
                (Refusal::MetricSourceNotFound, format!("MetricSource {} does not exist: create it, or name another one in spec.metrics.source", plan.source))
            })
        })
    }

    fn unfit_service(&self, deployment: &Deployment) -> Option<(Refusal, String)> {
        let plan = self.plan;
        for name in std::iter::once(&plan.service).chain(&plan.also_narrow) {
            let Some(service) = self.seen.services.get(name) else {
                return Some((Refusal::ServiceNotFound, format!("Service {name} does not exist")));
            };
            let labels = deployment.template.pointer("/metadata/labels");
            let answers = |key: &String, value: &String| labels.and_then(|labels| labels.get(key)).and_then(|label| label.as_str()) == Some(value);
            let selector = service.selector.iter().filter(|(key, _)| key.as_str() != crate::api::HASH_LABEL);
            if service.external || service.selector.is_empty() {
                let why = format!("Service {name} has no selector, so it cannot be narrowed to one version");
                return Some((Refusal::UnsupportedService, why));
            }
            let endpoints = self.seen.endpoints.get(name).into_iter().flatten().filter(|endpoint| endpoint.ready);
            let ours = |endpoint: &&Endpoint| self.seen.replica_sets.iter().any(|set| pod::is_of(&endpoint.pod, &set.name));
            if let Some(foreign) = endpoints.into_iter().find(|endpoint| !ours(endpoint)) {
                let why =
                    format!("Service {name} also selects pod {}, which is not of Deployment {}: narrowed, it would lose it", foreign.pod, plan.deployment);
                return Some((Refusal::UnsupportedService, why));
            }
            if let Some((key, value)) = selector.into_iter().find(|(key, value)| !answers(key, value)) {
                let why = format!("Service {name} selects {key}={value}, which the pod template of Deployment {} does not carry", plan.deployment);
                return Some((Refusal::UnsupportedService, why));
            }
        }
        let taken = self.seen.services.get(&plan.canary_service).is_some_and(|service| service.made_by.as_deref() != Some(&self.id.name));
        taken.then(|| {
            let why = format!("Service {} exists and is not Warmfront's: name another one in spec.traffic.canaryService", plan.canary_service);
            (Refusal::CanaryServiceConflict, why)
        })
    }

    fn unfit_route(&self) -> Option<(Refusal, String)> {
        for name in &self.plan.routes {
            match self.seen.routes.get(name) {
                Some(RouteSeen::Found(_)) => {}
                None | Some(RouteSeen::Missing) => return Some((Refusal::RouteNotFound, format!("HTTPRoute {name} does not exist"))),
                Some(RouteSeen::Unusable(error @ RouteError::AmbiguousRule { .. })) => return Some((Refusal::AmbiguousRule, error.to_string())),
                Some(RouteSeen::Unusable(error)) => return Some((Refusal::RouteNotFound, error.to_string())),
            }
        }
        None
    }

    fn several_active(&self, deployment: &Deployment, status: &CanaryRolloutStatus) -> Option<(Refusal, String)> {
        let active = self.active_of(deployment);
        let stuck = deployment.paused && active.len() > 1 && status.originals.paused.is_none();
        stuck.then(|| {
            let names: Vec<&str> = active.iter().map(|set| set.name.as_str()).collect();
            let why = format!("Deployment {} is paused half-way with {}: finish or undo its rollout first", deployment.name, names.join(" and "));
            (Refusal::RolloutIncomplete, why)
        })
    }
}
