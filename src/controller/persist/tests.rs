//! Between releases the copies in memory lack the traces of releases; what is stored has them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use kube::{Client, client::Body};

use super::*;
use crate::{
    api::{Percent, status::TracePoint},
    controller::tests::{caches, context_of, judged},
};

/// A rollout whose last release has left a trace, as the API server has it.
fn promoted() -> DynamicObject {
    let mut rollout = judged("catalog");
    let point = |second| json!(TracePoint::new(Timestamp::from_second(second).unwrap(), Percent::FULL));
    let status = &mut rollout.data["status"];
    status["phase"] = json!("Succeeded");
    status["run"]["outcome"] = json!("Promoted");
    status["run"]["trace"] = json!([point(100), point(200)]);
    status["history"] = json!([{"run": 1, "revision": "w", "outcome": "Promoted", "reason": "Promoted",
        "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:10:00Z"}]);
    rollout
}

/// Methods of the requests, with what they carried.
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// An API server that has this object, and answers a write with what was sent.
fn api_server(has: &DynamicObject) -> (Client, Requests) {
    let requests = Requests::default();
    let (seen, has) = (requests.clone(), json!(has));
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let (seen, has) = (seen.clone(), has.clone());
        async move {
            let method = request.method().to_string();
            let body = request.into_body().collect_bytes().await.unwrap_or_default();
            let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
            let answer = if method == "GET" { has } else { sent.clone() };
            seen.lock().unwrap().push((method, sent));
            Ok::<_, Infallible>(http::Response::new(Body::from(answer.to_string().into_bytes())))
        }
    });
    (Client::new(server, "default"), requests)
}

/// Stores a status of which a message has changed, on top of what the copy in memory says.
async fn store(has: &DynamicObject) -> (Result<(), Error>, Requests) {
    let (client, requests) = api_server(has);
    let context = context_of(client, Arc::new(caches(vec![promoted()])));
    let copy = context.caches.rollouts.get(None, "catalog");
    let copy = copy.or_else(|| {
        context
            .caches
            .rollouts
            .get(promoted().namespace().as_deref(), "catalog")
    });
    let mut copy = DynamicObject::clone(&copy.unwrap());
    assert_eq!(copy.data.pointer("/status/run/trace"), None, "it is not held");
    let known: CanaryRolloutStatus = serde_json::from_value(copy.data["status"].clone()).unwrap();
    let next = CanaryRolloutStatus {
        message: "another".to_owned(),
        ..known.clone()
    };
    let mut stored = Some(Arc::new(known));
    let due = Due::Now { only_figures: false };
    let result = persist(&context, &mut copy, &mut stored, &Arc::new(next), &due, None).await;
    (result.map(|_| ()), requests)
}

#[tokio::test]
async fn what_the_copy_lacks_is_read_again_before_the_whole_is_replaced() {
    let (result, requests) = store(&promoted()).await;
    result.unwrap();
    let requests = requests.lock().unwrap().clone();
    let methods: Vec<&str> = requests.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["GET", "PUT"]);
    let sent = &requests[1].1["status"];
    assert_eq!(sent["message"], "another");
    assert_eq!(sent["run"]["trace"], promoted().data["status"]["run"]["trace"]);
}

#[tokio::test]
async fn what_somebody_has_written_since_is_not_replaced() {
    let mut newer = promoted();
    newer.metadata.resource_version = Some("9".to_owned());
    let (result, requests) = store(&newer).await;
    assert!(matches!(result, Err(Error::Conflict { .. })));
    assert_eq!(requests.lock().unwrap().len(), 1);
}
