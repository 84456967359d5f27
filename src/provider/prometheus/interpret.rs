//! Turns the replies to a tick's queries into counts of the two versions, or says why there are none.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Answer, Counts, NoData, Quantity, Question, Reading, Version},
    FollowUp, Interpretation, Known, Layer, Replies, STALE_AFTER, Series, Value, clusters,
    counter::{self, Window},
    histogram, query, reply, window,
};
use crate::{
    api::{
        metric_source::{CachePreset, MetricSourceSpec, Preset},
        status::Cause,
    },
    kubernetes::pod_name,
};

/// Labels that tell replicas of one Prometheus apart.
const REPLICA_LABELS: [&str; 3] = ["prometheus_replica", "replica", "prometheus"];

/// Turns replies into answers.
pub fn interpret(
    spec: &MetricSourceSpec,
    question: &Question,
    replies: &Replies,
    known: Option<&Known>,
) -> Interpretation {
    let mut unknown = FollowUp::default();
    let mut answer: Answer = Vec::with_capacity(question.quantities.len());
    for (index, quantity) in question.quantities.iter().enumerate() {
        let layer = match quantity {
            Quantity::Requests => Layer::Requests,
            Quantity::Latency { .. } => Layer::Latency,
            Quantity::Lookups => Layer::Lookups,
            Quantity::Scalar { .. } => Layer::Scalar(index),
        };
        let reading = match replies.get(&layer) {
            None => Err(NoData {
                cause: Cause::Empty,
                message: "the query was not asked".to_owned(),
            }),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(value)) => match quantity {
                Quantity::Scalar { .. } => reply::scalar(value).map(Reading::Scalar),
                _ => counts(spec, question, quantity, value, known, &mut unknown),
            },
        };
        answer.push(reading);
    }
    if known.is_none() && unknown != FollowUp::default() {
        Interpretation::Ask(unknown)
    } else {
        Interpretation::Done(answer)
    }
}

/// Whether a pod is one of a side's.
fn has_pod(side: &Version, pod: &str) -> bool {
    side.replica_sets.iter().any(|set| pod_name::is_of(pod, set))
}

/// Which side a series belongs to: `true` is the new version, `false` the old one.
fn side_of(spec: &MetricSourceSpec, question: &Question, quantity: &Quantity, series: &Series) -> Option<bool> {
    let label = |name: &str| series.labels.get(name).map(String::as_str).unwrap_or_default();
    let subject = &question.subject;
    let by_cluster = spec.preset == Preset::Envoy && !matches!(quantity, Quantity::Lookups);
    let belongs = |side: &Version| {
        if by_cluster {
            query::is_cluster_of(label("envoy_cluster_name"), subject, side)
        } else {
            has_pod(side, label(&spec.pod_label))
        }
    };
    if belongs(&subject.candidate) {
        Some(true)
    } else if belongs(&subject.baseline) {
        Some(false)
    } else {
        None
    }
}

/// Keeps one of several copies of a series: several replicas of Prometheus have it, or several jobs scrape the same pod.
fn single_copies(spec: &MetricSourceSpec, series: Vec<Series>) -> Vec<Series> {
    let mut jobs: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    let mut unique: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
    for mut one in series {
        one.labels.retain(|name, _| !REPLICA_LABELS.contains(&name.as_str()));
        let target = (one.label(&spec.pod_label).to_owned(), one.label("__name__").to_owned());
        if !target.0.is_empty() {
            *jobs
                .entry(target)
                .or_default()
                .entry(one.label("job").to_owned())
                .or_default() += 1;
        }
        unique.entry(one.labels.clone()).or_insert(one);
    }
    let chosen = |one: &Series| {
        let key = (one.label(&spec.pod_label).to_owned(), one.label("__name__").to_owned());
        // Most series first, then by name: the same choice every time.
        jobs.get(&key)
            .and_then(|jobs| {
                jobs.iter()
                    .max_by_key(|(job, count)| (**count, std::cmp::Reverse((*job).clone())))
            })
            .is_none_or(|(job, _)| job == one.label("job"))
    };
    unique.into_values().filter(chosen).collect()
}

/// The series of the new version, and those of the old one.
fn both_sides(
    spec: &MetricSourceSpec,
    question: &Question,
    quantity: &Quantity,
    all: Vec<Series>,
) -> (Vec<Series>, Vec<Series>) {
    let (mut candidate, mut baseline) = (Vec::new(), Vec::new());
    for series in all {
        match side_of(spec, question, quantity, &series) {
            Some(true) => candidate.push(series),
            Some(false) => baseline.push(series),
            None => {}
        }
    }
    (candidate, baseline)
}

fn counts(
    spec: &MetricSourceSpec,
    question: &Question,
    quantity: &Quantity,
    value: &Value,
    known: Option<&Known>,
    unknown: &mut FollowUp,
) -> Result<Reading, NoData> {
    let all = single_copies(spec, query::first_metric(reply::matrix(value)?));
    let (candidate, baseline) = both_sides(spec, question, quantity, all);
    let by_pod = spec.preset == Preset::App || matches!(quantity, Quantity::Lookups);
    let target = if by_pod { spec.pod_label.as_str() } else { "instance" };
    clusters::refuse_several(&candidate.iter().chain(&baseline).collect::<Vec<_>>(), target)?;
    let figures_since = question.figures_since.max(question.end - window(spec, question));
    let tick = Window {
        start: question.start,
        end: question.end,
        run_started: question.run_started,
        targets: known.map(|known| &known.ages),
    };
    let shown = Window {
        start: figures_since,
        ..tick
    };
    if candidate.is_empty() {
        unknown.pods |= by_pod;
        let pods = known
            .filter(|_| by_pod)
            .map_or(Scraped::Untold, |known| scraped(&known.up, question));
        return Err(no_series(
            spec,
            pods,
            baseline.is_empty(),
            &query::metric_names(spec, quantity),
        ));
    }
    not_stale(spec, question, &candidate)?;
    let mut side = |series: &[Series], of_run: bool| -> Result<(Counts, Option<f64>), NoData> {
        let now = tally(quantity, spec, series, &tick, of_run, &mut unknown.ages_of)?;
        let then = tally(quantity, spec, series, &shown, of_run, &mut unknown.ages_of)?;
        Ok((now.counts, then.figure))
    };
    let (counts, candidate_figure) = side(&candidate, true)?;
    let other = if baseline.is_empty() {
        None
    } else {
        side(&baseline, false).ok()
    };
    Ok(Reading::Counts {
        candidate: counts,
        baseline: other.map(|(counts, _)| counts),
        candidate_figure,
        baseline_figure: other.and_then(|(_, figure)| figure),
    })
}

