//! A release in a simulated world: the real engine and the real judge, traffic, caches and a database that are made up, and no cluster.
//!
//! [`file`] reads what is released and where, [`told`] turns it into the parameters of a [`world`]; [`cluster`] does what Kubernetes and
//! a gateway do, [`store`] answers as a metrics store from the [`series`] that the world has left; [`going`] lets the engine run
//! until the release has ended, and [`release`] does so in such a world. [`report`] sums it up; [`picture`], [`svg`] and [`table`] print it,
//! [`expected`] tells whether it ended as it should.

pub mod cluster;
pub mod command;
pub mod expected;
pub mod file;
pub mod going;
pub mod people;
pub mod picture;
pub mod release;
pub mod report;
pub mod series;
pub mod spec;
pub mod store;
pub mod svg;
pub mod table;
pub mod told;
pub mod world;

#[cfg(test)]
mod tests;
