//! Sends webhooks: addresses are checked after they are resolved, redirects are not followed, answers' bodies are dropped.

use std::{
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy as Redirects,
};
use tokio::{net::lookup_host, sync::Semaphore};

use super::{Post, Webhooks, address::Policy};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer's body that are read: 64 KiB.
const MAX_BODY: usize = 64 << 10;
/// Requests under way at once.
const CONCURRENCY: usize = 256;

/// Says why an address is refused.
type Forbidden = Arc<dyn Fn(IpAddr) -> Option<&'static str> + Send + Sync>;

/// Sends webhooks.
pub struct WebhookClient {
    policy: Policy,
    client: Client,
    permits: Arc<Semaphore>,
}

impl WebhookClient {
    /// Fails only if TLS cannot be set up.
    pub fn new(policy: Policy) -> reqwest::Result<Self> {
        let checked = policy.clone();
        Self::with(policy, Arc::new(move |address| checked.forbidden(address)))
    }

    fn with(policy: Policy, forbidden: Forbidden) -> reqwest::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Redirects::none())
            .no_proxy()
            .user_agent("warmfront")
            .dns_resolver(Arc::new(Resolver(forbidden)))
            // Each system is asked seldom, so a connection that is kept open only takes room.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            policy,
            client,
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
        })
    }
}

impl Webhooks for WebhookClient {
    fn refusal(&self, namespace: &str, url: &str) -> Option<String> {
        self.policy.check(namespace, url).err()
    }

    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, String>> {
        let url = self.policy.check(&post.namespace, &post.url);
        let (client, permits) = (self.client.clone(), self.permits.clone());
        Box::pin(async move {
            let url = url?;
            let _permit = permits.acquire_owned().await.map_err(|_| "shutting down".to_owned())?;
            let request = client.post(url).header("idempotency-key", &post.key).json(&post.body);
            let answer = async {
                let mut response = request.send().await.map_err(|error| why(&error))?;
                let status = response.status().as_u16();
                let mut read = 0;
                // An answer counts once it is whole; what it says besides its status does not.
                while let Some(chunk) = response.chunk().await.map_err(|error| why(&error))? {
                    read += chunk.len();
                    if read > MAX_BODY {
                        break;
                    }
                }
                Ok(status)
            };
            let timeout = post.timeout;
            tokio::time::timeout(timeout.into(), answer)
                .await
                .unwrap_or_else(|_| Err(format!("no whole answer within {timeout}")))
        })
    }
}

/// The innermost cause: what the outer ones add is the address, which may be a secret.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let mut text = if error.is_connect() {
        "cannot be reached: ".to_owned()
    } else {
        "broke off: ".to_owned()
    };
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        text.truncate(text.len() - 2);
    } else {
        // Writing to a String cannot fail.
        let _ = write!(text, "{cause}");
    }
    text.chars().take(200).collect()
}

/// Resolves names, and leaves out the addresses that are forbidden whatever name leads there.
struct Resolver(Forbidden);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let forbidden = self.0.clone();
        Box::pin(async move {
            let mut refused = None;
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0))
                .await?
                .filter(|address| {
                    let why = forbidden(address.ip());
                    refused = refused.or(why);
                    why.is_none()
                })
                .collect();
            match (found.is_empty(), refused) {
                (true, Some(why)) => Err(io::Error::other(format!("its name leads to {why}")).into()),
                _ => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::HeaderMap, response::Redirect, routing::post};
    use futures::stream;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    async fn serve() -> SocketAddr {
        let hangs = || async {
            let first = stream::once(async { Ok::<_, io::Error>("{") });
            Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
        };
        let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>("x".repeat(1024)))) };
        let named = |headers: HeaderMap| async move {
            if headers.contains_key("idempotency-key") {
                "yes"
            } else {
                "no"
            }
            .to_owned()
        };
        let app = Router::new()
            .route("/yes", post(named))
            .route(
                "/no",
                post(|| async { (axum::http::StatusCode::FORBIDDEN, "not on Fridays") }),
            )
            .route("/elsewhere", post(|| async { Redirect::temporary("/yes") }))
            .route("/hangs", post(hangs))
            .route("/endless", post(endless));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        address
    }

    fn to(url: String) -> Post {
        Post {
            namespace: "shop".to_owned(),
            url,
            timeout: crate::api::Duration::from_millis(300),
            key: "k".to_owned(),
            body: json!({}),
        }
    }

    fn trusting() -> WebhookClient {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        WebhookClient::with(
            Policy {
                allowed_hosts: vec!["localhost".to_owned()],
                ..Policy::default()
            },
            Arc::new(|_| None),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn answers_are_their_status_and_slow_ones_are_none() {
        let port = serve().await.port();
        let ask = |path: &str| trusting().post(to(format!("http://localhost:{port}{path}")));
        assert_eq!(ask("/yes").await, Ok(200));
        assert_eq!(ask("/no").await, Ok(403));
        assert_eq!(ask("/elsewhere").await, Ok(307), "redirects are not followed");
        assert_eq!(
            ask("/endless").await,
            Ok(200),
            "an endless answer is not read to its end"
        );
        assert_eq!(ask("/hangs").await, Err("no whole answer within 300ms".to_owned()));
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let refused = trusting()
            .post(to(format!("http://localhost:{closed}/secret")))
            .await
            .unwrap_err();
        assert!(
            refused.starts_with("cannot be reached: ") && !refused.contains("secret"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_forbidden_address_is_not_sent_to() {
        let port = serve().await.port();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let policy = Policy {
            allowed_hosts: vec!["localhost".to_owned()],
            ..Policy::default()
        };
        let answer = WebhookClient::new(policy)
            .unwrap()
            .post(to(format!("http://localhost:{port}/yes")))
            .await;
        assert_eq!(
            answer,
            Err("cannot be reached: its name leads to a loopback address".to_owned())
        );
    }
}
