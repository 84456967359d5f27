//! One of several copies of a series: several replicas of Prometheus have it, or several jobs scrape the same pod.

use std::{cmp::Reverse, collections::BTreeMap};

use super::super::{super::Subject, Series};
use crate::api::metric_source::MetricSourceSpec;

/// Labels that tell replicas of one Prometheus apart.
const REPLICA_LABELS: [&str; 3] = ["prometheus_replica", "replica", "prometheus"];

/// Most jobs that stand in a message.
const MOST_JOBS: usize = 4;

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
    let counts = |one: &Series| {
        jobs.get(&target(spec, one))
            .is_none_or(|job| job.as_str() == one.label("job"))
    };
    unique.into_iter().filter(counts).collect()
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

/// Jobs that scrape a target, and how many series each has of it.
type Jobs = BTreeMap<String, usize>;

fn jobs_of_each(spec: &MetricSourceSpec, series: &[Series]) -> BTreeMap<(String, String), Jobs> {
    let mut found: BTreeMap<(String, String), Jobs> = BTreeMap::new();
    for one in series {
        let jobs = found.entry(target(spec, one)).or_default();
        *jobs.entry(one.label("job").to_owned()).or_default() += 1;
    }
    found
}

/// The job that counts: the one with most series, then the first by name, so that the choice is the same every time.
fn chosen(jobs: &Jobs) -> Option<&String> {
    let most = jobs.iter().max_by_key(|(job, count)| (**count, Reverse(*job)));
    most.map(|(job, _)| job)
}

/// Of each target the job that counts.
fn jobs(spec: &MetricSourceSpec, series: &[Series]) -> BTreeMap<(String, String), String> {
    jobs_of_each(spec, series)
        .into_iter()
        .filter_map(|(target, jobs)| Some((target, chosen(&jobs)?.clone())))
        .collect()
}

/// The first target that several jobs scrape, and which of them counts, in a sentence.
pub(super) fn scraped_twice(spec: &MetricSourceSpec, series: &[Series]) -> Option<String> {
    let mut each = jobs_of_each(spec, series).into_iter();
    let ((target, _), jobs) = each.find(|(_, jobs)| jobs.len() > 1)?;
    let names: Vec<&str> = jobs.keys().map(String::as_str).take(MOST_JOBS).collect();
    Some(format!(
        "{target} is scraped by jobs {}: of them {} counts, or every request would count twice; leave one of them out",
        names.join(" and "),
        chosen(&jobs)?
    ))
}
