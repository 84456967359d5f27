//! What the checks say, and what was counted for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The last evaluation of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// Name of the check.
    pub name: String,
    /// Whether the limit is kept: by the new version, or before a release by the running one.
    pub verdict: Verdict,
    /// Why there is no decision, with `wait` and `noData`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The figure of the new version in the last minute, such as `83.1%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The limit, such as `>= 80%`.
    pub threshold: String,
    /// The same figure of the old version; before a release, of the running version in the last five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// What the verdict is based on, such as `3 of the last 5 results bad; 152 requests in this step`; before a release, such as `12 of 1480 requests of the running version in 5m`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// When it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why there is no data, in a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Whether a version keeps the limit of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Verdict {
    /// It keeps the limit.
    Pass,
    /// It breaks the limit.
    Fail,
    /// There are too few results yet.
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
    /// There were fewer requests, lookups or values than a verdict needs.
    FewSamples,
    /// The new version got no requests.
    NoTraffic,
    /// The new version got far fewer requests than its weight says: they hang, or the route does not act.
    ShareMismatch,
    /// The metrics store cannot be reached or answers 5xx or 429, or it cannot scrape the new version's pods.
    ProviderDown,
    /// The metrics store refuses access (401 or 403).
    Unauthorized,
    /// The metrics store refuses the query.
    BadQuery,
    /// The reply is not one of Prometheus' API.
    BadReply,
    /// The metrics store says that its reply is not complete.
    PartialReply,
    /// The metrics do not exist, or the query gives no series.
    Empty,
    /// The query gives NaN, such as 0 divided by 0.
    NaN,
    /// The value is infinite.
    Inf,
    /// The value is not a number that can be counted.
    NotANumber,
    /// The query gives several series instead of one number.
    SeveralSeries,
    /// The series are those of several clusters, which one store keeps: the MetricSource needs `matchers`.
    AmbiguousSeries,
    /// The metrics do not tell failed requests from others, or misses from hits: a label is missing, or says a word that is not known.
    NotReadable,
    /// The histogram has no bucket whose bound is near the limit.
    ThresholdNotMeasurable,
    /// No sample of the new version has come since the last evaluation; as long as it is not too old that one stands.
    Late,
    /// The newest samples are too old to say anything about now.
    Stale,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// What was counted for the checks in the current step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JudgeMemory {
    /// End of the newest interval that the metrics store was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_asked: Option<Timestamp>,
    /// End of the newest interval that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tick: Option<Timestamp>,
    /// What was counted, by check in the order of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckMemory>,
    /// Requests of the newest intervals of this step, oldest first, at most 8: whether they are shared as the weight says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub share: Vec<SideTotals>,
    /// The worst figures of the new version in the whole release, by name of the check.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub worst: BTreeMap<String, Worst>,
}

/// Requests of one interval, by version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SideTotals {
    /// Those that reached the new version.
    pub candidate: f64,
    /// Those that reached the old one.
    pub baseline: f64,
}

/// The worst figure of a check in a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Worst {
    /// How bad it is, for comparison with others of the same check: the greater, the worse.
    pub badness: f64,
    /// The figure as text, such as `83.1%`.
    pub value: String,
}

/// What was counted for one check in the current step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckMemory {
    /// Failed or slow requests, or misses, since the last result. Fractions occur where a histogram is interpolated.
    pub bad: f64,
    /// All requests or lookups since the last result; 50 make the next one.
    pub total: f64,
    /// The newest results of this step, oldest first, as many as are looked back on; `true` is good.
    pub results: Vec<bool>,
    /// All requests, lookups or values in this step.
    pub seen: f64,
}
