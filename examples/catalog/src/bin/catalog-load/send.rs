//! Sends one request, on a kept connection or a new one.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{Load, args::Connections, lock};

/// How long a kept connection may lie unused. Gateways close theirs after a minute or more; a request sent in that
/// very moment is answered by a reset, which would count as a failure of the release.
const IDLE: Duration = Duration::from_secs(20);

/// A connection that can be kept.
pub type Connection = http1::SendRequest<Empty<Bytes>>;

impl Load {
    /// Sends one request, which was due then, and counts what becomes of it.
    pub async fn request(&self, product: usize, due: Instant) {
        match tokio::time::timeout(self.args.timeout, self.send(product)).await {
            Ok(Ok((status, version))) => self.record(product, &status.to_string(), version, due.elapsed()),
            Ok(Err(error)) => self.record(product, &format!("{error:#}"), None, due.elapsed()),
            Err(_) => self.record(product, "no answer in time", None, due.elapsed()),
        }
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.args.target).await.context("connecting")?;
        stream.set_nodelay(true).context("connecting")?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .context("beginning to talk HTTP")?;
        tokio::spawn(driver);
        Ok(sender)
    }

    async fn send(&self, product: usize) -> anyhow::Result<(u16, Option<String>)> {
        let keep = self.args.connections == Connections::KeepAlive;
        let request = || {
            let request = Request::get(format!("/products/{product}")).header("host", &self.args.host);
            request
                .header("connection", if keep { "keep-alive" } else { "close" })
                .body(Empty::new())
        };
        let mut again = request()?;
        let (response, connection) = loop {
            let kept = lock(&self.idle)
                .pop()
                .filter(|(_, used)| used.elapsed() < IDLE)
                .map(|(connection, _)| connection);
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            match connection.try_send_request(again).await {
                Ok(response) => break (response, connection),
                // A kept connection that the peer had closed: nothing of the request was sent, so another one takes it, as browsers do.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => again = unsent,
                    _ => return Err(error.into_error()).context("sending"),
                },
            }
        };
        let status = response.status().as_u16();
        let version = response
            .headers()
            .get("x-version")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        response.into_body().collect().await.context("reading the answer")?;
        if keep && !connection.is_closed() {
            lock(&self.idle).push((connection, Instant::now()));
        }
        Ok((status, version))
    }
}
