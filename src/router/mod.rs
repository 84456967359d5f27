//! Traffic layers: a router is a lens over a few cluster objects that reads and plans weights.
//!
//! Pure: no client, no clock. What is planned here is written by the controller's shell.

use serde_json::Value;

use crate::api::{Percent, status::RouteOriginal};

pub mod gateway_api;

/// The two Services between which a route splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The user's Service.
    pub stable: String,
    /// The Service of the new version.
    pub canary: String,
}

/// What a route should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing of ours: the canary's entry is gone, all weights as found.
    Absent,
    /// The canary gets nothing: its entry, if it stands, has weight 0.
    Drained,
    /// The canary's entry with this share of what both Services get; 0% is an entry with weight 0.
    Weight(Percent),
}

/// What a route says now, about our two Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteState {
    /// The canary's share of what both Services get, rounded up to a hundredth of a percent; `None` if its entry is absent.
    pub canary: Option<Percent>,
    /// The two entries' weights, the stable one first, where both stand.
    pub parts: Option<(i64, i64)>,
    /// Port of the stable Service's entry.
    pub port: Option<u16>,
    /// Weights as they stand, for putting back. Meaningful while the canary's entry is absent.
    pub weights: RouteOriginal,
}

impl RouteState {
    /// Whether the canary has the share `weight`, as exactly as whole numbers beside other backends can say it.
    pub fn carries(&self, weight: Percent) -> bool {
        match self.parts {
            None => weight == Percent::ZERO,
            Some((stable, canary)) => {
                let total = i128::from(stable.max(0)) + i128::from(canary.max(0));
                total > 0 && total * i128::from(weight.hundredths()) / 10_000 == i128::from(canary)
            }
        }
    }
}

/// A change of one object: JSON Patch operations, without the test of resourceVersion, which the shell adds.
pub type Patch = Vec<Value>;

/// Why a route cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No rule has the Service as a backend.
    #[error("no rule of {route} has Service {service} as a backend: add it, or name another route in spec.traffic")]
    NoRule {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// The stable Service.
        service: String,
    },
    /// Several rules have it.
    #[error("rules {rules} of {route} all have Service {service} as a backend: keep it in one rule")]
    AmbiguousRule {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// The stable Service.
        service: String,
        /// Names or numbers (from 1) of the rules.
        rules: String,
    },
    /// The object is not shaped as its schema says.
    #[error("{route} cannot be read: {reason}")]
    Malformed {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// What is wrong.
        reason: String,
    },
}

/// Whether the data plane reports that it serves the route as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Every parent has accepted this generation.
    Accepted,
    /// Not yet; the text says who has not and what it reports, such as `Gateway gateway/edge: no status for generation 12 (at 11)`.
    Waiting(String),
    /// No parent ever reports a generation: the controller has to wait instead.
    Unknown,
}
