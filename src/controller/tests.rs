//! When passes begin and end: not before this process leads, not after it was told to stop, none held up by others.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use kube::{
    Client,
    api::DynamicObject,
    client::Body,
    runtime::{controller::ReconcileRequest, watcher},
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    caches::Cache,
    calls::{Calls, Rules},
    kinds::Caches,
    leadership::Leadership,
    named::{RolloutRef, named},
    reconcile::reconcile,
};
use crate::{
    api::MetricSourceSpec,
    provider::{Answer, Provider, Question, shell::StoreClient},
    webhook,
};

/// Long enough for whatever was going to happen.
const A_WHILE: Duration = Duration::from_secs(30);

pub fn rollout(version: &str) -> DynamicObject {
    let metadata = json!({"name": "catalog", "namespace": "shop", "uid": "u", "generation": 1, "resourceVersion": version, "finalizers": [crate::api::FINALIZER]});
    let spec = json!({"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}, "checks": []});
    serde_json::from_value(
        json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "CanaryRollout", "metadata": metadata, "spec": spec}),
    )
    .unwrap()
}

/// Caches whose watches have listed these rollouts and nothing else.
pub fn caches(rollouts: Vec<DynamicObject>) -> Caches {
    let caches = Caches::empty();
    for rollout in rollouts {
        caches.rollouts.wrote(rollout);
    }
    for cache in caches.all() {
        caches.follow(cache, watcher::Event::<DynamicObject>::Init);
        for (namespace, name) in cache.places() {
            let known = cache
                .get(Some(&namespace), &name)
                .map(|object| DynamicObject::clone(&object));
            cache.follow(watcher::Event::InitApply(known.unwrap()));
        }
        cache.follow(watcher::Event::<DynamicObject>::InitDone);
    }
    caches
}

/// Requests to an API server: what was asked, and the body.
pub type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// An API server that has one rollout, in version 2, and answers every write with what was sent, after so long.
pub fn api_server(slow: Duration) -> (Client, Requests) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let seen = seen.clone();
        async move {
            let what = format!(
                "{} {}",
                request.method(),
                request.uri().path().rsplit('/').next().unwrap_or_default()
            );
            let read = request.method().is_safe();
            let body = request.into_body().collect_bytes().await.unwrap_or_default();
            let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
            seen.lock().unwrap().push((what, sent.clone()));
            let answer = if read {
                json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "CanaryRolloutList", "metadata": {}, "items": [rollout("2")]})
            } else {
                sent
            };
            if !read {
                sleep(slow).await;
            }
            Ok::<_, Infallible>(http::Response::new(Body::from(answer.to_string().into_bytes())))
        }
    });
    (Client::new(server, "default"), requests)
}

pub fn context(
    client: Client,
    leadership: Leadership,
    caches: Arc<Caches>,
    provider: Box<dyn Provider>,
    queue: mpsc::UnboundedSender<RolloutRef>,
) -> Context {
    // A second test of the same process finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let webhooks = webhook::shell::WebhookClient::default();
    let calls = Calls::new(Arc::new(webhooks), Rules::default(), queue);
    Context::new(
        client,
        leadership,
        caches,
        provider,
        calls,
        Box::new(jiff::Timestamp::now),
    )
}

/// What a pass shares, of a controller that asks no metrics store.
pub fn context_of(client: Client, caches: Arc<Caches>) -> Context {
    context(
        client,
        Leadership::by_election(),
        caches,
        Box::new(StoreClient::new().unwrap()),
        mpsc::unbounded_channel().0,
    )
}

