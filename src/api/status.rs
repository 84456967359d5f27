//! What Warmfront writes about a rollout: for people, for programs, and as the engine's only memory.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CanaryRolloutSpec, Duration, Percent};

/// State of a rollout. Nothing else is remembered between two looks at it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryRolloutStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the last release is.
    pub phase: Phase,
    /// One sentence: what happens, with numbers, or what is waited for and until when.
    pub message: String,
    /// What `kubectl get` prints.
    pub figures: Figures,
    /// What users have when no release runs: a `pod-template-hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_revision: Option<String>,
    /// The release in progress, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Revisions that were rolled back and are not started again without Retry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// RolloutActions that were decided, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<HandledAction>,
    /// ReplicaSets that keep their pods for a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// How things were when Warmfront took over, to be put back.
    pub originals: Originals,
    /// ConfigMaps that the template names, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, ConfigSeen>,
    /// Since when the Deployment, once taken over, does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_missing_since: Option<Timestamp>,
    /// Number of Events told so far; their names are made from it.
    pub announced: i64,
    /// The newest Events, told again after a crash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub telling: Vec<Notice>,
    /// The last evaluation of each check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// For `kubectl wait`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Edits of the route by other hands that were put back.
    pub drift: Drift,
    /// The ten newest releases that ended, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}

/// Where a release is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr)]
pub enum Phase {
    /// No release has run yet, or nothing can be released.
    #[default]
    Idle,
    /// The new version's pods are made ready.
    Preparing,
    /// Traffic moves in steps.
    Shifting,
    /// Everything goes to the new version; the old one is still up.
    Baking,
    /// The Deployment takes over the new version's pods.
    Promoting,
    /// The last release was promoted.
    Succeeded,
    /// Traffic goes back.
    RollingBack,
    /// The last release was taken back.
    RolledBack,
}

/// What the columns print; `-` where there is no figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// Such as `3/5`.
    pub step: String,
    /// The canary's confirmed weight.
    pub weight: String,
    /// Of the candidate, such as `83.1%`.
    pub hit_ratio: String,
    /// Of the candidate, such as `0.12%`.
    pub error_rate: String,
    /// Of the candidate, such as `182ms`.
    pub latency: String,
    /// The same figures of the stable version.
    pub baseline: BaselineFigures,
}

/// Figures of the stable version; `-` where there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaselineFigures {
    /// Such as `91.0%`.
    pub hit_ratio: String,
    /// Such as `0.10%`.
    pub error_rate: String,
    /// Such as `150ms`.
    pub latency: String,
}

/// Shown where there is no figure.
pub const NO_FIGURE: &str = "-";

impl Default for Figures {
    fn default() -> Self {
        let none = || NO_FIGURE.to_owned();
        Self { step: none(), weight: none(), hit_ratio: none(), error_rate: none(), latency: none(), baseline: BaselineFigures::default() }
    }
}

impl Default for BaselineFigures {
    fn default() -> Self {
        let none = || NO_FIGURE.to_owned();
        Self { hit_ratio: none(), error_rate: none(), latency: none() }
    }
}

