//! Whole elections on an API server in memory, under a clock that is moved by hand.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    protocol::{DURATION, RENEW_DEADLINE},
    *,
};

const SECOND: Duration = Duration::from_secs(1);

/// An API server that knows one lease.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    /// Requests are carried out, but nobody hears of it.
    silent: bool,
    /// Requests are refused.
    broken: bool,
    /// Method of each request.
    requests: Vec<String>,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        Client::new(
            tower::service_fn(move |request| server.clone().answer(request)),
            "default",
        )
    }

    async fn answer(self, request: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
        let method = request.method().to_string();
        let body = request.into_body().collect_bytes().await.unwrap();
        let (code, answer) = self.carry_out(&method, serde_json::from_slice(&body).unwrap_or_default());
        if self.0.lock().unwrap().silent {
            std::future::pending::<()>().await;
        }
        Ok(http::Response::builder()
            .status(code)
            .body(Body::from(answer.to_string().into_bytes()))
            .unwrap())
    }

    fn carry_out(&self, method: &str, mut sent: Value) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        state.requests.push(method.to_owned());
        let failure = |code: u16, reason: &str| {
            (
                code,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}),
            )
        };
        if state.broken {
            return failure(500, "InternalError");
        }
        let version = state
            .lease
            .as_ref()
            .map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (method, version) {
            ("GET" | "PUT", None) => return failure(404, "NotFound"),
            ("GET", Some(_)) => return (200, state.lease.clone().unwrap()),
            ("POST", Some(_)) => return failure(409, "AlreadyExists"),
            ("PUT", Some(version)) if version != sent["metadata"]["resourceVersion"] => {
                return failure(409, "Conflict");
            }
            ("POST", None) | ("PUT", Some(_)) => {}
            other => panic!("not expected: {other:?}"),
        }
        state.version += 1;
        sent["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.lease = Some(sent.clone());
        (200, sent)
    }

    fn holder(&self) -> String {
        self.record("holderIdentity").as_str().unwrap_or_default().to_owned()
    }

    fn record(&self, field: &str) -> Value {
        self.0
            .lock()
            .unwrap()
            .lease
            .as_ref()
            .map(|lease| lease["spec"][field].clone())
            .unwrap_or_default()
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn start(&self, me: &str) -> Process {
        let (leadership, release) = (Leadership::by_election(), CancellationToken::new());
        let elector = Elector::new(
            self.client(),
            "warmfront",
            "warmfront".to_owned(),
            me.to_owned(),
            leadership.clone(),
        );
        Process {
            leadership,
            task: tokio::spawn(elector.run(release.clone())),
            release,
        }
    }
}

struct Process {
    leadership: Leadership,
    release: CancellationToken,
    task: JoinHandle<Result<(), Loss>>,
}

impl Process {
    async fn stop(self) -> Result<(), Loss> {
        self.release.cancel();
        self.task.await.unwrap()
    }
}

