//! What keeps a changed template from being rolled out by Kubernetes itself between releases.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What keeps a changed template of the Deployment from being rolled out by Kubernetes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hold {
    /// Who holds a changed template between releases.
    pub by: HeldBy,
    /// Whether the Deployment was paused when it was seen last, and Warmfront has not unpaused it since: if it is unpaused then, another hand did it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Whether the label `warmfront.dev/rollout` was on the Deployment when it was seen last.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub labelled: bool,
    /// UID of the Deployment that was seen last: one that was made anew is another one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deployment: String,
    /// Digest of the serving version's template as the Deployment has it. It tells, once the ReplicaSet is gone, whether Kubernetes would make the same version again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// When other hands unpaused the Deployment in the last day, oldest first. The third time by the same manager contests the pause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub unpaused: Vec<Unpaused>,
}

/// Who holds a changed template between releases.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum HeldBy {
    /// The Deployment is paused for as long as no release runs.
    #[default]
    Pause,
    /// The API server pauses the Deployment in the request that changes its template; until then it is not paused.
    ApiServer,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// The Deployment was unpaused by another hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unpaused {
    /// The field manager, if the object says so. It chooses that name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When the controller saw it.
    pub at: Timestamp,
}
