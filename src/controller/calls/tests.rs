//! Calls are made once, none waits for another, and those that fail are logged twice.

use futures::future::BoxFuture;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::{
    api::{self, webhook::SecretKey},
    controller::logged::span,
    log::captured::capture,
};

/// Another system: who was sent something is told; all get the same answer, if any.
struct Others(mpsc::UnboundedSender<Post>, Option<u16>);

impl Webhooks for Others {
    fn refusal(&self, _: &str, _: &str) -> Option<String> {
        None
    }
    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, String>> {
        let (told, answer) = (self.0.send(post), self.1);
        Box::pin(async move {
            told.map_err(|error| error.to_string())?;
            match answer {
                Some(status) => Ok(status),
                None => std::future::pending().await,
            }
        })
    }
}

/// An API server that answers everything so.
fn api_server(status: u16, body: &Value) -> Client {
    let body = body.to_string();
    let server = tower::service_fn(move |_: http::Request<Body>| {
        let answer = http::Response::builder()
            .status(status)
            .body(Body::from(body.clone().into_bytes()));
        async move { answer }
    });
    Client::new(server, "default")
}

fn rollout() -> DynamicObject {
    let mut rollout = DynamicObject::new("catalog", &crate::controller::kinds::Kinds::rollout()).within("shop");
    rollout.metadata.uid = Some("u".to_owned());
    rollout
}

fn call(attempt: i32) -> Call {
    Call {
        key: "u.1.gate.2".to_owned(),
        attempt,
        address: Address::Url("http://gate".to_owned()),
        timeout: api::Duration::from_secs(1),
        body: json!({}),
    }
}

#[tokio::test]
async fn an_attempt_is_made_once_and_its_answer_stays_until_it_is_taken_in() {
    let client = api_server(404, &json!({}));
    let (told, mut sent) = mpsc::unbounded_channel();
    let (requests, mut asked) = mpsc::unbounded_channel();
    let calls = Calls::new(Arc::new(Others(told, Some(503))), requests);
    calls.begin(&client, &rollout(), &[call(0)]);
    calls.begin(&client, &rollout(), &[call(0)]);
    assert_eq!(
        asked.recv().await.map(|rollout| rollout.name).as_deref(),
        Some("catalog"),
        "an answer asks for the next pass"
    );
    calls.begin(&client, &rollout(), &[call(0)]);
    assert_eq!(
        calls.replies("u")["u.1.gate.2"],
        Reply {
            attempt: 0,
            answer: Ok(503)
        }
    );
    assert_eq!(
        (sent.recv().await.map(|post| post.key), sent.try_recv().is_err()),
        (Some("u.1.gate.2".to_owned()), true)
    );
    // The status has taken it in and waits before it asks again.
    calls.begin(&client, &rollout(), &[]);
    assert!(calls.replies("u").is_empty());
    calls.begin(&client, &rollout(), &[call(1)]);
    asked.recv().await;
    assert_eq!(calls.replies("u")["u.1.gate.2"].attempt, 1);
    calls.forget("u");
    assert!(calls.replies("u").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_fails_is_told_twice_with_its_rollout_and_without_its_path() {
    let (log, _guard) = capture("info");
    let client = api_server(404, &json!({}));
    let (requests, mut asked) = mpsc::unbounded_channel();
    let (told, _sent) = mpsc::unbounded_channel();
    let failing = Arc::new(Mutex::new(Outages::new(Duration::ZERO)));
    let calls = |answer: u16, requests: &mpsc::UnboundedSender<_>| Calls {
        failing: failing.clone(),
        ..Calls::new(Arc::new(Others(told.clone(), Some(answer))), requests.clone())
    };
    let (down, up) = (calls(503, &requests), calls(204, &requests));
    let status = serde_json::from_value(json!({"phase": "Shifting"})).unwrap();
    let secret = Address::Url("http://gate:8080/T0/secret".to_owned());
    for (attempt, calls) in (0..50).map(|attempt| (attempt, &down)).chain([(50, &up), (51, &up)]) {
        let call = Call {
            address: secret.clone(),
            ..call(attempt)
        };
        span("shop", "catalog", &status).in_scope(|| calls.begin(&client, &rollout(), &[call]));
        asked.recv().await;
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    let lines = log.lines();
    assert_eq!(
        log.messages(),
        [
            "WARN a webhook fails; it is tried again until its deadline",
            "INFO the webhook works again"
        ]
    );
    for line in &lines {
        assert_eq!(
            line["span"],
            json!({"name": "pass", "namespace": "shop", "rollout": "catalog", "phase": "Shifting"})
        );
        assert_eq!(line["fields"]["webhook"], "gate:8080");
    }
    assert_eq!(lines[0]["fields"]["error"], "HTTP 503");
    assert_eq!(
        (&lines[1]["fields"]["lasted_ms"], &lines[1]["fields"]["tries"]),
        (&json!(100_000), &json!(50))
    );
    assert!(!log.text().contains("secret"), "who knows the path may write there");
}

#[test]
fn a_gate_that_says_no_has_worked() {
    let failed = |kind: &str, answer: Result<u16, &str>| failure(kind, &answer.map_err(str::to_owned)).is_some();
    for code in [301, 408, 429, 500, 503] {
        assert!(failed("Gate", Ok(code)) && failed("Notification", Ok(code)), "{code}");
    }
    assert!(!failed("Gate", Ok(403)) && failed("Notification", Ok(403)));
    assert!(!failed("Gate", Ok(200)) && !failed("Notification", Ok(204)));
    assert!(failed("Gate", Err("cannot be reached")));
}

#[tokio::test]
async fn one_that_hangs_keeps_no_other_one_waiting() {
    let client = api_server(404, &json!({}));
    let (told, mut sent) = mpsc::unbounded_channel();
    let (requests, _asked) = mpsc::unbounded_channel();
    let calls = Calls::new(Arc::new(Others(told, None)), requests);
    for key in ["a", "b", "c"] {
        calls.begin(
            &client,
            &rollout(),
            &[Call {
                key: key.to_owned(),
                ..call(0)
            }],
        );
        let next = tokio::time::timeout(std::time::Duration::from_secs(10), sent.recv()).await;
        assert_eq!(
            next.ok().flatten().map(|post| post.key).as_deref(),
            Some(key),
            "no wait for the ones before"
        );
    }
    assert!(calls.replies("u").is_empty());
}

#[tokio::test]
async fn an_address_in_a_secret_is_found_or_it_is_said_what_is_missing() {
    let address = Address::Secret(SecretKey {
        name: "chat".to_owned(),
        key: "url".to_owned(),
    });
    let asked = async |status: u16, body: Value| url(&api_server(status, &body), "shop", &address).await;
    let secret =
        |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "chat"}, "data": data});
    let refusal = |code: u16, reason: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code});
    // base64 of "https://hooks.example.com/T0\n".
    let found = asked(200, secret(json!({"url": "aHR0cHM6Ly9ob29rcy5leGFtcGxlLmNvbS9UMAo="}))).await;
    assert_eq!(found.as_deref(), Ok("https://hooks.example.com/T0"));
    for (status, body, why) in [
        (200, secret(json!({})), "Secret chat has no key url"),
        (
            200,
            secret(json!({"url": "/w=="})),
            "key url of Secret chat is not text",
        ),
        (404, refusal(404, "NotFound"), "Secret chat does not exist"),
        (403, refusal(403, "Forbidden"), "webhooks.readSecrets"),
        (500, refusal(500, "InternalError"), "could not be read"),
    ] {
        let said = asked(status, body).await.unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}
