//! The release in progress, or the last one: how far it has come, what it waits for, and how it ended.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{CanaryRolloutSpec, Duration, Percent},
    GateStatus, JudgeMemory, PauseReason, TracePoint, is_zero,
};

/// The release in progress, or the last one.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one thing that may be so by itself"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Number of the release, counted from 1 for this rollout.
    pub number: i64,
    /// The revision that is released, a `pod-template-hash`.
    pub revision: String,
    /// Name of its ReplicaSet.
    pub replica_set: String,
    /// The revision that served users when the release began, a `pod-template-hash`.
    pub stable_revision: String,
    /// When the release began.
    pub started_at: Timestamp,
    /// The current step, counted from 1; 0 before the first.
    pub step: i32,
    /// Number of steps.
    pub steps: i32,
    /// The new version's share of requests, as the gateway has confirmed it.
    pub weight: Percent,
    /// When the gateway confirmed that the new version is a backend of the routes, still with weight 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Timestamp>,
    /// When the gateway confirmed `weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_confirmed_at: Option<Timestamp>,
    /// From when the hold of this step and its requests count: `settle` after the gateway's confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_started_at: Option<Timestamp>,
    /// The next weight, if the gateway has not confirmed it yet. It is stored before a route is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The weight whose pods are being created, if they are not Available yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing: Option<Growing>,
    /// Why the release is paused; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_for: Option<PauseReason>,
    /// Since when it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// How many reminders of this pause are past: the first after an hour, then one a day.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reminders: i32,
    /// How long a person had paused this step. The hold lasts so much longer.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub paused_total: Duration,
    /// Whether a Pause action is in force, until Resume or Promote.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user_pause: bool,
    /// Whether a Promote action has approved this step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// Whether a Promote action has ended the hold of this step early.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold_waived: bool,
    /// Whether a Promote action has accepted what is too close to call at this step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
    /// Whether a PromoteFully action has dropped the remaining steps: 100% comes next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_steps: bool,
    /// Questions to gates in this release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateStatus>,
    /// Since when a check has had no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data_since: Option<Timestamp>,
    /// How many times the new version has lost pods while it had traffic; the third time rolls back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub capacity_lost: i32,
    /// How many pods of the new version were Available, and reached through its Service, when its weight was decided. If fewer are, the weight falls.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carriers: i32,
    /// Since when fewer pods than that are reached through its Service, although they are Available. EndpointSlices lag, so the weight falls a moment later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreached_since: Option<Timestamp>,
    /// Whether the old version had no Ready pod when the release began. Then the release does not wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery: bool,
    /// Whether the user's Services have been seen to select only the old version in this release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub narrowed: bool,
    /// If a promotion is being undone: the revision whose pods take over again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoing: Option<String>,
    /// Why an Abort action was given during the promotion. It is carried out when the promotion is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    /// How the release is going to end: it is decided, but traffic has not moved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// How the release ended; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it ended, as one word for programs, such as `Promoted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The release so far, for pictures: at most 64 points, oldest first. It is stored with what is stored anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub trace: Vec<TracePoint>,
    /// The last valid spec, with which the release goes on, or back, if the spec is edited and becomes invalid.
    #[serde(deserialize_with = "CanaryRolloutSpec::read_leniently")]
    #[schemars(schema_with = "any_object")]
    pub plan: Arc<CanaryRolloutSpec>,
    /// What the judge remembers of the release.
    #[serde(default)]
    #[schemars(schema_with = "any_object")]
    pub judge: JudgeMemory,
}

/// Without the fields: with those of the spec a second time the definition would be twice as large, and those of the judge are its own.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A weight that is decided, and that the gateway has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The new version's share of requests.
    pub weight: Percent,
    /// Generations of the routes when it was decided, by route. They tell whether somebody else has changed a route since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub generations: BTreeMap<String, i64>,
    /// When it was decided; `progressDeadline` counts from here.
    pub at: Timestamp,
}

impl Intent {
    /// A weight that is decided at `at`, when the routes have these generations.
    pub fn new(weight: Percent, generations: BTreeMap<String, i64>, at: Timestamp) -> Self {
        Self {
            weight,
            generations,
            at,
        }
    }
}

/// A weight whose pods are not all Available yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Growing {
    /// The share of requests that the pods are needed for.
    pub weight: Percent,
    /// Since when the release has waited for them; `progressDeadline` counts from here.
    pub since: Timestamp,
}

/// How a release is going to end once traffic has moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// `Promoted`, `RolledBack` or `Superseded`.
    pub outcome: Outcome,
    /// Why, as one word for programs.
    pub reason: EndReason,
    /// Why, in a sentence with numbers.
    pub message: String,
    /// When it was decided.
    pub at: Timestamp,
}

/// Why a release ended, or is going to end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum EndReason {
    /// The new version has passed all steps and the bake.
    Promoted,
    /// An Abort action asked for it.
    Aborted,
    /// The old version was applied again, so there is nothing to release.
    Reverted,
    /// The CanaryRollout was deleted, or Warmfront is being uninstalled.
    Deleted,
    /// The Deployment was deleted and not created again in time.
    TargetNotFound,
    /// Somebody else unpaused the Deployment, so Kubernetes rolls it out.
    Unpaused,
    /// A newer revision was applied.
    NewerRevision,
    /// The new version's pods were not Available within `progressDeadline`.
    NotReady,
    /// The gateway did not accept the route within `progressDeadline`.
    RouteNotAccepted,
    /// The new version lost pods while it had traffic, for the third time.
    CapacityLost,
    /// A gate said no.
    GateRejected,
    /// An errorRate check failed: too many requests failed.
    ErrorRateAboveMax,
    /// An errorRate check failed: more requests failed than of the old version.
    ErrorRateAboveStable,
    /// A latency check failed: too many requests were slow.
    LatencyAboveMax,
    /// A hitRatio check failed: too many lookups were misses.
    HitRatioBelowMin,
    /// A hitRatio check failed: more lookups were misses than of the old version.
    HitRatioBelowStable,
    /// The old version fails since the new one has traffic, and they share a cache.
    StableRegressed,
    /// What both versions share was overloaded again after a step back.
    OriginOverloaded,
    /// A query check failed: too many values were outside its limits.
    CheckFailed,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl EndReason {
    /// How a release with this reason ends.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Promoted => Outcome::Promoted,
            Self::Deleted | Self::TargetNotFound | Self::Unpaused | Self::NewerRevision => Outcome::Superseded,
            Self::Aborted
            | Self::Reverted
            | Self::NotReady
            | Self::RouteNotAccepted
            | Self::CapacityLost
            | Self::GateRejected
            | Self::ErrorRateAboveMax
            | Self::ErrorRateAboveStable
            | Self::LatencyAboveMax
            | Self::HitRatioBelowMin
            | Self::HitRatioBelowStable
            | Self::StableRegressed
            | Self::OriginOverloaded
            | Self::CheckFailed
            // What cannot be read is never good.
            | Self::Unknown => Outcome::RolledBack,
        }
    }
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Outcome {
    /// The new version has all traffic and is the stable one.
    Promoted,
    /// The old version has all traffic again.
    RolledBack,
    /// A newer revision took its place.
    Superseded,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A release that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Number of the release.
    pub run: i64,
    /// The revision that was released, a `pod-template-hash`.
    pub revision: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, as one word for programs.
    pub reason: EndReason,
    /// Why, in a sentence with numbers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// The worst figures of the new version, by name of the check.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub worst: BTreeMap<String, String>,
    /// Of the release before the last one: its trace, as that of `run`. The last one has it there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub trace: Vec<TracePoint>,
}
