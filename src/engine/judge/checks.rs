//! The checks that count: what is bad, how much of it is allowed, and what is remembered of them.

use serde::{Deserialize, Serialize};

use super::{
    recent::Recent,
    rounding::{Number, counted, round6},
    sequential::{GREATEST_LIMIT, LEAST_LIMIT, Moment, Sequence},
    tick::{CheckKind, Count, Sides},
    wilson,
};

/// What is remembered of one count check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counted {
    /// What speaks against the limit, over all weights.
    #[serde(rename = "s")]
    pub sequence: Sequence,
    /// Of this step, without its first ticks.
    pub current: StepCount,
    /// Requests of the run, or since the last step back, without the first ticks of steps.
    #[serde(serialize_with = "super::rounding::number")]
    pub run: f64,
    /// The old version kept this limit before the last raise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// Both versions broke this limit in the last tick.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// The old version's last ticks.
    #[serde(skip_serializing_if = "Recent::is_empty")]
    pub recent: Recent,
    /// The old version before the release, added to until there is enough.
    #[serde(skip_serializing_if = "Count::is_nothing")]
    pub before: Count,
    /// The old version since the pre-run.
    #[serde(skip_serializing_if = "Count::is_nothing")]
    pub baseline: Count,
}

/// Counts of a step, and the sum of what was allowed in its ticks (a latency's limit depends on how cold the cache is).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(Count, f64)", into = "(Count, Number)")]
pub struct StepCount {
    /// Bad ones of all.
    pub count: Count,
    /// So many bad ones were allowed.
    pub allowed: f64,
}

impl From<(Count, f64)> for StepCount {
    fn from((count, allowed): (Count, f64)) -> Self {
        Self { count, allowed }
    }
}

impl From<StepCount> for (Count, Number) {
    fn from(step: StepCount) -> Self {
        (step.count, Number(step.allowed))
    }
}

/// Limits relative to the old version rest on so many of its requests or lookups.
pub const KNOWN: f64 = 1_000.0;
/// The first ticks of a step are in no step's counts: pods start and connections move.
pub const LEFT_OUT: u32 = 2;
/// Blocks of ticks before a raise in which the old version is asked whether it kept the limit.
const LOOK_BACK: usize = 4;

impl Counted {
    /// Adds a tick of the old version. What it did before the release is fixed once there is enough of it.
    pub fn add_baseline(&mut self, count: Count, stage: Stage, tick: u64) {
        self.baseline = self.baseline.plus(count);
        if stage == Stage::PreRun || self.before.total < KNOWN {
            self.before = self.before.plus(count);
        }
        self.recent.add(count, tick, LOOK_BACK);
    }

    /// Whether the old version kept the limit lately; where it was not seen since, whether it did before the raise before.
    pub fn has_kept(&self, limit: f64) -> bool {
        let recent = self.recent.sum();
        if self.recent.is_empty() {
            self.kept
        } else {
            recent.total > 0.0 && recent.share() <= limit
        }
    }

    /// The old version is another one.
    pub fn forget_baseline(&mut self) {
        self.kept = false;
        self.recent.clear();
        self.before = Count::default();
        self.baseline = Count::default();
    }

    /// Adds a tick of the new version to the counts of the step and the run.
    pub fn add_step(&mut self, count: Count, limit: f64) {
        self.current.count = self.current.count.plus(count);
        self.current.allowed = round6(self.current.allowed + count.total * limit);
        self.run = counted(self.run + count.total);
    }

    /// Another weight: the step's counts begin anew.
    pub fn begin_step(&mut self) {
        self.current = StepCount::default();
    }

    /// What was counted of the new version is worth nothing any more.
    pub fn forget(&mut self, now: Moment) {
        self.begin_step();
        self.run = 0.0;
        self.shared = false;
        self.sequence.forget(now);
    }

