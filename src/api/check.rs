//! What is judged: the checks of a rollout.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Percent};

/// One judged quantity with its limit: exactly one of `errorRate`, `latency`, `hitRatio` and `query`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("[has(self.errorRate), has(self.latency), has(self.hitRatio), has(self.query)].filter(x, x).size() == 1",
        "a check names exactly one of errorRate, latency, hitRatio and query"),
    validation = ("(!has(self.breaches) && !has(self.of)) || has(self.query)", "breaches and of belong to a query check"),
    validation = ("!has(self.query) || has(self.name)", "a query check needs a name"),
    validation = ("!has(self.breaches) || self.breaches <= (has(self.of) ? self.of : 5)", "breaches must not be greater than of")
)]
pub struct Check {
    /// Name in status and messages; `error-rate`, `latency` or `hit-ratio` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// Share of requests that fail: HTTP 5xx or no answer at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRate>,
    /// Time to answer, by a quantile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Share of cache lookups that are hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit_ratio: Option<HitRatio>,
    /// Any PromQL expression that gives one number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// How many of the last `of` values of a query break its limit before the release fails. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub breaches: Option<i32>,
    /// What a broken limit does. Default `Rollback`.
    #[serde(default, skip_serializing_if = "OnBreach::is_default")]
    pub on_breach: OnBreach,
    /// How many values of a query are looked back on. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub of: Option<i32>,
}

/// What a broken limit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum OnBreach {
    /// All traffic goes back.
    #[default]
    Rollback,
    /// The release is held until a person lets it go on, or takes it back.
    Pause,
}

impl OnBreach {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Limit on the share of failing requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRate {
    /// Greatest share allowed, such as `1%`.
    pub max: Percent,
}

/// Limit on the time to answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Which quantile is meant: `p75` to `p99.9`.
    pub quantile: Quantile,
    /// Longest time allowed at that quantile, such as `300ms`. A histogram edge there makes it exact.
    pub max: Duration,
}

/// Limit on the share of lookups that the cache answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HitRatio {
    /// Smallest share allowed, such as `80%`.
    pub min: Percent,
}

/// A PromQL expression and the range that its value must keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.max) || has(self.min)", "a query needs max, min or both"))]
pub struct Query {
    /// The expression. `{{candidate.pods}}`, `{{baseline.pods}}`, `{{namespace}}` and their like are filled in.
    #[schemars(length(min = 1, max = 4096))]
    pub promql: String,
    /// Greatest value allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Smallest value allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
}

/// A quantile between p75 and p99.99, kept in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile(Percent);

impl Quantile {
    /// Share of requests that may be slower than the limit.
    pub fn slow_share(self) -> f64 {
        self.0.complement().fraction()
    }
    /// The quantile as a fraction, such as 0.99.
    pub fn fraction(self) -> f64 {
        self.0.fraction()
    }
}

impl std::str::FromStr for Quantile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent: Option<Percent> = text.strip_prefix('p').and_then(|digits| digits.parse().ok());
        match percent {
            Some(percent) if percent.hundredths() >= 7_500 && percent < Percent::FULL => Ok(Self(percent)),
            _ => Err(format!("`{text}` is not a quantile: write p75 to p99.99, such as p99")),
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
        schemars::json_schema!({"type": "string", "maxLength": 6, "pattern": r"^p(7[5-9]|[89][0-9])(\.[0-9]{1,2})?$"})
    }
}
