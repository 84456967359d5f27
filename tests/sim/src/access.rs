//! One process's access to the API server: its calls are counted, and may fail or never be answered.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use tokio::sync::{Notify, watch};

use crate::apiserver::{
    Shared,
    answer::answer,
    lock,
    refusal::Refusal,
    request::{Asked, Request as Wanted, Verb, kinds},
    watch::follow,
};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the call reaches the API server.
    DiesBefore,
    /// The process dies after the call was carried out, before the answer.
    DiesAfter,
    /// The call is answered with this code and not carried out.
    Refused(u16),
    /// The call is carried out, but the answer is an error.
    AnswerLost,
    /// The call is not carried out, and answered only after a minute, with an error.
    Hangs,
    /// All watches of the process break off at this call.
    WatchesBreak,
    /// All watches break off, and cannot be taken up where they ended.
    WatchesExpire,
    /// From this call on, for some seconds, the watches lag.
    WatchesLag,
}

/// Time that a request or an answer takes.
const WAY: Duration = Duration::from_millis(1);
/// No release needs so many calls; whoever makes more runs in a circle.
const MOST_CALLS: usize = 5_000;
/// Longest time of either in milliseconds, where they are random.
const LONGEST_WAY: u64 = 60;
/// For how long a request hangs.
const PATIENCE: Duration = Duration::from_secs(70);
/// How far watches lag where they do.
const LAG: Duration = Duration::from_secs(3);
/// For how many calls watches lag.
const LAGGING_CALLS: u64 = 12;

/// One process, from its start to its end.
pub struct Life {
    faults: Mutex<BTreeMap<u64, Fault>>,
    calls: Mutex<Vec<String>>,
    dead: AtomicBool,
    died: Notify,
    drops: watch::Sender<u64>,
    lag: AtomicU64,
    lag_until_call: AtomicU64,
    /// Time of the last call besides watches and lists.
    quiet_since: Mutex<Option<tokio::time::Instant>>,
}

impl Life {
    /// One with the given faults, by the number of the call, from 0.
    pub fn new(faults: BTreeMap<u64, Fault>) -> Arc<Self> {
        Arc::new(Self {
            faults: Mutex::new(faults),
            calls: Mutex::default(),
            dead: AtomicBool::new(false),
            died: Notify::new(),
            drops: watch::channel(0).0,
            lag: AtomicU64::new(0),
            lag_until_call: AtomicU64::new(u64::MAX),
            quiet_since: Mutex::default(),
        })
    }

