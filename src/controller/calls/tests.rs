//! Calls are made once, none waits for another, and those that fail are logged twice.

use futures::future::BoxFuture;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::{
    api::{plan::PlannedWebhook, webhook::SecretKey},
    controller::logged::span,
    log::captured::capture,
    webhook::{Post, To},
};

/// Another system: who was sent something is told; all get the same answer, if any.
struct Others(mpsc::UnboundedSender<Post>, Option<u16>);

impl Webhooks for Others {
    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, Failure>> {
        let (told, answer) = (self.0.send(post), self.1);
        Box::pin(async move {
            told.map_err(|_| Failure::new("nobody is told"))?;
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

/// An API server whose Services are called `gate` and have a pod each.
fn cluster() -> Client {
    let server = tower::service_fn(|request: http::Request<Body>| {
        let labels = json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
        let slice = json!({"metadata": {"labels": labels}, "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.1.0.1"]}]});
        let ports = json!([{"port": 80}, {"port": 8080}]);
        let service = json!({"metadata": {"name": "gate"}, "spec": {"selector": {"app": "gate"}, "clusterIP": "10.96.0.7", "ports": ports}});
        let body = match request.uri().path() {
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices" => json!({"metadata": {}, "items": []}),
            path if path.ends_with("/endpointslices") => json!({"metadata": {}, "items": [slice]}),
            _ => service,
        };
        async move { Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(body.to_string().into_bytes()))) }
    });
    Client::new(server, "default")
}

fn to(address: Address) -> PlannedWebhook {
    PlannedWebhook {
        address,
        timeout: api::Duration::from_secs(1),
        signing_key: None,
        authorities: None,
    }
}

fn calls(others: Others, requests: Requests) -> Calls {
    Calls::new(Arc::new(others), Rules::default(), requests)
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
        webhook: to(Address::Url("http://gate".to_owned())),
        body: json!({}),
    }
}

#[tokio::test]
async fn an_attempt_is_made_once_and_its_answer_stays_until_it_is_taken_in() {
    let client = cluster();
    let (told, mut sent) = mpsc::unbounded_channel();
    let (requests, mut asked) = mpsc::unbounded_channel();
    let calls = calls(Others(told, Some(503)), requests);
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
    let client = cluster();
    let (requests, mut asked) = mpsc::unbounded_channel();
    let (told, _sent) = mpsc::unbounded_channel();
    let failing = Arc::new(Mutex::new(Outages::new(Duration::ZERO)));
    let of = |answer: u16, requests: &mpsc::UnboundedSender<_>| Calls {
        failing: failing.clone(),
        ..calls(Others(told.clone(), Some(answer)), requests.clone())
    };
    let (down, up) = (of(503, &requests), of(204, &requests));
    let status = serde_json::from_value(json!({"phase": "Shifting"})).unwrap();
    let secret = to(Address::Url("http://gate:8080/T0/secret".to_owned()));
    for (attempt, calls) in (0..50).map(|attempt| (attempt, &down)).chain([(50, &up), (51, &up)]) {
        let call = Call {
            webhook: secret.clone(),
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
    let client = cluster();
    let (told, mut sent) = mpsc::unbounded_channel();
    let (requests, _asked) = mpsc::unbounded_channel();
    let calls = calls(Others(told, None), requests);
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

fn in_a_secret() -> PlannedWebhook {
    to(Address::Secret(SecretKey {
        name: "chat".to_owned(),
        key: "url".to_owned(),
    }))
}

#[tokio::test]
async fn an_address_in_a_secret_is_found_or_it_is_said_what_is_missing() {
    let asked = async |status: u16, body: Value| {
        let call = Call {
            webhook: in_a_secret(),
            ..call(0)
        };
        let prepared = prepare::prepare(&api_server(status, &body), &Rules::default(), "shop", &call).await;
        let failure = prepared.err().unwrap();
        (failure.hidden().to_owned(), failure.full())
    };
    let secret =
        |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "chat"}, "data": data});
    let refusal = |code: u16, reason: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code});
    // base64 of "https://hooks.example.com/T0\n".
    let (hidden, full) = asked(200, secret(json!({"url": "aHR0cHM6Ly9ob29rcy5leGFtcGxlLmNvbS9UMAo="}))).await;
    assert!(
        full.starts_with("hooks.example.com is neither a Service of namespace shop nor allowed"),
        "{full}"
    );
    assert!(hidden.starts_with("its host is neither"), "{hidden}");
    for (status, body, why) in [
        (200, secret(json!({})), "Secret chat has no key url"),
        (
            200,
            secret(json!({"url": "/w=="})),
            "key url of Secret chat is not text",
        ),
        (404, refusal(404, "NotFound"), "Secret chat does not exist"),
        (403, refusal(403, "Forbidden"), "webhooks.secrets"),
        (500, refusal(500, "InternalError"), "could not be read"),
    ] {
        let (said, _) = asked(status, body).await;
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn of_an_address_in_a_secret_nothing_is_told() {
    let (log, _guard) = capture("trace");
    // base64 of "https://hooks.example.com/T0".
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "chat"}, "data": {"url": "aHR0cHM6Ly9ob29rcy5leGFtcGxlLmNvbS9UMA=="}});
    let (told, _sent) = mpsc::unbounded_channel();
    let (requests, mut asked) = mpsc::unbounded_channel();
    let calls = calls(Others(told, Some(204)), requests);
    let call = Call {
        webhook: in_a_secret(),
        ..call(0)
    };
    calls.begin(&api_server(200, &secret), &rollout(), &[call]);
    asked.recv().await;
    let said = calls.replies("u")["u.1.gate.2"].words();
    assert!(said.starts_with("its host is neither a Service"), "{said}");
    assert!(!log.text().contains("example.com"), "{}", log.text());
}

