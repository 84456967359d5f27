//! Checks: what is measured of the new version, and the limit that it must keep.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Percent};

/// A measured quantity and its limit: exactly one of `errorRate`, `latency`, `hitRatio`, `ratio` and `query`. All but the last count requests, lookups or samples of the new version; a limit that is broken is blamed on it only if the old version did better in the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("[has(self.errorRate), has(self.latency), has(self.hitRatio), has(self.ratio), has(self.query)].filter(x, x).size() == 1",
        "a check names exactly one of errorRate, latency, hitRatio, ratio and query"),
    validation = ("has(self.max) == has(self.ratio)", "a ratio needs max beside it, and max belongs to a ratio alone: other checks have their limits inside"),
    validation = ("(!has(self.breaches) && !has(self.of)) || has(self.query)", "breaches and of belong to a query check"),
    validation = ("!(has(self.query) || has(self.ratio)) || has(self.name)", "a ratio or query check needs a name"),
    validation = ("!has(self.breaches) || self.breaches <= (has(self.of) ? self.of : 5)", "breaches must not be greater than of")
)]
pub struct Check {
    /// Name in the status and in messages, unique among the checks. Default: `error-rate`, `latency` or `hit-ratio`; required for a ratio and a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')", "a name consists of a-z, 0-9 and -, and begins and ends with a letter or digit"))]
    pub name: Option<String>,
    /// Limits the share of requests that fail: answered with HTTP 5xx, or not at all; of gRPC with `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE` or `DATA_LOSS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRate>,
    /// Limits the time to answer, at a quantile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Limits the share of cache lookups that are hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit_ratio: Option<HitRatio>,
    /// Limits the share of bad ones in a pair of the pods' own counters, such as stale ones among sampled answers. `max` says how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// Only for a ratio, and required there: greatest share of bad ones that is allowed, above 0%, such as `0.1%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("type(self) == int ? self > 0 : !(self in ['0%', '0.0%', '0.00%', '00%', '00.0%', '00.00%'])", "that not a single one is bad could only be shown by endless traffic: allow a few, such as 0.1%"))]
    pub max: Option<Percent>,
    /// Limits the value of a PromQL expression that gives one number. It is asked once per interval, and each value is one result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// Only for a query: the check fails if this many of the last `of` values break the limit; 1 to 20, at most `of`. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub breaches: Option<i32>,
    /// What happens when the check fails. Default `Rollback`.
    #[serde(default, skip_serializing_if = "OnBreach::is_default")]
    pub on_breach: OnBreach,
    /// Only for a query: among how many of its last values `breaches` are counted, 1 to 20. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub of: Option<i32>,
}

/// What happens when a check fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum OnBreach {
    /// All traffic goes back to the old version, and the release ends.
    #[default]
    Rollback,
    /// The release stays at its weight until a RolloutAction says Resume or Abort.
    Pause,
}

impl OnBreach {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Limits on the share of failing requests: `max`, `maxIncrease` or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.max) || has(self.maxIncrease)", "an errorRate needs max, maxIncrease or both"))]
pub struct ErrorRate {
    /// Greatest share of failing requests that is allowed, above 0%, such as `1%`. That not a single request fails could only be shown by endless traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("type(self) == int ? self > 0 : !(self in ['0%', '0.0%', '0.00%', '00%', '00.0%', '00.00%'])", "that 0% of the requests fail could only be shown by endless traffic: allow a few, such as 0.1%"))]
    pub max: Option<Percent>,
    /// How much greater the share may be than that of the old version before the release, such as `0.5%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_increase: Option<Percent>,
}

/// Limit on the time to answer, at a quantile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The quantile, `p1` to `p99.99`: with `p99`, 1 of 100 requests may take longer than `max`. From `p75` on slow requests are counted; a lower quantile is looked at once a minute, and 3 of the last 5 values above `max` break the limit.
    pub quantile: Quantile,
    /// Longest time that is allowed at the quantile, such as `300ms`, at most `1h`. Give the histogram a bucket with this upper bound: between two others the number of slow requests is an estimate, and far from any it cannot be measured.
    #[x_kube(validation = ("duration(self) <= duration('1h')", "the limit of a latency must be at most 1h"))]
    pub max: Duration,
}

/// Limits on the share of lookups that the cache answers: `min`, `maxDrop`, both or none. A cold cache is not below them as long as it warms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HitRatio {
    /// Smallest share of hits that is allowed once the cache is warm, such as `80%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Percent>,
    /// How much smaller the share may be than that of the old version before the release, such as `5%`. Default, where `min` is not set either: 10%.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<Percent>,
}

