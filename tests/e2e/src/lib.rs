//! Drives the real test cluster: one namespace per scenario with the example app, load, and a rollout.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the fence is the engine's"
)]

pub mod ask;
pub mod births;
pub mod controllers;
pub mod hooks;
pub mod load;
pub mod parts;
pub mod record;
pub mod refusal;
pub mod shop;
pub mod store;
pub mod tools;

use std::time::Duration;

use anyhow::Context as _;
use kube::{
    Api,
    api::DynamicObject,
    runtime::wait::{Condition, await_condition},
};

pub use ask::version;
pub use births::Births;
pub use controllers::Controllers;
pub use hooks::Hooks;
pub use load::Load;
pub use parts::{Frozen, Partition};
pub use record::{Record, canary_percent};
pub use refusal::Refusal;
pub use shop::{Shop, condition};
pub use store::Store;

/// Longest wait for anything; many times what it takes.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until an object is as wanted; fails with what it was last.
pub async fn until(
    api: &Api<DynamicObject>,
    name: &str,
    what: &str,
    within: Duration,
    wanted: impl Condition<DynamicObject>,
) -> anyhow::Result<Option<DynamicObject>> {
    if let Ok(found) = tokio::time::timeout(within, await_condition(api.clone(), name, wanted)).await {
        return found.with_context(|| format!("watching {name} until {what}"));
    }
    let last = api
        .get_opt(name)
        .await?
        .map(|object| object.data.to_string())
        .unwrap_or_default();
    anyhow::bail!("{what} did not come within {within:?}; {name} is {last}")
}
