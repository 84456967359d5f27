//! Warmfront releases cached services on Kubernetes in steps, judged by real metrics.
//!
//! One pass of the controller over one rollout:
//!
//! 1. [`controller`] reads the watched objects into [`engine::contract::observed::Observed`] (no requests);
//! 2. [`engine::needs`] says what else must be looked at: a tick of metrics, why pods are late;
//! 3. the shell asks the [`provider`] and the API server for it;
//! 4. [`engine::settle`] turns all that into a new status and a list of actions;
//! 5. the status is stored, guarded by its resourceVersion; only then
//! 6. the actions are carried out, each guarded by the version of the object that was seen, and
//! 7. Events are told.
//!
//! [`api`] is what users write and read, [`workload`] and [`router`] turn wishes into patches of
//! Deployments, ReplicaSets, Services and routes, [`runtime`] starts and stops the process, [`simulate`] shows a release in a
//! world without a cluster, [`backtest`] one in the past of a Prometheus, [`cli`] is the plugin `kubectl canary`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "only the engine is fenced"
)]
#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may panic"))]

pub mod api;
pub mod backtest;
pub mod cli;
pub mod controller;
pub mod engine;
pub mod fair;
pub mod kubernetes;
pub mod log;
pub mod look;
pub mod provider;
pub mod router;
pub mod runtime;
pub mod simulate;
pub mod webhook;
pub mod workload;
