//! The release in progress or the last one: where it is, what it waits for, how it ends.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{CanaryRolloutSpec, Duration, Percent},
    GateStatus, JudgeMemory, is_zero,
};

/// One release.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one thing that may be so by itself"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Counted from 1 for this rollout.
    pub number: i64,
    /// The new version's `pod-template-hash`.
    pub revision: String,
    /// The new version's ReplicaSet.
    pub replica_set: String,
    /// What users had when it began: a `pod-template-hash`.
    pub stable_revision: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Current step, from 1; 0 before the first.
    pub step: i32,
    /// Number of steps.
    pub steps: i32,
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
    /// How often people were reminded of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reminders: i32,
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
    pub skip_steps: bool,
    /// Gates that were asked in this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateStatus>,
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
    pub undoing: Option<String>,
    /// Why an abort was asked for while the Deployment took the new version over; carried out when that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    /// How it ends, decided before it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The last valid plan, so that an invalid edit cannot stop a rollback.
    #[schemars(schema_with = "any_object")]
    pub plan: Arc<CanaryRolloutSpec>,
    /// What the judge has counted in this step.
    #[serde(default)]
    pub judge: JudgeMemory,
}

/// The definition has the spec's schema once; a second time here would double its size.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
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
        Self {
            weight,
            generations,
            at,
        }
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
    /// Why.
    pub reason: EndReason,
    /// With the numbers.
    pub message: String,
    /// When it was decided.
    pub at: Timestamp,
}

/// Why a run ended, or is going to end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum EndReason {
    /// The new version has passed every step.
    Promoted,
    /// Somebody asked for it.
    Aborted,
    /// The template of the version that serves was applied again.
    Reverted,
    /// The CanaryRollout was deleted.
    Deleted,
    /// The Deployment did not come back.
    TargetNotFound,
    /// The Deployment was unpaused by another hand.
    Unpaused,
    /// A newer template was applied.
    NewerRevision,
    /// The new version's pods were not ready in time.
    NotReady,
    /// The router did not accept the route in time.
    RouteNotAccepted,
    /// Pods of the new version were lost under traffic time and again.
    CapacityLost,
    /// A gate said no.
    GateRejected,
    /// Too many requests failed.
    ErrorRateAboveMax,
    /// Too many requests were slow.
    LatencyAboveMax,
    /// Too many lookups missed.
    HitRatioBelowMin,
    /// A query's value was outside its limits.
    CheckFailed,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl EndReason {
    /// How a run with this reason ends.
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
            | Self::LatencyAboveMax
            | Self::HitRatioBelowMin
            | Self::CheckFailed
            // What cannot be read is never good.
            | Self::Unknown => Outcome::RolledBack,
        }
    }
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
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What holds a release.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum PauseReason {
    /// A person.
    User,
    /// The step waits for a Promote action.
    Approval,
    /// Weights rise only at certain times.
    Window,
    /// A gate has not let the release go on yet.
    Gate,
    /// A gate has not done so within its deadline: a person is needed.
    GateDeadline,
    /// The checks have had no data for too long.
    NoData,
    /// Another hand keeps undoing our weights.
    RouteContested,
    /// Another hand keeps widening the Service.
    ServiceContested,
    /// A check that asks for a pause broke its limit.
    CheckFailed,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl PauseReason {
    /// A gate holds the release and nothing else.
    pub fn is_of_gates(self) -> bool {
        match self {
            Self::Gate | Self::GateDeadline => true,
            Self::User
            | Self::Approval
            | Self::Window
            | Self::NoData
            | Self::RouteContested
            | Self::ServiceContested
            | Self::CheckFailed
            | Self::Unknown => false,
        }
    }

    /// Another hand keeps an object of the release for itself.
    pub fn is_contested(self) -> bool {
        match self {
            Self::RouteContested | Self::ServiceContested => true,
            Self::User
            | Self::Approval
            | Self::Window
            | Self::Gate
            | Self::GateDeadline
            | Self::NoData
            | Self::CheckFailed
            | Self::Unknown => false,
        }
    }

    /// It is looked at anew whenever the release could go on, and so hinders nothing by itself.
    pub fn is_looked_at_anew(self) -> bool {
        match self {
            Self::Window | Self::Gate | Self::GateDeadline => true,
            Self::User
            | Self::Approval
            | Self::NoData
            | Self::RouteContested
            | Self::ServiceContested
            | Self::CheckFailed
            | Self::Unknown => false,
        }
    }

    /// A person's pause takes its place. Others stay in sight: a person has to settle those as well.
    pub fn gives_way_to_a_person(self) -> bool {
        match self {
            Self::Approval | Self::Window | Self::Gate | Self::GateDeadline | Self::NoData => true,
            Self::User | Self::RouteContested | Self::ServiceContested | Self::CheckFailed | Self::Unknown => false,
        }
    }
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
    /// Why.
    pub reason: EndReason,
    /// With the numbers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// The candidate's worst figures, by check.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub worst: BTreeMap<String, String>,
}
