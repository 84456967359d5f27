//! The CanaryRollout: which workload is released, through which routes, in which steps, and which checks judge it.

use std::sync::{Arc, LazyLock};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{
    CanaryRolloutStatus, Duration, Percent,
    cache::Cache,
    check::Check,
    limits,
    traffic::Traffic,
    webhook::{Gate, Notifier},
    window::Window,
};

/// How new versions of one workload are released.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "warmfront.dev",
    version = "v1alpha1",
    kind = "CanaryRollout",
    doc = "How new versions of one workload are released: through which Services and routes, in which steps, and judged by what.",
    plural = "canaryrollouts",
    shortname = "cro",
    category = "all",
    namespaced,
    status = "CanaryRolloutStatus",
    derive = "PartialEq",
    validation = ("self.metadata.name.size() <= 63", "the name must not be longer than 63 characters: it is used as a label's value"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.figures.step"),
    printcolumn(name = "Weight", type_ = "string", json_path = ".status.figures.weight"),
    printcolumn(name = "Hit", type_ = "string", json_path = ".status.figures.hitRatio"),
    printcolumn(name = "Errors", type_ = "string", json_path = ".status.figures.errorRate"),
    printcolumn(name = "Latency", type_ = "string", json_path = ".status.figures.latency"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.run.revision", priority = 1),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stableRevision", priority = 1),
    printcolumn(name = "Base-Hit", type_ = "string", json_path = ".status.figures.baseline.hitRatio", priority = 1),
    printcolumn(name = "Base-Errors", type_ = "string", json_path = ".status.figures.baseline.errorRate", priority = 1),
    printcolumn(name = "Base-Latency", type_ = "string", json_path = ".status.figures.baseline.latency", priority = 1),
    printcolumn(name = "Started", type_ = "date", json_path = ".status.run.startedAt", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!(has(self.steps) && has(self.ramp))", "steps and ramp exclude one another"),
    validation = ("!has(self.workload.pair) || !(has(self.traffic.service) || has(self.traffic.canaryService) || has(self.traffic.canaryServiceMetadata) || has(self.traffic.alsoNarrow))",
        "a pair names its Services itself: leave service, canaryService, canaryServiceMetadata and alsoNarrow out of traffic"),
    validation = ("(has(self.checks) && self.checks.size() > 0) != (has(self.unjudged) && self.unjudged)",
        "name at least one check, or say `unjudged: true` and no checks: then every step passes unseen")
)]
pub struct CanaryRolloutSpec {
    /// What is released. It cannot be changed: delete this CanaryRollout, which puts everything back, and create another one.
    #[x_kube(validation = ("self == oldSelf", "the workload cannot be changed: delete this CanaryRollout, which gives everything back, and create another one"))]
    pub workload: Workload,
    /// The Services and routes through which traffic reaches the two versions.
    pub traffic: Traffic,
    /// The steps of a release, 1 to 50: weights above 0, in rising order, the last one 100. Default: 5, 10, 25, 50 and 100, with 5m at each but the last. Excludes `ramp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    #[x_kube(
        validation = ("self.map(s, type(s.weight) == int ? double(s.weight) : double(s.weight.replace('%', ''))).isSorted()", "the weights of the steps must rise"),
        validation = ("self.map(s, type(s.weight) == int ? double(s.weight) : double(s.weight.replace('%', ''))).all(w, w > 0.0)", "a step's weight must be above 0"),
        validation = ("self.map(s, type(s.weight) == int ? double(s.weight) : double(s.weight.replace('%', '')))[self.size() - 1] == 100.0", "the last step must have weight 100")
    )]
    pub steps: Option<Vec<Step>>,
    /// Evenly spaced steps, instead of the list in `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// How long the new version is judged at 100% while the pods of the old one are still there, so that a rollback is immediate, at most `720h`. Default: a quarter more than `cache.ttl`, at most `4h`; without one `1h`. `0s` leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake: Option<Duration>,
    /// The cache behind both versions. It tells a cold cache from a broken one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// What the new version is judged by, at most 16. Every check must pass at each step before the weight rises; one that fails rolls the release back, or pauses it (`onBreach`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub checks: Vec<Check>,
    /// Releases without any check: every step passes once its hold is over. Must be `true` if `checks` is empty, so that checks are never forgotten. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unjudged: bool,
    /// Which metrics store the checks ask, and how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// A check that has no data, or whose new version gets no requests, for this long pauses the release until there is data again, at most `720h`. Default `10m`. A check that only has too few requests for a result pauses it later: after ten times the hold or twice the time that the step was expected to take, at least 1h and at most 6h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_data_deadline: Option<Duration>,
    /// The release is rolled back if the pods for a step are not Available, or the routes not served with the new weight, within this time, at most `720h`. Default `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Duration>,
    /// Times at which weights may rise, at most 8. Falling weights and rollbacks do not wait for them. Default: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub windows: Vec<Window>,
    /// Other systems that are asked before the release goes on, at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = ("self.all(g, self.exists_one(o, (has(o.name) ? o.name : o.before.lowerAscii()) == (has(g.name) ? g.name : g.before.lowerAscii())))",
        "each gate needs a name of its own; without one it has that of what it stands before"))]
    pub gates: Vec<Gate>,
    /// Other systems that are told when a release starts, pauses or ends, at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = ("self.all(n, self.exists_one(o, o.name == n.name))", "each notifier needs a name of its own"))]
    pub notify: Vec<Notifier>,
    /// How long the new version's pods stay after a rollback, so that people can look at them, counted from when no request reaches them any more, at most `720h`. Default `10m`. The pods of a pair are never removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_canary: Option<Duration>,
    /// How long after a promotion an Abort can still bring the old version back. Its pods stay at full size for that time, counted from when no request reaches them any more; those of a pair are never removed. At most `720h`, default `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_stable: Option<Duration>,
    /// Keeps the release at its weight until this is false again. Checks go on, and one that fails still rolls it back. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

