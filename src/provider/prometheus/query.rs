//! PromQL for the known layers, and the filling of placeholders in users' expressions.

use super::{
    super::{Quantity, Subject, Version},
    Series,
};
use crate::{
    api::{
        check::{Field, Part, Placeholder, parts},
        metric_source::{MetricSourceSpec, Preset},
    },
    kubernetes::pod_name,
};

/// Names of request counters of pods. Only series of the first name that is found count.
const APP_COUNTS: [&str; 3] = [
    "http_request_duration_seconds_count",
    "http_server_request_duration_seconds_count",
    "http_requests_total",
];
/// Names of request histograms of pods. Only series of the first name that is found count.
const APP_BUCKETS: [&str; 2] = [
    "http_request_duration_seconds_bucket",
    "http_server_request_duration_seconds_bucket",
];
/// Labels in which a request's status may stand.
const STATUS_LABELS: [&str; 5] = [
    "status",
    "code",
    "status_code",
    "http_response_status_code",
    "envoy_response_code",
];

/// A text as PromQL string literal.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    quoted.push_str(&escaped(text));
    quoted.push('"');
    quoted
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A text that matches itself in a regular expression.
fn quoted(text: &str) -> String {
    let special = |letter: char| r"\.+*?()|[]{}^$".contains(letter);
    text.chars()
        .flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter]))
        .collect()
}

/// A matcher's value that matches any of the given texts.
pub(super) fn pattern<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.into_iter().map(quoted).collect();
    literal(&values.join("|"))
}

fn pods(side: &Version) -> String {
    let of_set = |set: &String| format!("{}[a-z0-9]+", quoted(&pod_name::prefix(set)));
    side.replica_sets.iter().map(of_set).collect::<Vec<_>>().join("|")
}

fn both_pods(spec: &MetricSourceSpec, subject: &Subject) -> String {
    // A side without pods is left out: its empty pattern would match series without the label.
    let sides: Vec<String> = [&subject.candidate, &subject.baseline]
        .into_iter()
        .map(pods)
        .filter(|pods| !pods.is_empty())
        .collect();
    let pods = literal(&sides.join("|"));
    let namespace = literal(&subject.namespace);
    let MetricSourceSpec {
        pod_label,
        namespace_label,
        ..
    } = spec;
    format!(
        "{namespace_label}={namespace},{pod_label}=~{pods}{}",
        and_matchers(spec)
    )
}

/// What every series must have, as more conditions of a selector.
pub(super) fn and_matchers(spec: &MetricSourceSpec) -> String {
    let matcher = |(name, value): (&String, &String)| format!(",{name}={}", literal(value));
    spec.matchers.iter().map(matcher).collect()
}

fn cluster(subject: &Subject, side: &Version) -> String {
    let port = side.port.map_or_else(|| "[0-9]+".to_owned(), |port| port.to_string());
    format!("{}_{}_{port}", quoted(&subject.namespace), quoted(&side.service))
}

