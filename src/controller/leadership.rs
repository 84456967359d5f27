//! Whether this process leads, and the filter that refuses its changing requests while it does not.

use std::sync::Arc;

use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tokio::{sync::watch, time::Instant};
use tower::filter::FilterLayer;

/// Whether this process leads. All clones share one answer.
#[derive(Clone)]
pub struct Leadership(Arc<watch::Sender<Term>>);

/// How long this process leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// It does not.
    Never,
    /// Until this moment of the monotonic clock. A process that was frozen finds it in the past when it wakes.
    Until(Instant),
    /// There is no election.
    Always,
}

impl Term {
    fn is_now(self) -> bool {
        match self {
            Self::Never => false,
            Self::Until(end) => Instant::now() < end,
            Self::Always => true,
        }
    }
}

impl Leadership {
    /// Of a process that takes part in an election: it does not lead yet.
    pub fn by_election() -> Self {
        Self(Arc::new(watch::channel(Term::Never).0))
    }

    /// Of a process that is the only one.
    pub fn without_election() -> Self {
        Self(Arc::new(watch::channel(Term::Always).0))
    }

    /// This process leads up to that moment, unless it is told otherwise before.
    pub fn lead_until(&self, end: Instant) {
        self.0.send_replace(Term::Until(end));
    }

    /// This process does not lead any more.
    pub fn end(&self) {
        self.0.send_replace(Term::Never);
    }

    /// Whether it leads at this moment.
    pub fn is_held(&self) -> bool {
        self.0.borrow().is_now()
    }

    /// Waits until it leads.
    pub async fn held(&self) {
        // An error would mean that the sender is gone, and `self` has it.
        let _ = self.0.subscribe().wait_for(|term| term.is_now()).await;
    }
}

/// A request that would change something, asked for while this process does not lead.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} was not sent: this process does not hold the lease, another one may be at work")]
pub struct NotLeading {
    method: String,
    path: String,
}

/// A client that sends requests which change something only while this process leads.
///
/// A pass that was decided on while this process led can come to its write when it leads no
/// longer: the process was frozen, or the API server was away. The last look is taken here, in
/// front of the connection, so that no write can forget it.
pub fn fenced(config: Config, leadership: Leadership) -> kube::Result<Client> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&fence(leadership)).build())
}

type Request = http::Request<Body>;

fn fence(leadership: Leadership) -> FilterLayer<impl Fn(Request) -> Result<Request, NotLeading> + Clone> {
    FilterLayer::new(move |request: Request| {
        if request.method().is_safe() || leadership.is_held() {
            return Ok(request);
        }
        Err(NotLeading {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{
        Api,
        api::{DeleteParams, Patch, PatchParams, PostParams},
    };
    use serde_json::json;
    use tokio::sync::mpsc;

    use super::*;
    use crate::controller::error::is_outage;

    /// A client behind the fence, and the methods of the requests that came through it.
    fn client(leadership: &Leadership) -> (Client, mpsc::UnboundedReceiver<String>) {
        let (sender, sent) = mpsc::unbounded_channel();
        let server = tower::service_fn(move |request: Request| {
            let _ = sender.send(request.method().to_string());
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
            async move {
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(object.to_string().into_bytes())))
            }
        });
        (
            ClientBuilder::new(server, "default")
                .with_layer(&fence(leadership.clone()))
                .build(),
            sent,
        )
    }

    async fn refused_writes(client: &Client) -> usize {
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let object = ConfigMap {
            metadata: kube::api::ObjectMeta {
                name: Some("x".to_owned()),
                ..kube::api::ObjectMeta::default()
            },
            ..ConfigMap::default()
        };
        let answers = [
            api.create(&PostParams::default(), &object).await.err(),
            api.replace("x", &PostParams::default(), &object).await.err(),
            api.patch("x", &PatchParams::default(), &Patch::Merge(json!({})))
                .await
                .err(),
            api.delete("x", &DeleteParams::default()).await.err(),
        ];
        answers
            .iter()
            .filter(|error| {
                error
                    .as_ref()
                    .is_some_and(|error| error.to_string().contains("does not hold the lease") && !is_outage(error))
            })
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn writes_pass_only_while_the_term_lasts() {
        let leadership = Leadership::by_election();
        let (client, mut sent) = client(&leadership);
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        api.get("x").await.unwrap();
        assert_eq!(sent.try_recv().as_deref(), Ok("GET"), "a standby reads");
        assert_eq!(refused_writes(&client).await, 4, "and writes nothing");
        assert!(sent.try_recv().is_err());

        leadership.lead_until(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!(refused_writes(&client).await, 0);
        let passed: Vec<_> = std::iter::from_fn(|| sent.try_recv().ok()).collect();
        assert_eq!(passed, ["POST", "PUT", "PATCH", "DELETE"]);

        // Nobody tells a frozen process that its time is over.
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(refused_writes(&client).await, 4);
        assert!(sent.try_recv().is_err());
        api.get("x").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_term_can_end_early_and_begin_again() {
        let leadership = Leadership::by_election();
        assert!(!leadership.is_held());
        leadership.lead_until(Instant::now() + Duration::from_secs(10));
        leadership.held().await;
        leadership.end();
        assert!(!leadership.is_held());
        assert!(Leadership::without_election().is_held());
    }
}
