//! What the judge remembers of a release, and what it has said last.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{super::Percent, Cause, EndReason, PauseReason};

/// What the judge remembers of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JudgeMemory {
    /// End of the newest interval that the metrics store was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_asked: Option<Timestamp>,
    /// End of the newest interval that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tick: Option<Timestamp>,
    /// What was counted, in the judge's own form.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub memory: Value,
    /// What the newest interval that was counted means for the release; absent where a weight has not been judged yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// After a step back to 0%: until then no traffic is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<Timestamp>,
    /// The worst figures of the new version in the whole release, by name of the check.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub worst: BTreeMap<String, Worst>,
    /// What people were warned of in this release: each is told once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warned: Vec<About>,
}

/// What the judge says of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Said {
    /// What is to be done.
    pub advice: Advice,
    /// The weight that may come, or to which it falls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Percent>,
    /// How the release ends, if it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
    /// The check that is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What is waited for besides the hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Why the release is paused meanwhile, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<PauseReason>,
    /// What is waited for, where all of it is of one kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// What somebody should look at, although the release goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<Warning>,
    /// When the hold is served, if no interval is without data until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<Timestamp>,
    /// The same for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a weight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// The hold.
    Time,
    /// Nothing that a person's Promote does not accept.
    Doubt,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// What it is about.
    pub about: About,
    /// In words, with numbers.
    pub message: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// The release takes much longer than its holds.
    Long,
    /// The old version fails since the new one has traffic.
    Harm,
    /// The cache was not warm when the new version was promoted.
    Cold,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What is to be done by the judge's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Advice {
    /// The weight stays.
    #[default]
    Hold,
    /// The weight may rise.
    Rise,
    /// The new version may take over for good.
    Promote,
    /// The weight falls.
    StepBack,
    /// A check with `onBreach: Pause` is broken.
    Pause,
    /// All traffic goes back.
    Fail,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// The worst figure of a check in a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Worst {
    /// How bad it is, for comparison with others of the same check: the greater, the worse.
    pub badness: f64,
    /// The figure as text, such as `83.1%`.
    pub value: String,
}
