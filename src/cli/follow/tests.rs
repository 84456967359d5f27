//! A watch that ends, is refused, or asks for versions that are gone.

use serde_json::{Value, json};

use super::super::tests::{cluster, failure, golden, rollout};
use super::*;

fn event(kind: &str, version: &str) -> String {
    let mut object = rollout(&golden("shifting"));
    object["metadata"]["resourceVersion"] = json!(version);
    json!({"type": kind, "object": object}).to_string() + "\n"
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "CanaryRolloutList", "metadata": {"resourceVersion": "5"}, "items": items})
}

fn versions(follow: &Follow) -> Vec<String> {
    follow
        .rollouts()
        .filter_map(|rollout| rollout.object.metadata.resource_version.clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_after_a_version_that_is_gone_and_a_server_that_was_down() {
    let gone = json!({"type": "ERROR", "object": failure(410, "Expired", "too old resource version", "")}).to_string();
    let mut answers = vec![
        (200, list(&[rollout(&golden("shifting"))])),
        (200, Value::String(event("MODIFIED", "8"))),
        (200, Value::String(gone)),
        (503, failure(503, "ServiceUnavailable", "starting", "")),
        (200, list(&[])),
        (200, Value::String(event("ADDED", "12"))),
    ]
    .into_iter();
    let (cluster, requests) = cluster(move |_, _| answers.next().unwrap_or((200, Value::String(String::new()))));
    let mut follow = Follow::one(&cluster, "catalog");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        if let Told::Now = follow.next().await.unwrap() {
            seen.push(versions(&follow));
        }
    }
    assert_eq!(seen, [vec!["7"], vec!["8"], vec![], vec!["12"]]);
    let first = requests.lock().unwrap()[0].0.clone();
    assert!(first.contains("fieldSelector=metadata.name%3Dcatalog"), "{first}");
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_from_the_start_is_no_reason_to_wait() {
    let (cluster, _) = cluster(|_, _| (403, failure(403, "Forbidden", "no", "")));
    let error = Follow::one(&cluster, "catalog").next().await.unwrap_err();
    assert!(error.to_string().contains("get, list and watch"), "{error}");
}
