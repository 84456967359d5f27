//! One file a phase: what moves a release on, and what people and other hands make of it.

pub mod interrupts;
pub mod plan_edit;
pub mod preparing;
pub mod promoting;
pub mod queue;
pub mod requests;
pub mod rest;
pub mod rolling_back;
pub mod shifting;
