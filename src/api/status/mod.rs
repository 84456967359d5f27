//! The status of a CanaryRollout: for people, for programs, and all that the engine remembers between two passes.

mod check;
mod hold;
mod inspection;
mod judge;
mod leaving;
pub mod newer;
mod originals;
mod outward;
mod pause;
mod run;
pub mod size;
pub mod trace;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{Cause, CheckStatus, Evidence, Verdict};
pub use hold::{HeldBy, Hold, Unpaused};
pub use inspection::Inspection;
pub use judge::{About, Advice, JudgeMemory, Left, Said, Warning, Worst};
pub use leaving::{Draining, Kept, Needed};
pub use originals::{BackendWeight, ConfigSeen, Floor, Originals, RouteOriginal, RuleOriginal};
pub use outward::{GateState, GateStatus, Notification};
pub use pause::PauseReason;
pub use run::{EndReason, Ending, Growing, HistoryEntry, Intent, Outcome, Run};
pub use trace::TracePoint;

/// What Warmfront knows of this rollout. It is also the controller's only memory, so do not edit it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryRolloutStatus {
    /// Generation (`metadata.generation`) of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Generation (`metadata.generation`) of the Deployment, of a pair that of the candidate, that phase and conditions speak of. Whoever
    /// has changed the Deployment and sees an older one here waits on: they speak of the version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_workload_generation: Option<i64>,
    /// UID of that Deployment: one that was deleted and made again counts its generations anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_workload_uid: Option<String>,
    /// Of a pair: generation of the baseline that they speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_baseline_generation: Option<i64>,
    /// How far the release in progress, or the last one, has come.
    pub phase: Phase,
    /// What happens now, in one sentence with numbers: also what the release waits for and until when.
    pub message: String,
    /// The columns of `kubectl get`.
    pub figures: Figures,
    /// The revision (a `pod-template-hash`) that serves users when no release runs. Absent until Warmfront has taken the workload over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_revision: Option<String>,
    /// The release in progress, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Revisions that were rolled back. They are not released again unless a Retry action asks for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// The 20 newest RolloutActions that were answered, newest last. An answer stays until the RolloutAction has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<HandledAction>,
    /// Revisions without traffic whose pods stay for a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// Revisions that have lost their traffic and that requests may still reach, through proxies that lag.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub draining: Vec<Draining>,
    /// What other objects said before Warmfront changed them. It is put back at the end of a release or on deletion.
    pub originals: Originals,
    /// What keeps a changed template of the Deployment from being rolled out by Kubernetes itself between releases. Not of a pair.
    #[serde(skip_serializing_if = "is_unset")]
    pub hold: Hold,
    /// The ConfigMaps that the pod template uses, by name: to see whether one changes during a release.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, ConfigSeen>,
    /// Since when the Deployment is gone, after it was taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_missing_since: Option<Timestamp>,
    /// Which Events were emitted about this rollout.
    pub events: EventLog,
    /// Notifications that no notifier has accepted yet, oldest first, at most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<Notification>,
    /// What the metrics told of the running version when they were looked at last: at adoption, after an edit of checks or MetricSource,
    /// and when a release began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Inspection>,
    /// The last evaluation of each check, in the order of the spec. Before a release it is of the running version: see `inspection`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// Accepted, Progressing, Paused, Healthy, Promoted and RolledBack, for `kubectl wait`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Changes that others made to routes and Services during the release.
    pub drift: Drift,
    /// The ten newest releases that have ended, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}

impl CanaryRolloutStatus {
    /// Whether Warmfront has taken the workload over, so that it knows a stable revision and may change objects.
    pub fn taken_over(&self) -> bool {
        self.stable_revision.is_some()
    }

    /// Whether a release is in progress.
    pub fn is_active(&self) -> bool {
        self.phase.is_active() && self.run.is_some()
    }
}

