//! A metrics store that says what it is told to, inside the cluster's network: for replies that a real one seldom gives.

use std::net::IpAddr;

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::post,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Status code and body of the reply to a query.
pub type Reply = fn(&str) -> (u16, String);

/// Answers until it is dropped.
pub struct Store {
    /// Its base address, as a MetricSource names it.
    pub url: String,
    task: JoinHandle<()>,
}

impl Store {
    /// Listens at the node's address, which pods reach.
    pub async fn start(reply: Reply) -> anyhow::Result<Self> {
        let gateway = std::env::var("WF_GATEWAY").context("WF_GATEWAY is not set: run these tests by `make test`")?;
        let node: IpAddr = gateway
            .split(':')
            .next()
            .unwrap_or_default()
            .parse()
            .with_context(|| format!("the node's address in {gateway}"))?;
        let listener = TcpListener::bind((node, 0))
            .await
            .with_context(|| format!("listening at {node} for queries"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/api/v1/query", post(answer)).with_state(reply);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the metrics stand-in ended: {error}");
            }
        });
        Ok(Self { url, task })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(reply): State<Reply>, body: String) -> impl IntoResponse {
    let query = form_urlencoded::parse(body.as_bytes())
        .find(|(key, _)| key == "query")
        .map(|(_, query)| query.into_owned());
    let (code, text) = reply(query.as_deref().unwrap_or_default());
    let kind = if text.starts_with('<') {
        "text/html"
    } else {
        "application/json"
    };
    (
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        [(header::CONTENT_TYPE, kind)],
        text,
    )
}
