//! What passes leave in the log: whose they were, and failures twice instead of at every try.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{advance, sleep},
};

use super::*;
use crate::{
    api::MetricSourceSpec,
    controller::{
        leadership::Leadership,
        named::named,
        reconcile::reconcile,
        tests::{caches, context, judged},
    },
    log::captured::{Captured, capture},
    provider::{Answer, Provider, Question},
};

/// An API server that has this rollout, takes a status for it, and answers every write with this HTTP status, after so many
/// milliseconds.
#[derive(Clone, Default)]
struct Server {
    rollout: Value,
    status: Arc<AtomicU16>,
    slow_ms: Arc<AtomicU64>,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let answer = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move {
                let stores = request.uri().path().ends_with("/status");
                let mut body = request.into_body().collect_bytes().await.unwrap_or_default();
                sleep(Duration::from_millis(server.slow_ms.load(Ordering::Relaxed))).await;
                let status = server.status.load(Ordering::Relaxed);
                if status != 200 {
                    let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "no", "code": status});
                    body = refusal.to_string().into();
                }
                if stores && status == 200 {
                    let mut sent: Value = serde_json::from_slice(&body).unwrap();
                    let mut stored = server.rollout.clone();
                    stored["status"] = sent["status"].take();
                    let version: u64 = sent["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                    stored["metadata"]["resourceVersion"] = json!((version + 1).to_string());
                    body = stored.to_string().into();
                }
                Ok::<_, Infallible>(http::Response::builder().status(status).body(Body::from(body)).unwrap())
            }
        });
        Client::new(answer, "default")
    }
}

/// A metrics store that takes three seconds and has no answer.
struct Slow;

impl Provider for Slow {
    fn ask<'a>(&'a self, _: &'a MetricSourceSpec, _: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async {
            sleep(Duration::from_secs(3)).await;
            Vec::new()
        })
    }
}

/// A controller that knows one rollout, in the middle of a step, with an Event to be told and a tick to be asked for.
struct World {
    server: Server,
    context: Arc<Context>,
    rollout: Arc<Named>,
}

impl World {
    fn new() -> Self {
        let mut rollout = judged("catalog");
        let server = Server {
            rollout: json!(rollout),
            status: Arc::new(AtomicU16::new(200)),
            ..Server::default()
        };
        let event = json!({"sequence": 1, "reason": "StepStarted", "warning": false, "note": "5% goes to w", "at": jiff::Timestamp::now()});
        rollout.data["status"]["events"] = json!({"emitted": 1, "pending": [event]});
        let named = Arc::new(named(&rollout));
        let caches = caches(vec![rollout]);
        let source = json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "MetricSource", "metadata": {"name": "default", "resourceVersion": "1"},
            "spec": {"prometheus": {"url": "http://prometheus"}, "scrapeInterval": "1s"}});
        caches.sources.wrote(serde_json::from_value(source).unwrap());
        let context = context(
            server.client(),
            Leadership::by_election(),
            Arc::new(caches),
            Box::new(Slow),
            mpsc::unbounded_channel().0,
        );
        Self {
            server,
            context: Arc::new(context),
            rollout: named,
        }
    }

    /// Lets the API server answer so from now on.
    fn answers(&self, status: u16) {
        self.server.status.store(status, Ordering::Relaxed);
    }

    /// One pass; whether everything that it wrote was taken, as far as its metric tells.
    async fn pass(&self) -> bool {
        let ok = || {
            let text = self.context.metrics.text(true, &self.context.caches).unwrap();
            let counted = text.lines().find(|line| line.contains("outcome=\"ok\""));
            counted.map(str::to_owned)
        };
        let before = ok();
        reconcile(self.rollout.clone(), self.context.clone()).await.unwrap();
        ok() != before
    }
}

#[tokio::test(start_paused = true)]
async fn every_line_about_a_rollout_says_which_and_a_pass_that_only_looks_opens_no_span() {
    let (log, _guard) = capture("info");
    let world = World::new();
    assert!(world.pass().await);
    let lines = log.lines();
    let told: Vec<_> = lines.iter().map(|line| &line["fields"]["message"]).collect();
    assert!(told.contains(&&json!("5% goes to w")), "{told:?}");
    for line in &lines {
        let span = json!({"name": "pass", "namespace": "shop", "rollout": "catalog", "run": 1, "phase": "Preparing"});
        assert_eq!(line["span"], span, "{line}");
    }
    assert!(log.spans() > 0);
    for _ in 0..10 {
        assert!(world.pass().await);
    }
    let (lines, spans) = (log.lines().len(), log.spans());
    assert!(world.pass().await);
    assert_eq!((log.lines().len(), log.spans()), (lines, spans), "{}", log.text());
}

/// Messages that are not what an Event says.
fn failures(log: &Captured) -> Vec<String> {
    let about = |line: &&String| line.starts_with("WARN") || line.contains("again");
    log.messages().iter().filter(about).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_is_told_twice_however_many_passes_it_stops() {
    let (log, _guard) = capture("info");
    let world = World::new();
    world.answers(503);
    for _ in 0..50 {
        assert!(!world.pass().await);
        advance(Duration::from_secs(30)).await;
    }
    world.answers(200);
    advance(Duration::from_secs(20)).await;
    assert!(world.pass().await);
    assert!(world.pass().await);
    let told = [
        "WARN the API server fails; what could not be done is tried again at least every 30 s",
        "INFO the API server works again",
    ];
    assert_eq!(failures(&log), told);
    let lines = log.lines();
    let error = lines[0]["fields"]["error"].as_str().unwrap();
    assert!(error.starts_with("storing the status: "), "{error}");
    let lasted = lines
        .iter()
        .find_map(|line| line["fields"]["lasted_ms"].as_u64())
        .unwrap();
    assert!((1_500_000..1_800_000).contains(&lasted), "{lasted}");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_whose_passes_are_refused_is_told_twice() {
    let (log, _guard) = capture("info");
    let world = World::new();
    world.answers(403);
    for _ in 0..50 {
        assert!(!world.pass().await);
        advance(Duration::from_secs(30)).await;
    }
    world.answers(200);
    for _ in 0..3 {
        assert!(world.pass().await);
    }
    let told = [
        "WARN a write was refused; mend what the error names: it is tried again at least every 30 s, and what does not need it goes on",
        "WARN telling an Event failed; it is tried again at least every 30 s for ten minutes, and the end of a release for longer",
        "INFO what was refused works again: the status",
        "INFO Events are told again",
    ];
    assert_eq!(failures(&log), told);
    assert!(
        log.lines().iter().all(|line| line["span"]["rollout"] == "catalog"),
        "{}",
        log.text()
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_pass_is_told_with_its_duration_and_a_slow_store_is_not_its_fault() {
    let (log, _guard) = capture("info");
    let world = World::new();
    assert!(world.pass().await, "a tick is due, and the store takes three seconds");
    assert_eq!(failures(&log), Vec::<String>::new());
    let world = World::new();
    world.server.slow_ms.store(800, Ordering::Relaxed);
    assert!(world.pass().await, "a status and an Event are written");
    let lines = log.lines();
    let slow: Vec<_> = lines.iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(slow.len(), 1, "{}", log.text());
    let fields = &slow[0]["fields"];
    let (took, store) = (
        fields["took_ms"].as_u64().unwrap(),
        fields["store_ms"].as_u64().unwrap(),
    );
    assert!(
        (500..600).contains(&store) && took >= store + 1_600,
        "what needs no answer waits half a second for one: {took} {store}"
    );
    assert_eq!(slow[0]["span"]["run"], 1);
}
