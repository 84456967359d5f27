//! Calls to other systems that are under way: they run beside the passes, and an answer asks for the next one.

mod prepare;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::{Client, ResourceExt, api::DynamicObject};
use tokio::{task::JoinSet, time::Instant};
use tracing::Instrument;

use super::{
    context::lock,
    named::rollout_ref,
    panics::{self, Work},
    watches::Requests,
};
use crate::{
    api::{self, plan::Address},
    engine::contract::call::{Call, Reply},
    fair::Permits,
    log::outage::Outages,
    webhook::{
        Webhooks,
        address::{self, Policy},
        failure::Failure,
    },
};

/// Calls under way at once, …
const CALLS: usize = 256;
/// … and of one namespace.
const CALLS_OF_ONE: usize = 32;

/// Attempts under way or answered, by key.
type Attempts = HashMap<String, Attempt>;

struct Attempt {
    number: i32,
    answer: Option<Result<u16, String>>,
}

/// What the platform's owner says of all calls.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which addresses they may have.
    pub policy: Policy,
    /// No call takes longer, whatever its rollout says.
    pub longest: api::Duration,
}

/// Longest call where the platform's owner says nothing.
pub const LONGEST_CALL: api::Duration = api::Duration::from_secs(60);

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            longest: LONGEST_CALL,
        }
    }
}

/// Calls of all rollouts. Losing them costs nothing: the status tells what is to be asked.
pub struct Calls {
    webhooks: Arc<dyn Webhooks>,
    rules: Arc<Rules>,
    permits: Arc<Permits>,
    requests: Requests,
    /// By UID of the rollout.
    attempts: Arc<Mutex<HashMap<String, Attempts>>>,
    /// The requests that are under way. Dropping this ends them.
    tasks: Mutex<JoinSet<()>>,
    /// Those that fail, by UID of the rollout and address, for the log.
    failing: Arc<Mutex<Outages>>,
}

impl Calls {
    /// None is under way; `requests` takes rollouts that are to be looked at.
    pub fn new(webhooks: Arc<dyn Webhooks>, rules: Rules, requests: Requests) -> Self {
        Self {
            webhooks,
            rules: Arc::new(rules),
            permits: Arc::new(Permits::new(CALLS, CALLS_OF_ONE)),
            requests,
            attempts: Arc::default(),
            tasks: Mutex::default(),
            failing: Arc::new(Mutex::new(Outages::new(Duration::ZERO))),
        }
    }

    /// Why an address may not be talked to, if so.
    pub fn refusal(&self, namespace: &str, url: &str) -> Option<String> {
        self.rules.policy.destination(namespace, url).err().map(Failure::full)
    }

    /// What has been answered for this rollout.
    pub fn replies(&self, uid: &str) -> BTreeMap<String, Reply> {
        let attempts = lock(&self.attempts);
        let answered = attempts.get(uid).into_iter().flatten();
        answered
            .filter_map(|(key, attempt)| {
                Some((
                    key.clone(),
                    Reply {
                        attempt: attempt.number,
                        answer: attempt.answer.clone()?,
                    },
                ))
            })
            .collect()
    }

    /// Begins the calls that are not under way yet, and drops the answers for which the status waits no longer. The status must
    /// have been stored before.
    pub fn begin(&self, client: &Client, rollout: &DynamicObject, calls: &[Call]) {
        let uid = rollout.uid().unwrap_or_default();
        let mut all = lock(&self.attempts);
        if calls.is_empty() && !all.contains_key(&uid) {
            return;
        }
        let attempts = all.entry(uid.clone()).or_default();
        let wanted = |key: &String, number: i32| calls.iter().any(|call| call.key == *key && call.attempt == number);
        attempts.retain(|key, attempt| attempt.answer.is_none() || wanted(key, attempt.number));
        for call in calls {
            if attempts
                .get(&call.key)
                .is_some_and(|attempt| attempt.number == call.attempt)
            {
                continue;
            }
            attempts.insert(
                call.key.clone(),
                Attempt {
                    number: call.attempt,
                    answer: None,
                },
            );
            self.spawn(client.clone(), rollout, uid.clone(), call.clone());
        }
        if attempts.is_empty() {
            all.remove(&uid);
        }
    }

