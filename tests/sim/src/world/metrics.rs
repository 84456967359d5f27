//! A metrics store that knows users' requests, asked through the product's own interface.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;
use warmfront::{
    api::{metric_source::MetricSourceSpec, status::Cause},
    provider::{Answer, Counts, NoData, Provider, Quantity, Question, Reading},
};

use super::{Cluster, replica_set, settings::Metrics, traffic::Tally};
use crate::apiserver::{Shared, kinds::Kind, lock, store::EPOCH};

/// The metrics store.
pub struct Store(pub Shared);

impl Provider for Store {
    fn ask<'a>(&'a self, _: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let hangs = lock(&self.0).settings.metrics == Metrics::Hangs;
            tokio::time::sleep(if hangs {
                Duration::from_secs(10)
            } else {
                Duration::from_millis(2)
            })
            .await;
            let mut cluster = lock(&self.0);
            question
                .quantities
                .iter()
                .map(|quantity| answer(&mut cluster, quantity, question))
                .collect()
        })
    }
}

fn moment(start: Instant, at: Timestamp) -> Instant {
    start + Duration::from_millis(u64::try_from(at.as_millisecond() - EPOCH * 1_000).unwrap_or_default())
}

fn answer(cluster: &mut Cluster, quantity: &Quantity, question: &Question) -> Result<Reading, NoData> {
    let none = |cause, message: &str| {
        Err(NoData {
            cause,
            message: message.to_owned(),
        })
    };
    match cluster.settings.metrics {
        Metrics::Down | Metrics::Hangs => return none(Cause::ProviderDown, "the metrics store is down"),
        Metrics::Silent => return none(Cause::Empty, "no series"),
        Metrics::Late => return none(Cause::Stale, "the newest samples are too old"),
        Metrics::Partial => return none(Cause::PartialReply, "the reply is not complete"),
        Metrics::Up => {}
    }
    let traffic = &mut cluster.traffic;
    let (start, end) = (
        moment(traffic.start, question.start),
        moment(traffic.start, question.end),
    );
    let candidate = traffic.of_all(&question.subject.candidate.replica_sets, end);
    if candidate.total <= 0.0 {
        return none(Cause::NoTraffic, "no request has reached the new version yet");
    }
    let candidate = candidate.since(traffic.of_all(&question.subject.candidate.replica_sets, start));
    let baseline = &question.subject.baseline.replica_sets;
    let baseline = traffic.of_all(baseline, end).since(traffic.of_all(baseline, start));
    let counts = |tally: Tally| match quantity {
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
        Quantity::Scalar { .. } => Counts::default(),
    };
    if matches!(quantity, Quantity::Scalar { .. }) {
        let set = question.subject.candidate.replica_sets.first();
        let set = set.and_then(|set| cluster.store.get(Kind::ReplicaSet, &question.subject.namespace, set));
        let tag = set
            .map(|set| replica_set::tag(&set["spec"]["template"]["spec"]).to_owned())
            .unwrap_or_default();
        return Ok(Reading::Scalar(cluster.settings.version(&tag).value));
    }
    let figure = |counts: Counts| (counts.total > 0.0).then(|| counts.bad / counts.total);
    let (candidate, baseline) = (counts(candidate), counts(baseline));
    Ok(Reading::Counts {
        candidate,
        baseline: Some(baseline),
        candidate_figure: figure(candidate),
        baseline_figure: figure(baseline),
    })
}
