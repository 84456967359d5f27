//! Requests about the past: one at a time, each by itself.

use jiff::Timestamp;

use super::{
    super::{
        NoData,
        prometheus::{self, Ask, Value, Values},
    },
    Request, StoreClient, Verb, read,
};
use crate::api::{Duration, metric_source::MetricSourceSpec};

/// Where Prometheus answers queries of many moments.
const QUERY_RANGE: &str = "/api/v1/query_range";
/// Whose replies these are in the budget: nobody else asks in this process.
const NAMESPACE: &str = "";

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

fn request<'a>(purpose: &'static str, verb: Verb, path: &'a str, form: &'a [(&'a str, &'a str)]) -> Request<'a> {
    Request {
        purpose,
        verb,
        path,
        form,
    }
}

fn of_purpose<T>(purpose: &str, read: Result<T, NoData>) -> Result<T, NoData> {
    read.map_err(|error| NoData {
        message: format!("{purpose}: {}", error.message),
        ..error
    })
}

impl StoreClient {
    /// Raw samples, or whatever else a query of one moment gives.
    pub async fn ask_once(&self, spec: &MetricSourceSpec, ask: &Ask) -> Result<Value, NoData> {
        let replies = self.replies.reader(NAMESPACE);
        let (code, body) = self.post(spec, &replies, ask).await?;
        read(code, &body, &replies, ask).await
    }

    /// The values of an expression, one for each `step` of a time.
    pub async fn ask_values(
        &self,
        spec: &MetricSourceSpec,
        ask: &Ask,
        span: Span,
        step: Duration,
    ) -> Result<Values, NoData> {
        let replies = self.replies.reader(NAMESPACE);
        let [start, end] = [span.start, span.end].map(|moment| format!("{moment:.3}"));
        let step = format!("{}ms", step.as_millis());
        let form = [
            ("query", ask.promql.as_str()),
            ("start", start.as_str()),
            ("end", end.as_str()),
            ("step", step.as_str()),
        ];
        let (code, body) = self
            .send(spec, &replies, &request(ask.purpose, Verb::Post, QUERY_RANGE, &form))
            .await?;
        of_purpose(ask.purpose, prometheus::parse_values(code, &body))
    }

    /// Names of pods whose series a selector finds in a time.
    pub async fn ask_pods(&self, spec: &MetricSourceSpec, selector: &str, span: Span) -> Result<Vec<String>, NoData> {
        const PURPOSE: &str = "names of pods";
        let replies = self.replies.reader(NAMESPACE);
        let [start, end] = [span.start, span.end].map(|moment| format!("{moment:.3}"));
        let form = [("match[]", selector), ("start", start.as_str()), ("end", end.as_str())];
        let path = format!("/api/v1/label/{}/values", spec.pod_label);
        let (code, body) = self
            .send(spec, &replies, &request(PURPOSE, Verb::Get, &path, &form))
            .await?;
        of_purpose(PURPOSE, prometheus::parse_names(code, &body))
    }
}
