//! A metrics store that answers every scalar query with a number that can be flipped per rollout, and counts queries.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{HeaderName, header},
    routing::post,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Where it listens.
pub const ADDRESS: &str = "127.0.0.1:9090";
/// The limit of every check lies between these two.
const GOOD: &str = "0.1";
const BAD: &str = "9";
/// See [`GOOD`].
pub const LIMIT: i32 = 1;

#[derive(Default)]
struct Figures {
    /// Since when the figure of a rollout is bad, in seconds since the epoch.
    bad_since: Mutex<HashMap<String, f64>>,
    queries: AtomicU64,
}

impl Figures {
    fn bad_since(&self) -> MutexGuard<'_, HashMap<String, f64>> {
        self.bad_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose queries are slow: those of rollouts in namespace `hostile`.
const SLOW: &str = "hostile/";
/// How slow: hardly less than what a query may take.
const SLOWNESS: Duration = Duration::from_secs(9);

/// A store that can be taken down.
pub struct Store {
    address: SocketAddr,
    figures: Arc<Figures>,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// The query that a rollout's check asks.
pub fn query(key: &str) -> String {
    format!("bench_queue{{app=\"{key}\"}}")
}

impl Store {
    /// One that will listen there.
    pub fn at(address: &str) -> anyhow::Result<Self> {
        Ok(Self {
            address: address.parse()?,
            figures: Arc::default(),
            serving: None,
        })
    }

    /// Begins to answer.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let address = self.address;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address} for metric queries"))?;
        let stop = CancellationToken::new();
        let router = Router::new()
            .route("/api/v1/query", post(answer))
            .with_state(self.figures.clone());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                eprintln!("the metrics stand-in ended: {error}");
            }
        });
        self.serving = Some((stop, task));
        Ok(())
    }

    /// Closes the port: connections are refused until [`Store::up`].
    pub async fn down(&mut self) -> anyhow::Result<()> {
        if let Some((stop, task)) = self.serving.take() {
            stop.cancel();
            task.await.context("stopping the metrics stand-in")?;
        }
        Ok(())
    }

    /// From now on the rollout's figure is over its limit.
    pub fn spoil(&self, key: &str) {
        self.figures.bad_since().insert(key.to_owned(), now());
    }

    /// The rollout's figure is good again.
    pub fn heal(&self, key: &str) {
        self.figures.bad_since().remove(key);
    }

    /// Queries so far.
    pub fn queries(&self) -> u64 {
        self.figures.queries.load(Ordering::Relaxed)
    }
}

/// A time as the API takes it: seconds since the epoch, or RFC 3339.
fn moment(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(|time| time.as_duration().as_secs_f64())
    })
}

/// As a real store does, it answers of the moment that is asked for, not of now.
async fn answer(State(figures): State<Arc<Figures>>, body: String) -> ([(HeaderName, &'static str); 1], String) {
    figures.queries.fetch_add(1, Ordering::Relaxed);
    let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let time = form.get("time").and_then(|time| moment(time)).unwrap_or_else(now);
    let query = form.get("query").map(String::as_str).unwrap_or_default();
    let key = query
        .split_once("app=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(key, _)| key);
    if key.is_some_and(|key| key.starts_with(SLOW)) {
        tokio::time::sleep(SLOWNESS).await;
    }
    let bad = key.is_some_and(|key| figures.bad_since().get(key).is_some_and(|since| *since <= time));
    let sample = json!([{"metric": {}, "value": [time, if bad { BAD } else { GOOD }]}]);
    let reply = json!({"status": "success", "data": {"resultType": "vector", "result": sample}});
    ([(header::CONTENT_TYPE, "application/json")], reply.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_answer_is_of_the_moment_that_is_asked_for() -> anyhow::Result<()> {
        let store = Store::at(ADDRESS)?;
        store.figures.bad_since().insert("team-0/app-0".to_owned(), 1_000.0);
        let ask = async |key: &str, time: &str| {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("query", &query(key)).append_pair("time", time);
            answer(State(store.figures.clone()), form.finish()).await.1
        };
        assert!(ask("team-0/app-0", "999.9").await.contains(GOOD));
        assert!(ask("team-0/app-0", "1970-01-01T00:16:39.900Z").await.contains(GOOD));
        assert!(ask("team-0/app-0", "1970-01-01T00:16:40.000Z").await.contains("\"9\""));
        assert!(ask("team-0/app-1", "1970-01-01T00:16:40.000Z").await.contains(GOOD));
        assert_eq!(store.queries(), 4);
        Ok(())
    }

    #[tokio::test]
    async fn connections_that_stand_end_with_the_store_and_new_ones_are_refused() -> anyhow::Result<()> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let address = "127.0.0.1:39090";
        let mut store = Store::at(address)?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let ask = async || {
            client
                .post(format!("http://{address}/api/v1/query"))
                .body("query=1")
                .send()
                .await
        };
        store.up().await?;
        assert!(ask().await?.status().is_success());
        tokio::time::timeout(std::time::Duration::from_secs(5), store.down()).await??;
        assert!(ask().await.is_err_and(|error| error.is_connect()));
        store.up().await?;
        assert!(ask().await?.status().is_success());
        store.down().await
    }
}
