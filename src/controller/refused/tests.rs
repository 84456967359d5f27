//! What is told of rollouts for which nothing can be decided, once, and what is left of them.

use std::{sync::Arc, time::Duration};

use kube::runtime::watcher::Event;

use super::*;
use crate::controller::{
    concerns,
    decode::{self, tests::nested},
    error::Error,
    intake,
    named::named,
    reconcile::reconcile,
    tests::{Requests, api_server, caches, context_of, judged, rollout},
};

#[test]
fn only_the_condition_is_written_and_only_once() {
    let mut rollout = rollout("1");
    let now: jiff::Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    rollout.data["status"] = json!({"phase": 7, "conditions": [{"type": "Accepted", "status": "True"}, 5, {"type": "Paused", "status": "False"}]});
    let first = patch(&rollout, Refusal::StatusUnreadable, "why", now).unwrap();
    assert_eq!(first["metadata"]["resourceVersion"], "1", "nobody else's write is lost");
    let conditions = first["status"]["conditions"].as_array().unwrap();
    assert_eq!(first["status"].as_object().unwrap().len(), 1);
    assert_eq!(
        (
            &conditions[0]["reason"],
            &conditions[0]["lastTransitionTime"],
            conditions.len()
        ),
        (&json!("StatusUnreadable"), &json!("2026-12-01T00:00:00Z"), 2)
    );

    rollout.data["status"] = first["status"].clone();
    let later: jiff::Timestamp = "2026-12-02T00:00:00Z".parse().unwrap();
    assert_eq!(patch(&rollout, Refusal::StatusUnreadable, "why", later), None);
    let other = patch(&rollout, Refusal::StatusUnreadable, "other", later).unwrap();
    assert_eq!(
        other["status"]["conditions"][0]["lastTransitionTime"],
        "2026-12-01T00:00:00Z"
    );
    let panicked = patch(&rollout, Refusal::InternalError, "at a", later).unwrap();
    rollout.data["status"] = panicked["status"].clone();
    assert_eq!(
        patch(&rollout, Refusal::InternalError, "at b", later),
        None,
        "no write for each pass"
    );
    rollout.metadata.generation = Some(2);
    assert!(patch(&rollout, Refusal::InternalError, "at b", later).is_some());
}

#[test]
fn a_status_that_is_no_object_is_told_of_too() {
    let mut rollout = rollout("1");
    for status in [Value::Null, json!("x"), json!([1]), json!({"conditions": "x"})] {
        rollout.data["status"] = status;
        assert!(patch(&rollout, Refusal::StatusUnreadable, "why", jiff::Timestamp::MAX).is_some());
    }
}

/// A rollout in the middle of a release, as text, with this in its status and this before its metadata.
fn text(version: &str, plan: &str, extra: &str, conditions: &Value) -> String {
    let mut rollout = judged("odd");
    rollout.metadata.resource_version = Some(version.to_owned());
    rollout.data["status"]["conditions"] = conditions.clone();
    rollout.data["status"]["run"]["plan"] = json!("PLAN");
    let text = serde_json::to_string(&rollout).unwrap().replace("\"PLAN\"", plan);
    format!("{{{extra}{}", &text[1..])
}

/// The watch tells of this text; a pass follows. Returns the conditions that were written in it.
async fn pass_after(context: &Arc<Context>, requests: &Requests, text: &str) -> (Option<Value>, Result<(), Error>) {
    let caches = &context.caches;
    let told = intake::read(caches, caches.rollouts.row(), text.as_bytes(), decode::object).unwrap();
    let seen = named(&told.object);
    let touched = caches.follow(&caches.rollouts, Event::Apply(told));
    let concerned = concerns::of_rollout(caches, &touched[0]);
    assert!(concerned.iter().any(|one| one.name == "odd"), "it is looked at");
    requests.lock().unwrap().clear();
    let ended = reconcile(Arc::new(seen), context.clone()).await;
    let asked = std::mem::take(&mut *requests.lock().unwrap());
    assert!(
        asked.iter().all(|(what, _)| what == "PATCH status"),
        "nothing else is done: {asked:?}"
    );
    let written = asked.first().map(|(_, sent)| sent["status"]["conditions"].clone());
    (written, ended.map(drop))
}