/// Two counters of the pods. The series of each version are added up, whatever other labels they have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.bad != self.total", "bad and total are two counters: the bad ones, and all of them"))]
pub struct Ratio {
    /// Name of the metric that counts the bad ones, such as `cache_stale_total`. A version without it has none.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = ("self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')", "the name of a metric consists of letters, digits, _ and :, and does not begin with a digit"))]
    pub bad: String,
    /// Name of the metric that counts all of them, the bad ones too, such as `cache_stale_sampled_total`. Export it as 0 from the start: a version without it has no data.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = ("self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')", "the name of a metric consists of letters, digits, _ and :, and does not begin with a digit"))]
    pub total: String,
}

/// A PromQL expression, and the range that its value must stay in: `max`, `min` or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.max) || has(self.min)", "a query needs max, min or both"))]
pub struct Query {
    /// The expression, at most 4096 characters. Placeholders such as `{{candidate.pods}}`, `{{baseline.pods}}` and `{{namespace}}` are replaced by names; an unknown one makes the spec invalid. `{{matchers}}` are the MetricSource's own, last in the braces of a selector: `up{namespace="{{namespace}}",{{matchers}}}`.
    #[schemars(length(min = 1, max = 4096))]
    pub promql: String,
    /// Greatest value that is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Smallest value that is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
}

/// What a query's expression leaves to be filled in, written as `{{namespace}}` or `{{candidate.pods}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The matchers of the MetricSource, as they stand in a selector; all others are parts of texts.
    Matchers,
    /// The rollout's namespace.
    Namespace,
    /// Something of the new version.
    Candidate(Field),
    /// Something of the version it is compared with.
    Baseline(Field),
}

/// What can be filled in of each version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Field {
    /// A regular expression that matches the names of its pods.
    Pods,
    /// Its Service.
    Service,
    /// Its Deployment.
    Workload,
    /// Its `pod-template-hash`.
    Hash,
}

impl Placeholder {
    fn read(name: &str) -> Option<Self> {
        match name.split_once('.') {
            Some(("candidate", field)) => field.parse().ok().map(Self::Candidate),
            Some(("baseline", field)) => field.parse().ok().map(Self::Baseline),
            None if name == "namespace" => Some(Self::Namespace),
            None if name == "matchers" => Some(Self::Matchers),
            _ => None,
        }
    }
}

/// A part of a query's expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it stands.
    Text(&'a str),
    /// To be filled in.
    Placeholder(Placeholder),
}

/// Takes a query's expression apart; fails if one of its placeholders is not known.
pub fn parts(promql: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = promql;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, tail) = after
            .split_once("}}")
            .ok_or("a placeholder is not closed: write {{name}}")?;
        let placeholder = Placeholder::read(name.trim()).ok_or_else(|| {
            format!("unknown placeholder {{{{{name}}}}}: known are namespace, matchers, and pods, service, workload and hash of candidate and baseline, such as candidate.pods")
        })?;
        parts.extend([Part::Text(before), Part::Placeholder(placeholder)]);
        rest = tail;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// p75, from which on slow requests are counted, in hundredths of a percent.
const COUNTED_FROM: u32 = 7_500;
/// The least quantile: p1.
const LEAST_QUANTILE: u32 = 100;

/// A quantile from p1 to p99.99, exact to a hundredth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile(Percent);

impl Quantile {
    /// Whether slow requests are counted, which needs few of them to be allowed. Of a lower quantile the value itself is judged.
    pub fn is_counted(self) -> bool {
        self.0.hundredths() >= COUNTED_FROM
    }
    /// Share of requests that may be slower than the limit: 0.01 for p99.
    pub fn slow_share(self) -> f64 {
        self.0.complement().fraction()
    }
    /// The quantile as a fraction: 0.99 for p99.
    pub fn fraction(self) -> f64 {
        self.0.fraction()
    }
}

impl std::str::FromStr for Quantile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent: Option<Percent> = text.strip_prefix('p').and_then(|digits| digits.parse().ok());
        match percent {
            Some(percent) if percent.hundredths() >= LEAST_QUANTILE && percent < Percent::FULL => Ok(Self(percent)),
            _ => Err(format!("`{text}` is not a quantile: write p1 to p99.99, such as p99")),
        }
    }
}

impl std::fmt::Display for Quantile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = self.0.to_string();
        write!(f, "p{}", percent.trim_end_matches('%'))
    }
}

impl Serialize for Quantile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Quantile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantile".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "maxLength": 16, "x-kubernetes-validations": [{
            "rule": r"self.matches('^p[1-9][0-9]?([.][0-9]{1,2})?$')",
            "message": "a quantile is p1 to p99.99, such as p99",
        }]})
    }
}
