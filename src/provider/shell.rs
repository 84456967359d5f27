//! The only place where metrics stores are talked to: timeouts, limits, one retry, and errors as `noData`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Client, Url, header::DATE, redirect::Policy};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Answer, NoData, Provider, Question,
    prometheus::{self, Ask, Interpretation, Known, Value},
};
use crate::{
    api::{metric_source::MetricSourceSpec, status::Cause},
    log::outage::Outages,
};

/// Longest wait for a connection to a store.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the whole reply to one query.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest reply that is read, in bytes: 4 MiB.
const MAX_BODY: usize = 4 << 20;
/// Asks for a whole answer or none: the first of Thanos, the second of VictoriaMetrics. Others do not read what they do not know.
const WHOLE: [(&str, &str); 2] = [("partial_response", "false"), ("deny_partial_response", "1")];
/// Requests under way at once, over all sources.
const CONCURRENCY: usize = 32;
/// A store's clock may differ from ours by a scrape, or by this much: a second is all that its header tells.
const CLOCKS_APART: Duration = Duration::from_secs(5);
/// Pause before the one retry of an overloaded store.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// A store that answers everything for so long has recovered: an overloaded one answers some queries and others not.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// Asks metrics stores.
pub struct StoreClient {
    client: Client,
    permits: Semaphore,
    /// The address that was asked last, parsed: mostly it is the only one.
    last: Mutex<Option<(String, Url)>>,
    /// Stores that fail, by address, for the log.
    failing: Mutex<Outages>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What they guard is changed in one step, so a panic leaves nothing half-written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the store is to blame for an answer that is none, and not the query or what the store was given to keep.
fn is_outage(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ProviderDown | Cause::Unauthorized | Cause::BadReply | Cause::PartialReply
    )
}

/// Refuses a store whose clock is not ours: which samples belong to a tick is decided by time alone, and those of the step
/// before would be taken for this one's. `date` is what the reply says of its own moment.
fn same_time(spec: &MetricSourceSpec, date: Option<&str>, now: Timestamp) -> Result<(), String> {
    let Some(date) = date.and_then(|date| rfc2822::parse(date).ok()) else {
        return Ok(());
    };
    let ahead = date.timestamp().duration_since(now);
    let allowed = CLOCKS_APART.max(spec.scrape_interval.into());
    if ahead.unsigned_abs() <= allowed {
        return Ok(());
    }
    let way = if ahead.is_positive() { "ahead of" } else { "behind" };
    Err(format!(
        "the clock of Prometheus is {}s {way} the controller's, so it cannot be said which samples are of this interval: have both set by NTP",
        ahead.unsigned_abs().as_secs()
    ))
}

impl StoreClient {
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
            failing: Mutex::new(Outages::new(SETTLED_AFTER)),
        })
    }

    async fn answer(&self, spec: &MetricSourceSpec, question: &Question) -> Answer {
        let asks = prometheus::queries(spec, question);
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
            // If they cannot be told, series that have just appeared count nothing in this tick. The rest of it stands.
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
        let answer = match self.post(spec, ask).await {
            Ok((429 | 503, _)) => {
                tokio::time::sleep(RETRY_AFTER).await;
                self.post(spec, ask).await
            }
            other => other,
        };
        let value = answer.and_then(|(code, body)| {
            prometheus::parse(code, &body).map_err(|error| NoData {
                message: format!("{}: {}", ask.purpose, error.message),
                ..error
            })
        });
        self.log(&spec.prometheus.url, &value);
        value
    }

    /// Logs when a store begins to fail and when it works again.
    fn log(&self, source: &str, value: &Result<Value, NoData>) {
        let now = Instant::now();
        match value {
            Err(error) if is_outage(error.cause) => {
                if lock(&self.failing).failed(source, now) {
                    tracing::warn!(
                        source,
                        %error,
                        "a metrics store fails: until it works, ticks bring no data and releases wait; look at the store, or at the MetricSource that names it"
                    );
                }
            }
            _ => {
                if let Some(past) = lock(&self.failing).worked(source, now) {
                    let lasted_ms = past.lasted_ms();
                    tracing::info!(source, lasted_ms, tries = past.tries, "the metrics store works again");
                }
            }
        }
    }

    /// Where a source answers queries.
    fn address(&self, source: &str) -> Result<Url, String> {
        let mut last = lock(&self.last);
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
        let time = format!("{:.3}", ask.time);
        let form = [("query", ask.promql.as_str()), ("time", &time)];
        let mut response = self
            .client
            .post(url)
            .form(&form.iter().chain(&WHOLE).collect::<Vec<_>>())
            .send()
            .await
            .map_err(|error| failed(&error))?;
        let code = response.status().as_u16();
        let date = response.headers().get(DATE).filter(|_| response.status().is_success());
        let date = date.and_then(|date| date.to_str().ok());
        same_time(spec, date, Timestamp::now()).map_err(|why| NoData {
            cause: Cause::Stale,
            message: format!("{}: {why}", ask.purpose),
        })?;
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

impl Provider for StoreClient {
    fn ask<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(self.answer(source, question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::captured::capture;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_is_told_twice_however_often_it_is_asked() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (log, _guard) = capture("info");
        let shell = StoreClient::new().unwrap();
        let source = "http://prometheus:9090";
        let answer = |cause: Cause| {
            Err(NoData {
                cause,
                message: "requests by status: Prometheus answered 503".to_owned(),
            })
        };
        for _ in 0..50 {
            shell.log(source, &answer(Cause::ProviderDown));
            tokio::time::advance(Duration::from_secs(2)).await;
            // Another rollout's query is answered all the same, and another store knows nothing of it.
            shell.log(source, &answer(Cause::BadQuery));
            shell.log("http://other:9090", &Ok(Value::Scalar(1.0)));
        }
        for _ in 0..50 {
            tokio::time::advance(Duration::from_secs(2)).await;
            shell.log(source, &Ok(Value::Scalar(1.0)));
        }
        let told = [
            "WARN a metrics store fails: until it works, ticks bring no data and releases wait; look at the store, or at the MetricSource that names it",
            "INFO the metrics store works again",
        ];
        assert_eq!(log.messages(), told);
        let lines = log.lines();
        assert_eq!(
            lines[0]["fields"]["error"],
            "requests by status: Prometheus answered 503"
        );
        let fields = &lines[1]["fields"];
        assert_eq!(
            (&fields["source"], &fields["lasted_ms"]),
            (&source.into(), &100_000.into())
        );
        assert_eq!(fields["tries"], 50);
    }
}