/// Whether Envoy's cluster is a side's Service. Names of namespaces and Services hold no `_`.
pub(super) fn is_cluster_of(name: &str, subject: &Subject, side: &Version) -> bool {
    let prefix = format!("{}_{}_", subject.namespace, side.service);
    let Some(port) = name.strip_prefix(&prefix) else {
        return false;
    };
    match side.port {
        Some(wanted) => port == wanted.to_string(),
        None => !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

fn both_clusters(spec: &MetricSourceSpec, subject: &Subject) -> String {
    let clusters = literal(&format!(
        "{}|{}",
        cluster(subject, &subject.candidate),
        cluster(subject, &subject.baseline)
    ));
    format!("envoy_cluster_name=~{clusters}{}", and_matchers(spec))
}

fn any_of(names: &[&str]) -> String {
    format!("__name__=~{}", literal(&names.join("|")))
}

/// Requests by status, both sides.
pub(super) fn requests(spec: &MetricSourceSpec, subject: &Subject) -> String {
    match spec.preset {
        Preset::App => format!("{{{},{}}}", any_of(&APP_COUNTS), both_pods(spec, subject)),
        Preset::Envoy => format!("envoy_cluster_upstream_rq{{{}}}", both_clusters(spec, subject)),
    }
}

/// Requests by time, both sides.
pub(super) fn latency(spec: &MetricSourceSpec, subject: &Subject) -> String {
    match spec.preset {
        Preset::App => format!("{{{},{}}}", any_of(&APP_BUCKETS), both_pods(spec, subject)),
        Preset::Envoy => format!(
            "envoy_cluster_upstream_rq_time_bucket{{{}}}",
            both_clusters(spec, subject)
        ),
    }
}

/// Cache lookups by result, both sides.
pub(super) fn lookups(spec: &MetricSourceSpec, subject: &Subject) -> String {
    format!("cache_requests_total{{{}}}", both_pods(spec, subject))
}

/// The label of a target. A series that has a label of that name itself keeps it as `exported_…`; `up` has the target's own.
fn target_label(label: &str) -> &str {
    label.strip_prefix("exported_").unwrap_or(label)
}

/// The label in which `up` has the name of a scraped pod.
pub(super) fn up_pod(spec: &MetricSourceSpec) -> &str {
    target_label(&spec.pod_label)
}

/// Whether the pods of both sides are scraped.
pub(super) fn up(spec: &MetricSourceSpec, subject: &Subject) -> String {
    let targets = MetricSourceSpec {
        pod_label: up_pod(spec).to_owned(),
        namespace_label: target_label(&spec.namespace_label).to_owned(),
        ..spec.clone()
    };
    format!("up{{{}}}", both_pods(&targets, subject))
}

/// For messages: the metrics that a quantity is read from.
pub(super) fn metric_names(spec: &MetricSourceSpec, quantity: &Quantity) -> String {
    match (quantity, spec.preset) {
        (Quantity::Lookups, _) => "cache_requests_total".to_owned(),
        (Quantity::Latency { .. }, Preset::App) => APP_BUCKETS.join(" or "),
        (Quantity::Latency { .. }, Preset::Envoy) => "envoy_cluster_upstream_rq_time_bucket".to_owned(),
        (_, Preset::App) => APP_COUNTS.join(" or "),
        (_, Preset::Envoy) => "envoy_cluster_upstream_rq".to_owned(),
    }
}

/// Keeps the series of one metric where several may tell the same.
pub(super) fn first_metric(mut series: Vec<Series>) -> Vec<Series> {
    let known = APP_COUNTS.iter().chain(&APP_BUCKETS);
    let first = known
        .into_iter()
        .find(|name| series.iter().any(|one| one.label("__name__") == **name));
    if let Some(first) = first {
        series.retain(|one| one.label("__name__") == *first);
    }
    series
}

/// A request's status code, wherever it stands.
pub(super) fn status(series: &Series) -> &str {
    STATUS_LABELS
        .iter()
        .map(|label| series.label(label))
        .find(|value| !value.is_empty())
        .unwrap_or_default()
}

/// What a placeholder stands for.
fn value(placeholder: Placeholder, spec: &MetricSourceSpec, subject: &Subject) -> String {
    let of = |side: &Version, field: Field| match field {
        Field::Pods => pods(side),
        Field::Service => side.service.clone(),
        Field::Workload => side.workload.clone(),
        Field::Hash => side.hash.clone(),
    };
    match placeholder {
        // Conditions of a selector, whose values are literals already.
        Placeholder::Matchers => and_matchers(spec).trim_start_matches(',').to_owned(),
        Placeholder::Namespace => escaped(&subject.namespace),
        Placeholder::Candidate(field) => escaped(&of(&subject.candidate, field)),
        Placeholder::Baseline(field) => escaped(&of(&subject.baseline, field)),
    }
}

/// Fills in the placeholders of an expression: names as parts of string literals, matchers as conditions.
pub(super) fn fill(promql: &str, spec: &MetricSourceSpec, subject: &Subject) -> Result<String, String> {
    let mut filled = String::with_capacity(promql.len());
    for part in parts(promql)? {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Placeholder(placeholder) => filled.push_str(&value(placeholder, spec, subject)),
        }
    }
    Ok(filled)
}
