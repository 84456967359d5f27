//! Sends webhooks: only addresses that were looked at are connected to, redirects are not followed, answers' bodies are dropped.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::{
    Client, ClientBuilder, RequestBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HOST},
    redirect::Policy as Redirects,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    Post, To, Webhooks,
    address::{Policy, Trust},
    failure::Failure,
    signature,
};
use crate::fair::Permits;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer's body that are read: 64 KiB.
const MAX_BODY: usize = 64 << 10;
/// Names that are looked up at once, …
const LOOKUPS: usize = 16;
/// … and of one namespace's webhooks. A server that never answers keeps others' lookups waiting for none of them.
const LOOKUPS_OF_ONE: usize = 4;

/// Sends webhooks.
pub struct WebhookClient {
    lookups: Arc<Permits>,
    /// What is trusted where no certificates are named; read when it is first needed, for whoever uses no TLS needs none.
    trusted: OnceLock<RootCertStore>,
}

impl Default for WebhookClient {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Permits::new(LOOKUPS, LOOKUPS_OF_ONE)),
            trusted: OnceLock::new(),
        }
    }
}

impl WebhookClient {
    /// A client for one call, and the URL and header `Host` that it is to be sent with.
    fn client(&self, post: &Post) -> Result<(Client, Url, String), Failure> {
        let mut url = post.url.clone();
        let name = url.host_str().unwrap_or_default().to_owned();
        let host = url.port().map_or(name.clone(), |port| format!("{name}:{port}"));
        let builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Redirects::none())
            .no_proxy()
            .user_agent("warmfront")
            .tls_backend_preconfigured(self.tls(post)?);
        let builder: ClientBuilder = match &post.to {
            To::Addresses(addresses) => {
                // A port in the URL is connected to, whatever the address says. Pods may have another one than their Service.
                if let Some(port) = addresses.first().map(SocketAddr::port) {
                    url.set_port(Some(port)).map_err(|()| Failure::new("it has no host"))?;
                }
                builder
                    .dns_resolver(Arc::new(Nobody))
                    .resolve_to_addrs(&name, addresses)
            }
            To::Name(policy, trust) => builder.dns_resolver(Arc::new(Resolver {
                lookups: self.lookups.clone(),
                namespace: post.namespace.clone(),
                policy: policy.clone(),
                trust: *trust,
            })),
        };
        let client = builder.build().map_err(|error| {
            Failure::in_full(
                "its client cannot be set up",
                format!("its client cannot be set up: {error}"),
            )
        })?;
        Ok((client, url, host))
    }

    fn tls(&self, post: &Post) -> Result<ClientConfig, Failure> {
        let roots = match &post.authorities {
            // Nothing is trusted where nothing is to be.
            _ if post.url.scheme() != "https" => RootCertStore::empty(),
            Some(pem) => named(pem)?,
            None => self.trusted.get_or_init(trusted).clone(),
        };
        if roots.is_empty() && post.url.scheme() == "https" {
            return Err(Failure::new(
                "the controller's image trusts no certificates: name those of the other system with caFrom",
            ));
        }
        Ok(ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

/// The certificates that the image trusts.
fn trusted() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots
}

/// The certificates in a PEM that somebody wrote.
fn named(pem: &[u8]) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let unreadable = || Failure::new("what caFrom names holds no certificates as PEM");
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| unreadable())?;
        roots.add(certificate).map_err(|_| unreadable())?;
    }
    if roots.is_empty() { Err(unreadable()) } else { Ok(roots) }
}

/// Puts a signature on a request.
fn signed(request: RequestBuilder, post: &Post, body: &[u8]) -> Result<RequestBuilder, Failure> {
    let Some(key) = &post.signing_key else {
        return Ok(request);
    };
    let seconds = Timestamp::now().as_second();
    let signature = signature::of(key, &post.key, seconds, body).map_err(Failure::new)?;
    Ok(request
        .header("webhook-id", &post.key)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature))
}

async fn send(request: RequestBuilder) -> Result<u16, Failure> {
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
}

impl Webhooks for WebhookClient {
    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, Failure>> {
        let body = post.body.to_string().into_bytes();
        let request = self.client(&post).and_then(|(client, url, host)| {
            let request = client
                .post(url)
                .header(HOST, host)
                .header(CONTENT_TYPE, "application/json")
                .header("idempotency-key", &post.key);
            Ok(signed(request, &post, &body)?.body(body))
        });
        Box::pin(async move {
            let timeout = post.timeout;
            tokio::time::timeout(timeout.into(), send(request?))
                .await
                .unwrap_or_else(|_| {
                    Err(Failure::in_full(
                        "no whole answer in time",
                        format!("no whole answer within {timeout}"),
                    ))
                })
        })
    }
}

/// The innermost cause: what the outer ones add is the address.
fn why(error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let hidden = if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off"
    };
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        return Failure::new(hidden);
    }
    Failure::in_full(hidden, format!("{hidden}: {cause}").chars().take(200).collect())
}

/// Asked for what is not known already it knows nothing.
struct Nobody;

impl Resolve for Nobody {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err(io::Error::other("its address is not asked of DNS").into()) })
    }
}

/// Resolves a name once, for one call, and leaves out the addresses that are forbidden. What is left is connected to, so that an
/// answer that changes from one lookup to the next changes nothing.
struct Resolver {
    lookups: Arc<Permits>,
    namespace: String,
    policy: Policy,
    trust: Trust,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookups, namespace) = (self.lookups.clone(), self.namespace.clone());
        let (policy, trust) = (self.policy.clone(), self.trust);
        Box::pin(async move {
            let permit = lookups.acquire(&namespace).await;
            let name = absolute(name.as_str());
            let found = tokio::task::spawn_blocking(move || {
                // It goes on when nobody waits for it any more, and has its permit for so long.
                let _permit = permit;
                (name.as_str(), 0).to_socket_addrs().map(Vec::from_iter)
            });
            Ok(Box::new(allowed(found.await??, &policy, trust)?.into_iter()) as Addrs)
        })
    }
}

/// A name to which nothing is added: the domains that a resolver of a cluster tries first are those of Services.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn allowed(mut found: Vec<SocketAddr>, policy: &Policy, trust: Trust) -> io::Result<Vec<SocketAddr>> {
    let mut refused = None;
    found.retain(|address| {
        let why = policy.forbidden_by_name(address.ip(), trust);
        refused = refused.or(why);
        why.is_none()
    });
    match refused {
        Some(why) if found.is_empty() => Err(io::Error::other(format!("its name leads to {why}"))),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests;
