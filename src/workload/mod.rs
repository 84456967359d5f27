//! What is released: a Deployment with its ReplicaSets, Services and autoscalers, read and changed as plain JSON.
//!
//! Templates stay opaque: a typed copy would drop fields that this build does not know. Pure; the
//! controller's shell reads and writes.

pub mod autoscaler;
pub mod canary_service;
pub mod deployment;
pub mod endpoint_slice;
mod marks;
pub mod replica_set;
pub mod service;
pub mod template;
