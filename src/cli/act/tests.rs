//! Requests to a release, and what becomes of them.

use serde_json::{Value, json};

use super::*;
use crate::cli::tests::{Requests, cluster, failure, golden, rollout};

fn request() -> Request {
    Request {
        name: "catalog".to_owned(),
        reason: Some("looks good".to_owned()),
        revision: None,
        step: None,
        timeout: api::Duration::from_secs(60),
    }
}

/// A cluster with a release under way, in which a request is answered like this at the third look; before, a look fails.
fn answering(answer: Value) -> (Cluster, Requests) {
    let mut looks = 0;
    cluster(move |what, body| {
        if what.starts_with("POST") {
            let mut made = body.clone();
            made["metadata"]["name"] = json!("catalog-promote-x7k2p");
            return (201, made);
        }
        if !what.contains("/rolloutactions/") {
            return (200, rollout(&golden("shifting")));
        }
        looks += 1;
        let mut action = json!({
            "apiVersion": "warmfront.dev/v1alpha1", "kind": "RolloutAction",
            "metadata": {"name": "catalog-promote-x7k2p", "namespace": "shop"},
            "spec": {"rollout": "catalog", "action": "Promote"},
        });
        match looks {
            1 => (503, failure(503, "ServiceUnavailable", "starting", "")),
            2 => (200, action),
            _ => {
                action["status"] = answer.clone();
                (200, action)
            }
        }
    })
}

fn sent(requests: &Requests) -> (String, Value) {
    let requests = requests.lock().unwrap();
    let made: Vec<_> = requests.iter().filter(|(what, _)| what.starts_with("POST")).collect();
    assert_eq!(made.len(), 1, "{requests:?}");
    made[0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_made_once_and_its_answer_told() {
    let (cluster, requests) =
        answering(json!({"phase": "Applied", "reason": "Applied", "message": "step 1 is approved"}));
    let request = Request {
        step: Some(1),
        ..request()
    };
    let (action, exit) = ask(&cluster, Verb::Promote, &request).await.unwrap();
    assert_eq!(exit, Exit::Reached);
    assert_eq!(
        told(&cluster, Verb::Promote, &request, &action),
        "catalog: step 1 is approved"
    );
    let (what, body) = sent(&requests);
    assert!(
        what.contains("/apis/warmfront.dev/v1alpha1/namespaces/shop/rolloutactions?")
            && what.contains("fieldManager=kubectl-canary"),
        "{what}"
    );
    assert_eq!(body["metadata"]["generateName"], "catalog-promote-");
    assert_eq!(
        body["spec"],
        json!({"rollout": "catalog", "action": "Promote", "revision": "wbd5g9f55x", "step": 1, "reason": "looks good"})
    );
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_bound_to_no_revision_unless_one_is_named() {
    let answer =
        json!({"phase": "Applied", "reason": "Applied", "message": "all traffic goes back to the stable version"});
    let (cluster, requests) = answering(answer.clone());
    ask(&cluster, Verb::Abort, &request()).await.unwrap();
    assert_eq!(sent(&requests).1["spec"]["revision"], Value::Null);
    let (cluster, requests) = answering(answer);
    let named = Request {
        revision: Some("abc".to_owned()),
        ..request()
    };
    ask(&cluster, Verb::Abort, &named).await.unwrap();
    assert_eq!(sent(&requests).1["spec"]["revision"], "abc");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_fails_and_says_what_to_do() {
    let answer = json!({"phase": "Rejected", "reason": "NotGuarded", "message": "step 1 waits for evidence"});
    let (cluster, _) = answering(answer);
    let (action, exit) = ask(&cluster, Verb::Promote, &request()).await.unwrap();
    assert_eq!(exit, Exit::Failed);
    let said = told(&cluster, Verb::Promote, &request(), &action);
    assert_eq!(
        said,
        "Promote of shop/catalog was not carried out, NotGuarded: step 1 waits for evidence; `kubectl canary why catalog -n shop` has the \
         command with the step"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_controller_that_does_not_run() {
    let (cluster, _) = answering(Value::Null);
    let (action, exit) = ask(&cluster, Verb::Pause, &request()).await.unwrap();
    assert_eq!(exit, Exit::TimedOut);
    let said = told(&cluster, Verb::Pause, &request(), &action);
    assert!(
        said.contains("has not been answered within 1m: does the controller run")
            && said.contains("kubectl delete rolloutaction catalog-promote-x7k2p -n shop"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_release_that_does_not_exist_is_not_asked() {
    let (cluster, requests) = cluster(|what, _| {
        if what.contains("/catalog") {
            (404, failure(404, "NotFound", "not found", "catalog"))
        } else {
            (
                200,
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": []}),
            )
        }
    });
    let error = ask(&cluster, Verb::Abort, &request()).await.unwrap_err().to_string();
    assert!(error.contains("namespace shop has none"), "{error}");
    assert!(requests.lock().unwrap().iter().all(|(what, _)| what.starts_with("GET")));
}
