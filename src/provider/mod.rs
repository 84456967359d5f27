//! Where figures come from: what a tick asks of a metrics store, and what it answers.
//!
//! Providers are pure: they turn a [`Question`] into HTTP requests and the replies into an [`Answer`].
//! All IO is in `shell`.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use jiff::Timestamp;

pub mod prometheus;
pub mod shell;

use crate::api::{metric_source::MetricSourceSpec, status::Cause};

/// Whoever answers the questions of ticks.
pub trait Provider: Send + Sync {
    /// Answers a tick's question. Never fails: what could not be measured says why.
    fn ask<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Answer>;

    /// Answers a question about the running version, and says, where it can, how its metrics are kept. Never fails either.
    fn inspect<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Inspection> {
        Box::pin(async move {
            Inspection {
                answer: self.ask(source, question).await,
                scraped_twice: None,
            }
        })
    }
}

/// What the metrics of the running version say, before any release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// One reading or `noData` per quantity asked.
    pub answer: Answer,
    /// A pod that several jobs scrape, and which of them counts, in a sentence for people.
    pub scraped_twice: Option<String>,
}

/// Everything one tick wants to know, for the time from `start` to `end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Whose series are read: how messages call the candidate of `subject`.
    pub whose: Whose,
    /// The two sides that are compared.
    pub subject: Subject,
    /// What happened after this moment counts.
    pub start: Timestamp,
    /// What happened after this moment does not.
    pub end: Timestamp,
    /// Figures for display count from here, or from where the reply's window begins if that is later.
    pub figures_since: Timestamp,
    /// When the release began. Series of the new version that appeared since then count from 0: their pods came with it.
    pub run_started: Timestamp,
    /// What is asked, answered in the same order.
    pub quantities: Vec<Quantity>,
}

/// Whose series a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Whose {
    /// Those of the version that is released.
    #[strum(serialize = "the new version")]
    New,
    /// Those of the version that serves when no release runs: there is no other to compare it with, and both sides of the
    /// subject are this one.
    #[strum(serialize = "the running version")]
    Running,
}

/// The two versions of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Their namespace.
    pub namespace: String,
    /// What callers speak: where no route tells, HTTP.
    pub protocols: BTreeSet<Protocol>,
    /// The new version.
    pub candidate: Version,
    /// The version that users had before.
    pub baseline: Version,
}

/// What callers of a version speak, and so how a failed request is told from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// A failed request is answered with a status of 500 or above, or not at all.
    Http,
    /// A failed call mostly has the HTTP status 200; what became of it says its gRPC status.
    Grpc,
}

/// One version.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Name of its ReplicaSet; of its Deployment, where it has one for itself.
    pub workload: String,
    /// ReplicaSets whose pods are its own; several while its Deployment is rolled out.
    pub replica_sets: Vec<String>,
    /// Its Service.
    pub service: String,
    /// The Service's ports that routes name, and what is spoken there. Empty if no route tells one: then any port may be.
    pub ports: BTreeSet<(u16, Protocol)>,
    /// Its `pod-template-hash`.
    pub hash: String,
}

/// One thing to be measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// Requests; the bad ones are those that failed.
    Requests,
    /// Requests; the bad ones took longer than `limit`.
    Latency {
        /// Seconds.
        limit: f64,
        /// For the figure that is shown: 0.99 is p99.
        quantile: f64,
    },
    /// Cache lookups; the bad ones are misses.
    Lookups,
    /// Whatever two counters of the pods count; the bad ones are those of the first.
    Ratio {
        /// Name of the metric that counts the bad ones.
        bad: String,
        /// Name of the metric that counts all.
        total: String,
    },
    /// One number by an expression of the user's, of both versions where it names one.
    Scalar {
        /// PromQL with `{{…}}` placeholders.
        promql: String,
    },
}

/// One reading or `noData` per quantity asked, in the order asked.
pub type Answer = Vec<Result<Reading, NoData>>;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Of requests, latency, lookups or a pair of counters.
    Counts {
        /// Of the new version, in this tick.
        candidate: Counts,
        /// Of the old version, in this tick, if it could be read.
        baseline: Option<Counts>,
        /// For display, over the figures' window: share of bad ones, or for latency the quantile in seconds.
        candidate_figure: Option<f64>,
        /// The same for the old version.
        baseline_figure: Option<f64>,
    },
    /// Of an expression.
    Scalar {
        /// With the new version's names.
        candidate: f64,
        /// With the old version's names in their place, where the expression has any of the new one's and it could be read.
        baseline: Option<f64>,
    },
}

impl Reading {
    /// Requests or lookups of the new version, which tell a silent side from a busy one; none of a scalar.
    pub fn total(&self) -> Option<f64> {
        match self {
            Self::Counts { candidate, .. } => Some(candidate.total),
            Self::Scalar { .. } => None,
        }
    }
}

/// Bad ones among all. Fractions occur by interpolation; `0 <= bad <= total`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Failed, slow or missed.
    pub bad: f64,
    /// All.
    pub total: f64,
}

/// Why nothing was measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct NoData {
    /// One word for programs.
    pub cause: Cause,
    /// Which query, against what, and what came back, bounded and free of secrets and reply bodies.
    pub message: String,
}
