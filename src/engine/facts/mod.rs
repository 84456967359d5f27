//! What can be read off one look at the world: which ReplicaSet is which, what a weight needs, what is missing.

pub mod mode;
pub mod quiet;
pub mod salvage;
pub mod text;

use crate::api::moment::Moment as _;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    api::{CanaryRolloutStatus, Duration, Percent, Plan, condition::Refusal, status::Run},
    engine::contract::{
        Identity,
        observed::{Deletion, Endpoint, Observed, Route, RouteSeen},
    },
    kubernetes::pod_name,
    router::{Acceptance, RouteId},
    workload::{deployment::Deployment, replica_set::ReplicaSet, service::Service},
};
use mode::{Mode, Side};

/// The revision that takes over: the new one, or the old one while a promotion is undone.
pub fn successor(run: &Run) -> &str {
    run.undoing.as_deref().unwrap_or(&run.revision)
}

/// The exchange can be called off: none of the user's Services selects the new version yet.
pub fn can_be_called_off(facts: &Facts<'_>, run: &Run) -> bool {
    facts
        .narrowed_services()
        .all(|service| service.hash() != Some(&run.revision))
}

/// Least wait after a write where no parent reports a generation: the slowest data plane of that kind, a cloud's
/// load balancer, takes up to half a minute.
const UNREPORTED_SETTLE: Duration = Duration::from_secs(30);

/// The plan in force and one look at the world.
pub struct Facts<'a> {
    /// Whose look it is.
    pub id: &'a Identity,
    /// The plan in force.
    pub plan: &'a Plan,
    /// What the shell has seen.
    pub seen: &'a Observed,
    /// When it was seen.
    pub now: Timestamp,
    /// How the two versions are run.
    pub mode: &'static dyn Mode,
    /// Why nothing new is begun, if anything needed is missing or unfit.
    pub refusal: Option<(Refusal, String)>,
}

impl<'a> Facts<'a> {
    /// One look; whether it is refused is not known yet.
    pub fn new(id: &'a Identity, plan: &'a Plan, seen: &'a Observed, now: Timestamp, mode: &'static dyn Mode) -> Self {
        Self {
            id,
            plan,
            seen,
            now,
            mode,
            refusal: None,
        }
    }

    /// The weight of the first step.
    pub fn first_weight(&self) -> Percent {
        self.plan.steps.first().map_or(Percent::FULL, |step| step.weight)
    }

    /// A ReplicaSet that stays, by its `pod-template-hash`.
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

    /// The new version's ReplicaSet, where one Deployment is released.
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