#[tokio::test]
async fn a_service_is_connected_to_without_dns_and_no_call_takes_longer_than_the_owner_says() {
    let mut asked = call(0);
    asked.webhook.timeout = api::Duration::from_mins(5);
    let post = prepare::prepare(&cluster(), &Rules::default(), "shop", &asked).await;
    let Ok(post) = post else { panic!("it is prepared") };
    assert_eq!(post.timeout, LONGEST_CALL);
    assert_eq!(post.url.as_str(), "http://gate.shop.svc/");
    let To::Addresses(addresses) = post.to else {
        panic!("DNS is not asked")
    };
    assert_eq!(addresses, [([10, 96, 0, 7], 80).into()]);
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_namespace_that_hang_keep_nobody_else_waiting() {
    let (told, mut sent) = mpsc::unbounded_channel();
    let (requests, _asked) = mpsc::unbounded_channel();
    let calls = calls(Others(told, None), requests);
    let many: Vec<Call> = (0..1_000)
        .map(|number| Call {
            key: format!("hostile-{number}"),
            ..call(0)
        })
        .collect();
    calls.begin(&cluster(), &rollout().within("hostile"), &many);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = std::iter::from_fn(|| sent.try_recv().ok()).count();
    assert_eq!(begun, CALLS_OF_ONE);
    let asked = Instant::now();
    calls.begin(&cluster(), &rollout(), &[call(0)]);
    let next = tokio::time::timeout(Duration::from_secs(1), sent.recv()).await.unwrap();
    assert_eq!(next.map(|post| post.namespace).as_deref(), Some("shop"));
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

/// Has a fault that calls with this body bring out.
struct Faulty(Others);

impl Webhooks for Faulty {
    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, Failure>> {
        assert_ne!(post.body, json!("bad"), "a body that nobody expects");
        self.0.post(post)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_has_failed_and_the_others_go_on() {
    let (log, _guard) = capture("info");
    let (told, mut sent) = mpsc::unbounded_channel();
    let (requests, mut asked) = mpsc::unbounded_channel();
    let calls = Calls::new(Arc::new(Faulty(Others(told, Some(204)))), Rules::default(), requests);
    let bad = |attempt: i32| Call {
        body: json!("bad"),
        ..call(attempt)
    };
    let mut other = rollout();
    other.metadata.uid = Some("other".to_owned());
    calls.begin(&cluster(), &rollout(), &[bad(0)]);
    calls.begin(&cluster(), &other, &[call(0)]);
    for _ in 0..2 {
        assert!(asked.recv().await.is_some(), "each answer asks for a pass");
    }
    let said = calls.replies("u")["u.1.gate.2"].words();
    assert!(said.contains("a fault of Warmfront"), "{said}");
    assert_eq!(calls.replies("other")["u.1.gate.2"].answer, Ok(204));
    let lines = log.lines();
    let line = lines.iter().find(|line| line["fields"].get("backtrace").is_some());
    let line = line.expect("a line of the panic");
    assert_eq!(line["level"], "ERROR");
    assert!(
        line["fields"]["error"]
            .as_str()
            .unwrap()
            .contains("a body that nobody expects"),
        "{line}"
    );
    // It is made again as any other that fails, and no permit is lost.
    for attempt in 1..=i32::try_from(CALLS_OF_ONE).unwrap() {
        calls.begin(&cluster(), &rollout(), &[bad(attempt)]);
        assert!(asked.recv().await.is_some());
    }
    while sent.try_recv().is_ok() {}
    calls.begin(&cluster(), &rollout(), &[call(1_000)]);
    assert!(sent.recv().await.is_some());
}
