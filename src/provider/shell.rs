//! The only place where metrics stores are talked to: timeouts, limits, one retry, and errors as `noData`.

mod clients;
mod past;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Url, header::DATE};
use tokio::time::{Instant, timeout_at};

use super::{
    Answer, Inspection, NoData, Provider, Question,
    prometheus::{self, Ask, Interpretation, Known, Replies, Value},
};
use clients::Clients;
pub use past::Span;

use crate::{
    api::{metric_source::MetricSourceSpec, status::Cause},
    fair::{Budget, Exhausted, Limits, Permits, Reader},
    log::outage::Outages,
};

/// Longest wait for the whole reply to one query.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where Prometheus answers queries of one moment.
const QUERY: &str = "/api/v1/query";
/// Longest wait for all replies of a tick, and for permits to ask for them. What is answered then counts, the rest has no data.
const TICK: Duration = Duration::from_secs(25);
/// Largest reply that is read, in bytes: 4 MiB.
const MAX_BODY: usize = 4 << 20;
/// Asks for a whole answer or none: the first of Thanos, the second of VictoriaMetrics. Others do not read what they do not know.
const WHOLE: [(&str, &str); 2] = [("partial_response", "false"), ("deny_partial_response", "1")];
/// Requests under way at once, over all sources, …
const CONCURRENCY: usize = 32;
/// … and of one namespace: expressions are written by tenants, and may be slow.
const CONCURRENCY_OF_ONE: usize = 8;
/// Bytes that replies take at once, from the first that is read to the end of their ticks: at most 80 MiB over all.
const REPLIES: Limits = Limits {
    pool: 32 << 20,
    pool_of_one: 8 << 20,
    reader: 24 << 20,
    beyond: 2,
};
/// A store's clock may differ from ours by a scrape, or by this much: a second is all that its header tells.
const CLOCKS_APART: Duration = Duration::from_secs(5);
/// Pause before the one retry of an overloaded store.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// A store that answers everything for so long has recovered: an overloaded one answers some queries and others not.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// Asks metrics stores.
pub struct StoreClient {
    clients: Clients,
    permits: Permits,
    replies: Budget,
    /// The address that was asked last, parsed: mostly it is the only one.
    last: Mutex<Option<(String, Url)>>,
    /// Stores that fail, by address, for the log.
    failing: Mutex<Outages>,
}

/// Whose queries a tick's are, and how long it waits for them.
#[derive(Clone, Copy)]
struct Turn<'a> {
    namespace: &'a str,
    replies: &'a Reader<'a>,
    until: Instant,
}

/// One request of the API.
struct Request<'a> {
    purpose: &'static str,
    verb: Verb,
    path: &'a str,
    form: &'a [(&'a str, &'a str)],
}

/// How it is sent: what reads labels knows no other way than GET.
#[derive(Clone, Copy)]
enum Verb {
    Get,
    Post,
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

/// A request that has got no whole answer.
fn broken_off(spec: &MetricSourceSpec, purpose: &str, error: &reqwest::Error) -> NoData {
    let what = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off the answer"
    };
    NoData {
        cause: Cause::ProviderDown,
        message: format!("{purpose}: Prometheus at {} {what}", spec.prometheus.url),
    }
}

fn too_much(purpose: &str, _: &Exhausted) -> NoData {
    NoData {
        cause: Cause::BadReply,
        message: format!(
            "{purpose}: the replies to one tick take more than {} MiB: have fewer series answer, or give them fewer labels",
            REPLIES.reader >> 20
        ),
    }
}

/// Reads a reply, which from then on takes the room of what was read.
async fn read(code: u16, body: &[u8], replies: &Reader<'_>, ask: &Ask) -> Result<Value, NoData> {
    let room = prometheus::bytes_at_most(body);
    replies
        .take(room)
        .await
        .map_err(|error| too_much(ask.purpose, &error))?;
    let value = prometheus::parse(code, body).map_err(|error| NoData {
        message: format!("{}: {}", ask.purpose, error.message),
        ..error
    });
    let left = value.as_ref().map_or(0, Value::bytes);
    replies.give_back(room.saturating_add(body.len()).saturating_sub(left));
    value
}

