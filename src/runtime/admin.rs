//! The admin port: whether the process lives, whether it is in sync, and its metrics.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::controller::Context;

/// Connections at once. One more takes the place of the oldest: whoever holds them all keeps no probe out.
const CONNECTIONS: usize = 64;
/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time of a connection, on which there is one request.
const LONGEST: Duration = Duration::from_secs(30);
/// Bytes that are kept of what comes in, the fewest that hyper allows.
const BUFFER: usize = 8 << 10;
/// Pause after a connection that could not be accepted, as when the process has too many files open.
const RETRY: Duration = Duration::from_millis(100);

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, context: Arc<Context>, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context);
    accept(listener, router, stop).await;
    Ok(())
}

/// Serves each connection in a task of its own, the newest ones.
async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::with_capacity(CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(RETRY).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        oldest_first.retain(|task| !task.is_finished());
        if oldest_first.len() >= CONNECTIONS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(BUFFER)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        oldest_first.push_back(tasks.spawn(async move {
            // Who does not read what it asked for gets no more of it.
            let _ = timeout(LONGEST, connection).await;
        }));
    }
    // Answers that are under way are finished, as far as somebody reads them.
    let _ = timeout(HEAD_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await;
}

async fn ready(State(context): State<Arc<Context>>) -> impl IntoResponse {
    if context.readiness.is_ready() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        let missing = context.caches.not_in_sync().join(", ");
        let why = format!("not in sync yet: {missing}\n");
        (StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    match context.metrics.text(context.leadership.is_held(), &context.caches) {
        Ok(text) => (
            StatusCode::OK,
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        ),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            "metrics cannot be encoded".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::Instant,
    };

    use super::*;

    /// What is answered to these bytes until the connection ends.
    async fn answer(to: &mut TcpStream, bytes: &[u8]) -> String {
        let _ = to.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = to.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn whoever_holds_all_connections_keeps_no_probe_out_and_holds_them_not_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/livez", get(|| async { "ok" }));
        let stop = CancellationToken::new();
        let server = tokio::spawn(accept(listener, router, stop.clone()));
        let probe = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        let began = Instant::now();
        let mut held = Vec::new();
        for _ in 0..3 * CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: ").await.unwrap();
            held.push(stream);
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answered = answer(&mut stream, probe).await;
        assert!(
            answered.starts_with("HTTP/1.1 200") && answered.ends_with("ok"),
            "{answered}"
        );
        assert!(began.elapsed() < HEAD_TIMEOUT, "{:?}", began.elapsed());
        // The first one had to go for a newer one.
        assert_eq!(answer(&mut held[0], b"x\r\n\r\n").await, "");

        let mut stream = TcpStream::connect(address).await.unwrap();
        let large = [
            &b"GET /livez HTTP/1.1\r\nhost: "[..],
            &vec![b'x'; 4 * BUFFER],
            b"\r\n\r\n",
        ]
        .concat();
        let answered = answer(&mut stream, &large).await;
        assert!(!answered.starts_with("HTTP/1.1 200"), "{answered}");

        let mut newest = held.pop().unwrap();
        let mut end = Vec::new();
        let read = timeout(HEAD_TIMEOUT + Duration::from_secs(5), newest.read_to_end(&mut end)).await;
        assert!(read.is_ok(), "no head came, and the connection is closed");
        stop.cancel();
        timeout(2 * HEAD_TIMEOUT, server).await.unwrap().unwrap();
    }
}
