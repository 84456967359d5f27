//! One of several copies of a series: several replicas of Prometheus have it, or several jobs scrape the same pod.

use std::{cmp::Reverse, collections::BTreeMap};

use super::super::{super::Subject, Series};
use crate::api::metric_source::MetricSourceSpec;

/// Labels that tell replicas of one Prometheus apart.
const REPLICA_LABELS: [&str; 3] = ["prometheus_replica", "replica", "prometheus"];

/// Keeps one copy of each series.
pub(super) fn drop_copies(spec: &MetricSourceSpec, subject: &Subject, series: Vec<Series>) -> Vec<Series> {
    let mut unique: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
    for mut one in series.into_iter().filter(|one| !one.samples.is_empty()) {
        one.labels.retain(|name, value| !tells_a_scrape(name, value, subject));
        match unique.get(&one.labels) {
            Some(known) if knows_more(known, &one) => {}
            _ => {
                unique.insert(one.labels.clone(), one);
            }
        }
    }
    let unique: Vec<Series> = unique.into_values().collect();
    let jobs = jobs(spec, &unique);
    let chosen = |one: &Series| {
        jobs.get(&target(spec, one))
            .is_none_or(|job| job.as_str() == one.label("job"))
    };
    unique.into_iter().filter(chosen).collect()
}

/// Whether a label only says who scraped. One scrape may reach a pod through both Services of a release, and then names each.
fn tells_a_scrape(name: &str, value: &str, subject: &Subject) -> bool {
    let services = [&subject.candidate.service, &subject.baseline.service];
    REPLICA_LABELS.contains(&name) || (name == "service" && services.into_iter().any(|service| service == value))
}

/// Whether the first of two copies goes on for longer, or else has more samples.
fn knows_more(one: &Series, other: &Series) -> bool {
    let last = |series: &Series| series.samples.last().map_or(f64::MIN, |(at, _)| *at);
    last(one)
        .total_cmp(&last(other))
        .then(one.samples.len().cmp(&other.samples.len()))
        .is_ge()
}

/// What several jobs may scrape: a metric of a pod, or of a target that names no pod.
fn target(spec: &MetricSourceSpec, one: &Series) -> (String, String) {
    let pod = one.label(&spec.pod_label);
    let whose = if pod.is_empty() { one.label("instance") } else { pod };
    (whose.to_owned(), one.label("__name__").to_owned())
}

/// Of each target the job that counts: the one with most series, then the first by name, so that the choice is the same every time.
fn jobs(spec: &MetricSourceSpec, series: &[Series]) -> BTreeMap<(String, String), String> {
    let mut found: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    for one in series {
        let jobs = found.entry(target(spec, one)).or_default();
        *jobs.entry(one.label("job").to_owned()).or_default() += 1;
    }
    let most = |jobs: BTreeMap<String, usize>| {
        jobs.into_iter()
            .max_by_key(|(job, count)| (*count, Reverse(job.clone())))
    };
    found
        .into_iter()
        .filter_map(|(target, jobs)| Some((target, most(jobs)?.0)))
        .collect()
}
