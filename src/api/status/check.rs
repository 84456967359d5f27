//! What the checks say and what the judge has counted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Last evaluation of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// What it says now.
    pub verdict: Verdict,
    /// With `wait` and `noData`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The candidate's figure, such as `83.1%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The limit, such as `>= 80%`.
    pub threshold: String,
    /// The stable version's figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// What the verdict rests on, such as `3 of the last 5 results bad; 152 requests`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// When it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Verdict {
    /// The limit is kept.
    Pass,
    /// The limit is broken.
    Fail,
    /// Too little evidence yet.
    Wait,
    /// Nothing could be measured.
    NoData,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// Why a check waits or has no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Cause {
    /// Fewer samples than a verdict needs.
    FewSamples,
    /// No request reached this side.
    NoTraffic,
    /// The store cannot be reached, answers 5xx or 429, or the target is down.
    ProviderDown,
    /// The store refuses us.
    Unauthorized,
    /// The store refuses the query.
    BadQuery,
    /// The reply cannot be read.
    BadReply,
    /// The store says that the reply is not complete.
    PartialReply,
    /// The series do not exist.
    Empty,
    /// Not a number.
    NaN,
    /// Infinite.
    Inf,
    /// A text where a number was asked for.
    NotANumber,
    /// Several series where one was asked for.
    SeveralSeries,
    /// One series may belong to either side.
    AmbiguousSeries,
    /// The store does not tell the two versions apart.
    SidesNotSeparable,
    /// No histogram edge is near the limit.
    ThresholdNotMeasurable,
    /// The newest samples are too old.
    Stale,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What the judge has counted in the current step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JudgeMemory {
    /// End of the last tick that was asked for, answered or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_asked: Option<Timestamp>,
    /// End of the last tick that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tick: Option<Timestamp>,
    /// By check, in the order of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckMemory>,
    /// The candidate's worst figures of the whole run, by check.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub worst: BTreeMap<String, Worst>,
}

/// The worst figure of a check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Worst {
    /// The greater, the worse.
    pub badness: f64,
    /// As people read it, such as `83.1%`.
    pub value: String,
}

/// What the judge remembers of one check in the current step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckMemory {
    /// Bad ones since the last result.
    pub bad: f64,
    /// All since the last result.
    pub total: f64,
    /// Results of this step, oldest first, `true` is good; as many as the rule looks back on.
    pub results: Vec<bool>,
    /// Number of results in this step.
    pub count: i32,
    /// All that was counted in this step.
    pub seen: f64,
}