impl StoreClient {
    /// Fails only if TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        Ok(Self {
            clients: Clients::new()?,
            permits: Permits::new(CONCURRENCY, CONCURRENCY_OF_ONE),
            replies: Budget::new(REPLIES),
            last: Mutex::default(),
            failing: Mutex::new(Outages::new(SETTLED_AFTER)),
        })
    }

    /// The answer to a question, and what else is read in the replies that it rests on: they go with the room that they take.
    async fn answer<T>(
        &self,
        spec: &MetricSourceSpec,
        question: &Question,
        besides: impl FnOnce(&Replies) -> T,
    ) -> (Answer, T) {
        let asks = prometheus::queries(spec, question);
        let now = Instant::now();
        let namespace = &question.subject.namespace;
        let turn = Turn {
            namespace,
            replies: &self.replies.reader(namespace),
            until: now.checked_add(TICK).unwrap_or(now),
        };
        let replies = join_all(asks.into_iter().map(|(layer, ask)| async move {
            let reply = match ask {
                Ok(ask) => self.query(spec, turn, &ask).await,
                Err(error) => Err(error),
            };
            (layer, reply)
        }))
        .await;
        let replies: Replies = replies.into_iter().collect();
        let more = besides(&replies);
        let unknown = match prometheus::interpret(spec, question, &replies, None) {
            Interpretation::Done(answer) => return (answer, more),
            Interpretation::Ask(unknown) => unknown,
        };
        let mut known = Known::default();
        if !unknown.ages_of.is_empty() {
            // If they cannot be told, series that have just appeared count nothing in this tick. The rest of it stands.
            let reply = self
                .query(spec, turn, &prometheus::ask_targets(spec, question, &unknown.ages_of))
                .await;
            known.ages = reply.map(|value| prometheus::read_ages(&value)).unwrap_or_default();
        }
        if unknown.pods {
            let reply = self.query(spec, turn, &prometheus::ask_pods(spec, question)).await;
            known.up = reply.map(|value| prometheus::read_up(spec, &value)).unwrap_or_default();
        }
        if unknown.native {
            let reply = self.query(spec, turn, &prometheus::ask_native(spec, question)).await;
            known.native = reply.is_ok_and(|value| prometheus::read_native(&value));
        }
        let answer = match prometheus::interpret(spec, question, &replies, Some(&known)) {
            Interpretation::Done(answer) => answer,
            Interpretation::Ask(_) => Vec::new(),
        };
        (answer, more)
    }

    /// Asks one thing, in its namespace's turn and within the tick's time.
    async fn query(&self, spec: &MetricSourceSpec, turn: Turn<'_>, ask: &Ask) -> Result<Value, NoData> {
        let late = |what: String| NoData {
            cause: Cause::ProviderDown,
            message: format!("{}: {what}", ask.purpose),
        };
        let _permit = timeout_at(turn.until, self.permits.acquire(turn.namespace)).await.map_err(|_| {
            late(format!(
                "not asked within {TICK:?}: of namespace {} {CONCURRENCY_OF_ONE} queries run at once, and others are slow",
                turn.namespace
            ))
        })?;
        let asked = timeout_at(turn.until, self.permitted(spec, turn.replies, ask)).await;
        asked.unwrap_or_else(|_| Err(late(format!("no answer within {TICK:?}"))))
    }

    async fn permitted(&self, spec: &MetricSourceSpec, replies: &Reader<'_>, ask: &Ask) -> Result<Value, NoData> {
        let answer = match self.post(spec, replies, ask).await {
            Ok((429 | 503, body)) => {
                replies.give_back(body.len());
                tokio::time::sleep(RETRY_AFTER).await;
                self.post(spec, replies, ask).await
            }
            other => other,
        };
        let value = match answer {
            Ok((code, body)) => read(code, &body, replies, ask).await,
            Err(error) => Err(error),
        };
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
        let url = Url::parse(&format!("{}{QUERY}", source.trim_end_matches('/'))).map_err(|error| error.to_string())?;
        *last = Some((source.to_owned(), url.clone()));
        Ok(url)
    }

    async fn post(&self, spec: &MetricSourceSpec, replies: &Reader<'_>, ask: &Ask) -> Result<(u16, Vec<u8>), NoData> {
        let time = format!("{:.3}", ask.time);
        let form = [("query", ask.promql.as_str()), ("time", &time)];
        let request = Request {
            purpose: ask.purpose,
            verb: Verb::Post,
            path: QUERY,
            form: &form,
        };
        self.send(spec, replies, &request).await
    }

    async fn send(
        &self,
        spec: &MetricSourceSpec,
        replies: &Reader<'_>,
        request: &Request<'_>,
    ) -> Result<(u16, Vec<u8>), NoData> {
        let Request { purpose, path, .. } = *request;
        let down = |what: &str| NoData {
            cause: Cause::ProviderDown,
            message: format!("{purpose}: Prometheus {what}"),
        };
        let failed = |error: &reqwest::Error| broken_off(spec, purpose, error);
        let mut url = self.address(&spec.prometheus.url).map_err(|error| {
            down(&format!(
                "has the address {}, which is none: {error}",
                spec.prometheus.url
            ))
        })?;
        if path != QUERY {
            let base = url.path().strip_suffix(QUERY).unwrap_or_default();
            url.set_path(&format!("{base}{path}"));
        }
        // The store works no longer for nobody.
        let timeout = format!("{}s", TIMEOUT.as_secs());
        let bounds = [("timeout", timeout.as_str())];
        let form: Vec<&(&str, &str)> = request.form.iter().chain(&bounds).chain(&WHOLE).collect();
        let client = self.clients.of(&url).map_err(|why| down(&why))?;
        let sent = match request.verb {
            Verb::Post => client.post(url).form(&form),
            Verb::Get => {
                url.query_pairs_mut().extend_pairs(form);
                client.get(url)
            }
        };
        let mut response = sent.send().await.map_err(|error| failed(&error))?;
        let code = response.status().as_u16();
        let date = response.headers().get(DATE).filter(|_| response.status().is_success());
        let date = date.and_then(|date| date.to_str().ok());
        same_time(spec, date, Timestamp::now()).map_err(|why| NoData {
            cause: Cause::Stale,
            message: format!("{purpose}: {why}"),
        })?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(NoData {
                    cause: Cause::BadReply,
                    message: format!("{purpose}: the reply is larger than {} MiB", MAX_BODY >> 20),
                });
            }
            replies
                .take(chunk.len())
                .await
                .map_err(|error| too_much(purpose, &error))?;
            body.extend_from_slice(&chunk);
        }
        Ok((code, body))
    }
}

impl Provider for StoreClient {
    fn ask<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.answer(source, question, |_| ()).await.0 })
    }

    fn inspect<'a>(&'a self, source: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Inspection> {
        Box::pin(async move {
            let twice = |replies: &Replies| prometheus::scraped_twice(source, question, replies);
            let (answer, scraped_twice) = self.answer(source, question, twice).await;
            Inspection { answer, scraped_twice }
        })
    }
}

#[cfg(test)]
mod tests;
