//! The RolloutAction: a request of a person or a pipeline to a release.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// One request to a CanaryRollout in the same namespace. It is answered once, in its status; create another one to ask again. Answered ones are removed after a day, or after a minute where a rollout has more than 100. Beyond 100 open ones the rest is rejected.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "warmfront.dev",
    version = "v1alpha1",
    kind = "RolloutAction",
    doc = "One request of a person or a pipeline to a CanaryRollout in the same namespace, such as Promote or Abort.",
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
    /// Name of the CanaryRollout that is asked.
    #[schemars(length(min = 1, max = 63))]
    pub rollout: String,
    /// What the release should do.
    pub action: Verb,
    /// Carry this out only if the release is of this revision (`status.run.revision` of the CanaryRollout); otherwise the request expires. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub revision: Option<String>,
    /// Carry this out only if the release is at this step, counted from 1; otherwise the request expires. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub step: Option<i32>,
    /// Why this is asked, at most 256 characters. Appears in Events and messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// What a release can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, strum::Display)]
pub enum Verb {
    /// Ends the first of these that holds the release at its step: a pause by a person, the hold, the missing approval. Checks must still pass.
    Promote,
    /// Leaves out the remaining steps: as soon as the pods for 100% are Available and all checks pass, the new version gets all traffic.
    PromoteFully,
    /// Keeps the weight until Resume or Promote. Checks go on.
    Pause,
    /// Ends a pause: one by a Pause action, or one for a failed check, a gate, or a contested route or Service.
    Resume,
    /// Gives all traffic back to the old version; also after a promotion, for as long as its pods are kept (`keepStable`).
    Abort,
    /// Releases the revision of the Deployment again, from the first step, although it was rolled back.
    Retry,
}

/// How the request was answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutActionStatus {
    /// `Applied`, `Rejected` or `Expired`; absent until it is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<ActionPhase>,
    /// Why, as one word for programs, such as `NothingToAbort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, strum::Display)]
pub enum ActionPhase {
    /// It was carried out.
    Applied,
    /// It was not possible; the reason says why.
    Rejected,
    /// It was meant for another revision or step, or no controller saw it within ten minutes, or for ten minutes there was no CanaryRollout of that name. Otherwise an Abort never grows too old.
    Expired,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}
