//! Acceptance scenarios on the real cluster, named by their numbers; `make test` runs them.
//!
//! All times are shortened together: a tick is 2 s, a deadline tens of seconds.

#![allow(clippy::disallowed_methods, reason = "the fence is the engine's")]

mod actions;
mod admission;
mod conformance;
mod gates;
mod hold;
mod idle;
mod judged;
mod keda;
mod leaving;
mod metrics;
mod outages;
mod owner;
mod pair;
mod pipelines;
mod pods;
mod poisoned;
mod refused;
mod release;
mod replies;
mod requests;
mod rest;
mod room;
mod route;
mod routes;
mod running;
mod services;
mod sharing;
mod start;
mod status;
mod uninstall;
mod upgrade;

use serde_json::{Value, json};
use warmfront::api::{CanaryRolloutStatus, status::Phase};
use warmfront_e2e::condition;

/// Requests a second where a scenario needs evidence: 50 of them at 25% take two seconds.
const RATE: u32 = 100;

/// One step that does not end by itself, and the last one.
fn stays_at(weight: i32) -> Value {
    json!({"steps": [{"weight": weight, "hold": "1h"}, {"weight": 100}]})
}

/// The route's rules, its only backend being the app.
fn plain() -> Value {
    json!([{"backendRefs": [{"name": "catalog", "port": 80}]}])
}

fn is(status: &CanaryRolloutStatus, kind: &str, value: &str, reason: &str) {
    assert_eq!(condition(status, kind), (value, reason), "{kind} of {status:?}");
}

/// Outcome and reason of the newest run that ended.
fn last_ended(status: &CanaryRolloutStatus) -> (String, String) {
    status
        .history
        .first()
        .map(|entry| (entry.outcome.to_string(), entry.reason.to_string()))
        .unwrap_or_default()
}

fn at_rest(status: &CanaryRolloutStatus) -> bool {
    matches!(status.phase, Phase::Idle | Phase::Succeeded | Phase::RolledBack)
}