    /// ReplicaSets that the Deployment owns and that have or want pods.
    pub fn active_of(&self, deployment: &Deployment) -> Vec<&'a ReplicaSet> {
        let owned = self
            .seen
            .replica_sets
            .iter()
            .filter(|set| set.owned_by(&deployment.uid));
        owned.filter(|set| set.replicas > 0 || set.total > 0).collect()
    }

    /// Pods that the new version needs before it gets `weight`: its share of the Deployment's size, rounded up, at least 1.
    pub fn size_for(&self, weight: Percent) -> u32 {
        let replicas = self
            .seen
            .deployment
            .as_ref()
            .map_or(0, |deployment| deployment.replicas);
        weight.ceil_of(replicas).max(1)
    }

    /// The new version's pods.
    pub fn candidate(&self, run: &Run) -> Side<'a> {
        self.mode.candidate(self, run)
    }

    /// The pods that users have when no release runs.
    pub fn stable(&self, status: &CanaryRolloutStatus) -> Side<'a> {
        self.mode.stable(self, status)
    }

    /// Pods of the new version that are Available and reached through its Service.
    pub fn ready_for_traffic(&self, run: &Run) -> u32 {
        let candidate = self.candidate(run);
        candidate.available().min(self.reached(&candidate))
    }

    /// Pods of a version that are ready and reached through its Service.
    pub fn reached(&self, side: &Side<'_>) -> u32 {
        self.ready_behind(side.service, &side.sets).0.min(side.ready())
    }

    /// How many pods of `sets` requests to a Service reach, so that they are answered, and how many others they reach.
    pub fn ready_behind(&self, service: &str, sets: &[&ReplicaSet]) -> (u32, u32) {
        let (mut own, mut others) = (0, 0);
        if !self.seen.services.contains_key(service) {
            // Its slices are about to go with it.
            return (own, others);
        }
        for endpoint in self.seen.endpoints.get(service).into_iter().flatten() {
            if !sets.iter().any(|set| pod_name::is_of(&endpoint.pod, &set.name)) {
                others += u32::from(endpoint.ready);
            } else if endpoint.serves && self.has_routed_ports(service, endpoint) {
                own += 1;
            }
        }
        (own, others)
    }

    /// The pod has the ports of its Service to which routes lead. A port that is named and that the pod lacks is none of
    /// its own, although it is called ready.
    fn has_routed_ports(&self, service: &str, endpoint: &Endpoint) -> bool {
        let (Some(ports), Some(service)) = (&endpoint.ports, self.seen.services.get(service)) else {
            return true;
        };
        let of_canary = service.name == self.plan.canary_service;
        let routed = self.found_routes().flat_map(|(_, route)| {
            let own = &route.state.canary_ports;
            if of_canary && !own.is_empty() {
                own
            } else {
                &route.state.ports
            }
        });
        let mut named = routed.filter_map(|number| service.port_name((*number).into()));
        (service.ports.is_empty() || !ports.is_empty()) && named.all(|name| ports.contains(name))
    }

    /// The Deployment has been missing for longer than `progressDeadline`.
    pub fn target_given_up(&self, status: &CanaryRolloutStatus) -> bool {
        status
            .target_missing_since
            .is_some_and(|since| self.now >= since.plus(self.plan.progress_deadline.signed()))
    }

    /// What can be taken over: the one ReplicaSet that has all the Deployment's pods, all of them Available. Of a paused
    /// Deployment that is what serves, whichever template waits.
    pub fn adoptable(&self, deployment: &Deployment) -> Option<&'a ReplicaSet> {
        let active = self.active_of(deployment);
        let sets = &self.seen.replica_sets;
        let owned = || sets.iter().find(|set| set.owned_by(&deployment.uid) && self.wants(set));
        match active.as_slice() {
            _ if !deployment.settled() => None,
            [] if deployment.complete() => owned(),
            [_] if !deployment.paused && deployment.complete() => owned(),
            [only] if deployment.paused => {
                let all = [only.replicas, only.total, only.available];
                (all == [deployment.replicas; 3]).then_some(*only)
            }
            _ => None,
        }
    }

    /// Kubernetes is rolling the Deployment out itself. One that has the serving version's ReplicaSet and no other with pods
    /// is scaled, or replaces pods, but rolls nothing out.
    pub fn rolls_out(&self, status: &CanaryRolloutStatus) -> bool {
        let Some(deployment) = self.seen.deployment.as_ref() else {
            return false;
        };
        !deployment.paused && !deployment.complete() && !self.serves_alone(status, deployment)
    }

    /// The Deployment asks for the serving version, owns its ReplicaSet, and no other with pods.
    pub fn serves_alone(&self, status: &CanaryRolloutStatus, deployment: &Deployment) -> bool {
        self.serving(status).is_some_and(|serving| {
            let active = self.active_of(deployment);
            let alone = active.iter().all(|set| set.hash == serving.hash);
            self.wants(serving) && serving.owned_by(&deployment.uid) && alone
        })
    }

    /// The version to which the user's Services are narrowed: without its ReplicaSet, or as long as that has no ready pod to be
    /// narrowed to, they reach whatever is ready.
    pub fn narrow_to(&self, status: &CanaryRolloutStatus) -> Option<String> {
        let serving = self.serving(status)?;
        let is_narrow = || {
            self.narrowed_services()
                .any(|service| service.hash() == Some(&serving.hash))
        };
        (serving.ready > 0 || is_narrow()).then(|| serving.hash.clone())
    }

    /// Kubernetes is rolling the Deployment out itself and we wait. After deletion we wait at most `progressDeadline`.
    pub fn native_rollout(&self, status: &CanaryRolloutStatus) -> bool {
        self.rolls_out(status)
            && (self.seen.deletion == Deletion::No
                || self.native_rollout_given_up_at(status).is_some_and(|at| self.now < at))
    }

    /// Until when a deleted rollout waits for Kubernetes' own rollout.
    pub fn native_rollout_given_up_at(&self, status: &CanaryRolloutStatus) -> Option<Timestamp> {
        let ended = status
            .run
            .as_ref()
            .and_then(|run| run.ended_at)
            .filter(|_| self.seen.deletion != Deletion::No);
        ended.map(|ended| ended.plus(self.plan.progress_deadline.signed()))
    }

    /// Pods may be removed: the version that serves has all its pods, or it cannot get them and has at least one.
    pub fn may_scale_down(&self, status: &CanaryRolloutStatus) -> bool {
        let wanted = self.seen.deployment.as_ref().map(|deployment| deployment.replicas);
        let leaving = self.seen.deletion != Deletion::No;
        let Some(serving) = self.serving(status) else {
            // Users have what is left.
            let unwanted = wanted.map_or_else(|| self.target_given_up(status), |wanted| wanted == 0);
            return unwanted || leaving || status.stable_revision.is_none();
        };
        let stuck = serving.failure.is_some() || leaving;
        serving.available >= wanted.unwrap_or(0) || (stuck && serving.available > 0)
    }

    /// A Service of the user's is wide and reaches pods that are kept.
    pub fn reach_kept_pods(&self, status: &CanaryRolloutStatus) -> bool {
        let kept = status.kept.iter().filter_map(|kept| self.replica_set(&kept.revision));
        let has_pods = kept.into_iter().any(|set| set.replicas > 0 || set.total > 0);
        // Without a serving version they are what users have, and stay.
        let serves = self.serving(status).is_some();
        serves
            && !self.rolls_out(status)
            && has_pods
            && self.narrowed_services().any(|service| service.hash().is_none())
    }

    /// Those of the user's Services that exist and are narrowed during a release.
    pub fn narrowed_services(&self) -> impl Iterator<Item = &'a Service> {
        let seen = self.seen;
        std::iter::once(&self.plan.service)
            .chain(&self.plan.also_narrow)
            .filter_map(move |name| seen.services.get(name))
    }

    /// The plan names this route. Our entry leaves a route that the plan named before and names no longer.
    pub fn names(&self, id: &RouteId) -> bool {
        self.plan
            .routes
            .iter()
            .any(|named| named.kind == id.kind && named.name == id.name)
    }

    /// Every route that can be read, also one that the plan no longer names.
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

    /// Whether every route gives the new version exactly `weight` and the data plane serves that. The error says what is
    /// waited for.
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

    /// Generation of each route, by its key.
    pub fn generations(&self) -> BTreeMap<String, i64> {
        self.found_routes()
            .map(|(id, route)| (id.key(), route.generation))
            .collect()
    }

    /// Whether this route gives the new version exactly `weight` and the data plane serves it so. The error says what is
    /// waited for.
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

    /// Whether the data plane serves the route as it stands. The error says what is waited for.
    pub fn served(&self, id: &RouteId, route: &Route) -> Result<(), String> {
        match &route.acceptance {
            Acceptance::Accepted => Ok(()),
            Acceptance::Waiting(what) => Err(what.clone()),
            Acceptance::Unknown => match self.settled_at(route) {
                Some(at) if self.now < at => Err(format!(
                    "{id} to settle until {}: no parent reports which generation it serves",
                    text::clock(at)
                )),
                _ => Ok(()),
            },
        }
    }

    /// When a change of ours counts as served, where no parent reports generations.
    pub fn settled_at(&self, route: &Route) -> Option<Timestamp> {
        let unreported = route.acceptance == Acceptance::Unknown;
        route
            .written_at
            .filter(|_| unreported)
            .map(|at| at.plus(self.plan.settle.max(UNREPORTED_SETTLE).signed()))
    }

    /// The new version has an entry in every route.
    pub fn entry_stands(&self) -> bool {
        self.found_routes().all(|(_, route)| route.state.entry_stands())
    }

    /// No route has an entry or a rule of ours, and the data plane serves it so.
    pub fn entry_gone(&self) -> bool {
        self.weight_confirmed(Percent::ZERO).is_ok()
            && self.readable_routes().all(|(_, route)| route.state.entry_gone())
    }
}
