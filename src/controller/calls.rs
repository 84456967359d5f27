//! Calls to other systems that are under way: they run beside the passes, and an answer asks for the next one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt, api::DynamicObject};
use tokio::task::JoinSet;

use super::{named::rollout_ref, watches::Requests};
use crate::{
    api::plan::Address,
    engine::contract::call::{Call, Reply},
    webhook::{Post, Webhooks},
};

/// Attempts under way or answered, by key.
type Attempts = HashMap<String, Attempt>;

struct Attempt {
    number: i32,
    answer: Option<Result<u16, String>>,
}

/// Calls of all rollouts. Losing them costs nothing: the status tells what is to be asked.
pub struct Calls {
    webhooks: Arc<dyn Webhooks>,
    requests: Requests,
    /// By UID of the rollout.
    attempts: Arc<Mutex<HashMap<String, Attempts>>>,
    /// Ended with this process's part in them.
    tasks: Mutex<JoinSet<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A half-written entry is as good as a lost one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    /// None is under way; `requests` takes rollouts that are to be looked at.
    pub fn new(webhooks: Arc<dyn Webhooks>, requests: Requests) -> Self {
        Self {
            webhooks,
            requests,
            attempts: Arc::default(),
            tasks: Mutex::default(),
        }
    }

    /// Why an address may not be talked to, if so.
    pub fn refusal(&self, namespace: &str, url: &str) -> Option<String> {
        self.webhooks.refusal(namespace, url)
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

    /// Begins those that are not under way yet. The status that asks for them must have been stored: answers
    /// that it asks for no more are dropped.
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
        let namespace = rollout.namespace().unwrap_or_default();
        let rollout = rollout_ref(rollout.namespace(), rollout.name_any());
        let mut tasks = lock(&self.tasks);
        // Those that have ended are of no interest.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let answer = match url(&client, &namespace, &call.address).await {
                Ok(url) => {
                    webhooks
                        .post(Post {
                            namespace,
                            url,
                            timeout: call.timeout,
                            key: call.key.clone(),
                            body: call.body,
                        })
                        .await
                }
                Err(why) => Err(why),
            };
            let mut all = lock(&attempts);
            let attempt = all.get_mut(&uid).and_then(|attempts| attempts.get_mut(&call.key));
            if let Some(attempt) = attempt.filter(|attempt| attempt.number == call.attempt) {
                attempt.answer = Some(answer);
                // The receiver is gone only when the process stops.
                let _ = requests.send(rollout);
            }
        });
    }

    /// The rollout is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.attempts).remove(uid);
    }
}

/// The address, read where it stands.
async fn url(client: &Client, namespace: &str, address: &Address) -> Result<String, String> {
    let secret = match address {
        Address::Url(url) => return Ok(url.clone()),
        Address::Secret(secret) => secret,
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = match api.get(&secret.name).await {
        Ok(found) => found,
        Err(kube::Error::Api(status)) if status.is_not_found() => {
            return Err(format!("Secret {} does not exist", secret.name));
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            return Err(format!(
                "the controller may not read Secret {}: set webhooks.readSecrets in the chart's values",
                secret.name
            ));
        }
        Err(error) => return Err(format!("Secret {} could not be read: {error}", secret.name)),
    };
    let value = found
        .data
        .unwrap_or_default()
        .remove(&secret.key)
        .ok_or_else(|| format!("Secret {} has no key {}", secret.name, secret.key))?;
    String::from_utf8(value.0)
        .map(|url| url.trim().to_owned())
        .map_err(|_| format!("key {} of Secret {} is not text", secret.key, secret.name))
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;
    use crate::api::{Duration, webhook::SecretKey};

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
            timeout: Duration::from_secs(1),
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
}
