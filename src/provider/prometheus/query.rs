//! PromQL for the known layers, and the filling of placeholders in users' expressions.

use std::collections::BTreeSet;

use super::{
    super::{Protocol, Subject, Version},
    names,
};
use crate::{
    api::{
        check::{Field, Part, Placeholder, parts},
        metric_source::{MetricSourceSpec, Preset},
    },
    kubernetes::pod_name,
};

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
    let mut sides: Vec<String> = [&subject.candidate, &subject.baseline]
        .into_iter()
        .map(pods)
        .filter(|pods| !pods.is_empty())
        .collect();
    sides.dedup();
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
    let ports: BTreeSet<String> = side.ports.iter().map(|(port, _)| port.to_string()).collect();
    let port = if ports.is_empty() {
        "[0-9]+".to_owned()
    } else {
        format!("({})", ports.into_iter().collect::<Vec<_>>().join("|"))
    };
    format!("{}_{}_{port}", quoted(&subject.namespace), quoted(&side.service))
}

/// The Service's port that a cluster of Envoy stands for, if it is a side's. Names of namespaces and Services hold no `_`.
pub(super) fn port_of_cluster(name: &str, subject: &Subject, side: &Version) -> Option<u16> {
    let port = name.strip_prefix(&format!("{}_{}_", subject.namespace, side.service))?;
    let port: u16 = port.parse().ok().filter(|number: &u16| number.to_string() == port)?;
    (side.ports.is_empty() || side.ports.iter().any(|(wanted, _)| *wanted == port)).then_some(port)
}

fn both_clusters(spec: &MetricSourceSpec, subject: &Subject) -> String {
    let mut sides = [&subject.candidate, &subject.baseline]
        .map(|side| cluster(subject, side))
        .to_vec();
    sides.dedup();
    let clusters = literal(&sides.join("|"));
    format!("envoy_cluster_name=~{clusters}{}", and_matchers(spec))
}

fn any_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    format!("__name__=~{}", literal(&names.join("|")))
}

/// Metrics of pods that may count what callers of the versions do. Those of HTTP are not asked where only gRPC is spoken:
/// their status is not that of a call.
fn of_pods(subject: &Subject, names: fn(Protocol) -> &'static [&'static str]) -> String {
    any_of(spoken(subject).into_iter().flat_map(names).copied())
}

/// Protocols whose metrics are asked.
pub(super) fn spoken(subject: &Subject) -> Vec<Protocol> {
    let spoken: Vec<Protocol> = subject.protocols.iter().copied().collect();
    if spoken.is_empty() {
        vec![Protocol::Http]
    } else {
        spoken
    }
}

/// Requests by status, both sides.
pub(super) fn requests(spec: &MetricSourceSpec, subject: &Subject) -> String {
    match spec.preset {
        Preset::App => format!("{{{},{}}}", of_pods(subject, names::counts), both_pods(spec, subject)),
        Preset::Envoy => {
            let grpc = format!("{}[0-9]+", names::ENVOY_GRPC);
            format!(
                "{{{},{}}}",
                any_of([names::ENVOY_COUNT, &grpc]),
                both_clusters(spec, subject)
            )
        }
    }
}

/// Requests by time, both sides.
pub(super) fn latency(spec: &MetricSourceSpec, subject: &Subject) -> String {
    match spec.preset {
        Preset::App => format!("{{{},{}}}", of_pods(subject, names::buckets), both_pods(spec, subject)),
        Preset::Envoy => format!("{}{{{}}}", names::ENVOY_BUCKETS, both_clusters(spec, subject)),
    }
}

/// Histograms of requests in pods that are one series each, both sides.
pub(super) fn native(spec: &MetricSourceSpec, subject: &Subject) -> String {
    let spoken = spoken(subject).into_iter();
    let names: BTreeSet<&str> = spoken.flat_map(names::native).collect();
    format!("{{{},{}}}", any_of(names), both_pods(spec, subject))
}

/// Cache lookups by result, both sides.
pub(super) fn lookups(spec: &MetricSourceSpec, subject: &Subject) -> String {
    format!("{}{{{}}}", names::LOOKUPS, both_pods(spec, subject))
}

/// Series of pods whose names match a regular expression, of all that may be counted of them.
pub(super) fn of_pods_like(spec: &MetricSourceSpec, namespace: &str, protocols: &[Protocol], pods: &str) -> String {
    let names = protocols
        .iter()
        .flat_map(|spoken| names::counts(*spoken).iter().chain(names::buckets(*spoken)));
    let names: BTreeSet<&str> = names.copied().chain([names::LOOKUPS]).collect();
    format!(
        "{{{},{}={},{}=~{}{}}}",
        any_of(names),
        spec.namespace_label,
        literal(namespace),
        spec.pod_label,
        literal(pods),
        and_matchers(spec)
    )
}

/// Two counters of pods, both sides.
pub(super) fn pair(spec: &MetricSourceSpec, subject: &Subject, bad: &str, total: &str) -> String {
    format!("{{{},{}}}", any_of([bad, total]), both_pods(spec, subject))
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

/// The same with the old version's names in place of the new one's; nothing where the expression has none of those, or the old
/// version has no pods.
pub(super) fn fill_with_baseline(promql: &str, spec: &MetricSourceSpec, subject: &Subject) -> Option<String> {
    let of_candidate = |part: &Part<'_>| matches!(part, Part::Placeholder(Placeholder::Candidate(_)));
    if subject.baseline.replica_sets.is_empty() || !parts(promql).ok()?.iter().any(of_candidate) {
        return None;
    }
    let turned = Subject {
        candidate: subject.baseline.clone(),
        ..subject.clone()
    };
    fill(promql, spec, &turned).ok()
}