/// One release.
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that may be so by itself")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Counted from 1 for this rollout.
    pub number: i64,
    /// The new version's `pod-template-hash`.
    pub revision: String,
    /// The new version's ReplicaSet.
    pub replica_set: String,
    /// What users had when it began.
    pub from: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Current step, from 1; 0 before the first.
    pub step: i32,
    /// Number of steps.
    pub of: i32,
    /// The canary's share, confirmed by the router.
    pub weight: Percent,
    /// When the router confirmed that the new version stands in the route, at weight 0 so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Timestamp>,
    /// When the router confirmed that share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_confirmed_at: Option<Timestamp>,
    /// When the step's clock and its samples began to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_started_at: Option<Timestamp>,
    /// The weight to be written and confirmed, stored before the route is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The weight for which more pods are being made ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing: Option<Growing>,
    /// What holds the release although it could go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_for: Option<PauseReason>,
    /// Since when it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Time of this step's hold that passed while a person had paused it: it does not count as served.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub paused_total: Duration,
    /// A person's pause by action, until Resume or Promote.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user_pause: bool,
    /// The approval of this step was given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// The rest of this step's hold was waived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold_waived: bool,
    /// After the next pass everything goes to the new version; the steps between are dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fully: bool,
    /// Since when a check has no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data_since: Option<Timestamp>,
    /// Times the canary's pods were lost under traffic.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub capacity_lost: i32,
    /// Pods of the new version that carried its weight when that was decided; fewer than that are a loss.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carriers: i32,
    /// The old version had no pod Ready when the release began, so nothing waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery: bool,
    /// The user's Services were seen narrowed to the old version in this run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub narrowed: bool,
    /// The promotion is being undone: the revision whose pods take over again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// Why an abort was asked for while the Deployment took the new version over; carried out when that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    /// How it ends, decided before it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Ending>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// One word: why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The last valid plan, so that an invalid edit cannot stop a rollback.
    pub plan: CanaryRolloutSpec,
    /// What the judge has counted in this step.
    #[serde(default)]
    pub judge: JudgeMemory,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

/// A weight that was decided and not yet confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The share to be written.
    pub weight: Percent,
    /// Generations of the routes when it was decided, by name: they tell how often another hand undid it since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub generations: BTreeMap<String, i64>,
    /// When it was decided.
    pub at: Timestamp,
}

impl Intent {
    /// Decided at `at`, when the routes had these generations.
    pub fn new(weight: Percent, generations: BTreeMap<String, i64>, at: Timestamp) -> Self {
        Self { weight, generations, at }
    }
}

/// Pods being made ready for a weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Growing {
    /// The share that they are needed for.
    pub weight: Percent,
    /// Since when they are waited for.
    pub since: Timestamp,
}

/// How a run is going to end once traffic has moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// Promoted, rolled back or superseded.
    pub outcome: Outcome,
    /// One word.
    pub reason: String,
    /// With the numbers.
    pub message: String,
    /// When it was decided.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Outcome {
    /// The new version is what users have now.
    Promoted,
    /// The old version has all traffic again.
    RolledBack,
    /// Something newer took its place.
    Superseded,
}

/// What holds a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr)]
pub enum PauseReason {
    /// A person.
    User,
    /// The step waits for a Promote action.
    Approval,
    /// The checks have had no data for too long.
    NoData,
    /// Another hand keeps undoing our weights.
    RouteContested,
    /// Another hand keeps widening the Service.
    ServiceContested,
    /// A check that asks for a pause broke its limit.
    CheckFailed,
}

/// A revision that is not started again by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Its `pod-template-hash`.
    pub revision: String,
    /// One word: why.
    pub reason: String,
    /// With the numbers.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A ReplicaSet that keeps its pods until a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its `pod-template-hash`.
    pub revision: String,
    /// Until when.
    pub until: Timestamp,
    /// The old version after a promotion: it stays ready at the Deployment's size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
}

/// How shared objects were before Warmfront changed them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Originals {
    /// `spec.paused` of the Deployment; absent until it was adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// The Deployment was met before its first rollout was complete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub first_deploy: bool,
    /// After a deletion: it was said what is left behind.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Minima of autoscalers by name, while they are raised.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, Floor>,
    /// Weights by route, such as `HTTPRoute/catalog`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, RouteOriginal>,
}

/// A ConfigMap as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSeen {
    /// Its resourceVersion.
    pub version: String,
    /// Digest of its contents.
    pub digest: String,
}

/// The minimum of one autoscaler, raised while a release runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// As it was found.
    pub found: i64,
    /// What it is raised to: the Deployment's size when the release began.
    pub raised: i64,
    /// It was seen raised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands: bool,
    /// Times it was lowered by another hand.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restored: i32,
}

