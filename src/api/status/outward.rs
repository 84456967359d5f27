//! What gates were asked and have answered, and what notifiers are still to be told.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{super::Percent, is_zero};

/// A question to a gate in this release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// Name of the gate.
    pub name: String,
    /// The step that waits for it, from 1; 0 before the first pod, and the number of steps plus 1 before the promotion.
    pub step: i32,
    /// Whether it has answered, and what.
    pub state: GateState,
    /// Since when it has been asked.
    pub since: Timestamp,
    /// When its deadline ends and the release is paused for a person; absent after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many times it was asked and has answered, or did not in time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asked: i32,
    /// When it is asked again; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Its last answer: the HTTP status, or why there was none. Never the body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// What a gate has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateState {
    /// Nothing that decides: it is asked again.
    Asking,
    /// Yes: the release may go on.
    Open,
    /// No: the release is rolled back.
    Rejected,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A message to one notifier that it has not accepted yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Number of the Event with the same content.
    pub sequence: i64,
    /// Name of the notifier.
    pub to: String,
    /// What happened, such as `Paused`.
    pub event: String,
    /// What happened, in a sentence with numbers.
    pub note: String,
    /// When it happened.
    pub at: Timestamp,
    /// Number of the release.
    pub run: i64,
    /// The revision that is released, a `pod-template-hash`.
    pub revision: String,
    /// The revision that served users when the release began.
    pub from: String,
    /// The step at that time, from 1; 0 before the first.
    pub step: i32,
    /// The new version's weight at that time.
    pub weight: Percent,
    /// How many attempts have failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: i32,
    /// When the next attempt is due.
    pub next_at: Timestamp,
}
