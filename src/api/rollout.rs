//! The CanaryRollout: which workload is released, through which router, in which steps, judged by what.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CanaryRolloutStatus, Duration, Percent,
    check::Check,
    traffic::Traffic,
    webhook::{Gate, Notifier},
    window::Window,
};

/// How one service is released.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "warmfront.dev",
    version = "v1alpha1",
    kind = "CanaryRollout",
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
    validation = ("!has(self.workload.pair) || !(has(self.traffic.service) || has(self.traffic.canaryService) || has(self.traffic.alsoNarrow))",
        "a pair names its Services itself: leave service, canaryService and alsoNarrow out of traffic"),
    validation = ("(has(self.checks) && self.checks.size() > 0) != (has(self.unjudged) && self.unjudged)",
        "name at least one check, or say `unjudged: true` and no checks: then every step passes unseen")
)]
pub struct CanaryRolloutSpec {
    /// What is released. Cannot be changed.
    #[x_kube(validation = ("self == oldSelf", "the workload cannot be changed: delete this CanaryRollout, which gives everything back, and create another one"))]
    pub workload: Workload,
    /// How traffic is moved.
    pub traffic: Traffic,
    /// Weights in rising order, the last one 100. Default: 5, 10, 25, 50, 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    #[x_kube(
        validation = ("self.map(s, type(s.weight) == int ? double(s.weight) : double(s.weight.replace('%', ''))).isSorted()", "the weights of the steps must rise"),
        validation = ("self.map(s, type(s.weight) == int ? double(s.weight) : double(s.weight.replace('%', ''))).all(w, w > 0.0)", "a step's weight must be above 0"),
        validation = ("self.map(s, type(s.weight) == int ? double(s.weight) : double(s.weight.replace('%', '')))[self.size() - 1] == 100.0", "the last step must have weight 100")
    )]
    pub steps: Option<Vec<Step>>,
    /// Evenly spaced steps instead of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// How long the new version is judged at 100% with the old one still up. Default `1h`; `0s` turns it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake: Option<Duration>,
    /// Every check judges every step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub checks: Vec<Check>,
    /// Release without any check. Has to be said out loud.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unjudged: bool,
    /// Where the figures come from and how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// Checks without data for this long pause the release. Default `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_data_deadline: Option<Duration>,
    /// Pods or route not ready for this long roll the release back. Default `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Duration>,
    /// Weights rise only inside of one of these; ways back do not wait for them. Default: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub windows: Vec<Window>,
    /// Asked before the release goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = ("self.all(g, self.exists_one(o, (has(o.name) ? o.name : o.before.lowerAscii()) == (has(g.name) ? g.name : g.before.lowerAscii())))",
        "each gate needs a name of its own; without one it has that of what it stands before"))]
    pub gates: Vec<Gate>,
    /// Told of what becomes of a release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = ("self.all(n, self.exists_one(o, o.name == n.name))", "each notifier needs a name of its own"))]
    pub notify: Vec<Notifier>,
    /// After a rollback the new version's pods stay this long to be looked at. Default `10m`. The pods of a pair stay anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_canary: Option<Duration>,
    /// After promotion the old version stays this long at full size, and an Abort brings it back. Default `10m`. A pair's baseline stays anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_stable: Option<Duration>,
    /// Holds the release where it is; it is judged all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

impl CanaryRolloutSpec {
    /// Reads a spec that somebody wrote. A field that this version does not know is an error, with its path: whoever
    /// wrote it means something by it. The plan of a running release in a status is read without that.
    pub fn read(spec: &Value) -> Result<Self, String> {
        let mut unknown = Vec::new();
        let read = serde_ignored::deserialize(spec, |path| unknown.push(path.to_string()));
        let spec: Self = read.map_err(|error| format!("the spec cannot be read: {error}"))?;
        match unknown.as_slice() {
            [] => Ok(spec),
            fields => Err(format!(
                "this version of Warmfront does not know spec.{}: take it out, or upgrade the controller",
                fields.join(", spec.")
            )),
        }
    }
}

/// What is released: one Deployment, or one of a pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.deployment) != has(self.pair)", "a workload names exactly one of deployment and pair"))]
pub struct Workload {
    /// A Deployment of the same namespace; every change of its pod template is a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentRef>,
    /// Two Deployments of the same namespace, such as the app without and with its cache: traffic is moved from one to the other, and nothing else is touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
}

/// Two Deployments with a Service each; all four stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.baseline.deployment != self.candidate.deployment", "the Deployments of a pair must differ"),
    validation = ("self.baseline.service != self.candidate.service", "the Services of a pair must differ")
)]
pub struct Pair {
    /// What users have before the release, and again after a rollback.
    pub baseline: PairSide,
    /// What is released, and what users have at the end.
    pub candidate: PairSide,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairSide {
    /// Name of the Deployment.
    #[schemars(length(min = 1, max = 253))]
    pub deployment: String,
    /// Name of the Service that selects its pods and no others.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
}

/// A Deployment of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One weight and what is asked of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Share of requests that the new version gets.
    pub weight: Percent,
    /// Least time at this weight. Default `5m`; `0s` on the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// After the hold, wait for a Promote action.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

/// Evenly spaced steps: `from`, `from + by`, … and exactly `to` at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("(type(self.from) == int ? double(self.from) : double(self.from.replace('%', ''))) > 0.0", "from must be above 0"),
    validation = ("!has(self.to) || (type(self.to) == int ? double(self.to) : double(self.to.replace('%', ''))) == 100.0", "a ramp must end at 100"),
    validation = ("(type(self.by) == int ? double(self.by) : double(self.by.replace('%', ''))) >= 1.0", "by must be at least 1%")
)]
pub struct Ramp {
    /// First weight.
    pub from: Percent,
    /// Last weight. Default, and so far only value, 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Percent>,
    /// What each step adds.
    pub by: Percent,
    /// Least time at each weight. Default `5m`; `0s` on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
}

/// Where the figures come from and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Name of a MetricSource. Default `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub source: Option<String>,
    /// How often the checks are evaluated, at least `1s`. Default: the source's scrape interval, at least `15s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s')", "the interval must be at least 1s"))]
    pub interval: Option<Duration>,
}
