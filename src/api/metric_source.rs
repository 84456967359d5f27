//! The MetricSource: where figures come from, written once per cluster by the platform's owner.
#![allow(clippy::duplicated_attributes, reason = "columns of one type repeat it")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::Duration;

/// A metrics store and how the quantities that Warmfront judges are named in it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "warmfront.dev",
    version = "v1alpha1",
    kind = "MetricSource",
    plural = "metricsources",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.prometheus.url"),
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSourceSpec {
    /// A server that speaks Prometheus' HTTP API.
    pub prometheus: PrometheusSource,
    /// Which layer's metrics tell requests and latency. Default `app`.
    #[serde(default)]
    pub preset: Preset,
    /// Where hits and misses come from.
    #[serde(default)]
    pub cache: CacheSource,
    /// Label that holds a pod's name in this Prometheus. Default `pod`.
    #[serde(default = "default_pod_label")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub pod_label: String,
    /// How often this Prometheus scrapes. Default `15s`. Ticks and lags are derived from it.
    #[serde(default = "default_scrape_interval")]
    #[x_kube(validation = ("duration(self) >= duration('1s')", "the scrape interval must be at least 1s"))]
    pub scrape_interval: Duration,
}

/// A server that speaks Prometheus' HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrometheusSource {
    /// Base address, such as `http://prometheus.monitoring:9090`.
    #[schemars(length(min = 8, max = 2048), regex(pattern = "^https?://[^/@]+(/.*)?$"))]
    pub url: String,
}

/// The layer whose metrics tell requests and latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Preset {
    /// Metrics of the pods themselves.
    #[default]
    App,
    /// Envoy's clusters, one per Service (Contour and others).
    Envoy,
}

/// Where hits and misses come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheSource {
    /// Which metrics tell hits and misses. Default `app`: `cache_requests_total` of the pods.
    #[serde(default)]
    pub preset: CachePreset,
}

/// Metrics that tell hits and misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CachePreset {
    /// The contract metric `cache_requests_total{result}` of the pods.
    #[default]
    App,
}

fn default_pod_label() -> String {
    "pod".to_owned()
}

fn default_scrape_interval() -> Duration {
    Duration::from_secs(15)
}
