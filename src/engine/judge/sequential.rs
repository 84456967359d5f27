//! Whether a limit is broken: points come with every tick in which more was bad than allowed, and go with every better one.
//!
//! Four log-likelihood ratios of a worse share against the limit, each kept from falling below 0 (E. S. Page's cumulative sums,
//! 1954). While the true share keeps the limit, the chance that one reaches `BROKEN` in T ticks is at most 4 T exp(-16). A tick
//! adds at most `MOST_PER_TICK`, for bad requests come in bursts.

use serde::{Deserialize, Serialize};

use super::{
    rounding::{Number, round_moment, round6},
    tick::Count,
};

/// How many times the odds of a bad request are those of the limit.
const TIMES_THE_ODDS: [f64; 4] = [1.3, 2.0, 5.0, 20.0];
/// At so many points the limit is broken.
pub const BROKEN: f64 = 16.0;
/// Below so many points the weight may rise.
const CLEAN: f64 = 4.0;
/// Below so many points nothing has happened.
const CALM: f64 = 1.0;
/// However bad a tick is.
const MOST_PER_TICK: f64 = 4.0;
/// More points say nothing more.
const MOST: f64 = 1e3;

/// Limits outside of this are brought into it.
pub const LEAST_LIMIT: f64 = 1e-4;
/// Limits outside of this are brought into it.
pub const GREATEST_LIMIT: f64 = 0.9;

/// The points of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[Number; 4]")]
pub struct Points([f64; 4]);

impl Points {
    /// Adds a tick in which at most the share `limit` should have been bad.
    pub fn add(&mut self, count: Count, limit: f64) {
        let limit = limit.clamp(LEAST_LIMIT, GREATEST_LIMIT);
        for (points, times) in self.0.iter_mut().zip(TIMES_THE_ODDS) {
            let added = log_likelihood_ratio(count, limit, times).min(MOST_PER_TICK);
            *points = round6((*points + added).min(MOST));
        }
    }

    /// The most points of all.
    pub fn most(&self) -> f64 {
        self.0.into_iter().fold(0.0, f64::max)
    }

    /// The limit is broken.
    pub fn is_broken(&self) -> bool {
        self.most() >= BROKEN
    }

    /// So little speaks against the limit that the weight may rise.
    pub fn is_clean(&self) -> bool {
        self.most() < CLEAN
    }

    /// Nothing speaks against the limit.
    pub fn is_calm(&self) -> bool {
        self.most() < CALM
    }
}

fn log_likelihood_ratio(Count { bad, total }: Count, limit: f64, times: f64) -> f64 {
    let worse = times * limit / (1.0 - limit + times * limit);
    bad * (worse / limit).ln() + (total - bad) * ((-worse).ln_1p() - (-limit).ln_1p())
}

/// Requests after which a limit is broken when so great a share is bad.
pub fn needed(share: f64, limit: f64) -> f64 {
    let one = Count { bad: share, total: 1.0 };
    let most = TIMES_THE_ODDS
        .into_iter()
        .map(|times| log_likelihood_ratio(one, limit, times))
        .fold(0.0, f64::max);
    BROKEN / most
}

impl From<[f64; 4]> for Points {
    fn from(points: [f64; 4]) -> Self {
        Self(points)
    }
}

impl From<Points> for [Number; 4] {
    fn from(points: Points) -> Self {
        points.0.map(Number)
    }
}

/// The time in which the points came, with what both sides did in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(Count, Count, f64, u64)", into = "(Count, Count, Number, u64)")]
pub struct Window {
    /// Of the new version.
    pub candidate: Count,
    /// Of the old version.
    pub baseline: Count,
    /// End of the last calm tick, on the clock of `Tick::at`.
    pub since: f64,
    /// The tick of the run that came after it.
    pub first_tick: u64,
}

impl From<(Count, Count, f64, u64)> for Window {
    fn from((candidate, baseline, since, first_tick): (Count, Count, f64, u64)) -> Self {
        Self {
            candidate,
            baseline,
            since,
            first_tick,
        }
    }
}

impl From<Window> for (Count, Count, Number, u64) {
    fn from(window: Window) -> Self {
        (
            window.candidate,
            window.baseline,
            Number(window.since),
            window.first_tick,
        )
    }
}

/// When a tick was: its end, and its number in the run.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// End, on the clock of `Tick::at`.
    pub at: f64,
    /// Number in the run.
    pub tick: u64,
}

/// Points with the time in which they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(Points, Window)", into = "(Points, Window)")]
pub struct Sequence {
    /// What speaks against the limit.
    pub points: Points,
    /// Since it was calm.
    pub window: Window,
}

impl Sequence {
    /// Adds a tick. What belongs into the window is nothing when it cannot be compared.
    pub fn add(&mut self, count: Count, limit: f64, compared: Option<(Count, Count)>, now: Moment) {
        self.points.add(count, limit);
        if self.points.is_calm() {
            self.empty_window(now);
        } else if let Some((candidate, baseline)) = compared {
            self.window.candidate = self.window.candidate.plus(candidate);
            self.window.baseline = self.window.baseline.plus(baseline);
        }
    }

