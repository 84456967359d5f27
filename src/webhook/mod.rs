//! Requests to other systems, at addresses that tenants write: which are allowed, and how they are sent.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::api::Duration;

pub mod address;
pub mod shell;

/// Checks and sends webhooks.
pub trait Webhooks: Send + Sync {
    /// Why a rollout of this namespace may not name this address; `None` if it may.
    fn refusal(&self, namespace: &str, url: &str) -> Option<String>;
    /// Sends one. Returns the HTTP status of the answer, or in a few words why there is none.
    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, String>>;
}

/// One POST with a JSON body.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// Namespace of the rollout that asks for it.
    pub namespace: String,
    /// Where to.
    pub url: String,
    /// The whole answer must be there within this time.
    pub timeout: Duration,
    /// The same for every attempt. It is sent as header `Idempotency-Key`.
    pub key: String,
    /// What is sent.
    pub body: Value,
}
