//! Everything that the shell may tell the engine about the world.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::{
        Duration,
        action::RolloutActionSpec,
        metric_source::MetricSourceSpec,
        metric_source::Preset,
        status::{Cause, Needed},
    },
    engine::contract::{call::Reply, kind::Kind},
    provider::Reading,
    router::{Acceptance, RouteError, RouteId, RouteState, Target},
    workload::{autoscaler::Autoscaler, deployment::Deployment, replica_set::ReplicaSet, service::Service},
};

/// One look at the world.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether the CanaryRollout was deleted.
    pub deletion: Deletion,
    /// Our finalizer stands on it.
    pub finalizer: bool,
    /// An object that the rollout needs and that cannot be read, and why. Of what is seen of it an older copy may stand here.
    pub unreadable: Option<String>,
    /// An elder rollout names this Deployment too.
    pub elder: Option<(String, String)>,
    /// An elder rollout sets weights in the same rule of this route.
    pub route_elder: Option<(String, RouteId)>,
    /// A route that more rollouts name than are looked at, if this one came too late.
    pub crowded_route: Option<RouteId>,
    /// The named Deployment; the candidate of a pair.
    pub deployment: Option<Deployment>,
    /// The baseline of a pair.
    pub baseline: Option<Deployment>,
    /// ReplicaSets that the Deployments own or that this rollout holds.
    pub replica_sets: Vec<ReplicaSet>,
    /// The named Services and the canary's, by name.
    pub services: BTreeMap<String, Service>,
    /// Pods behind each of these Services, by the Service's name.
    pub endpoints: BTreeMap<String, Vec<Endpoint>>,
    /// Routes that the plan names, and those that it named before and in which our entry may still stand.
    pub routes: BTreeMap<RouteId, RouteSeen>,
    /// Timing of the MetricSource; absent if it does not exist.
    pub source: Option<Source>,
    /// The MetricSource's spec: another one is looked at anew.
    pub source_spec: Option<MetricSourceSpec>,
    /// Why the MetricSource, which is there, cannot be used.
    pub invalid_source: Option<String>,
    /// Answers of the metrics store, in the pass that asked for a tick.
    pub measured: Option<Measured>,
    /// Answers of gates and notifiers, by the key of the call.
    pub replies: BTreeMap<String, Reply>,
    /// Requests that were looked for on a version that has lost its traffic, in the pass that asked for them.
    pub drained: Option<Drained>,
    /// What the metrics say of the running version, in the pass that asked for it.
    pub inspected: Option<Inspected>,
    /// The resourceVersion of each object that may be changed. A change is refused if the object has another one by then.
    pub versions: BTreeMap<(Kind, String), u64>,
    /// Number of the last Event of this rollout that this process has written.
    pub told: i64,
    /// Why the controller may not call an address in the spec; absent if it may call all.
    pub forbidden_address: Option<String>,
    /// RolloutActions for this rollout, oldest first.
    pub actions: Vec<ActionSeen>,
    /// Names of those that this pass has read anew: one that is not among `actions` is gone.
    pub actions_read: BTreeSet<String>,
    /// Why the new version's pods are not ready, in the API's words; only in a pass that asked for it.
    pub trouble: Option<String>,
    /// Changes that the API server has refused, and that are still to be made.
    pub obstacles: Vec<Obstacle>,
    /// Number of the newest Event in the stored status: those after it are in memory alone.
    pub stored_events: i64,
    /// A field of the status that the API server did not store: the installed definition is older than this controller.
    pub not_stored: Option<String>,
    /// ConfigMaps that the template names: their resourceVersion by name.
    pub configs: BTreeMap<String, String>,
    /// SHA-256 digests of the contents of those ConfigMaps that this pass asked for, by name.
    pub config_digests: BTreeMap<String, String>,
    /// Autoscalers of the Deployment.
    pub autoscalers: Vec<Autoscaler>,
    /// The policy by which the API server is to hold changed templates.
    pub policy: Policy,
    /// What a dry run has told of that policy for this Deployment; absent if none was made since policy or process began.
    pub probed: Option<Probed>,
    /// Other Services that select the Deployment's pods: the new version's pods are behind them as soon as they run.
    pub other_services: Vec<String>,
}

