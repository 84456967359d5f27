//! Requests to other systems, at addresses that tenants write: which are allowed, and how they are sent.

use std::net::SocketAddr;

use futures::future::BoxFuture;
use reqwest::Url;
use serde_json::Value;

use crate::api::Duration;
use address::{Policy, Trust};
use failure::Failure;

pub mod address;
pub mod failure;
mod ranges;
pub mod service;
pub mod shell;
mod signature;

/// Sends webhooks.
pub trait Webhooks: Send + Sync {
    /// Sends one. Returns the HTTP status of the answer, or why there is none.
    fn post(&self, post: Post) -> BoxFuture<'static, Result<u16, Failure>>;
}

/// One POST with a JSON body.
#[derive(Clone)]
pub struct Post {
    /// Namespace of the rollout that asks for it.
    pub namespace: String,
    /// What is asked for.
    pub url: Url,
    /// Who is connected to.
    pub to: To,
    /// The whole answer must be there within this time.
    pub timeout: Duration,
    /// The same for every attempt. It is sent as header `Idempotency-Key`.
    pub key: String,
    /// What is sent.
    pub body: Value,
    /// With what it is signed, if it is.
    pub signing_key: Option<Vec<u8>>,
    /// Certificates of authorities, as PEM, if they are not those that everybody trusts.
    pub authorities: Option<Vec<u8>>,
}

/// Who is connected to.
#[derive(Clone, Debug)]
pub enum To {
    /// One of these, which have been looked at; DNS is not asked.
    Addresses(Vec<SocketAddr>),
    /// Where DNS leads, as far as this policy lets it.
    Name(Policy, Trust),
}
