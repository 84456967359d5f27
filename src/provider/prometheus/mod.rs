//! Prometheus' HTTP API: what a tick asks in PromQL, and how replies become counts.
//!
//! Raw counters are asked for and subtracted here, series by series: `rate()` and `increase()` would
//! lose the first sample of every new series, which is just where the first errors and misses are.

mod clusters;
mod counter;
mod data;
mod histogram;
mod interpret;
mod names;
mod past;
mod query;
mod reply;
mod words;

#[cfg(test)]
mod calls;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod lateness;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod selectors;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

pub use counter::Targets;
pub use interpret::{interpret, scraped_twice};
pub use past::{Values, ask_pod_names, parse_names, parse_values, shown_to, value_at};
pub use reply::{Series, Value, bytes_at_most, parse};

use super::{Answer, NoData, Quantity, Question};
use crate::api::{metric_source::MetricSourceSpec, status::Cause};

/// Shortest look back: room for a scrape that was missed.
const SHORTEST_WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// Longest look back.
pub const LONGEST_WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// A version whose newest sample is older than four scrapes is not judged: it says nothing about now.
const STALE_AFTER: i32 = 4;

impl Layer {
    /// The layer of the old version's own answer, of an expression; the same of all others, whose replies have both versions.
    fn of_baseline(self) -> Self {
        match self {
            Self::Scalar(index) => Self::ScalarOfBaseline(index),
            other => other,
        }
    }
}

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
    /// The pair of counters of the n-th quantity, the first that has them.
    Ratio(usize),
    /// The expression of the n-th quantity, the first that has it.
    Scalar(usize),
    /// The same with the old version's names in place of the new one's.
    ScalarOfBaseline(usize),
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
    /// Targets (`job`, `instance`) with series that have just appeared: since when were they scraped?
    pub ages_of: BTreeSet<(String, String)>,
    /// A side has no series at all: are its pods scraped?
    pub pods: bool,
    /// A side has no series of requests: do its pods count them in native histograms, which have no counters beside them?
    pub native: bool,
}

/// What is known about targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// When they were scraped.
    pub ages: Targets,
    /// By pod, whether its last scrape succeeded.
    pub up: BTreeMap<String, bool>,
    /// There are native histograms of requests.
    pub native: bool,
}

fn window(spec: &MetricSourceSpec, question: &Question) -> SignedDuration {
    let tick = question.end.duration_since(question.start);
    tick.saturating_add(spec.scrape_interval.signed().saturating_mul(STALE_AFTER))
        .clamp(SHORTEST_WINDOW, LONGEST_WINDOW)
}

/// The queries of a tick.
pub fn queries(spec: &MetricSourceSpec, question: &Question) -> BTreeMap<Layer, Result<Ask, NoData>> {
    queries_over(spec, question, window(spec, question))
}

/// The same with all samples of so much time before the tick's end: many ticks that follow one another are read from one reply.
pub fn queries_over(
    spec: &MetricSourceSpec,
    question: &Question,
    length: SignedDuration,
) -> BTreeMap<Layer, Result<Ask, NoData>> {
    let range = format!("[{}ms]", length.as_millis());
    let mut asks = BTreeMap::new();
    let subject = &question.subject;
    let mut put = |layer, purpose, promql: Result<String, String>| {
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
    };
    for (index, quantity) in question.quantities.iter().enumerate() {
        let layer = layer(question, index, quantity);
        match quantity {
            Quantity::Requests => put(layer, "requests by status", Ok(query::requests(spec, subject) + &range)),
            Quantity::Latency { .. } => put(layer, "latency histogram", Ok(query::latency(spec, subject) + &range)),
            Quantity::Lookups => put(layer, "cache lookups", Ok(query::lookups(spec, subject) + &range)),
            Quantity::Ratio { bad, total } => {
                put(layer, "ratio", Ok(query::pair(spec, subject, bad, total) + &range));
            }
            Quantity::Scalar { promql } => {
                let own = query::fill(promql, spec, subject);
                let other = query::fill_with_baseline(promql, spec, subject);
                // Where both are the same there is nothing to compare with.
                if let Some(other) = other.filter(|other| own.as_ref() != Ok(other)) {
                    put(layer.of_baseline(), "query of the old version", Ok(other));
                }
                put(layer, "query", own);
            }
        }
    }
    asks
}