fn judged_in_memory() -> (Arc<Context>, Requests) {
    let (client, requests) = api_server(Duration::ZERO);
    let caches = caches(vec![judged("odd")]);
    let source = json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "MetricSource", "metadata": {"name": "default", "resourceVersion": "1"},
        "spec": {"prometheus": {"url": "http://prometheus"}, "scrapeInterval": "1s"}});
    caches.sources.wrote(serde_json::from_value(source).unwrap());
    (Arc::new(context_of(client, Arc::new(caches))), requests)
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_cannot_be_read_says_so_once_and_its_older_copy_is_not_acted_on() {
    let (context, requests) = judged_in_memory();
    // More than is read of any object.
    let large = format!("\"large\":\"{}\",", "x".repeat(1 << 20));
    let (written, ended) = pass_after(&context, &requests, &text("2", "{}", &large, &json!([]))).await;
    assert!(matches!(ended, Err(Error::Unreadable { .. })), "{ended:?}");
    let conditions = written.expect("its owner sees it");
    assert_eq!(
        (&conditions[0]["status"], &conditions[0]["reason"]),
        (&json!("False"), &json!("ObjectUnreadable"))
    );
    assert!(
        conditions[0]["message"].as_str().unwrap().contains("1024 KiB"),
        "{conditions}"
    );
    // What the watch tells of that write asks for no other.
    let (written, ended) = pass_after(&context, &requests, &text("3", "{}", &large, &conditions)).await;
    assert!(matches!(ended, Err(Error::Unreadable { .. })), "{ended:?}");
    assert_eq!(written, None);
    assert_eq!(context.caches.rollouts.count_unreadable(), 1);

    let mended = judged("odd");
    context.caches.follow(&context.caches.rollouts, Event::Apply(mended));
    assert!(context.caches.rollouts.rest_of("shop", "odd").is_none(), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn of_a_status_nested_too_deep_the_rest_is_kept_for_what_a_person_asks() {
    let (context, requests) = judged_in_memory();
    let deep = nested(5_000);
    let (written, ended) = pass_after(&context, &requests, &text("2", &deep, "", &json!([]))).await;
    assert!(matches!(ended, Err(Error::Status { .. })), "{ended:?}");
    let conditions = written.expect("its owner sees it");
    assert_eq!(conditions[0]["reason"], "StatusUnreadable");
    let (written, _) = pass_after(&context, &requests, &text("3", &deep, "", &conditions)).await;
    assert_eq!(written, None);
    let kept = context.caches.rollouts.get(Some("shop"), "odd").unwrap();
    assert_eq!(
        (
            &kept.data["status"]["run"]["revision"],
            &kept.data["status"]["run"]["plan"]
        ),
        (&json!("w"), &json!("cannot be read"))
    );
}

#[test]
fn one_that_can_only_be_named_is_written_to_in_the_same_way_each_time() {
    let text = format!(
        r#"{{"metadata":{{"name":"odd","namespace":"shop","resourceVersion":"7","generation":"many"}},"spec":{}}}"#,
        nested(5_000)
    );
    let event = format!(r#"{{"type":"MODIFIED","object":{text}}}"#);
    for text in [text, event] {
        let object = decode::identity(text.as_bytes()).unwrap();
        let first = patch(
            &object,
            Refusal::ObjectUnreadable,
            "why",
            "2026-12-01T00:00:00Z".parse().unwrap(),
        );
        let second = patch(
            &object,
            Refusal::ObjectUnreadable,
            "why",
            "2026-12-02T00:00:00Z".parse().unwrap(),
        );
        assert_eq!(first, second);
        assert_eq!(first.unwrap()["metadata"], json!({"resourceVersion": "7"}));
    }
}
