//! How long requests took, in quantiles.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// Counts of requests by how long they took, in steps of a tenth of a millisecond: the size does not grow with the load.
#[derive(Default)]
pub struct Times {
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Times {
    pub fn add(&mut self, took: Duration) {
        *self
            .counts
            .entry(u64::try_from(took.as_micros() / 100).unwrap_or(u64::MAX))
            .or_default() += 1;
        self.total += 1;
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 53 bits")]
    pub fn at(&self, per_mille: u64) -> f64 {
        let wanted = (self.total * per_mille).div_ceil(1_000);
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        found.map_or(0.0, |(tenths, _)| *tenths as f64 / 10.0)
    }

    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.at(500),
            p90: self.at(900),
            p99: self.at(990),
            p999: self.at(999),
            max: self.at(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_nearest_rank() {
        let mut times = Times::default();
        assert!(times.at(990).abs() < f64::EPSILON, "nothing seen yet");
        (1..=100).for_each(|ms| times.add(Duration::from_millis(ms)));
        let found = times.quantiles();
        assert_eq!(
            format!("{found:?}"),
            "Quantiles { p50: 50.0, p90: 90.0, p99: 99.0, p999: 100.0, max: 100.0 }"
        );
    }
}