/// The group of series that tells a quantity. What several ask alike is asked once.
fn layer(question: &Question, index: usize, quantity: &Quantity) -> Layer {
    let first = || {
        question
            .quantities
            .iter()
            .position(|other| other == quantity)
            .unwrap_or(index)
    };
    match quantity {
        Quantity::Requests => Layer::Requests,
        Quantity::Latency { .. } => Layer::Latency,
        Quantity::Lookups => Layer::Lookups,
        Quantity::Ratio { .. } => Layer::Ratio(first()),
        Quantity::Scalar { .. } => Layer::Scalar(first()),
    }
}

/// The query that tells whether the pods of both sides are scraped.
pub fn ask_pods(spec: &MetricSourceSpec, question: &Question) -> Ask {
    ask_pods_over(spec, question, window(spec, question))
}

/// The same over so much time before the tick's end.
pub fn ask_pods_over(spec: &MetricSourceSpec, question: &Question, length: SignedDuration) -> Ask {
    let promql = format!("{}[{}ms]", query::up(spec, &question.subject), length.as_millis());
    Ask {
        purpose: "scraped pods",
        promql,
        time: question.end,
    }
}

/// The query that counts the native histograms of requests. A store that knows none refuses it, or finds nothing.
pub fn ask_native(spec: &MetricSourceSpec, question: &Question) -> Ask {
    Ask {
        purpose: "native histograms",
        promql: format!("count(histogram_count({}))", query::native(spec, &question.subject)),
        time: question.end,
    }
}

/// Reads the reply to [`ask_native`].
pub fn read_native(value: &Value) -> bool {
    matches!(value, Value::Vector(found) if found.iter().any(|count| *count > 0.0))
}

/// Reads the reply to [`ask_targets`].
pub fn read_ages(value: &Value) -> Targets {
    let Value::Matrix(series) = value else {
        return Targets::new();
    };
    let mut targets = Targets::new();
    for one in series {
        let key = (one.label("job").to_owned(), one.label("instance").to_owned());
        let scrapes = one.samples.iter().map(|(at, up)| (*at, *up > 0.0));
        targets.entry(key).or_default().extend(scrapes);
    }
    for scrapes in targets.values_mut() {
        scrapes.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    targets
}

/// Reads the reply to [`ask_pods`]. A pod that several jobs scrape is up if one of them reaches it.
pub fn read_up(spec: &MetricSourceSpec, value: &Value) -> BTreeMap<String, bool> {
    let mut up = BTreeMap::new();
    let Value::Matrix(series) = value else { return up };
    for one in series {
        let reached = one.samples.last().is_some_and(|(_, value)| *value > 0.0);
        *up.entry(one.label(query::up_pod(spec)).to_owned()).or_default() |= reached;
    }
    up
}

/// The query that tells since when targets have been scraped.
pub fn ask_targets(spec: &MetricSourceSpec, question: &Question, targets: &BTreeSet<(String, String)>) -> Ask {
    ask_targets_over(spec, question, targets, LONGEST_WINDOW)
}

/// The same over so much time before the tick's end.
pub fn ask_targets_over(
    spec: &MetricSourceSpec,
    question: &Question,
    targets: &BTreeSet<(String, String)>,
    length: SignedDuration,
) -> Ask {
    let one_of = |values: BTreeSet<&str>| query::pattern(values);
    let jobs = one_of(targets.iter().map(|(job, _)| job.as_str()).collect());
    let instances = one_of(targets.iter().map(|(_, instance)| instance.as_str()).collect());
    let promql = format!(
        "up{{job=~{jobs},instance=~{instances}{}}}[{}ms]",
        query::and_matchers(spec),
        length.as_millis()
    );
    Ask {
        purpose: "age of targets",
        promql,
        time: question.end,
    }
}
