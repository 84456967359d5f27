//! The engine's judge in a simulated world: traffic, caches, a database and faults, thousands of releases in seconds.
//!
//! [`params`] says what happens, [`world`] tells the counts of a tick of the world that `warmfront simulate` has too
//! ([`cache`] and [`curve`] what a cache hits, [`chance`] what is drawn), [`drive`] lets a [`rule::Rule`] release a version in it: the engine's own judge
//! ([`engine`]) or what others do ([`others`]). [`measure`] adds up many runs, [`table`] holds them to what is required,
//! [`services`] draws services at random, [`trace`] shows one release, [`cost`] measures what one evaluation costs.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts of a simulation are far below 2^52 and not negative"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the fence is the engine's"
)]

pub mod cost;
pub mod drive;
pub mod engine;
pub mod measure;
pub mod others;
pub mod params;
pub mod rule;
pub mod services;
pub mod table;
pub mod trace;
pub mod world;

pub use warmfront::simulate::world::{cache, chance, curve};
