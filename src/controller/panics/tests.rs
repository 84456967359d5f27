//! A pass that panics stops nobody: it is told, shown and tried again, and the other rollouts go on.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    api::MetricSourceSpec,
    controller::{
        self,
        error::Error,
        leadership::Leadership,
        named::named,
        reconcile::reconcile,
        tests::{api_server, caches, context, context_of, judged},
    },
    log::captured::capture,
    provider::{Answer, Provider, Question, Reading},
};

/// A metrics store that answers everybody and has a fault for one.
struct Faulty(mpsc::UnboundedSender<String>);

impl Provider for Faulty {
    fn ask<'a>(&'a self, _: &'a MetricSourceSpec, question: &'a Question) -> BoxFuture<'a, Answer> {
        let asks = question.subject.candidate.service.clone();
        self.0.send(asks.clone()).unwrap();
        assert!(!asks.starts_with("bad"), "overflow when adding");
        Box::pin(async {
            vec![Ok(Reading::Scalar {
                candidate: 0.0,
                baseline: None,
            })]
        })
    }
}

#[test]
fn what_panics_is_caught_and_counted_and_the_thread_goes_on() {
    let count = || CAUGHT.get_or_create(&Labels { work: Work::Watch }).get();
    let before = count();
    let panicked = attempt(Work::Watch, || -> u8 { panic!("no {}", "way") }).unwrap_err();
    assert_eq!(panicked.message, "no way");
    assert!(count() > before);
    assert_eq!(attempt(Work::Watch, || 7).unwrap(), 7);
}

/// A rollout whose tick is due, and asks about this Service.
fn with_canary_service(name: &str) -> DynamicObject {
    let mut rollout = judged(name);
    for spec in ["/spec", "/status/run/plan"] {
        rollout.data.pointer_mut(spec).unwrap()["traffic"]["canaryService"] = json!(name);
    }
    rollout
}

#[tokio::test(start_paused = true)]
async fn one_rollout_whose_passes_panic_leaves_all_others_alone() {
    let (log, _guard) = capture("info");
    let caches = caches(["bad", "good"].map(with_canary_service).to_vec());
    let source = json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "MetricSource", "metadata": {"name": "default", "resourceVersion": "1"},
        "spec": {"prometheus": {"url": "http://prometheus"}, "scrapeInterval": "1s"}});
    caches.sources.wrote(serde_json::from_value(source).unwrap());
    let (told, mut asked) = mpsc::unbounded_channel();
    let (client, requests) = api_server(Duration::ZERO);
    let leadership = Leadership::without_election();
    let context = Arc::new(context(
        client,
        leadership,
        Arc::new(caches),
        Box::new(Faulty(told)),
        mpsc::unbounded_channel().0,
    ));
    let stop = CancellationToken::new();
    let queue = Box::pin(futures::stream::pending());
    let task = tokio::spawn(controller::run(context.clone(), queue, stop.clone()));
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(!task.is_finished());

    let asks: Vec<String> = std::iter::from_fn(|| asked.try_recv().ok()).collect();
    let of = |asks: &[String], name: &str| asks.iter().filter(|service| *service == name).count();
    assert!((5..15).contains(&of(&asks, "bad")), "it backs off: {asks:?}");
    assert!(of(&asks, "good") >= 1, "{asks:?}");

    let line = log
        .lines()
        .into_iter()
        .find(|line| line["fields"].get("backtrace").is_some())
        .expect("a line of the panic");
    assert_eq!(
        (&line["level"], &line["span"]["namespace"], &line["span"]["rollout"]),
        (&json!("ERROR"), &json!("shop"), &json!("bad"))
    );
    let told: Vec<Value> = requests
        .lock()
        .unwrap()
        .iter()
        .filter(|(what, _)| what == "PATCH status")
        .map(|(_, body)| body.clone())
        .collect();
    assert!(!told.is_empty(), "people see it");
    let condition = &told[0]["status"]["conditions"][0];
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("False"), &json!("InternalError"))
    );
    assert!(
        condition["message"].as_str().unwrap().contains("overflow when adding"),
        "{condition}"
    );
    let text = context.metrics.text(true, &context.caches).unwrap();
    assert!(text.contains("warmfront_panics_total{work=\"Pass\"}"), "{text}");
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_read_is_shown_and_left_as_it_is() {
    let mut rollout = judged("odd");
    rollout.data["status"]["run"]["plan"] = json!(5);
    let (client, requests) = api_server(Duration::ZERO);
    let context = Arc::new(context_of(client, Arc::new(caches(vec![rollout.clone()]))));
    let ended = reconcile(Arc::new(named(&rollout)), context).await;
    assert!(matches!(ended, Err(Error::Status { .. })));
    let asked = requests.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let (what, sent) = &asked[0];
    assert_eq!(
        (what.as_str(), sent["status"].as_object().map(serde_json::Map::len)),
        ("PATCH status", Some(1))
    );
    let condition = &sent["status"]["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["reason"]),
        (&json!("Accepted"), &json!("StatusUnreadable"))
    );
}
