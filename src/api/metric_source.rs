//! The MetricSource: which metrics store the checks ask. The cluster's administrator writes it once.
#![allow(clippy::duplicated_attributes, reason = "columns of one type repeat it")]

use std::{collections::BTreeMap, sync::LazyLock};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Duration, limits};

/// A metrics store, and under which names it keeps the quantities that checks judge.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "warmfront.dev",
    version = "v1alpha1",
    kind = "MetricSource",
    doc = "A metrics store that the checks of CanaryRollouts ask. It belongs to the cluster, and its administrator writes it.",
    plural = "metricsources",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.prometheus.url"),
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSourceSpec {
    /// The server that is asked.
    pub prometheus: PrometheusSource,
    /// Whose metrics count requests and their latency: `app` (the pods' own) or `envoy` (the gateway's). Default `app`.
    #[serde(default)]
    pub preset: Preset,
    /// Whose metrics count cache hits and misses.
    #[serde(default)]
    pub cache: CacheSource,
    /// Label in which this Prometheus has the name of the pod, 1 to 63 characters. Default `pod`.
    #[serde(default = "default_pod_label")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')", "the name of a label consists of letters, digits and _, and does not begin with a digit"))]
    pub pod_label: String,
    /// Label in which this Prometheus has the namespace of the pod, 1 to 63 characters. Default `namespace`. Where the pod's name stands in `exported_pod`, its namespace stands in `exported_namespace`.
    #[serde(default = "default_namespace_label")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')", "the name of a label consists of letters, digits and _, and does not begin with a digit"))]
    pub namespace_label: String,
    /// Labels that every series must have, at most 8, such as `cluster: eu-1`: needed where one store keeps the metrics of several clusters, or their requests would be added up. They are put into every selector; the expression of a query check names them as `{{matchers}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8), extend("additionalProperties" = {"type": "string", "minLength": 1, "maxLength": 256}))]
    #[x_kube(
        validation = ("self.all(name, name.matches('^[a-zA-Z_][a-zA-Z0-9_]{0,62}$'))", "a matcher is the name of a label and the value that it must have, such as cluster: eu-1")
    )]
    pub matchers: BTreeMap<String, String>,
    /// How often this Prometheus scrapes the pods and the gateway, `1s` to `10m`. Default `15s`. It decides how often checks are evaluated and when a sample is too old.
    #[serde(default = "default_scrape_interval")]
    #[x_kube(
        validation = ("duration(self) >= duration('1s') && duration(self) <= duration('10m')", "the scrape interval must be 1s to 10m")
    )]
    pub scrape_interval: Duration,
    /// How long after it was taken a sample can be asked for, at most `10m`. Default, and the least that counts wait for: `scrapeInterval`. Remote write and stores behind queues take longer; checks are evaluated that much later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) <= duration('10m')", "samples that come more than 10m late are too old to judge a release by"))]
    pub lag: Option<Duration>,
}

impl MetricSourceSpec {
    /// Reads a spec, and says what of it is out of its range: it may have been stored before the schema said so.
    pub fn read(spec: &Value) -> Result<Self, String> {
        static SCHEMA: LazyLock<Value> = LazyLock::new(limits::of_spec::<MetricSource>);
        let read = Self::deserialize(spec).map_err(|error| format!("spec cannot be read: {error}"))?;
        if let Some(why) = limits::breach(&SCHEMA, spec, "spec") {
            return Err(why);
        }
        let scrape = ("scrapeInterval", read.scrape_interval, Duration::from_secs(1));
        let lag = read.lag.map(|lag| ("lag", lag, Duration::ZERO));
        for (field, length, least) in std::iter::once(scrape).chain(lag) {
            if !(least..=LONGEST).contains(&length) {
                return Err(format!(
                    "spec.{field}: {length} is out of range: write {least} to {LONGEST}"
                ));
            }
        }
        Ok(read)
    }
}

/// The longest interval, and the longest delay: samples that are older say nothing about now.
const LONGEST: Duration = Duration::from_mins(10);

/// A server with the HTTP API of Prometheus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrometheusSource {
    /// Its base URL, 8 to 2048 characters, such as `http://prometheus.monitoring:9090`.
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = ("self.matches('^https?://[^/@]+(/.*)?$')", "a URL begins with http:// or https:// and a host, without user or password, such as http://prometheus.monitoring:9090"))]
    pub url: String,
}

/// Whose metrics count requests and their latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Preset {
    /// Those of the pods, such as `http_request_duration_seconds`, under the names of common client libraries; of gRPC `grpc_server_handled_total`.
    #[default]
    App,
    /// Those of Envoy, as Contour runs it: one cluster for each Service. Of gRPC calls it needs the filter `grpc_stats`.
    Envoy,
}

/// Whose metrics count cache hits and misses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheSource {
    /// Whose metrics count them. Default, and so far only value, `app`: `cache_requests_total` of the pods.
    #[serde(default)]
    pub preset: CachePreset,
}

/// Whose metrics count cache hits and misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CachePreset {
    /// Those of the pods: the counter `cache_requests_total`, whose label `result` is `hit`, `miss`, `stale`, `error` or `bypass`; other common labels and spellings are known, too.
    #[default]
    App,
}

fn default_pod_label() -> String {
    "pod".to_owned()
}

fn default_namespace_label() -> String {
    "namespace".to_owned()
}

fn default_scrape_interval() -> Duration {
    Duration::from_secs(15)
}
