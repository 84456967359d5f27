//! What the checks say, and of what.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

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
    /// What the verdict is based on, where something was counted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "read_evidence")]
    pub evidence: Option<Evidence>,
    /// When it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What the check says, or why there is no data, in a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What was counted, of both versions in the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// Failed or slow requests of the new version, or misses.
    #[serde(serialize_with = "short")]
    pub bad: f64,
    /// All its requests or lookups.
    #[serde(serialize_with = "short")]
    pub total: f64,
    /// Greatest share of bad ones that is allowed, 0 to 1.
    #[serde(serialize_with = "short")]
    pub limit: f64,
    /// Bad ones of the old version.
    #[serde(serialize_with = "short")]
    pub baseline_bad: f64,
    /// All of the old version.
    #[serde(serialize_with = "short")]
    pub baseline_total: f64,
    /// Since when they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How much speaks against the limit, 0 to 1: at 1 it is broken.
    #[serde(serialize_with = "short")]
    pub strength: f64,
    /// Requests of this release that the next weight asks for.
    #[serde(serialize_with = "short")]
    pub needed: f64,
}

/// Writes a number with at most four decimals, and without any where it is whole.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn short<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let rounded = if value.is_finite() {
        (value.clamp(-1e12, 1e12) * 1e4).round() / 1e4
    } else {
        0.0
    };
    #[allow(clippy::cast_possible_truncation, reason = "whole and below 1e12")]
    if rounded.fract().abs() < f64::EPSILON {
        serializer.serialize_i64(rounded as i64)
    } else {
        serializer.serialize_f64(rounded)
    }
}

/// What another version has written in another form is read as nothing: the next evaluation says it anew.
fn read_evidence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Evidence>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
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
    /// There is too little to tell yet, or nobody to blame.
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
    /// The limit is broken, and whether the old version breaks it too is not clear yet.
    Comparing,
    /// The old version breaks the limit too, so neither is blamed.
    SharedIncident,
    /// The old version has not been seen for long enough to know what is normal.
    NoBaseline,
    /// The database behind the cache cannot carry more yet.
    OriginLimit,
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