/// Weights of one route as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteOriginal {
    /// One entry per rule whose weights are set.
    #[schemars(length(max = 16))]
    pub rules: Vec<RuleOriginal>,
}

/// Weights of one rule as they were found, by backend in the order of the list; `null` where absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleOriginal {
    /// The rule's name; its matches where it has none.
    pub rule: String,
    /// One entry per backend, ours excluded.
    #[schemars(length(max = 16))]
    pub backends: Vec<BackendWeight>,
}

/// Weight of one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendWeight {
    /// `namespace/name:port` of the backend, namespace and port as far as the route names them; its kind comes first if it is no Service.
    pub backend: String,
    /// Absent where the route left it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
}

/// An Event to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Its number for this rollout.
    pub sequence: i64,
    /// One word.
    pub reason: String,
    /// Whether somebody should look.
    pub warning: bool,
    /// With the numbers.
    pub note: String,
    /// When it happened.
    pub at: Timestamp,
}

/// Last evaluation of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// What it says now.
    pub verdict: Verdict,
    /// With `wait` and `noData`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The candidate's figure, such as `83.1%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The limit, such as `>= 80%`.
    pub threshold: String,
    /// The stable version's figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// What the verdict rests on, such as `3 of the last 5 results bad; 152 requests`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// When it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Verdict {
    /// The limit is kept.
    Pass,
    /// The limit is broken.
    Fail,
    /// Too little evidence yet.
    Wait,
    /// Nothing could be measured.
    NoData,
}

/// Why a check waits or has no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Cause {
    /// Fewer samples than a verdict needs.
    FewSamples,
    /// No request reached this side.
    NoTraffic,
    /// The store cannot be reached, answers 5xx or 429, or the target is down.
    ProviderDown,
    /// The store refuses us.
    Unauthorized,
    /// The store refuses the query.
    BadQuery,
    /// The reply cannot be read.
    BadReply,
    /// The store says that the reply is not complete.
    PartialReply,
    /// The series do not exist.
    Empty,
    /// Not a number.
    NaN,
    /// Infinite.
    Inf,
    /// A text where a number was asked for.
    NotANumber,
    /// Several series where one was asked for.
    SeveralSeries,
    /// One series may belong to either side.
    AmbiguousSeries,
    /// The store does not tell the two versions apart.
    SidesNotSeparable,
    /// No histogram edge is near the limit.
    ThresholdNotMeasurable,
    /// The newest samples are too old.
    Stale,
}

/// What the judge has counted in the current step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JudgeMemory {
    /// End of the last tick that was asked for, answered or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_asked: Option<Timestamp>,
    /// End of the last tick that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tick: Option<Timestamp>,
    /// By check, in the order of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckMemory>,
}

/// What the judge remembers of one check in the current step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckMemory {
    /// Bad ones since the last result.
    pub bad: f64,
    /// All since the last result.
    pub total: f64,
    /// Results of this step, oldest first, `true` is good; as many as the rule looks back on.
    pub results: Vec<bool>,
    /// Number of results in this step.
    pub count: i32,
    /// All that was counted in this step.
    pub seen: f64,
}

/// An action that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandledAction {
    /// UID of the RolloutAction.
    pub uid: String,
    /// What became of it.
    pub phase: super::action::ActionPhase,
    /// One word.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Edits by other hands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Drift {
    /// Times a route was put back in this run.
    pub corrected: i32,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<DriftSeen>,
    /// The newest ones of this run, oldest first: whoever makes three of them contests the object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub recent: Vec<DriftSeen>,
}

/// One edit by another hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftSeen {
    /// Such as `HTTPRoute/catalog`.
    pub object: String,
    /// When it was seen.
    pub at: Timestamp,
    /// Generation of the object at which it was seen.
    pub generation: i64,
    /// The other hand's field manager, if the object tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A release that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Number of the run.
    pub run: i64,
    /// The new version's `pod-template-hash`.
    pub revision: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One word: why.
    pub reason: String,
    /// With the numbers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
}
