//! What follows from a status: changes of the world, words for people, the next alarm.

pub mod changes;
mod leaving;
mod message;
pub mod release;
pub mod report;
pub mod wake;