    fn spawn(&self, client: Client, rollout: &DynamicObject, uid: String, call: Call) {
        let (webhooks, attempts, requests) = (self.webhooks.clone(), self.attempts.clone(), self.requests.clone());
        let failing = self.failing.clone();
        let namespace = rollout.namespace().unwrap_or_default();
        let rollout = rollout_ref(rollout.namespace(), rollout.name_any());
        let mut tasks = lock(&self.tasks);
        // Those that have ended are taken out, or the set would grow.
        while tasks.try_join_next().is_some() {}
        let (rules, permits) = (self.rules.clone(), self.permits.clone());
        let task = async move {
            let sent = async {
                let _permit = permits.acquire(&namespace).await;
                send(&client, &*webhooks, &rules, &namespace, &call).await
            };
            let answer = panics::caught(Work::Call, sent).await.unwrap_or_else(|panicked| {
                let backtrace = &panicked.backtrace;
                tracing::error!(error = %panicked, backtrace, "a call panicked: this is a fault of Warmfront, please report it");
                Err("a fault of Warmfront kept it from being sent".to_owned())
            });
            log(&failing, &uid, &call, &answer);
            let mut all = lock(&attempts);
            let attempt = all.get_mut(&uid).and_then(|attempts| attempts.get_mut(&call.key));
            if let Some(attempt) = attempt.filter(|attempt| attempt.number == call.attempt) {
                attempt.answer = Some(answer);
                // The receiver is gone only when the process stops.
                let _ = requests.send(rollout);
            }
        };
        // What is logged of the call is about the rollout whose pass begins it.
        tasks.spawn(task.in_current_span());
    }

    /// All other rollouts are gone.
    pub fn keep_only(&self, uids: &HashSet<String>) {
        lock(&self.attempts).retain(|uid, _| uids.contains(uid));
        lock(&self.failing).keep_only(uids);
    }

    /// The rollout is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.attempts).remove(uid);
        lock(&self.failing).forget(uid);
    }
}

/// Sends one. What is told of a failure has nothing of an address that is kept in a Secret.
async fn send(
    client: &Client,
    webhooks: &dyn Webhooks,
    rules: &Rules,
    namespace: &str,
    call: &Call,
) -> Result<u16, String> {
    let prepared = prepare::prepare(client, rules, namespace, call);
    let prepared = tokio::time::timeout(rules.longest.into(), prepared).await;
    let prepared = prepared.unwrap_or_else(|_| {
        Err(Failure::new(
            "the API server did not tell in time where the call is to go",
        ))
    });
    let answer = match prepared {
        Ok(post) => webhooks.post(post).await,
        Err(failure) => Err(failure),
    };
    answer.map_err(|failure| match &call.webhook.address {
        Address::Url(_) => failure.full(),
        Address::Secret(_) => failure.hidden().to_owned(),
    })
}

/// Logs when a webhook begins to fail and when it works again.
fn log(failing: &Mutex<Outages>, uid: &str, call: &Call, answer: &Result<u16, String>) {
    let (known, shown) = match &call.webhook.address {
        Address::Url(url) => (url.clone(), address::host(url)),
        Address::Secret(secret) => {
            let secret = format!("{} of Secret {}", secret.key, secret.name);
            (secret.clone(), secret)
        }
    };
    let key = format!("{uid} {known}");
    let now = Instant::now();
    let kind = call.body["kind"].as_str().unwrap_or_default();
    match failure(kind, answer) {
        Some(error) => {
            if lock(failing).failed(&key, now) {
                tracing::warn!(
                    kind,
                    webhook = shown,
                    error,
                    "a webhook fails; it is tried again until its deadline"
                );
            }
        }
        None => {
            if let Some(past) = lock(failing).worked(&key, now) {
                let lasted_ms = past.lasted_ms();
                tracing::info!(
                    kind,
                    webhook = shown,
                    lasted_ms,
                    tries = past.tries,
                    "the webhook works again"
                );
            }
        }
    }
}

/// In which way a webhook failed, if it did. A gate that says no has worked.
fn failure(kind: &str, answer: &Result<u16, String>) -> Option<String> {
    match answer {
        Err(why) => Some(why.clone()),
        Ok(200..=299) => None,
        Ok(code @ 400..=499) if kind == "Gate" && !matches!(code, 408 | 425 | 429) => None,
        Ok(code) => Some(format!("HTTP {code}")),
    }
}

#[cfg(test)]
mod tests;