    /// Both versions broke the limit: what speaks against it is nobody's, and no raise's.
    pub fn share(&mut self, now: Moment) {
        self.shared = true;
        self.kept = false;
        self.sequence.forget(now);
    }
}

/// Whether a tick is one of the pre-run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the first weight.
    PreRun,
    /// After it.
    Release,
}

/// Greatest share of bad ones that keeps the limit; nothing while it depends on an old version that is not known well enough.
/// A hit ratio is counted only where both versions share the cache: then `target` is its limit.
pub fn limit(kind: &CheckKind, before: Count, target: Option<f64>) -> Option<f64> {
    let limit = match kind {
        CheckKind::Errors { max } | CheckKind::Ratio { max } => *max,
        CheckKind::ErrorIncrease { by } => {
            if before.total < KNOWN {
                return None;
            }
            wilson::upper(before) + by
        }
        CheckKind::Latency { quantile, .. } => 1.0 - quantile,
        CheckKind::HitRatio { .. } => 1.0 - target?,
        CheckKind::Query { .. } => return None,
    };
    Some(round6(limit.clamp(LEAST_LIMIT, GREATEST_LIMIT)))
}

/// Not more than half of the requests may be slow, however cold the cache is.
const MOST_SLOW: f64 = 0.5;

/// So many requests may be slow while a cache is cold: as many more than at the old version as there are more misses.
pub fn limit_while_cold(limit: f64, baseline_slow: Count, times_as_many_misses: f64) -> f64 {
    if baseline_slow.is_nothing() && times_as_many_misses <= 1.0 {
        // Nothing is known of the old version, and nothing is cold.
        return limit;
    }
    let slow = smoothed(baseline_slow) * times_as_many_misses.max(1.0);
    round6(limit.max(slow).min(MOST_SLOW.max(limit)))
}

/// A share that is never quite 0 or 1.
pub fn smoothed(count: Count) -> f64 {
    (count.bad + 0.5) / (count.total + 1.0)
}

/// In flight without being hung: three times the old version's, by the weight, and so many more.
const USUALLY_IN_FLIGHT: f64 = 3.0;
const FEW_IN_FLIGHT: f64 = 10.0;

/// Requests that hang: they are in no count.
pub fn hung(in_flight: Sides<f64>, weight: f64) -> f64 {
    let Some(baseline) = in_flight.baseline else { return 0.0 };
    if weight >= super::tick::ALL {
        return 0.0;
    }
    let usual = USUALLY_IN_FLIGHT * counted(baseline) * weight / (1.0 - weight);
    counted(counted(in_flight.candidate) - usual - FEW_IN_FLIGHT)
}

/// A histogram's bucket: how many were at most as slow as its edge. The last one has no edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Seconds; infinite for the last one.
    pub edge: f64,
    /// Requests at or below it.
    pub at_most: f64,
}

/// Edges further apart than this say too little of what is between them.
const WIDEST: f64 = 2.5;
/// An edge so near to the limit is the limit.
const AT_EDGE: f64 = 1e-9;

/// How many requests were slower than `limit`, with the edges that it lies between, if it is none itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slow {
    /// The limit is an edge.
    Counted(f64),
    /// Interpolated between two edges.
    Between {
        /// How many.
        slow: f64,
        /// The edges.
        edges: (f64, f64),
    },
    /// The edges are too far apart, or the limit is above the last one.
    NotMeasurable,
}