/// A controller whose watches know one rollout, in version 1, and an API server that has it in version 2.
struct Running {
    leadership: Leadership,
    context: Arc<Context>,
    queue: mpsc::UnboundedSender<RolloutRef>,
    requests: Requests,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Every write takes the API server that long.
    fn start(slow: Duration) -> Self {
        let (client, requests) = api_server(slow);
        let (leadership, stop) = (Leadership::by_election(), CancellationToken::new());
        let caches = Arc::new(caches(vec![rollout("1")]));
        let (queue, receiver) = mpsc::unbounded_channel();
        let context = Arc::new(context(
            client,
            leadership.clone(),
            caches,
            Box::new(StoreClient::new().unwrap()),
            queue.clone(),
        ));
        let requested = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver
                .recv()
                .await
                .map(|object| (Ok(ReconcileRequest::from(object)), receiver))
        });
        let task = tokio::spawn(super::run(context.clone(), Box::pin(requested), stop.clone()));
        Self {
            leadership,
            context,
            queue,
            requests,
            stop,
            task,
        }
    }

    fn change(&self) {
        self.queue.send(RolloutRef::from_obj(&named(&rollout("1")))).unwrap();
    }

    fn lead(&self) {
        self.leadership
            .lead_until(tokio::time::Instant::now() + Duration::from_hours(1));
    }

    /// Passes that have ended.
    fn passes(&self) -> u64 {
        let text = self.context.metrics.text(true, &self.context.caches).unwrap();
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix("warmfront_reconcile_duration_seconds_count "));
        count.unwrap().parse().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|(what, _)| what.clone())
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_standby_is_ready_and_asks_nothing_until_it_leads() {
    let running = Running::start(Duration::ZERO);
    for _ in 0..10 {
        running.change();
        sleep(A_WHILE).await;
    }
    assert!(running.context.readiness.is_ready());
    assert_eq!(running.asked(), Vec::<String>::new());

    running.lead();
    sleep(A_WHILE).await;
    let asked = running.asked();
    assert_eq!(asked[..2], ["GET canaryrollouts", "PUT status"], "{asked:?}");
    let stored = running.requests.lock().unwrap()[1].1["metadata"]["resourceVersion"].clone();
    assert_eq!(
        stored, "2",
        "decided on what the leader before this one stored, although the watch lags"
    );
    running.stop.cancel();
    timeout(A_WHILE, running.task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_changed_before_a_process_led_costs_no_second_look() {
    let running = Running::start(Duration::ZERO);
    running.lead();
    for _ in 0..100 {
        running.change();
    }
    sleep(A_WHILE).await;
    assert_eq!(running.passes(), 1, "a new leader looks at every rollout once");
    running.change();
    sleep(A_WHILE).await;
    assert_eq!(running.passes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_runs_is_finished_and_none_begins_after_the_stop() {
    let running = Running::start(Duration::from_secs(5));
    running.lead();
    while !running.asked().contains(&"PUT status".to_owned()) {
        sleep(Duration::from_millis(1)).await;
    }
    running.stop.cancel();
    running.change();
    sleep(Duration::from_secs(4)).await;
    assert!(!running.task.is_finished(), "the answer is waited for");
    let (asked, requests) = (running.asked(), running.requests.clone());
    timeout(A_WHILE, running.task).await.unwrap().unwrap();
    sleep(A_WHILE).await;
    let later: Vec<_> = requests.lock().unwrap()[asked.len()..]
        .iter()
        .map(|(what, _)| what.clone())
        .collect();
    assert!(!later.contains(&"PUT status".to_owned()), "no further pass: {later:?}");
}

#[tokio::test(start_paused = true)]
async fn a_standby_stops_at_once() {
    let mut running = Running::start(Duration::ZERO);
    sleep(A_WHILE).await;
    running.stop.cancel();
    timeout(A_WHILE, &mut running.task).await.unwrap().unwrap();
    assert_eq!(running.asked(), Vec::<String>::new());
}

#[test]
fn what_was_read_is_taken_over_only_where_the_watch_lags() {
    let version = |cache: &Cache| {
        cache
            .get(Some("shop"), "catalog")
            .and_then(|object| object.metadata.resource_version.clone())
    };
    for (what, known, read, expected) in [
        ("the watch lags", vec![rollout("9")], "10", Some("10")),
        ("the watch is ahead", vec![rollout("11")], "10", Some("11")),
        ("the watch has seen its deletion", vec![], "10", None),
    ] {
        let cache = caches(known).rollouts;
        cache.freshen(rollout(read));
        assert_eq!(version(&cache).as_deref(), expected, "{what}");
    }
    let cache = caches(vec![rollout("9")]).rollouts;
    cache.wrote(rollout("12"));
    cache.freshen(rollout("10"));
    assert_eq!(version(&cache).as_deref(), Some("12"), "our own write is newer");
}

/// A metrics store that takes every question and answers none.
pub struct Silent(pub mpsc::UnboundedSender<()>);

impl Provider for Silent {
    fn ask<'a>(&'a self, _: &'a MetricSourceSpec, _: &'a Question) -> BoxFuture<'a, Answer> {
        self.0.send(()).unwrap();
        Box::pin(std::future::pending())
    }
}

pub fn metric_source() -> Value {
    json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "MetricSource", "metadata": {"name": "default", "resourceVersion": "1"},
        "spec": {"prometheus": {"url": "http://prometheus"}, "scrapeInterval": "1s"}})
}

