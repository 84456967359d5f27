//! A metrics store that knows users' requests, asked through the product's own interface.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;
use warmfront::{
    api::{metric_source::MetricSourceSpec, status::Cause},
    provider::{self, Answer, Counts, Inspection, NoData, Provider, Quantity, Question, Reading},
};

use super::{
    Cluster, replica_set,
    settings::{Lack, Metrics, Version, seconds},
    text,
    traffic::Tally,
};
use crate::apiserver::{Shared, kinds::Kind, lock, store::EPOCH};

/// The metrics store.
pub struct Store(pub Shared);

impl Provider for Store {
    fn ask<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let does = lock(&self.0).settings.metrics;
            tokio::time::sleep(match does {
                Metrics::Hangs => Duration::from_secs(10),
                Metrics::Never => Duration::MAX,
                _ => Duration::from_millis(2),
            })
            .await;
            let mut cluster = lock(&self.0);
            question
                .quantities
                .iter()
                .map(|quantity| answer(&mut cluster, source, quantity, question))
                .collect()
        })
    }

    fn inspect<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Inspection> {
        Box::pin(async move {
            let answer = self.ask(source, question).await;
            let has_two = lock(&self.0).settings.metrics == Metrics::TwoJobs;
            let pods = question.subject.candidate.workload.as_str();
            Inspection {
                answer,
                scraped_twice: has_two.then(|| format!("{pods} is scraped by jobs a and b: of them a counts")),
            }
        })
    }
}

fn moment(start: Instant, at: Timestamp) -> Instant {
    start + Duration::from_millis(u64::try_from(at.as_millisecond() - EPOCH * 1_000).unwrap_or_default())
}

/// Why the store tells nothing, if so.
fn silence(does: Metrics, source: &MetricSourceSpec) -> Option<(Cause, &'static str)> {
    let is_told_apart = source.matchers.get("cluster").is_some_and(|cluster| cluster == "eu");
    match does {
        Metrics::Down | Metrics::Hangs | Metrics::Never => Some((Cause::ProviderDown, "the metrics store is down")),
        Metrics::Silent => Some((Cause::Empty, "no series")),
        Metrics::Late => Some((Cause::Stale, "the newest samples are too old")),
        Metrics::Partial => Some((Cause::PartialReply, "the reply is not complete")),
        Metrics::TwoClusters if !is_told_apart => Some((Cause::AmbiguousSeries, "series of several clusters")),
        Metrics::Up | Metrics::TwoClusters | Metrics::TwoJobs => None,
    }
}

/// Requests of a monitor to the new version's pods, which count like users'.
fn probed(cluster: &Cluster, question: &Question) -> f64 {
    let sets = &question.subject.candidate.replica_sets;
    let pods = cluster.store.list(Kind::Pod, Some(&question.subject.namespace));
    let of_sets = pods.iter().filter(|pod| {
        sets.iter()
            .any(|set| text(pod, "/metadata/ownerReferences/0/name") == set)
    });
    let seconds = question.end.duration_since(question.start).as_secs_f64();
    of_sets.map(|_| cluster.settings.probes * seconds).sum()
}

/// How one of the versions behaves that a question is about.
fn version(cluster: &Cluster, question: &Question, side: &provider::Version) -> Version {
    let set = side.replica_sets.first();
    let set = set.and_then(|set| cluster.store.get(Kind::ReplicaSet, &question.subject.namespace, set));
    let tag = set.map(|set| replica_set::tag(&set["spec"]["template"]["spec"]).to_owned());
    cluster.settings.version(&tag.unwrap_or_default())
}

/// What the metrics of that version cannot tell.
fn lack(version: &Version, quantity: &Quantity) -> Option<(Cause, &'static str)> {
    match (version.lacks?, quantity) {
        (_, Quantity::Scalar { .. }) => None,
        (Lack::Series, _) => Some((Cause::Empty, "no series")),
        (Lack::Status, Quantity::Requests) => Some((Cause::NotReadable, "no label with a status")),
        (Lack::Edge, Quantity::Latency { .. }) => {
            Some((Cause::ThresholdNotMeasurable, "no histogram edge is near the limit"))
        }
        (Lack::Status | Lack::Edge, _) => None,
    }
}

fn answer(
    cluster: &mut Cluster,
    source: &MetricSourceSpec,
    quantity: &Quantity,
    question: &Question,
) -> Result<Reading, NoData> {
    let none = |cause, message: &str| {
        Err(NoData {
            cause,
            message: message.to_owned(),
        })
    };
    if let Some((cause, message)) = silence(cluster.settings.metrics, source) {
        return none(cause, message);
    }
    let subject = &question.subject;
    let [version, old] = [&subject.candidate, &subject.baseline].map(|side| version(cluster, question, side));
    if let Some((cause, message)) = lack(&version, quantity) {
        return none(cause, message);
    }
    let visible = Instant::now() - seconds(cluster.settings.samples_late);
    let traffic = &mut cluster.traffic;
    let (start, end) = (
        moment(traffic.start, question.start),
        moment(traffic.start, question.end),
    );
    if visible <= start {
        let is_old = end.duration_since(visible) > Duration::from_secs(4);
        let cause = if is_old { Cause::Stale } else { Cause::Late };
        return none(cause, "no sample in this interval yet");
    }
    let end = end.min(visible);
    let candidate = traffic.of_all(&question.subject.candidate.replica_sets, end);
    let mut candidate = candidate.since(traffic.of_all(&question.subject.candidate.replica_sets, start));
    let baseline = &question.subject.baseline.replica_sets;
    let baseline = traffic.of_all(baseline, end).since(traffic.of_all(baseline, start));
    candidate.total += probed(cluster, question);
    let counts = |tally: Tally, stale: f64| match quantity {
        Quantity::Requests => Counts {
            bad: tally.bad,
            total: tally.total,
        },
        Quantity::Latency { .. } => Counts {
            bad: tally.slow,
            total: tally.total,
        },
        Quantity::Lookups => Counts {
            bad: tally.missed,
            total: tally.total,
        },
        // Every request is sampled.
        Quantity::Ratio { .. } => Counts {
            bad: tally.total * stale / 100.0,
            total: tally.total,
        },
        Quantity::Scalar { .. } => Counts::default(),
    };
    if let Quantity::Scalar { promql } = quantity {
        return Ok(Reading::Scalar {
            candidate: version.value,
            baseline: promql.contains("{{candidate.").then_some(old.value),
        });
    }
    let figure = |counts: Counts| (counts.total > 0.0).then(|| counts.bad / counts.total);
    let (candidate, baseline) = (counts(candidate, version.stale), counts(baseline, old.stale));
    Ok(Reading::Counts {
        candidate,
        baseline: Some(baseline),
        candidate_figure: figure(candidate),
        baseline_figure: figure(baseline),
    })
}
