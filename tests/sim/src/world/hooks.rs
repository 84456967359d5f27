//! Other systems that are asked and told over HTTP, reached through the product's own interface.

use std::time::Duration;

use futures::future::BoxFuture;
use warmfront::webhook::{Post, Webhooks, address::Policy};

use super::settings::{Hook, Silence};
use crate::apiserver::{Shared, lock};

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
    fn refusal(&self, namespace: &str, url: &str) -> Option<String> {
        Policy::default().check(namespace, url).err()
    }

    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, String>> {
        let cluster = self.0.clone();
        Box::pin(async move {
            let url = Policy::default().check(&post.namespace, &post.url)?;
            let host = url
                .host_str()
                .and_then(|host| host.split('.').next())
                .unwrap_or_default()
                .to_owned();
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
                    Err(format!("no whole answer within {}", post.timeout))
                }
                None => Err("cannot be reached".to_owned()),
            }
        })
    }
}