/// Until one of them leads.
async fn led(process: &Process) -> Duration {
    let from = Instant::now();
    process.leadership.held().await;
    from.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_taken_at_the_next_look() {
    let server = Server::default();
    let first = server.start("a");
    led(&first).await;
    let second = server.start("b");
    sleep(SECOND * 120).await;
    assert!(
        first.leadership.is_held() && !second.leadership.is_held(),
        "it is renewed, and the other waits"
    );
    assert_eq!(
        (server.holder().as_str(), server.record("leaseTransitions")),
        ("a", json!(0))
    );
    let leadership = first.leadership.clone();
    assert_eq!(first.stop().await, Ok(()));
    assert!(!leadership.is_held());
    assert_eq!(server.holder(), "");
    assert!(led(&second).await <= SECOND * 3);
    assert_eq!(
        (server.holder().as_str(), server.record("leaseTransitions")),
        ("b", json!(1))
    );
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_standby_only_reads_and_goes_without_a_trace() {
    let server = Server::default();
    let first = server.start("a");
    led(&first).await;
    first.task.abort();
    let standby = server.start("b");
    sleep(SECOND * 14).await;
    let requests = server.0.lock().unwrap().requests.clone();
    assert_eq!(requests[..2], ["GET", "POST"], "the first one's");
    assert!(
        requests.len() > 5 && requests[2..].iter().all(|method| method == "GET"),
        "{requests:?}"
    );
    standby.stop().await.unwrap();
    assert_eq!(server.holder(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_when_its_lease_has_expired() {
    let server = Server::default();
    let first = server.start("a");
    led(&first).await;
    let second = server.start("b");
    sleep(SECOND * 60).await;
    first.task.abort();
    let took = led(&second).await;
    assert!(took + SECOND * 3 > DURATION && took < SECOND * 18, "{took:?}");
    assert_eq!(
        (server.holder().as_str(), server.record("leaseTransitions")),
        ("b", json!(1))
    );
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_restarted_container_has_its_lease_at_once() {
    let server = Server::default();
    let first = server.start("a");
    led(&first).await;
    let other = server.start("b");
    sleep(SECOND * 60).await;
    let acquired = server.record("acquireTime");
    first.task.abort();
    sleep(SECOND).await;
    let again = server.start("a");
    assert_eq!(led(&again).await, Duration::ZERO);
    sleep(SECOND * 60).await;
    assert!(again.leadership.is_held() && !other.leadership.is_held());
    assert_eq!(
        (server.record("leaseTransitions"), server.record("acquireTime")),
        (json!(0), acquired)
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_that_see_an_expired_lease_one_gets_it() {
    let server = Server::default();
    server.set(|state| {
        state.lease = Some(json!({"metadata": {"name": "warmfront", "resourceVersion": "0"}, "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 15}}));
    });
    let (a, b) = (server.start("a"), server.start("b"));
    for _ in 0..600 {
        sleep(SECOND / 10).await;
        assert!(!(a.leadership.is_held() && b.leadership.is_held()));
    }
    assert!(a.leadership.is_held() || b.leadership.is_held());
    assert_eq!(server.record("leaseTransitions"), json!(1));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_anybody_may_follow() {
    for silent in [false, true] {
        let server = Server::default();
        let leader = server.start("a");
        led(&leader).await;
        sleep(SECOND * 60).await;
        let last = Instant::now();
        server.set(|state| {
            if silent {
                state.silent = true;
            } else {
                state.broken = true;
            }
        });
        while leader.leadership.is_held() {
            sleep(SECOND / 100).await;
        }
        let held = last.elapsed();
        assert!(
            held <= RENEW_DEADLINE && held + SECOND * 3 >= RENEW_DEADLINE,
            "{held:?}"
        );
        assert_eq!(leader.task.await.unwrap(), Err(Loss::Deadline));
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_bridged() {
    let server = Server::default();
    let leader = server.start("a");
    led(&leader).await;
    for silent in [false, true] {
        server.set(|state| {
            if silent {
                state.silent = true;
            } else {
                state.broken = true;
            }
        });
        sleep(SECOND * 4).await;
        server.set(|state| (state.silent, state.broken) = (false, false));
        for _ in 0..300 {
            sleep(SECOND / 10).await;
            assert!(leader.leadership.is_held(), "silent: {silent}");
        }
    }
    assert_eq!(server.record("leaseTransitions"), json!(0));
    leader.stop().await.unwrap();
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_another_holder_stops_and_leaves_the_lease_alone() {
    let server = Server::default();
    let leader = server.start("a");
    led(&leader).await;
    sleep(SECOND * 5).await;
    server.set(|state| {
        state.lease = Some(json!({"metadata": {"name": "warmfront", "resourceVersion": "900"}, "spec": {"holderIdentity": "b", "leaseDurationSeconds": 15}}));
    });
    let leadership = leader.leadership.clone();
    assert_eq!(leader.task.await.unwrap(), Err(Loss::Taken("b".to_owned())));
    assert!(!leadership.is_held());
    assert_eq!(server.holder(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_that_wakes_writes_nothing() {
    let server = Server::default();
    let leader = server.start("a");
    led(&leader).await;
    sleep(SECOND * 5).await;
    // Time passes and nothing of this process runs.
    tokio::time::advance(SECOND * 30).await;
    assert!(!leader.leadership.is_held(), "before its own task has run");
    let before = server.0.lock().unwrap().requests.len();
    assert_eq!(leader.task.await.unwrap(), Err(Loss::Deadline));
    assert_eq!(server.0.lock().unwrap().requests.len(), before);
}
