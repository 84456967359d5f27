//! What a release has asked of others and what they said, and what they are still to be told.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{super::Percent, is_zero};

/// A gate of this run, before one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// Its name.
    pub name: String,
    /// The step that it stands before; 0 for the start, one more than there are steps for promotion.
    pub step: i32,
    /// Where it is.
    pub state: GateState,
    /// Since when it is asked.
    pub since: Timestamp,
    /// Without a 2xx until then a person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Answers so far that decided nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asked: i32,
    /// When it is asked next; absent once it is asked no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// The last answer, bounded and without its body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// Where a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateState {
    /// It is being asked.
    Asking,
    /// It lets this step go on.
    Open,
    /// It said no.
    Rejected,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// Something that one notifier is still to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Number of the Event that tells the same.
    pub sequence: i64,
    /// The notifier's name.
    pub to: String,
    /// What it is about, such as `Paused`.
    pub event: String,
    /// With the numbers.
    pub note: String,
    /// When it happened.
    pub at: Timestamp,
    /// Number of the run.
    pub run: i64,
    /// The new version's `pod-template-hash`.
    pub revision: String,
    /// What users had when the run began.
    pub from: String,
    /// The step then.
    pub step: i32,
    /// The canary's share then.
    pub weight: Percent,
    /// Attempts that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: i32,
    /// When it is tried next.
    pub next_at: Timestamp,
}
