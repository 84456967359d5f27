//! The real controller on a fake Kubernetes in one process, in simulated time, under every failure.
//!
//! [`apiserver`] keeps objects, [`world`] behaves as Kubernetes, a gateway and users do, [`process`]
//! runs the real controller against it, [`scenario`] tells what happens, [`witness`] sees what must
//! never be, and [`sweep`] plays a scenario again for each thing that can go wrong.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the fence is the engine's"
)]
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "the whole crate is a test"
)]

pub mod access;
pub mod apiserver;
pub mod conformance;
pub mod outcome;
pub mod process;
pub mod scenario;
pub mod sweep;
pub mod witness;
pub mod world;
