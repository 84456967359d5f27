//! Everything that the shell may tell the engine about the world.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::{Duration, action::RolloutActionSpec, status::Cause},
    engine::contract::{call::Reply, kind::Kind},
    provider::Reading,
    router::{Acceptance, RouteError, RouteId, RouteState, Target},
    workload::{autoscaler::Autoscaler, deployment::Deployment, replica_set::ReplicaSet, service::Service},
};

/// One look at the world.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether the CanaryRollout is to go.
    pub deletion: Deletion,
    /// Our finalizer stands on it.
    pub finalizer: bool,
    /// An elder rollout names this Deployment too.
    pub elder: Option<(String, String)>,
    /// An elder rollout sets weights in the same rule of this route.
    pub route_elder: Option<(String, RouteId)>,
    /// The named Deployment; the candidate of a pair.
    pub deployment: Option<Deployment>,
    /// The baseline of a pair.
    pub baseline: Option<Deployment>,
    /// ReplicaSets that the Deployments own or that this rollout holds.
    pub replica_sets: Vec<ReplicaSet>,
    /// The named Services and the canary's, by name.
    pub services: BTreeMap<String, Service>,
    /// Pods behind these Services: name, and whether they are ready.
    pub endpoints: BTreeMap<String, Vec<Endpoint>>,
    /// The named routes, and those in which something of ours may still stand.
    pub routes: BTreeMap<RouteId, RouteSeen>,
    /// Timing of the metric source, if it exists.
    pub source: Option<SourceTiming>,
    /// What was measured, if it was asked for.
    pub measured: Option<Measured>,
    /// What came of calls, by key.
    pub replies: BTreeMap<String, Reply>,
    /// Versions of the objects that may be changed: who has changed one since then is not overwritten.
    pub versions: BTreeMap<(Kind, String), u64>,
    /// Number of the last Event that this process has told of this rollout.
    pub told: i64,
    /// An address in the spec that the controller may not talk to, and why.
    pub forbidden_address: Option<String>,
    /// RolloutActions for this rollout, oldest first.
    pub actions: Vec<ActionSeen>,
    /// What keeps the new version's pods from being ready, in the API's words.
    pub trouble: Option<String>,
    /// A change that the API server refused in the last pass.
    pub obstacle: Option<Obstacle>,
    /// A field of the status that the API server did not store: the installed definition is older than this controller.
    pub not_stored: Option<String>,
    /// ConfigMaps that the template names: their resourceVersion by name.
    pub configs: BTreeMap<String, String>,
    /// Digests of the contents of those that were asked for.
    pub config_digests: BTreeMap<String, String>,
    /// Autoscalers of the Deployment.
    pub autoscalers: Vec<Autoscaler>,
    /// Further Services that select the Deployment's pods, and will see the new version's at weight 0.
    pub other_services: Vec<String>,
}

/// A change that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What was tried, on what, and what the API server said.
    pub message: String,
    /// The controller is not allowed to.
    pub forbidden: bool,
}

/// Whether the CanaryRollout is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletion {
    /// It stays.
    #[default]
    No,
    /// It was deleted.
    Asked,
    /// It was deleted with its namespace, or its owner wants it gone whatever is left behind.
    AtOnce,
}

/// A pod behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub pod: String,
    /// Whether it gets traffic.
    pub ready: bool,
}

/// One named route.
#[derive(Clone, Debug)]
pub enum RouteSeen {
    /// The cluster has no such kind.
    NotInstalled,
    /// It does not exist.
    Missing,
    /// It exists but cannot be read.
    Unusable(RouteError),
    /// It exists.
    Found(Box<Route>),
}

/// A route that can be used.
#[derive(Clone, Debug)]
pub struct Route {
    /// What is split in it.
    pub target: Target,
    /// The object as it stands, its status aside, as text: parsed it takes ten times the space, and there is one for each release.
    pub live: Box<str>,
    /// Its generation.
    pub generation: i64,
    /// What it says about our Services.
    pub state: RouteState,
    /// Whether the data plane serves it as it stands.
    pub acceptance: Acceptance,
    /// When we changed it last, until our marks of ownership are dropped.
    pub written_at: Option<Timestamp>,
    /// The newest field manager besides us.
    pub other_manager: Option<String>,
}

impl Route {
    /// The object, to plan a change of it.
    pub fn live(&self) -> Value {
        // Text that a value has made is a value again.
        serde_json::from_str(&self.live).unwrap_or_default()
    }
}

/// Timing of a metric source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceTiming {
    /// How often it scrapes.
    pub scrape_interval: Duration,
}

/// The answers for one tick, one per check of the plan that was asked with.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Requests after this moment …
    pub start: Timestamp,
    /// … up to this one.
    pub end: Timestamp,
    /// In the order of the checks.
    pub readings: Vec<Result<Reading, (Cause, String)>>,
}

/// One RolloutAction.
#[derive(Clone, Debug)]
pub struct ActionSeen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What is asked.
    pub spec: RolloutActionSpec,
    /// Who created it, as far as the object tells.
    pub by: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was decided, if it was.
    pub decided: Option<Timestamp>,
}
