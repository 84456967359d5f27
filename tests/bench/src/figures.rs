//! What was measured, as it is kept between measuring and reporting.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How many rollouts, and whether they release anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rollouts.
    pub rollouts: usize,
    /// They are only watched at rest.
    pub idle_only: bool,
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, idle_only) = text
            .strip_suffix("-idle")
            .map_or((text, false), |number| (number, true));
        let rollouts = number.parse().ok().filter(|rollouts| *rollouts > 0);
        rollouts
            .map(|rollouts| Self { rollouts, idle_only })
            .ok_or_else(|| format!("`{text}` is not a size: write a number such as 200, or 5000-idle"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.rollouts, if self.idle_only { "-idle" } else { "" })
    }
}

/// All figures of one size.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// With all rollouts at rest.
    pub idle: Option<Load>,
    /// MiB that the peak of resident memory rose by while others made large objects.
    pub hostile: Option<f64>,
    /// With all rollouts held at a weight and judged every 10 s.
    pub active: Option<Load>,
    /// Seconds from a flipped metric to weight 0, interval 10 s.
    pub flips: Vec<f64>,
    /// The same with the fastest settings: interval 1 s, no settling.
    pub fast_flips: Vec<f64>,
    /// As `flips`, beside a namespace that asks slow queries over and over.
    #[serde(default)]
    pub hostile_flips: Vec<f64>,
    /// What the controller takes meanwhile.
    #[serde(default)]
    pub hostile_load: Option<Load>,
    /// A whole release.
    pub release: Option<Release>,
    /// Lengths in seconds of 30 s steps in the middle of which the controller was killed.
    pub killed_steps: Vec<f64>,
    /// Seconds from the restart until a step went on in whose last 5 s the controller was killed.
    pub late_restarts: Vec<f64>,
    /// The metrics store is down.
    pub outage: Option<Outage>,
}

/// What the controller used in a window of time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Load {
    /// Seconds of CPU per minute.
    pub cpu: f64,
    /// Resident memory in MiB at the end.
    pub resident: f64,
    /// API requests per minute by verb and resource.
    pub requests: BTreeMap<String, f64>,
    /// API requests per minute, the lease's left out.
    pub requests_total: f64,
    /// Requests per minute that keep the lease.
    pub lease: f64,
    /// Metric queries per minute.
    pub queries: f64,
    /// Passes per minute.
    pub passes: f64,
    /// Length of a pass in ms: median and 99th percentile.
    pub pass: Option<(f64, f64)>,
}

/// A release through 5, 10, 25, 50, 75 and 100% with 5 s at each weight.
#[derive(Debug, Serialize, Deserialize)]
pub struct Release {
    /// From the confirmation of the first weight until promoted.
    pub seconds: f64,
    /// API writes besides Events and the lease, by verb and resource.
    pub writes: BTreeMap<String, u64>,
}

/// Two minutes without the metrics store.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outage {
    /// Releases that went through it.
    pub tries: usize,
    /// Rolled back although nothing was wrong.
    pub rolled_back: usize,
    /// Raised while nothing could be measured.
    pub raised: usize,
    /// Seconds after the store's return until each went on.
    pub went_on: Vec<f64>,
}
