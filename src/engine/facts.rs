//! What can be read off one look at the world: which ReplicaSet is which, what a weight needs, what is missing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Identity, mode,
    mode::{Mode, Side},
    observed::{Deletion, Endpoint, Observed, Route, RouteSeen},
};
use crate::{
    api::{CanaryRolloutStatus, Duration, Percent, Plan, condition::Refusal, status::Run},
    router::{Acceptance, RouteError, RouteId},
    workload::{deployment::Deployment, pod, replica_set::ReplicaSet, service::Service},
};

/// Least wait after a write where no parent reports a generation: the slowest data plane of that kind, a cloud's
/// load balancer, takes up to half a minute.
const UNREPORTED_SETTLE: Duration = Duration::from_secs(30);

/// The plan in force and one look at the world.
pub(super) struct Facts<'a> {
    pub id: &'a Identity,
    pub plan: &'a Plan,
    pub seen: &'a Observed,
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    pub fn replica_set(&self, hash: &str) -> Option<&'a ReplicaSet> {
        self.seen
            .replica_sets
            .iter()
            .find(|set| set.hash == hash && !set.deleting)
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
        self.seen
            .deployment
            .as_ref()
            .is_some_and(|deployment| deployment.template == set.template)
    }

    /// ReplicaSets in the Deployment's hands that have or want pods.
    pub fn active_of(&self, deployment: &Deployment) -> Vec<&'a ReplicaSet> {
        let owned = self
            .seen
            .replica_sets
            .iter()
            .filter(|set| set.owned_by(&deployment.uid));
        owned.filter(|set| set.replicas > 0 || set.total > 0).collect()
    }

    /// Pods that the new version needs before it gets `weight`.
    pub fn size_for(&self, weight: Percent) -> u32 {
        let replicas = self
            .seen
            .deployment
            .as_ref()
            .map_or(0, |deployment| deployment.replicas);
        weight.ceil_of(replicas).max(1)
    }

    /// How the two versions are run.
    pub fn mode(&self) -> &'static dyn Mode {
        mode::of(self.plan)
    }

    /// The new version's pods.
    pub fn candidate(&self, run: &Run) -> Side<'a> {
        self.mode().candidate(self, run)
    }

    /// The pods that users have when no release runs.
    pub fn stable(&self, status: &CanaryRolloutStatus) -> Side<'a> {
        self.mode().stable(self, status)
    }

    /// Pods of the new version that are Available and reached through its Service.
    pub fn ready_for_traffic(&self, run: &Run) -> u32 {
        let candidate = self.candidate(run);
        candidate
            .available()
            .min(self.ready_behind(&self.plan.canary_service, &candidate.sets).0)
    }

    /// Ready pods of some ReplicaSets behind a Service, and ready pods of others there.
    pub fn ready_behind(&self, service: &str, sets: &[&ReplicaSet]) -> (u32, u32) {
        let (mut own, mut others) = (0, 0);
        for endpoint in self
            .seen
            .endpoints
            .get(service)
            .into_iter()
            .flatten()
            .filter(|endpoint| endpoint.ready)
        {
            if sets.iter().any(|set| pod::is_of(&endpoint.pod, &set.name)) {
                own += 1
            } else {
                others += 1
            }
        }
        (own, others)
    }

    /// The Deployment has been gone for longer than anything is waited for.
    pub fn target_given_up(&self, status: &CanaryRolloutStatus) -> bool {
        status
            .target_missing_since
            .is_some_and(|since| self.now >= since + self.plan.progress_deadline.signed())
    }

    /// Kubernetes rolls the Deployment out by itself, and its end is waited for: where the rollout is deleted, not without end.
    pub fn native_rollout(&self, status: &CanaryRolloutStatus) -> bool {
        let under_way = self
            .seen
            .deployment
            .as_ref()
            .is_some_and(|deployment| !deployment.paused && !deployment.complete());
        under_way
            && (self.seen.deletion == Deletion::No
                || self.native_rollout_given_up_at(status).is_some_and(|at| self.now < at))
    }

    /// Until when a deleted rollout waits for Kubernetes' own.
    pub fn native_rollout_given_up_at(&self, status: &CanaryRolloutStatus) -> Option<Timestamp> {
        let ended = status
            .run
            .as_ref()
            .and_then(|run| run.ended_at)
            .filter(|_| self.seen.deletion != Deletion::No);
        ended.map(|ended| ended + self.plan.progress_deadline.signed())
    }

    /// Pods may go: the version that serves is whole, or cannot become so and has some left.
    pub fn may_scale_down(&self, status: &CanaryRolloutStatus) -> bool {
        let Some(serving) = self.serving(status) else {
            return true;
        };
        let wanted = self
            .seen
            .deployment
            .as_ref()
            .map_or(0, |deployment| deployment.replicas);
        let stuck = serving.failure.is_some() || self.seen.deletion != Deletion::No;
        serving.available >= wanted || (stuck && serving.available > 0)
    }

    /// The user's Services that are narrowed during a release, as far as they exist.
    pub fn narrowed_services(&self) -> impl Iterator<Item = &'a Service> {
        let seen = self.seen;
        std::iter::once(&self.plan.service)
            .chain(&self.plan.also_narrow)
            .filter_map(move |name| seen.services.get(name))
    }

    /// The plan asks for this route. One that it asked for before is left with nothing of ours in it.
    pub fn names(&self, id: &RouteId) -> bool {
        self.plan
            .routes
            .iter()
            .any(|named| named.kind == id.kind && named.name == id.name)
    }

    /// Every route that can be read, those that the plan no longer names included.
    pub fn readable_routes(&self) -> impl Iterator<Item = (&'a RouteId, &'a Route)> {
        self.seen.routes.iter().filter_map(|(id, route)| match route {
            RouteSeen::Found(route) => Some((id, &**route)),
            RouteSeen::NotInstalled | RouteSeen::Missing | RouteSeen::Unusable(_) => None,
        })
    }

    /// Routes that the plan names.
    pub fn found_routes(&self) -> impl Iterator<Item = (&'a RouteId, &'a Route)> {
        self.readable_routes().filter(|(id, _)| self.names(id))
    }

    /// Every route gives the new version exactly `weight` and the data plane serves that; else what is waited for.
    pub fn weight_confirmed(&self, weight: Percent) -> Result<(), String> {
        for (id, route) in &self.seen.routes {
            let named = self.names(id);
            let weight = if named { weight } else { Percent::ZERO };
            match route {
                // Nothing is routed by a route that is not there or does not name our Services.
                RouteSeen::NotInstalled | RouteSeen::Missing | RouteSeen::Unusable(_) if weight == Percent::ZERO => {}
                RouteSeen::NotInstalled | RouteSeen::Missing => return Err(format!("{id} to exist")),
                RouteSeen::Unusable(error) => return Err(format!("{id}: {error}")),
                RouteSeen::Found(route) => self.carried(id, route, weight)?,
            }
        }
        Ok(())
    }

    /// Generations of the routes by key.
    pub fn generations(&self) -> BTreeMap<String, i64> {
        self.found_routes()
            .map(|(id, route)| (id.key(), route.generation))
            .collect()
    }

    /// One route gives the new version exactly `weight` and the data plane serves that; else what is waited for.
    fn carried(&self, id: &RouteId, route: &Route, weight: Percent) -> Result<(), String> {
        if let Some(problem) = route.state.problem.as_ref().filter(|_| weight > Percent::ZERO) {
            return Err(format!("{id} to be fit again: {problem}"));
        }
        if !route.state.carries(weight) {
            return Err(format!(
                "{id} to carry {weight} (now {})",
                route.state.away_from(weight)
            ));
        }
        self.served(id, route)
    }

    /// The data plane serves the route as it stands; else what is waited for.
    pub fn served(&self, id: &RouteId, route: &Route) -> Result<(), String> {
        match &route.acceptance {
            Acceptance::Accepted => Ok(()),
            Acceptance::Waiting(what) => Err(what.clone()),
            Acceptance::Unknown => match self.settled_at(route) {
                Some(at) if self.now < at => Err(format!(
                    "{id} to settle until {}: no parent reports which generation it serves",
                    at.strftime("%H:%M:%SZ")
                )),
                _ => Ok(()),
            },
        }
    }

    /// When a change of ours counts as served where nobody reports it.
    pub fn settled_at(&self, route: &Route) -> Option<Timestamp> {
        let unreported = route.acceptance == Acceptance::Unknown;
        route
            .written_at
            .filter(|_| unreported)
            .map(|at| at + self.plan.settle.max(UNREPORTED_SETTLE).signed())
    }

    /// The new version has an entry in every route.
    pub fn entry_stands(&self) -> bool {
        self.found_routes().all(|(_, route)| route.state.entry_stands())
    }

    /// No route has an entry or a rule of ours, and the data plane knows.
    pub fn entry_gone(&self) -> bool {
        self.weight_confirmed(Percent::ZERO).is_ok()
            && self.readable_routes().all(|(_, route)| route.state.entry_gone())
    }

    /// Why nothing new is begun, if anything needed is missing or unfit.
    pub fn refusal(&self, status: &CanaryRolloutStatus) -> Option<(Refusal, String)> {
        let plan = self.plan;
        if let Some((elder, deployment)) = &self.seen.elder {
            let why = format!("CanaryRollout {elder} releases Deployment {deployment} already: delete one of the two");
            return Some((Refusal::TargetConflict, why));
        }
        if let Some((elder, route)) = &self.seen.route_elder {
            let why = format!(
                "CanaryRollout {elder} sets weights in the same rule of {route} already: name different rules, or delete one of the two"
            );
            return Some((Refusal::RouteConflict, why));
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
        if let Some(why) = &self.seen.forbidden_address {
            return Some((Refusal::NotPermitted, why.clone()));
        }
        if let Some(unfit) = self.mode().unfit(self, status) {
            return Some(unfit);
        }
        if self.mode().is_over(status) {
            return None;
        }
        self.unfit_route().or_else(|| {
            let missing = self.seen.source.is_none() && !plan.checks.is_empty();
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

    /// Why a Service of the user's is not one for the pods of these ReplicaSets of a Deployment and no others; `foreign` says what other pods would mean.
    pub fn unfit_service(
        &self,
        name: &str,
        deployment: &Deployment,
        sets: &[&ReplicaSet],
        foreign: &str,
    ) -> Option<(Refusal, String)> {
        let Some(service) = self.seen.services.get(name) else {
            return Some((Refusal::ServiceNotFound, format!("Service {name} does not exist")));
        };
        let answers = |key: &String, value: &String| deployment.template.labels().get(key) == Some(value);
        let selector = service
            .selector
            .iter()
            .filter(|(key, _)| key.as_str() != crate::api::HASH_LABEL);
        if service.external || service.selector.is_empty() {
            let why = format!("Service {name} has no selector, so nothing tells which version's pods it has");
            return Some((Refusal::UnsupportedService, why));
        }
        let endpoints = self
            .seen
            .endpoints
            .get(name)
            .into_iter()
            .flatten()
            .filter(|endpoint| endpoint.ready);
        let ours = |endpoint: &&Endpoint| sets.iter().any(|set| pod::is_of(&endpoint.pod, &set.name));
        if let Some(other) = endpoints.into_iter().find(|endpoint| !ours(endpoint)) {
            let why = format!(
                "Service {name} also selects pod {}, which is not of Deployment {}: {foreign}",
                other.pod, deployment.name
            );
            return Some((Refusal::UnsupportedService, why));
        }
        let (key, value) = selector.into_iter().find(|(key, value)| !answers(key, value))?;
        let why = format!(
            "Service {name} selects {key}={value}, which the pod template of Deployment {} does not carry",
            deployment.name
        );
        Some((Refusal::UnsupportedService, why))
    }

    fn unfit_route(&self) -> Option<(Refusal, String)> {
        let smallest = self.plan.steps[0].weight;
        self.plan.routes.iter().map(RouteId::from).find_map(|id| match self.seen.routes.get(&id) {
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
}

/// Kubernetes cuts long names of pods, and cut names do not tell versions apart.
pub(super) fn name_too_long(name: &str) -> Option<(Refusal, String)> {
    (name.len() > pod::LONGEST_DEPLOYMENT).then(|| {
        let why = format!(
            "the name of Deployment {name} is longer than {} characters: Kubernetes would cut its pods' names, and versions could not be told apart",
            pod::LONGEST_DEPLOYMENT
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
