//! What Warmfront writes about a rollout: for people, for programs, and as the engine's only memory.

mod check;
mod originals;
mod outward;
mod run;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{Cause, CheckMemory, CheckStatus, JudgeMemory, Verdict, Worst};
pub use originals::{BackendWeight, ConfigSeen, Floor, Originals, RouteOriginal, RuleOriginal};
pub use outward::{GateState, GateStatus, Notification};
pub use run::{EndReason, Ending, Growing, HistoryEntry, Intent, Outcome, PauseReason, Run};

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
    /// What users have when no release runs: a `pod-template-hash`. Absent until the workload was taken over.
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
    /// Versions that are kept for a while.
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
    /// Events about this rollout.
    pub events: EventLog,
    /// What notifiers are still to be told, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<Notification>,
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

impl CanaryRolloutStatus {
    /// The workload was taken over: from here on Warmfront has a say in it.
    pub fn taken_over(&self) -> bool {
        self.stable_revision.is_some()
    }

    /// A release is in progress.
    pub fn is_active(&self) -> bool {
        self.phase.is_active() && self.run.is_some()
    }
}

/// Where a release is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
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
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// A release is in progress.
    pub fn is_active(self) -> bool {
        match self {
            Self::Preparing | Self::Shifting | Self::Baking | Self::Promoting | Self::RollingBack => true,
            // Whether one is, the run tells.
            Self::Unknown => true,
            Self::Idle | Self::Succeeded | Self::RolledBack => false,
        }
    }

    /// No release is in progress: what users have stays as it is.
    pub fn is_at_rest(self) -> bool {
        !self.is_active()
    }

    /// The release is on its way up: people may hold it, gates are asked, and an Abort takes it back.
    pub fn is_moving(self) -> bool {
        match self {
            Self::Preparing | Self::Shifting | Self::Baking => true,
            Self::Idle | Self::Promoting | Self::Succeeded | Self::RollingBack | Self::RolledBack | Self::Unknown => {
                false
            }
        }
    }

    /// The new version has users, and checks judge it.
    pub fn is_judged(self) -> bool {
        match self {
            Self::Shifting | Self::Baking => true,
            Self::Idle
            | Self::Preparing
            | Self::Promoting
            | Self::Succeeded
            | Self::RollingBack
            | Self::RolledBack
            | Self::Unknown => false,
        }
    }
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
        Self {
            step: none(),
            weight: none(),
            hit_ratio: none(),
            error_rate: none(),
            latency: none(),
            baseline: BaselineFigures::default(),
        }
    }
}

impl Default for BaselineFigures {
    fn default() -> Self {
        let none = || NO_FIGURE.to_owned();
        Self {
            hit_ratio: none(),
            error_rate: none(),
            latency: none(),
        }
    }
}

/// A revision that is not started again by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// Its `pod-template-hash`.
    pub revision: String,
    /// Why.
    pub reason: EndReason,
    /// With the numbers.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A version that is kept until a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its `pod-template-hash`.
    pub revision: String,
    /// Until when.
    pub until: Timestamp,
    /// The old version after a promotion: it stays ready, and an Abort brings it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
}

/// Events about a rollout, numbered from 1. Their names are made from these numbers, so that none is lost or told twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventLog {
    /// Number of the last Event.
    pub emitted: i64,
    /// Number of the last Event about the end of a release that is known to have reached the API server.
    #[serde(skip_serializing_if = "is_none_yet")]
    pub delivered: i64,
    /// The newest Events: they are written again after a crash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Notice>,
    /// How many came again within a minute and were left out, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub suppressed: BTreeMap<String, i32>,
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none_yet(number: &i64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}