    /// What speaks against the limit from now on began now, unless something does already.
    pub fn begin(&mut self, now: Moment) {
        if self.points.is_calm() {
            self.empty_window(now);
        }
    }

    /// Forgets all of it.
    pub fn forget(&mut self, now: Moment) {
        self.points = Points::default();
        self.empty_window(now);
    }

    fn empty_window(&mut self, now: Moment) {
        self.window = Window {
            since: round_moment(now.at),
            first_tick: now.tick.saturating_add(1),
            ..Window::default()
        };
    }
}

impl From<(Points, Window)> for Sequence {
    fn from((points, window): (Points, Window)) -> Self {
        Self { points, window }
    }
}

impl From<Sequence> for (Points, Window) {
    fn from(sequence: Sequence) -> Self {
        (sequence.points, sequence.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(limit: f64, from: [f64; 4], ticks: &[(f64, f64)]) -> Points {
        let mut points = Points(from);
        for &(bad, total) in ticks {
            points.add(Count { bad, total }, limit);
        }
        points
    }

    fn assert_points(points: Points, expected: [f64; 4]) {
        for (got, expected) in points.0.into_iter().zip(expected) {
            assert!((got - expected).abs() < 2e-6, "{points:?} {expected:?}");
        }
    }

    #[test]
    fn points_of_ticks() {
        const NONE: [f64; 4] = [0.0; 4];
        let four = [(36.0, 750.0); 4];
        assert_points(after(0.01, NONE, &four[..1]), [4.0, 4.0, 4.0, 0.0]);
        assert_points(after(0.01, NONE, &four), [16.0, 16.0, 16.0, 0.0]);
        assert!(after(0.01, NONE, &four).is_broken());
        assert_points(after(0.01, NONE, &[(375.0, 750.0); 3]), [12.0; 4]);
        assert!(!after(0.01, NONE, &[(375.0, 750.0); 3]).is_broken());
        assert_points(after(0.01, NONE, &[(375.0, 750.0); 4]), [16.0; 4]);
        assert_points(
            after(0.01, NONE, &[(15.0, 750.0); 5]),
            [8.444_160, 14.672_300, 0.0, 0.0],
        );
        assert_points(
            after(0.01, NONE, &[(15.0, 750.0); 6]),
            [10.132_992, 17.606_760, 0.0, 0.0],
        );
        assert_points(after(0.01, NONE, &[(9.0, 750.0)]), [0.114_647, 0.0, 0.0, 0.0]);
        assert_points(after(0.01, NONE, &[(12.4, 310.0)]), [2.324_709, 4.0, 4.0, 0.0]);
        assert_points(
            after(0.01, NONE, &[(1.0, 1.0)]),
            [0.259_369, 0.683_197, 1.570_217, 2.821_779],
        );
        assert_points(
            after(0.01, NONE, &[(1.0, 1.0); 4]),
            [1.037_476, 2.732_788, 6.280_868, 11.287_116],
        );
        assert_points(after(0.001, NONE, &[(3.0, 200.0)]), [0.727_102, 1.879_541, 4.0, 4.0]);
        assert_points(after(0.15, NONE, &[(225.0, 750.0)]), [4.0, 4.0, 4.0, 0.0]);
        let calmer = after(0.01, [3.0; 4], &[(2.0, 750.0)]);
        assert_points(calmer, [1.278_097, 0.0, 0.0, 0.0]);
        assert!(calmer.is_clean() && !calmer.is_calm());
    }

    #[test]
    fn raw_points_of_a_tick() {
        let count = Count {
            bad: 36.0,
            total: 750.0,
        };
        let raw = [7.198_482, 17.490_550, 28.524_230, -22.618_618];
        for (times, expected) in TIMES_THE_ODDS.into_iter().zip(raw) {
            assert!((log_likelihood_ratio(count, 0.01, times) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn requests_after_which_a_limit_is_broken() {
        for (share, requests) in [
            (0.5, 13.0),
            (0.2, 38.0),
            (0.05, 388.0),
            (0.02, 4_090.0),
            (0.013, 38_500.0),
        ] {
            let needed = needed(share, 0.01);
            assert!((needed / requests - 1.0).abs() < 0.08, "{share}: {needed}");
        }
    }

    #[test]
    fn the_window_is_the_time_in_which_the_points_came() {
        let mut sequence = Sequence::default();
        let both = |bad, other| {
            (
                Count { bad, total: 750.0 },
                Count {
                    bad: other,
                    total: 14_250.0,
                },
            )
        };
        for (tick, bad) in [(1, 2.0), (2, 36.0), (3, 36.0)] {
            let (candidate, baseline) = both(bad, 28.0);
            let at = 15.0 * f64::from(u32::try_from(tick).unwrap());
            sequence.add(candidate, 0.01, Some((candidate, baseline)), Moment { at, tick });
        }
        let window = sequence.window;
        assert_eq!((window.since, window.first_tick), (15.0, 2));
        assert_eq!((window.candidate.bad, window.candidate.total), (72.0, 1_500.0));
        assert_eq!((window.baseline.bad, window.baseline.total), (56.0, 28_500.0));
    }
}
