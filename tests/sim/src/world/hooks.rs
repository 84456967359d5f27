//! Other systems that are asked and told over HTTP, reached through the product's own interface.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use warmfront::webhook::{Post, Webhooks, failure::Failure};

use super::settings::{Hook, Silence};
use crate::apiserver::{Shared, lock};

/// The Service of another system of this name.
pub fn service(name: &str) -> Value {
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    json!({"metadata": {"name": name}, "spec": {"selector": {"app": name}, "clusterIP": "10.96.0.50", "ports": ports}})
}

/// One request that reached another system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Which system.
    pub host: String,
    /// The idempotency key.
    pub key: String,
    /// What it was about: the occasion of a notification, or what a gate stands before.
    pub about: String,
}

/// The other systems.
pub struct Hooks(pub Shared);

impl Webhooks for Hooks {
    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, Failure>> {
        let cluster = self.0.clone();
        Box::pin(async move {
            let host = post.url.host_str().and_then(|host| host.split('.').next());
            let host = host.unwrap_or_default().to_owned();
            tokio::time::sleep(Duration::from_millis(2)).await;
            let hook = {
                let mut cluster = lock(&cluster);
                let about = post.body["event"]
                    .as_str()
                    .or(post.body["before"].as_str())
                    .unwrap_or_default()
                    .to_owned();
                let called = Called {
                    host: host.clone(),
                    key: post.key,
                    about,
                };
                cluster.called.push(called);
                cluster.settings.hooks.get(&host).copied()
            };
            match hook {
                Some(Hook::Answers(status)) => Ok(status),
                Some(Hook::Does(Silence::Hangs)) => {
                    tokio::time::sleep(post.timeout.into()).await;
                    let why = format!("no whole answer within {}", post.timeout);
                    Err(Failure::in_full("no whole answer in time", why))
                }
                None => Err(Failure::new("cannot be reached")),
            }
        })
    }
}