/// A rollout in the middle of a step whose next tick is due.
pub fn judged(name: &str) -> DynamicObject {
    let mut rollout = rollout("1");
    (rollout.metadata.name, rollout.metadata.uid) = (Some(name.to_owned()), Some(name.to_owned()));
    rollout.data["spec"]["checks"] = json!([{"errorRate": {"max": "1%"}}]);
    let run = json!({"number": 1, "revision": "w", "replicaSet": "catalog-w", "stableRevision": "s", "step": 1, "steps": 1, "weight": "5%",
        "startedAt": "2026-01-01T00:00:00Z", "stepStartedAt": "2026-01-01T00:01:00Z", "plan": rollout.data["spec"]});
    rollout.data["status"] = json!({"phase": "Shifting", "stableRevision": "s", "run": run});
    rollout
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_takes_no_slot_and_without_slots_no_pass_begins() {
    // More than there are slots.
    let hanging: Vec<DynamicObject> = (0..100).map(|number| judged(&format!("judged-{number}"))).collect();
    let idle = rollout("1");
    let caches = caches(hanging.iter().cloned().chain([idle.clone()]).collect());
    caches.sources.wrote(serde_json::from_value(metric_source()).unwrap());
    let (told, mut asked) = mpsc::unbounded_channel();
    let (client, requests) = api_server(Duration::ZERO);
    let context = Arc::new(context(
        client,
        Leadership::by_election(),
        Arc::new(caches),
        Box::new(Silent(told)),
        mpsc::unbounded_channel().0,
    ));
    let mut passes: Vec<_> = hanging
        .into_iter()
        .map(|rollout| tokio::spawn(reconcile(Arc::new(named(&rollout)), context.clone())))
        .collect();
    for number in 0..passes.len() {
        let came = timeout(Duration::from_secs(1), asked.recv()).await.is_ok();
        assert!(
            came,
            "only {number} have come so far; the first one: {:?}",
            timeout(Duration::ZERO, passes.remove(0)).await
        );
    }
    let writes = || {
        requests
            .lock()
            .unwrap()
            .iter()
            .filter(|(what, _)| what == "PUT status")
            .count()
    };
    timeout(
        Duration::from_secs(1),
        reconcile(Arc::new(named(&idle)), context.clone()),
    )
    .await
    .expect("another rollout's pass runs meanwhile")
    .unwrap();
    assert_eq!(
        (writes(), passes.iter().filter(|pass| pass.is_finished()).count()),
        (1, 0)
    );

    context.begin_no_more();
    reconcile(Arc::new(named(&idle)), context).await.unwrap();
    assert_eq!(writes(), 1, "no pass begins after the end");
}
