//! Prometheus' HTTP API: what a tick asks in PromQL, and how replies become counts.
//!
//! Raw counters are asked for and subtracted here, series by series: `rate()` and `increase()` would
//! lose the first sample of every new series, which is just where the first errors and misses are.

mod counter;
mod histogram;
mod query;
mod reply;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

pub use counter::Targets;
pub use reply::{Series, Value, parse};

use super::{Answer, Counts, NoData, Quantity, Question, Reading};
use crate::{
    api::{
        metric_source::{CachePreset, MetricSourceSpec, Preset},
        status::Cause,
    },
    kubernetes::pod_name,
};
use counter::Window;

/// Shortest look back: room for a scrape that was missed.
const SHORTEST_WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// Longest look back.
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Samples older than so many scrapes say nothing about now.
const STALE_AFTER: i32 = 4;

/// Labels that tell replicas of one Prometheus apart.
const REPLICA_LABELS: [&str; 3] = ["prometheus_replica", "replica", "prometheus"];

/// One query of a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// For messages: what is asked.
    pub purpose: &'static str,
    /// The expression.
    pub promql: String,
    /// The moment of which it is asked.
    pub time: Timestamp,
}

/// Answers by layer; a layer that was not needed has none.
pub type Replies = BTreeMap<Layer, Result<Value, NoData>>;

/// A group of series that is asked with one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Requests by status.
    Requests,
    /// Requests by time, as histogram buckets.
    Latency,
    /// Cache lookups by result.
    Lookups,
    /// The expression of the n-th quantity.
    Scalar(usize),
}

/// What remains to be asked before the answers can be given.
#[derive(Clone, Debug, PartialEq)]
pub enum Interpretation {
    /// Everything is known.
    Done(Answer),
    /// The replies raise questions.
    Ask(FollowUp),
}

/// Questions that replies raise about the targets behind the series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FollowUp {
    /// Series have appeared: were these targets (`job`, `instance`) scraped before?
    pub ages_of: BTreeSet<(String, String)>,
    /// A side has no series at all: are its pods scraped?
    pub pods: bool,
}

/// What is known about targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Since when they have been scraped.
    pub ages: Targets,
    /// By pod, whether its last scrape succeeded.
    pub up: BTreeMap<String, bool>,
}

fn window(spec: &MetricSourceSpec, question: &Question) -> SignedDuration {
    let tick = question.end.duration_since(question.start);
    (tick + spec.scrape_interval.signed() * STALE_AFTER).clamp(SHORTEST_WINDOW, LONGEST_WINDOW)
}

/// The queries of a tick.
pub fn plan(spec: &MetricSourceSpec, question: &Question) -> BTreeMap<Layer, Result<Ask, NoData>> {
    let range = format!("[{}ms]", window(spec, question).as_millis());
    let mut asks = BTreeMap::new();
    for (index, quantity) in question.quantities.iter().enumerate() {
        let (layer, purpose, promql) = match quantity {
            Quantity::Requests => (
                Layer::Requests,
                "requests by status",
                Ok(query::requests(spec, &question.subject) + &range),
            ),
            Quantity::Latency { .. } => (
                Layer::Latency,
                "latency histogram",
                Ok(query::latency(spec, &question.subject) + &range),
            ),
            Quantity::Lookups => (
                Layer::Lookups,
                "cache lookups",
                Ok(query::lookups(spec, &question.subject) + &range),
            ),
            Quantity::Scalar { promql } => (Layer::Scalar(index), "query", query::fill(promql, &question.subject)),
        };
        let ask = promql
            .map(|promql| Ask {
                purpose,
                promql,
                time: question.end,
            })
            .map_err(|message| NoData {
                cause: Cause::BadQuery,
                message,
            });
        asks.entry(layer).or_insert(ask);
    }
    asks
}

/// The query that tells whether the pods of both sides are scraped.
pub fn ask_pods(spec: &MetricSourceSpec, question: &Question) -> Ask {
    let promql = format!(
        "{}[{}ms]",
        query::up(spec, &question.subject),
        window(spec, question).as_millis()
    );
    Ask {
        purpose: "scraped pods",
        promql,
        time: question.end,
    }
}