impl CanaryRolloutSpec {
    /// Reads a spec that somebody wrote. A field that this version does not know is an error, with its path: whoever
    /// wrote it means something by it.
    pub fn read(value: &Value) -> Result<Self, String> {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
        let read = serde_ignored::deserialize(tracked, |path| unknown.push(field(&path)));
        let spec: Self = read.map_err(|error| unreadable(&track.path(), &error))?;
        match unknown.as_slice() {
            [] => within_limits(value).map(|()| spec),
            fields => Err(format!(
                "this version of Warmfront does not know {}: take it out, or upgrade the controller",
                fields.join(", ")
            )),
        }
    }

    /// Reads the plan of a running release, which a newer version may have written: what is not known here is left out,
    /// item by item, but for the workload and the routes, without which nothing can be taken back.
    pub(super) fn read_leniently<'de, D: Deserializer<'de>>(plan: D) -> Result<Arc<Self>, D::Error> {
        let mut plan = Value::deserialize(plan)?;
        let spec = Self::deserialize(&plan).or_else(|_| {
            leave_out_unknown(&mut plan);
            Self::deserialize(&plan)
        });
        spec.map(Arc::new).map_err(D::Error::custom)
    }
}

/// Longest spec, in bytes of JSON. A running release keeps a copy in the status, which must stay far below what the API server stores.
const LARGEST: usize = 32_768;

/// Fails with the first size or number that is out of its range.
fn within_limits(spec: &Value) -> Result<(), String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(limits::of_spec::<CanaryRollout>);
    let size = spec.to_string().len();
    let too_large = || {
        (size > LARGEST).then(|| {
            format!("spec has {size} bytes as JSON: write at most {LARGEST}, with shorter expressions or annotations")
        })
    };
    limits::breach(&SCHEMA, spec, "spec")
        .or_else(too_large)
        .map_or(Ok(()), Err)
}

/// Which field cannot be read, and why.
fn unreadable(path: &serde_path_to_error::Path, error: &serde_json::Error) -> String {
    match path.to_string().as_str() {
        "." => format!("the spec cannot be read: {error}"),
        path => format!("spec.{path} cannot be read: {error}"),
    }
}

