//! Whether the new version gets the requests that its weight says: those that hang are in no count, and a route may not act.

use serde::{Deserialize, Serialize};

use super::{
    recent::Recent,
    rounding::round3,
    tick::{ALL, Count, Sides, Split},
};

/// Requests of the step's last ticks that both sides have: those of the new version (bad) of both (total).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shares(Recent);

/// Blocks of ticks of the step that are looked back on.
const LOOK_BACK: usize = 4;
/// Fewer expected requests than this prove nothing.
const ENOUGH: f64 = 100.0;
/// Least part of the expected requests.
const LEAST: f64 = 0.6;

/// Far fewer requests reach the new version than its weight says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mismatch {
    /// Of the new version.
    pub got: f64,
    /// By its weight.
    pub expected: f64,
}

impl Shares {
    /// Adds a tick that has both sides.
    pub fn add(&mut self, requests: Sides<f64>, tick: u64) {
        let Some(baseline) = requests.baseline else { return };
        let share = Count {
            bad: requests.candidate,
            total: round3(requests.candidate + baseline),
        };
        self.0.add(share, tick, LOOK_BACK);
    }

    /// Whether the share does not fit the weight.
    pub fn mismatch(&self, weight: f64, split: Split) -> Option<Mismatch> {
        if weight >= ALL || split != Split::ByRequest {
            return None;
        }
        let Count { bad: got, total: all } = self.0.sum();
        let expected = weight * all;
        (expected >= ENOUGH && got < LEAST * expected).then_some(Mismatch { got, expected })
    }

    /// Another weight: it is compared anew.
    pub fn begin_step(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(candidate: f64, all: f64, weight: f64, split: Split) -> bool {
        let mut shares = Shares::default();
        shares.add(
            Sides {
                candidate,
                baseline: Some(all - candidate),
            },
            1,
        );
        shares.mismatch(weight, split).is_some()
    }

    #[test]
    fn far_fewer_requests_than_the_weight_says_are_a_mismatch() {
        assert!(seen(3_000.0, 117_000.0, 0.05, Split::ByRequest));
        assert!(!seen(3_700.0, 117_700.0, 0.05, Split::ByRequest));
        assert!(!seen(40.0, 1_500.0, 0.05, Split::ByRequest), "too few to tell");
        assert!(!seen(3_000.0, 117_000.0, 0.05, Split::ByPod));
        assert!(!seen(3_000.0, 117_000.0, 0.05, Split::ByUser));
        assert!(!seen(3_000.0, 117_000.0, 0.98, Split::ByRequest));
    }
}