/// How far a release has come.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum Phase {
    /// No release has run yet, or the last one ended without a new version.
    #[default]
    Idle,
    /// The new version's pods are created; it has no traffic yet.
    Preparing,
    /// The new version has traffic, and its weight rises in steps.
    Shifting,
    /// The new version has all traffic and is judged; the old version's pods are still there.
    Baking,
    /// The new version becomes the stable one: the Deployment takes its pods over.
    Promoting,
    /// No release is in progress; the last one was promoted.
    Succeeded,
    /// All traffic goes back to the old version.
    RollingBack,
    /// No release is in progress; the last one was rolled back.
    RolledBack,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// Whether a release is in progress.
    pub fn is_active(self) -> bool {
        match self {
            // Of a phase that is not known, the run tells.
            Self::Preparing | Self::Shifting | Self::Baking | Self::Promoting | Self::RollingBack | Self::Unknown => {
                true
            }
            Self::Idle | Self::Succeeded | Self::RolledBack => false,
        }
    }

    /// Whether no release is in progress.
    pub fn is_at_rest(self) -> bool {
        !self.is_active()
    }

    /// Whether the release is on its way up: it can be paused, gates are asked, and an Abort takes it back at once.
    pub fn is_moving(self) -> bool {
        match self {
            Self::Preparing | Self::Shifting | Self::Baking => true,
            Self::Idle | Self::Promoting | Self::Succeeded | Self::RollingBack | Self::RolledBack | Self::Unknown => {
                false
            }
        }
    }

    /// Whether checks judge the new version: it has traffic.
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

/// The columns of `kubectl get`, as text; `-` where there is no figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// Current step and number of steps, such as `3/5`.
    pub step: String,
    /// The weight of the new version that the gateway has confirmed, such as `25%`.
    pub weight: String,
    /// Hit ratio of the new version in the last minute, such as `83.1%`.
    pub hit_ratio: String,
    /// Share of the new version's requests that failed in the last minute, such as `0.12%`.
    pub error_rate: String,
    /// Time to answer of the new version in the last minute, at the check's quantile, such as `182ms`.
    pub latency: String,
    /// The same figures of the old version.
    pub baseline: BaselineFigures,
}

/// Figures of the old version in the last minute, as text; `-` where there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaselineFigures {
    /// Its hit ratio, such as `91.0%`.
    pub hit_ratio: String,
    /// Share of its requests that failed, such as `0.10%`.
    pub error_rate: String,
    /// Its time to answer at the check's quantile, such as `150ms`.
    pub latency: String,
}

/// What stands where there is no figure.
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

/// A revision that was rolled back and is not released again by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The revision, a `pod-template-hash`.
    pub revision: String,
    /// Why, as one word for programs.
    pub reason: EndReason,
    /// Why, in a sentence with numbers.
    pub message: String,
    /// When it was rolled back.
    pub at: Timestamp,
}

/// Events about a rollout, numbered from 1. Their names are made from these numbers, so that none is lost or told twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventLog {
    /// Number of the newest Event.
    pub emitted: i64,
    /// Number of the newest Event about the end of a release that has certainly reached the API server.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub delivered: i64,
    /// The newest Events, oldest first. After a crash they are written again, under the same names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Notice>,
    /// By reason: how many Events were left out because the same one had been emitted less than a minute before.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub suppressed: BTreeMap<String, i32>,
}

/// One Event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Its number, counted from 1 for this rollout.
    pub sequence: i64,
    /// What happened, as one word, such as `Promoted`.
    pub reason: String,
    /// Whether it is a Warning: a person should look at it.
    pub warning: bool,
    /// What happened, in a sentence with numbers; at most 1,024 bytes.
    pub note: String,
    /// When it happened.
    pub at: Timestamp,
}

/// A RolloutAction that was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandledAction {
    /// Name of the RolloutAction.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// UID of the RolloutAction.
    pub uid: String,
    /// How it was answered.
    pub phase: super::action::ActionPhase,
    /// Why, as one word for programs.
    pub reason: String,
    /// Why, in a sentence for people.
    pub message: String,
}

/// Changes that others made to routes and Services during the release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Drift {
    /// How many times a route was put back in this release.
    pub corrected: i32,
    /// The newest change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<DriftSeen>,
    /// The newest changes of this release, oldest first. Three by the same manager to the same object, to a route within five minutes, pause the release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub recent: Vec<DriftSeen>,
}

/// One change by somebody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftSeen {
    /// The changed object, such as `HTTPRoute/catalog`.
    pub object: String,
    /// When the controller saw the change.
    pub at: Timestamp,
    /// Generation of the object after the change.
    pub generation: i64,
    /// The field manager that made it, if the object says so. It chooses that name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero_count(number: &i64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

fn is_unset(hold: &Hold) -> bool {
    *hold == Hold::default()
}