/// How many requests of a histogram with rising edges were slower than `limit` seconds.
pub fn slower(buckets: &[Bucket], limit: f64) -> Slow {
    let Some(total) = buckets.last().map(|bucket| bucket.at_most) else {
        return Slow::NotMeasurable;
    };
    let near = |bucket: &&Bucket| (bucket.edge - limit).abs() <= AT_EDGE * limit.abs();
    if let Some(at) = buckets.iter().find(near) {
        return Slow::Counted((total - at.at_most).max(0.0));
    }
    let lower = buckets.iter().rev().find(|bucket| bucket.edge < limit);
    let upper = buckets.iter().find(|bucket| bucket.edge > limit);
    match (lower, upper) {
        (Some(lower), Some(upper))
            if lower.edge > 0.0 && upper.edge.is_finite() && upper.edge / lower.edge <= WIDEST =>
        {
            let part = (limit - lower.edge) / (upper.edge - lower.edge);
            let at_most = lower.at_most + part * (upper.at_most - lower.at_most);
            Slow::Between {
                slow: (total - at_most).max(0.0),
                edges: (lower.edge, upper.edge),
            }
        }
        _ => Slow::NotMeasurable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slower_than_the_limit() {
        let edges = [0.1, 0.25, 0.5, 1.0, f64::INFINITY];
        let buckets: Vec<Bucket> = edges
            .into_iter()
            .zip([600.0, 700.0, 740.0, 748.0, 750.0])
            .map(|(edge, at_most)| Bucket { edge, at_most })
            .collect();
        let Slow::Between { slow, edges } = slower(&buckets, 0.3) else {
            panic!("300 ms lies between edges")
        };
        assert!((slow - 42.0).abs() < 1e-9 && edges == (0.25, 0.5));
        assert_eq!(slower(&buckets, 0.5), Slow::Counted(10.0));
        assert_eq!(slower(&buckets, 1.5), Slow::NotMeasurable);
        assert_eq!(slower(&buckets, 0.05), Slow::NotMeasurable);
        let wide = [buckets[0], buckets[3], buckets[4]];
        assert_eq!(slower(&wide, 0.3), Slow::NotMeasurable);
        assert_eq!(slower(&[], 0.3), Slow::NotMeasurable);
    }

    #[test]
    fn a_cold_cache_may_be_slow_as_often_as_it_misses_more() {
        let slow = Count {
            bad: 1_653.0,
            total: 570_000.0,
        };
        let misses = smoothed(Count {
            bad: 28_500.0,
            total: 570_000.0,
        });
        for (missed, expected) in [(525.0, 0.040_596), (675.0, 0.052_184), (60.0, 0.01)] {
            let cold = smoothed(Count {
                bad: missed,
                total: 750.0,
            });
            let limit = limit_while_cold(0.01, slow, cold / misses);
            assert!((limit - expected).abs() < 1e-6, "{limit} {expected}");
        }
        assert!((limit_while_cold(0.01, slow, 1e6) - 0.5).abs() < 1e-9);
        // Without an old version a cache that is not cold makes nothing slow.
        assert!((limit_while_cold(0.01, Count::default(), 0.4) - 0.01).abs() < 1e-9);
    }

    #[test]
    fn a_limit_above_the_old_version_waits_until_that_is_known() {
        let kind = CheckKind::ErrorIncrease { by: 0.005 };
        let before = |bad, total| Count { bad, total };
        assert_eq!(limit(&kind, before(2.0, 999.0), None), None);
        let known = limit(&kind, before(20.0, 10_000.0), None).unwrap();
        assert!((known - 0.007_877).abs() < 2e-5, "{known}");
        let quantile = CheckKind::Latency {
            quantile: 0.99,
            max: 0.3,
        };
        assert_eq!(limit(&quantile, Count::default(), None), Some(0.01));
    }

    #[test]
    fn requests_that_hang_are_seen_in_flight() {
        let both = |candidate, baseline| Sides {
            candidate,
            baseline: Some(baseline),
        };
        assert!((hung(both(300.0, 95.0), 0.05) - 275.0).abs() < 1e-9);
        assert!(hung(both(12.0, 95.0), 0.05) < 1e-9);
        assert!(hung(both(300.0, 95.0), 0.98) < 1e-9);
        let alone = Sides {
            candidate: 300.0,
            baseline: None,
        };
        assert!(hung(alone, 0.05) < 1e-9);
    }
}