/// The policy by which the API server pauses a Deployment in the request that changes its template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// There is none; why.
    Absent(String),
    /// Policy and binding are there, in this version.
    Standing(String),
}

impl Default for Policy {
    fn default() -> Self {
        Self::Absent("nobody has looked for a policy".to_owned())
    }
}

/// What a dry run of a changed template has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The API server would have paused the Deployment.
    Holds,
    /// It would not.
    DoesNotHold {
        /// Since when that is known.
        since: Timestamp,
        /// Why.
        why: String,
    },
    /// It did not answer; what it said, and since when that lasts.
    Unanswered {
        /// Since when.
        since: Timestamp,
        /// What was tried, and what came back.
        why: String,
    },
}

/// A change that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Kind and name of the object, if it is one that the release needs.
    pub object: Option<(Kind, String)>,
    /// What was tried, on what, what the API server said, and what to do.
    pub message: String,
    /// The controller is not allowed to.
    pub forbidden: bool,
}

impl Observed {
    /// What keeps an object of this kind from being changed.
    pub fn obstacle_to(&self, kind: Kind) -> Option<&Obstacle> {
        let is_of = |obstacle: &&Obstacle| obstacle.object.as_ref().is_some_and(|(of, _)| *of == kind);
        self.obstacles.iter().find(is_of)
    }
}

/// Whether the CanaryRollout was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletion {
    /// It was not.
    #[default]
    No,
    /// It was: everything is given back before it goes.
    Asked,
    /// It was not, and everything is given back all the same: Warmfront is being uninstalled.
    Uninstall,
    /// It was, with its namespace or with the annotation that forces it: it goes at once, and nothing is given back.
    AtOnce,
}

/// A pod behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub pod: String,
    /// The Service sends it traffic.
    pub ready: bool,
    /// It gets that traffic and can answer.
    pub serves: bool,
    /// Names of the Service's ports at which it is reached, empty for one without a name; `None` if that is not told.
    pub ports: Option<BTreeSet<String>>,
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
    /// The object as it stands, without its status, as JSON text: parsed it takes ten times the space.
    pub live: Box<str>,
    /// Its generation.
    pub generation: i64,
    /// What it says about our Services.
    pub state: RouteState,
    /// Whether the data plane serves it as it stands.
    pub acceptance: Acceptance,
    /// When we changed it last, read off its managedFields; absent once our entries there are removed.
    pub written_at: Option<Timestamp>,
    /// The field manager, other than us, that changed it last.
    pub other_manager: Option<String>,
}

impl Route {
    /// The object, to plan a change of it.
    pub fn live(&self) -> Value {
        // It was printed from a value, so it parses.
        serde_json::from_str(&self.live).unwrap_or_default()
    }
}

/// What of a metric source decides when ticks are asked, and how they are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// How often it scrapes.
    pub scrape_interval: Duration,
    /// How long after it was taken a sample can be asked for, if its owner says so.
    pub lag: Option<Duration>,
    /// Whose requests it counts.
    pub preset: Preset,
}

/// The answer to a [`DrainQuestion`](super::DrainQuestion).
#[derive(Clone, Debug, PartialEq)]
pub struct Drained {
    /// The revision that was asked about.
    pub revision: String,
    /// What its requests need.
    pub needs: Needed,
    /// End of the window.
    pub end: Timestamp,
    /// Requests in the window, if they could be read.
    pub requests: Option<f64>,
}

/// The answer to an [`InspectionQuestion`](super::InspectionQuestion).
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The version that was asked about.
    pub revision: String,
    /// Digest of the checks and the MetricSource that were in force.
    pub basis: String,
    /// In the order of the checks.
    pub readings: Vec<Result<Reading, (Cause, String)>>,
    /// A pod that several jobs scrape, and which of them counts.
    pub scraped_twice: Option<String>,
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
    /// Its resourceVersion: it is answered only as it was seen.
    pub version: String,
    /// What is asked.
    pub spec: RolloutActionSpec,
    /// Who created it, as far as the object tells.
    pub by: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was decided, if it was.
    pub decided: Option<Timestamp>,
}
