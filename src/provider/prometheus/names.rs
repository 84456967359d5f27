//! Under which names metrics count requests and their latency, and in which unit.

use super::super::{Protocol, Quantity};
use crate::api::metric_source::Preset;

/// Counters of HTTP requests in pods, as client libraries name them. Of each version the first one counts whose series tell
/// failed requests from others.
const HTTP_COUNTS: [&str; 12] = [
    "http_request_duration_seconds_count",
    "http_server_request_duration_seconds_count",
    "http_requests_total",
    "http_server_requests_seconds_count",
    "http_server_requests_total",
    "http_server_duration_milliseconds_count",
    "http_requests_received_total",
    "starlette_requests_total",
    "flask_http_request_total",
    "django_http_responses_total_by_status_total",
    "rails_requests_total",
    "ruby_http_requests_total",
];

/// Histograms of HTTP requests in pods. Of each version the first one counts that has an edge near the limit.
const HTTP_BUCKETS: [&str; 9] = [
    "http_request_duration_seconds_bucket",
    "http_server_request_duration_seconds_bucket",
    "http_request_duration_highr_seconds_bucket",
    "http_server_requests_seconds_bucket",
    "http_server_duration_milliseconds_bucket",
    "starlette_request_duration_seconds_bucket",
    "flask_http_request_duration_seconds_bucket",
    "django_http_requests_latency_including_middlewares_seconds_bucket",
    "rails_request_duration_seconds_bucket",
];

/// Counters of gRPC calls in pods.
const GRPC_COUNTS: [&str; 3] = [
    "grpc_server_handled_total",
    "rpc_server_call_duration_seconds_count",
    "rpc_server_duration_milliseconds_count",
];

/// Histograms of gRPC calls in pods.
const GRPC_BUCKETS: [&str; 3] = [
    "grpc_server_handling_seconds_bucket",
    "rpc_server_call_duration_seconds_bucket",
    "rpc_server_duration_milliseconds_bucket",
];

/// Envoy's requests by HTTP status.
pub(super) const ENVOY_COUNT: &str = "envoy_cluster_upstream_rq";
/// Envoy's calls by gRPC status, which stands in the name: `envoy_cluster_grpc_14`.
pub(super) const ENVOY_GRPC: &str = "envoy_cluster_grpc_";
/// Envoy's requests by time.
pub(super) const ENVOY_BUCKETS: &str = "envoy_cluster_upstream_rq_time_bucket";
/// The pods' cache lookups.
pub(super) const LOOKUPS: &str = "cache_requests_total";

/// So many names stand in a message.
const SHOWN: usize = 3;

/// Counters of pods for a protocol, in the order in which they are tried.
pub(super) fn counts(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Http => &HTTP_COUNTS,
        Protocol::Grpc => &GRPC_COUNTS,
    }
}

/// Histograms of pods for a protocol, in the order in which they are tried.
pub(super) fn buckets(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Http => &HTTP_BUCKETS,
        Protocol::Grpc => &GRPC_BUCKETS,
    }
}

/// Names of the histograms of pods for a protocol: a native one has no `_bucket` and no `_count` behind it.
pub(super) fn native(protocol: Protocol) -> impl Iterator<Item = &'static str> {
    let counts = counts(protocol).iter().filter_map(|name| name.strip_suffix("_count"));
    let buckets = buckets(protocol).iter().filter_map(|name| name.strip_suffix("_bucket"));
    counts.chain(buckets)
}

/// How many units of a histogram's edges make a second.
pub(super) fn units_in_a_second(name: &str) -> f64 {
    let name = name.strip_suffix("_bucket").unwrap_or(name);
    let unit = name.rsplit('_').next().unwrap_or_default();
    match unit {
        "milliseconds" | "ms" => 1_000.0,
        "microseconds" | "usec" | "us" => 1_000_000.0,
        // Envoy does not name its unit.
        _ if format!("{name}_bucket") == ENVOY_BUCKETS => 1_000.0,
        _ => 1.0,
    }
}

/// For messages: the metrics that a quantity is read from.
pub(super) fn shown(preset: Preset, quantity: &Quantity, protocols: &[Protocol]) -> String {
    let of = |names: fn(Protocol) -> &'static [&'static str]| {
        let all: Vec<&str> = protocols
            .iter()
            .flat_map(|protocol| names(*protocol))
            .copied()
            .collect();
        let more = if all.len() > SHOWN {
            " or another that docs/metrics.md lists"
        } else {
            ""
        };
        format!("{}{more}", all[..all.len().min(SHOWN)].join(" or "))
    };
    match (quantity, preset) {
        (Quantity::Lookups, _) => LOOKUPS.to_owned(),
        (Quantity::Ratio { total, .. }, _) => total.clone(),
        (Quantity::Latency { .. }, Preset::App) => of(buckets),
        (Quantity::Latency { .. }, Preset::Envoy) => ENVOY_BUCKETS.to_owned(),
        (_, Preset::App) => of(counts),
        (_, Preset::Envoy) => ENVOY_COUNT.to_owned(),
    }
}