/// Refuses series that say nothing about now: all their samples are old.
fn not_stale(spec: &MetricSourceSpec, question: &Question, series: &[Series]) -> Result<(), NoData> {
    let newest = series
        .iter()
        .filter_map(|series| series.samples.last())
        .map(|(at, _)| *at)
        .fold(f64::MIN, f64::max);
    let oldest_allowed = counter::seconds(question.end) - spec.scrape_interval.as_secs_f64() * f64::from(STALE_AFTER);
    if newest < oldest_allowed {
        return Err(NoData {
            cause: Cause::Stale,
            message: format!(
                "the newest sample is {:.0}s old",
                counter::seconds(question.end) - newest
            ),
        });
    }
    Ok(())
}

/// What `up` says about the new version's pods.
#[derive(Clone, Copy)]
enum Scraped {
    /// Nothing: it was not asked, or it has the name of neither version's pods.
    Untold,
    /// None of them is a target, while others are.
    NoTarget,
    /// No target that is one of them can be scraped.
    Down,
    /// One is scraped.
    Up,
}

fn scraped(up: &BTreeMap<String, bool>, question: &Question) -> Scraped {
    let of = |side: &Version| {
        let targets = up.iter().filter(|(pod, _)| has_pod(side, pod));
        targets.map(|(_, up)| *up).reduce(|one, other| one || other)
    };
    match (of(&question.subject.candidate), of(&question.subject.baseline)) {
        (Some(true), _) => Scraped::Up,
        (Some(false), _) => Scraped::Down,
        (None, Some(_)) => Scraped::NoTarget,
        (None, None) => Scraped::Untold,
    }
}

/// Why the new version has no series: nobody scrapes it, it cannot be scraped, or it counts nothing.
fn no_series(spec: &MetricSourceSpec, pods: Scraped, neither: bool, names: &str) -> NoData {
    let MetricSourceSpec {
        pod_label,
        namespace_label,
        ..
    } = spec;
    let (cause, message) = match pods {
        Scraped::NoTarget => (
            Cause::ProviderDown,
            "Prometheus has no target for the pods of the new version: are they scraped like those of the old one?"
                .to_owned(),
        ),
        Scraped::Down => (
            Cause::ProviderDown,
            "Prometheus cannot scrape the pods of the new version: `up` is 0".to_owned(),
        ),
        Scraped::Up | Scraped::Untold if neither => {
            let matchers = if spec.matchers.is_empty() {
                ""
            } else {
                ", and do the matchers fit"
            };
            (
                Cause::Empty,
                format!(
                    "no series of either version: does {names} have the pod's name in label {pod_label} and its namespace in {namespace_label}{matchers}? The MetricSource says where they stand"
                ),
            )
        }
        Scraped::Up => (
            Cause::NoTraffic,
            "no request has reached the new version yet: its series do not exist".to_owned(),
        ),
        Scraped::Untold => (
            Cause::NoTraffic,
            "no series of the new version: no request has reached it yet, or it is not scraped".to_owned(),
        ),
    };
    NoData { cause, message }
}

struct Tally {
    counts: Counts,
    figure: Option<f64>,
}

fn tally(
    quantity: &Quantity,
    spec: &MetricSourceSpec,
    series: &[Series],
    window: &Window<'_>,
    of_run: bool,
    unknown: &mut BTreeSet<(String, String)>,
) -> Result<Tally, NoData> {
    let mut delta = |series: &Series| counter::delta(series, window, of_run, unknown);
    if let Quantity::Latency { limit, quantile } = quantity {
        let unit = if spec.preset == Preset::Envoy { 1_000.0 } else { 1.0 };
        let buckets = histogram::Buckets::collect(series.iter().map(|one| (one.label("le"), delta(one))), unit)?;
        let counts = Counts {
            bad: buckets.slower_than(*limit)?,
            total: buckets.total(),
        };
        return Ok(Tally {
            counts,
            figure: buckets.quantile(*quantile),
        });
    }
    let mut counts = Counts::default();
    for one in series {
        let count = delta(one);
        let (bad, counted) = match quantity {
            Quantity::Lookups => match spec.cache.preset {
                CachePreset::App => (
                    matches!(one.label("result"), "miss" | "error"),
                    one.label("result") != "bypass",
                ),
            },
            _ => (query::status(one).starts_with('5'), true),
        };
        if counted {
            counts.total += count;
            counts.bad += if bad { count } else { 0.0 };
        }
    }
    counts.bad = counts.bad.clamp(0.0, counts.total.max(0.0));
    Ok(Tally {
        counts,
        figure: (counts.total > 0.0).then(|| counts.bad / counts.total),
    })
}
