//! A product catalog that reads from PostgreSQL through a Redis cache-aside layer.

#![allow(
    clippy::disallowed_methods,
    reason = "only the engine of Warmfront is fenced off from time and tasks"
)]

mod breaker;
mod config;
mod duration;
mod metrics;
mod store;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode, header},
    routing::get,
};
use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use config::Config;
use metrics::Metrics;
use store::Store;

struct App {
    config: Config,
    metrics: Metrics,
    store: Store,
    requests: std::sync::atomic::AtomicU64,
    stopping: watch::Sender<bool>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    if config.fault_crash_at_start {
        eprintln!("FAULT_CRASH_AT_START is set: this version ends at once");
        std::process::exit(3);
    }
    // Before anything that takes time: the first process of a container ignores signals that it does not listen for.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let store = tokio::select! {
        store = Store::open(&config) => store?,
        _ = terminate.recv() => return Ok(()),
    };
    let app = Arc::new(App {
        metrics: Metrics::default(),
        store,
        requests: 0.into(),
        stopping: watch::channel(false).0,
        config,
    });
    let router = Router::new()
        .route("/products/{id}", get(product))
        .route("/healthz", get(healthz))
        .route("/metrics", get(exposition))
        .with_state(app.clone());
    let listener = TcpListener::bind(app.config.listen)
        .await
        .with_context(|| format!("listening on {}", app.config.listen))?;
    let grace = Duration::from_millis(app.config.shutdown_grace_ms);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
            // Endpoints are told first: requests that are on their way still get their answer.
            app.stopping.send_replace(true);
            tokio::time::sleep(grace).await;
        })
        .await
        .context("serving")
}

fn answer(app: &App, status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response.headers_mut().insert("x-version", app.config.version.clone());
    if *app.stopping.borrow() {
        // The peer gives up this connection by itself: none is closed under a request that is just being sent.
        response
            .headers_mut()
            .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}

async fn product(State(app): State<Arc<App>>, Path(id): Path<i32>) -> Response<Body> {
    let started = Instant::now();
    // Even a sleep of nothing takes up to a millisecond.
    if app.config.fault_latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(app.config.fault_latency_ms)).await;
    }
    let number = app.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (status, body) = if app.config.fails(number) {
        (StatusCode::INTERNAL_SERVER_ERROR, "injected fault".to_owned())
    } else {
        match page(&app, id).await {
            Ok(Some(page)) => (StatusCode::OK, page),
            Ok(None) => (StatusCode::NOT_FOUND, "{}".to_owned()),
            Err(error) => {
                eprintln!("product {id}: {error:#}");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the database does not answer".to_owned(),
                )
            }
        }
    };
    app.metrics.request(status.as_u16(), started.elapsed());
    answer(&app, status, "application/json", body)
}

/// A product, and others beside it: each is looked up in the cache.
async fn page(app: &App, id: i32) -> anyhow::Result<Option<String>> {
    let Some(product) = app.store.product(id, &app.metrics).await? else {
        return Ok(None);
    };
    if app.config.related == 0 {
        return Ok(Some(product));
    }
    let mut related = Vec::new();
    for other in app.config.related_to(id) {
        related.extend(app.store.product(other, &app.metrics).await?);
    }
    Ok(Some(format!(
        r#"{{"product":{product},"related":[{}]}}"#,
        related.join(",")
    )))
}

/// Ready from the first request on, because the table is there; a cache or database in trouble must not take all pods away at once.
async fn healthz(State(app): State<Arc<App>>) -> Response<Body> {
    if *app.stopping.borrow() {
        return answer(&app, StatusCode::SERVICE_UNAVAILABLE, "text/plain", "stopping");
    }
    answer(&app, StatusCode::OK, "text/plain", "ok")
}

async fn exposition(State(app): State<Arc<App>>) -> Response<Body> {
    match app.metrics.text() {
        Ok(text) => answer(
            &app,
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text,
        ),
        Err(_) => answer(
            &app,
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            "metrics cannot be encoded",
        ),
    }
}
