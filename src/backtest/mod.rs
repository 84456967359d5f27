//! What Warmfront would have done in the past: the real engine and the real judge, an obedient cluster, and what a Prometheus has kept.
//!
//! [`file`] reads what is released, [`sides`] says whose series are the two versions; [`read`] asks for them, a few long stretches of
//! time one after the other, and leaves a [`past`] in memory: counts of each scrape, read as the controller reads them. [`replay`]
//! answers the engine's questions from it, and [`run`] lets releases go through. [`report`] sums them up, [`text`] and [`table`]
//! print them.

pub mod command;
pub mod file;
pub mod past;
pub mod read;
pub mod replay;
pub mod report;
pub mod run;
pub mod sides;
pub mod table;
pub mod text;
pub mod times;

#[cfg(test)]
mod tests;