/// A path as messages name it, such as `spec.checks[0].latency.limit`.
fn field(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => "spec".to_owned(),
        Path::Seq { parent, index } => format!("{}[{index}]", field(parent)),
        Path::Map { parent, key } => format!("{}.{key}", field(parent)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => field(parent),
    }
}

/// Takes out of a plan the fields, and of lists the items, that cannot be read.
fn leave_out_unknown(plan: &mut Value) {
    let Some(whole) = plan.as_object_mut() else { return };
    let needed: Map<String, Value> = ["workload", "traffic"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), whole.get(key)?.clone())))
        .collect();
    let reads = |key: &str, value: &Value| {
        let mut one = needed.clone();
        one.insert(key.to_owned(), value.clone());
        CanaryRolloutSpec::deserialize(&Value::Object(one)).is_ok()
    };
    whole.retain(|key, value| {
        if needed.contains_key(key) || reads(key, value) {
            return true;
        }
        let Some(items) = value.as_array_mut() else {
            return false;
        };
        items.retain(|item| reads(key, &Value::Array(vec![item.clone()])));
        !items.is_empty()
    });
}

/// What is released: one Deployment, or one of a pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.deployment) != has(self.pair)", "a workload names exactly one of deployment and pair"))]
pub struct Workload {
    /// A Deployment in this namespace. Every change of its pod template starts a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentRef>,
    /// Two Deployments in this namespace, such as the app without and with its cache. Traffic is moved from one to the other; pods, Deployments and Services are not changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
}

/// Two Deployments, each with a Service of its own. None of the four objects is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.baseline.deployment != self.candidate.deployment", "the Deployments of a pair must differ"),
    validation = ("self.baseline.service != self.candidate.service", "the Services of a pair must differ")
)]
pub struct Pair {
    /// The version that serves users before the release, and after a rollback.
    pub baseline: PairSide,
    /// The version that is released, and that serves users after a promotion.
    pub candidate: PairSide,
}

/// A Deployment of a pair, and its Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairSide {
    /// Name of the Deployment.
    #[schemars(length(min = 1, max = 253))]
    pub deployment: String,
    /// Name of the Service that selects the pods of this Deployment and no others.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
}

/// A Deployment in the namespace of the CanaryRollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentRef {
    /// Name of the Deployment.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One step: a weight, and what must happen before the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Share of requests that the new version gets: `5`, `5%` or `0.5%`; above 0, at most 100%.
    pub weight: Percent,
    /// Shortest time at this weight, from when the routes serve it, at most `720h`. Default `5m`; `0s` at 100%.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// Whether the release waits for a Promote action once the hold is over. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

/// Evenly spaced steps: `from`, `from + by`, and so on; the last one is `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("(type(self.from) == int ? double(self.from) : double(self.from.replace('%', ''))) > 0.0", "from must be above 0"),
    validation = ("!has(self.to) || (type(self.to) == int ? double(self.to) : double(self.to.replace('%', ''))) == 100.0", "a ramp must end at 100"),
    validation = ("(type(self.by) == int ? double(self.by) : double(self.by.replace('%', ''))) >= 1.0", "by must be at least 1%")
)]
pub struct Ramp {
    /// Weight of the first step, above 0.
    pub from: Percent,
    /// Weight of the last step. Only 100 is allowed, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Percent>,
    /// How much each step adds to the weight, at least 1%.
    pub by: Percent,
    /// Shortest time at each weight, from when the routes serve it, at most `720h`. Default `5m`; always `0s` at 100%.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
}

/// Which metrics store the checks ask, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Name of the MetricSource, which is an object of the cluster. Default `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub source: Option<String>,
    /// How often the checks are evaluated, `1s` to `1h`, and at least the scrape interval of the MetricSource. Default: that, but at least `15s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = ("duration(self) >= duration('1s') && duration(self) <= duration('1h')", "the interval must be 1s to 1h")
    )]
    pub interval: Option<Duration>,
}
