//! Another system that is asked and told by webhooks: this process, at an address that the chart's `webhooks.allowedHosts` names.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Address of this process inside the test cluster's network: not the one that the API server has.
const BRIDGE: &str = "10.78.0.1";

/// What it does with gates: an HTTP status, or nothing at all.
type Mood = Option<u16>;

#[derive(Clone)]
struct Desk {
    mood: watch::Receiver<Mood>,
    called: Arc<Mutex<Vec<Value>>>,
}

/// The other system.
pub struct Hooks {
    port: u16,
    mood: watch::Sender<Mood>,
    called: Arc<Mutex<Vec<Value>>>,
    server: JoinHandle<()>,
}

async fn ask(State(desk): State<Desk>, Json(body): Json<Value>) -> StatusCode {
    desk.note(body);
    let mood = *desk.mood.borrow();
    match mood {
        Some(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        None => std::future::pending().await,
    }
}

async fn tell(State(desk): State<Desk>, Json(body): Json<Value>) {
    desk.note(body);
}

impl Desk {
    fn note(&self, body: Value) {
        self.called.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    }
}

impl Hooks {
    /// Listens: gates at `/ask` get a 200, and what comes to `/tell` is taken.
    pub async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((BRIDGE, 0))
            .await
            .context("listening for webhooks in the cluster's network")?;
        let port = listener.local_addr()?.port();
        let (mood, seen) = watch::channel(Some(200));
        let called = Arc::new(Mutex::new(Vec::new()));
        let desk = Desk {
            mood: seen,
            called: called.clone(),
        };
        let app = Router::new()
            .route("/ask", post(ask))
            .route("/tell", post(tell))
            .with_state(desk);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("the webhooks' server ended: {error}");
            }
        });
        Ok(Self {
            port,
            mood,
            called,
            server,
        })
    }

    /// What a rollout names to be sent to this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{BRIDGE}:{}{path}", self.port)
    }

    /// What gates get from now on; nothing at all if it is `None`.
    pub fn answer(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Values of this field of what came, each idempotency key once, in order.
    pub fn heard(&self, field: &str) -> Vec<String> {
        let mut keys = BTreeSet::new();
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let once = called
            .iter()
            .filter(|body| keys.insert(body["idempotencyKey"].to_string()));
        once.filter_map(|body| body[field].as_str().map(str::to_owned))
            .collect()
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.server.abort();
    }
}
