//! The only place where metrics stores are talked to: timeouts, limits, one retry, and errors as `noData`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use reqwest::{Client, Url, redirect::Policy};
use tokio::sync::Semaphore;

use super::{
    Answer, NoData, Provider, Question,
    prometheus::{self, Ask, Interpretation, Known, Value},
};
use crate::api::{metric_source::MetricSourceSpec, status::Cause};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest reply that is read.
const MAX_BODY: usize = 4 << 20;
/// Requests under way at once, over all sources.
const CONCURRENCY: usize = 32;
/// Pause before the one retry of an overloaded store.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Asks metrics stores.
pub struct Shell {
    client: Client,
    permits: Semaphore,
    /// The address that was asked last, parsed: mostly it is the only one.
    last: Mutex<Option<(String, Url)>>,
}

impl Shell {
    /// Fails only if TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent("warmfront")
            .build()?;
        Ok(Self {
            client,
            permits: Semaphore::new(CONCURRENCY),
            last: Mutex::default(),
        })
    }

    async fn answer(&self, spec: &MetricSourceSpec, question: &Question) -> Answer {
        let asks = prometheus::plan(spec, question);
        let replies = join_all(asks.into_iter().map(|(layer, ask)| async move {
            let reply = match ask {
                Ok(ask) => self.query(spec, &ask).await,
                Err(error) => Err(error),
            };
            (layer, reply)
        }))
        .await;
        let replies: BTreeMap<_, _> = replies.into_iter().collect();
        let unknown = match prometheus::interpret(spec, question, &replies, None) {
            Interpretation::Done(answer) => return answer,
            Interpretation::Ask(unknown) => unknown,
        };
        let mut known = Known::default();
        if !unknown.ages_of.is_empty() {
            // Unknown ages count nothing; the tick stands without them.
            let reply = self
                .query(spec, &prometheus::ask_targets(spec, question, &unknown.ages_of))
                .await;
            known.ages = reply.map(|value| prometheus::read_ages(&value)).unwrap_or_default();
        }
        if unknown.pods {
            let reply = self.query(spec, &prometheus::ask_pods(spec, question)).await;
            known.up = reply.map(|value| prometheus::read_up(spec, &value)).unwrap_or_default();
        }
        match prometheus::interpret(spec, question, &replies, Some(&known)) {
            Interpretation::Done(answer) => answer,
            Interpretation::Ask(_) => Vec::new(),
        }
    }

    async fn query(&self, spec: &MetricSourceSpec, ask: &Ask) -> Result<Value, NoData> {
        let down = |what: &str| NoData {
            cause: Cause::ProviderDown,
            message: format!("{}: Prometheus {what}", ask.purpose),
        };
        // The semaphore is never closed.
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| down("is not asked: shutting down"))?;
        let (code, body) = match self.post(spec, ask).await {
            Ok((429 | 503, _)) => {
                tokio::time::sleep(RETRY_AFTER).await;
                self.post(spec, ask).await
            }
            other => other,
        }?;
        prometheus::parse(code, &body).map_err(|error| NoData {
            message: format!("{}: {}", ask.purpose, error.message),
            ..error
        })
    }

    /// Where a source answers queries.
    fn address(&self, source: &str) -> Result<Url, String> {
        // Only ever replaced as a whole.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, url)) = last.as_ref().filter(|(known, _)| known == source) {
            return Ok(url.clone());
        }
        let url =
            Url::parse(&format!("{}/api/v1/query", source.trim_end_matches('/'))).map_err(|error| error.to_string())?;
        *last = Some((source.to_owned(), url.clone()));
        Ok(url)
    }

    async fn post(&self, spec: &MetricSourceSpec, ask: &Ask) -> Result<(u16, Vec<u8>), NoData> {
        let down = |what: &str| NoData {
            cause: Cause::ProviderDown,
            message: format!("{}: Prometheus {what}", ask.purpose),
        };
        let failed = |error: &reqwest::Error| {
            let what = if error.is_timeout() {
                "did not answer in time"
            } else if error.is_connect() {
                "cannot be reached"
            } else {
                "broke off the answer"
            };
            NoData {
                cause: Cause::ProviderDown,
                message: format!("{}: Prometheus at {} {what}", ask.purpose, spec.prometheus.url),
            }
        };
        let url = self.address(&spec.prometheus.url).map_err(|error| {
            down(&format!(
                "has the address {}, which is none: {error}",
                spec.prometheus.url
            ))
        })?;
        let form = [("query", ask.promql.as_str()), ("time", &format!("{:.3}", ask.time))];
        let mut response = self
            .client
            .post(url)
            .form(&form)
            .send()
            .await
            .map_err(|error| failed(&error))?;
        let code = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(NoData {
                    cause: Cause::BadReply,
                    message: format!("{}: the reply is larger than {} MiB", ask.purpose, MAX_BODY >> 20),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((code, body))
    }
}

impl Provider for Shell {
    fn ask<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(self.answer(source, question))
    }
}