    /// The next call goes wrong.
    pub fn fail_next(&self, fault: Fault) {
        let next = u64::try_from(self.calls().len()).unwrap_or(u64::MAX);
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(next, fault);
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of the calls so far.
    pub fn count(&self) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Time of the last call that was no watch.
    pub fn last_call(&self) -> Option<tokio::time::Instant> {
        *self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        while !self.is_dead() {
            self.died.notified().await;
        }
    }

    /// How often its watches were broken off.
    pub fn drops(&self) -> u64 {
        *self.drops.borrow()
    }

    /// Tells when they are.
    pub fn dropped(&self) -> watch::Receiver<u64> {
        self.drops.subscribe()
    }

    /// Breaks off all watches.
    pub fn drop_watches(&self) {
        self.drops.send_modify(|drops| *drops += 1);
    }

    /// How far watches lag now.
    pub fn lag(&self) -> Duration {
        Duration::from_millis(self.lag.load(Ordering::SeqCst))
    }

    fn note(&self, wanted: &Wanted) -> Option<Fault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u64::try_from(calls.len()).unwrap_or(u64::MAX);
        calls.push(wanted.text());
        if !wanted.watches() {
            *self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::time::Instant::now());
        }
        if number >= self.lag_until_call.load(Ordering::SeqCst) {
            self.lag.store(0, Ordering::SeqCst);
        }
        let fault = self
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
        if fault == Some(Fault::WatchesLag) {
            self.lag
                .store(u64::try_from(LAG.as_millis()).unwrap_or_default(), Ordering::SeqCst);
            self.lag_until_call.store(number + LAGGING_CALLS, Ordering::SeqCst);
        }
        fault
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The way of one process to the API server.
#[derive(Clone)]
pub struct Access {
    /// The cluster.
    pub cluster: Shared,
    /// The process.
    pub life: Arc<Life>,
}

impl Access {
    /// A client of the real library over it.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    async fn serve(self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        if self.life.is_dead() {
            return std::future::pending().await;
        }
        let wanted = match Wanted::read(&head) {
            Ok(wanted) => wanted,
            Err(refusal) => {
                lock(&self.cluster).complaints.push(refusal.message.clone());
                return refused(&refusal);
            }
        };
        if self.life.count() > MOST_CALLS {
            let last = self.life.calls().split_off(MOST_CALLS - 8);
            lock(&self.cluster).complaints.push(format!(
                "the controller made {MOST_CALLS} calls, the last of them {}",
                last.join(", ")
            ));
            return std::future::pending().await;
        }
        let fault = self.life.note(&wanted);
        match fault {
            Some(Fault::DiesBefore) => {
                self.life.kill();
                return std::future::pending().await;
            }
            Some(Fault::Hangs) => {
                // The API server itself gives up on a request after a while.
                tokio::time::sleep(PATIENCE).await;
                return refused(&Refusal::trouble(504));
            }
            Some(Fault::WatchesBreak) => self.life.drop_watches(),
            Some(Fault::WatchesExpire) => {
                lock(&self.cluster).store.compact();
                self.life.drop_watches();
            }
            _ => {}
        }
        tokio::time::sleep(self.way()).await;
        // Whoever died on the way is heard of no more.
        if self.life.is_dead() {
            return std::future::pending().await;
        }
        if let Some(Fault::Refused(code)) = fault {
            tokio::time::sleep(self.way()).await;
            return refused(&Refusal::trouble(code));
        }
        if let Some((refusal, after)) = self.refusal(&wanted, &body) {
            tokio::time::sleep(after + self.way()).await;
            return refused(&refusal);
        }
        let answer = match &wanted {
            Wanted::Kinds(group, version) => kinds(&lock(&self.cluster).store, group, version)
                .map_or_else(|refusal| refused(&refusal), |list| reply(200, &list)),
            Wanted::Objects(asked) => self.carry_out(asked, &body),
        };
        match fault {
            Some(Fault::DiesAfter) => {
                self.life.kill();
                return std::future::pending().await;
            }
            Some(Fault::AnswerLost) => return refused(&Refusal::trouble(504)),
            _ => {}
        }
        tokio::time::sleep(self.way()).await;
        if self.life.is_dead() {
            return std::future::pending().await;
        }
        answer
    }

    fn way(&self) -> Duration {
        lock(&self.cluster)
            .ways
            .as_mut()
            .map_or(WAY, |ways| Duration::from_millis(ways.u64(1..=LONGEST_WAY)))
    }

    /// What the API server refuses at this time, whoever asks, and how long its answer takes.
    fn refusal(&self, wanted: &Wanted, body: &[u8]) -> Option<(Refusal, Duration)> {
        let Wanted::Objects(asked) = wanted else { return None };
        let now = tokio::time::Instant::now();
        let cluster = lock(&self.cluster);
        cluster
            .refused
            .iter()
            .find_map(|refused| refused.refuses(asked, body, now))
    }

    fn carry_out(&self, asked: &Asked, body: &[u8]) -> Answer {
        if lock(&self.cluster).store.lacks(asked.kind) {
            return refused(&Refusal::not_found(&format!(
                "the server could not find the requested resource {}",
                asked.kind.traits().plural
            )));
        }
        if asked.verb == Verb::Watch {
            let version = asked
                .query
                .get("resourceVersion")
                .and_then(|version| version.parse().ok())
                .unwrap_or_default();
            let stream = follow(self.cluster.clone(), self.life.clone(), asked, version);
            return Response::new(StreamBody::new(stream).boxed_unsync());
        }
        match answer(&mut lock(&self.cluster).store, asked, body) {
            Ok(object) => reply(200, &object),
            Err(refusal) => refused(&refusal),
        }
    }
}

fn refused(refusal: &Refusal) -> Answer {
    reply(refusal.code, &refusal.body())
}

fn reply(code: u16, body: &serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

impl tower::Service<Request<Body>> for Access {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let access = self.clone();
        Box::pin(async move { Ok(access.serve(request).await) })
    }
}