/// Reads the reply to [`ask_targets`].
pub fn read_ages(value: &Value) -> Targets {
    let Value::Matrix(series) = value else {
        return Targets::new();
    };
    let age = |one: &Series| {
        Some((
            (one.label("job").to_owned(), one.label("instance").to_owned()),
            one.samples.first()?.0,
        ))
    };
    series.iter().filter_map(age).collect()
}

/// Reads the reply to [`ask_pods`]. A pod that several jobs scrape is up if one of them reaches it.
pub fn read_up(spec: &MetricSourceSpec, value: &Value) -> BTreeMap<String, bool> {
    let mut up = BTreeMap::new();
    let Value::Matrix(series) = value else { return up };
    for one in series {
        let reached = one.samples.last().is_some_and(|(_, value)| *value > 0.0);
        *up.entry(one.label(&spec.pod_label).to_owned()).or_default() |= reached;
    }
    up
}

/// The query that tells since when targets have been scraped.
pub fn ask_targets(spec: &MetricSourceSpec, question: &Question, targets: &BTreeSet<(String, String)>) -> Ask {
    let one_of = |values: BTreeSet<&str>| query::pattern(values);
    let jobs = one_of(targets.iter().map(|(job, _)| job.as_str()).collect());
    let instances = one_of(targets.iter().map(|(_, instance)| instance.as_str()).collect());
    let promql = format!(
        "up{{job=~{jobs},instance=~{instances}}}[{}ms]",
        window(spec, question).as_millis()
    );
    Ask {
        purpose: "age of targets",
        promql,
        time: question.end,
    }
}

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
fn has_pod(side: &super::Side, pod: &str) -> bool {
    side.replica_sets.iter().any(|set| pod_name::is_of(pod, set))
}

/// Which side a series belongs to.
fn side_of(spec: &MetricSourceSpec, question: &Question, quantity: &Quantity, series: &Series) -> Option<bool> {
    let label = |name: &str| series.labels.get(name).map(String::as_str).unwrap_or_default();
    let subject = &question.subject;
    let by_cluster = spec.preset == Preset::Envoy && !matches!(quantity, Quantity::Lookups);
    let belongs = |side: &super::Side| {
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

/// Copies of one series by several replicas of Prometheus, or by several jobs on one pod, count once.
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

fn counts(
    spec: &MetricSourceSpec,
    question: &Question,
    quantity: &Quantity,
    value: &Value,
    known: Option<&Known>,
    unknown: &mut FollowUp,
) -> Result<Reading, NoData> {
    let all = single_copies(spec, query::first_metric(reply::matrix(value)?));
    let (mut candidate, mut baseline) = (Vec::new(), Vec::new());
    for series in all {
        match side_of(spec, question, quantity, &series) {
            Some(true) => candidate.push(series),
            Some(false) => baseline.push(series),
            None => {}
        }
    }
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
        let by_pod = spec.preset == Preset::App || matches!(quantity, Quantity::Lookups);
        unknown.pods |= by_pod;
        let scraped = known
            .filter(|_| by_pod)
            .map(|known| reached(&known.up, &question.subject.candidate));
        return Err(no_series(
            scraped,
            baseline.is_empty(),
            &query::metric_names(spec, quantity),
        ));
    }
    let newest = candidate
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

/// Whether any pod of a side is scraped; `None` if no target is one of its pods.
fn reached(up: &BTreeMap<String, bool>, side: &super::Side) -> Option<bool> {
    up.iter()
        .filter(|(pod, _)| has_pod(side, pod))
        .map(|(_, up)| *up)
        .reduce(|one, other| one || other)
}

/// Why the new version has no series: nobody scrapes it, it cannot be scraped, or it counts nothing.
#[allow(
    clippy::option_option,
    reason = "not asked, no target, and a target that is up or down are different things"
)]
fn no_series(scraped: Option<Option<bool>>, neither: bool, names: &str) -> NoData {
    let (cause, message) = match scraped {
        Some(None) => (
            Cause::ProviderDown,
            "Prometheus has no target for the pods of the new version: are they scraped, and does podLabel fit?"
                .to_owned(),
        ),
        Some(Some(false)) => (
            Cause::ProviderDown,
            "Prometheus cannot scrape the pods of the new version: `up` is 0".to_owned(),
        ),
        _ if neither => (
            Cause::Empty,
            format!("no series of either version: is {names} the right preset?"),
        ),
        _ => (
            Cause::NoTraffic,
            "no request has reached the new version yet: its series do not exist".to_owned(),
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
