//! The RolloutAction: what a person or a pipeline asks of a running release.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// One request to one CanaryRollout of the same namespace, carried out at most once.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "warmfront.dev",
    version = "v1alpha1",
    kind = "RolloutAction",
    plural = "rolloutactions",
    shortname = "roa",
    namespaced,
    status = "RolloutActionStatus",
    validation = ("self.spec == oldSelf.spec", "the spec of a RolloutAction cannot be changed: create another one"),
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutActionSpec {
    /// Name of the CanaryRollout.
    #[schemars(length(min = 1, max = 63))]
    pub rollout: String,
    /// What is asked.
    pub action: Verb,
    /// Only for this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub revision: Option<String>,
    /// Only at this step, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub step: Option<i32>,
    /// Why, for the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, strum::Display)]
pub enum Verb {
    /// End what holds at this step: a person's pause, the hold, the approval.
    Promote,
    /// Drop the remaining steps: after the next pass everything goes to the new version, then it bakes.
    PromoteFully,
    /// Hold the weight; go on judging.
    Pause,
    /// End a person's pause.
    Resume,
    /// Take all traffic back.
    Abort,
    /// Start the rejected revision again.
    Retry,
}

/// What became of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutActionStatus {
    /// `Applied`, `Rejected` or `Expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<ActionPhase>,
    /// One word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, strum::Display)]
pub enum ActionPhase {
    /// Carried out.
    Applied,
    /// Not possible; the reason says why.
    Rejected,
    /// Its guard no longer fits, or nobody saw it in time.
    Expired,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}
