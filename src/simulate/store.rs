//! The metrics store of a simulated world.

use super::{
    going::Readings,
    series::{Series, Totals, Whose},
};
use crate::{
    api::{
        Duration,
        plan::{CheckKind, PlannedCheck},
    },
    provider::{Counts, Quantity, Question, Reading, Version},
};

use jiff::Timestamp;

/// Figures never say that a request took longer than this, in seconds.
const LONGEST: f64 = 30.0;
/// Nor that a quantile is a smaller part of its limit.
const LEAST: f64 = 0.05;

/// Whether a pair of counters is the one that is simulated: stale answers of sampled ones. Of others nothing is bad.
pub fn is_simulated(bad: &str, total: &str) -> bool {
    (bad, total) == ("cache_stale_total", "cache_stale_sampled_total")
}

/// Answers from what was counted.
pub struct Store<'a> {
    /// What was counted.
    pub series: &'a Series,
    /// The moment 0 of the series.
    pub start: Timestamp,
    /// The revision that is released, once it is known.
    pub revision: Option<&'a str>,
    /// What is called slow.
    pub slow: Duration,
    /// Those of the plan.
    pub checks: &'a [PlannedCheck],
}

/// How many of these requests take longer than a limit, where `slow` is what they are called slow by: twice as long take a quarter.
pub fn slower(counted: Totals, slow: Duration, limit: f64) -> f64 {
    let ratio = slow.as_secs_f64() / limit.max(0.001);
    (counted.slow * ratio * ratio).min(counted.requests)
}

/// The time in seconds that a share of `1 - quantile` of the requests exceeds; nothing of none.
pub fn latency(counted: Totals, slow: Duration, quantile: f64) -> Option<f64> {
    let least = 0.5 / counted.requests.max(1.0);
    let share = counted.share(counted.slow)?.max(least);
    let seconds = slow.as_secs_f64() * (share / (1.0 - quantile).max(1e-6)).sqrt();
    Some(seconds.clamp(slow.as_secs_f64() * LEAST, LONGEST))
}

impl Store<'_> {
    /// Requests that still reach the candidate of a question.
    pub fn requests(&self, question: &Question) -> f64 {
        self.counted(&question.subject.candidate, question.start, question.end)
            .requests
    }

    /// An answer for each quantity.
    pub fn readings(&self, question: &Question) -> Readings {
        let of = |quantity: &Quantity| Ok(self.reading(quantity, question));
        question.quantities.iter().map(of).collect()
    }

    fn reading(&self, quantity: &Quantity, question: &Question) -> Reading {
        let bad = |counted: Totals| match quantity {
            Quantity::Requests => counted.errors,
            Quantity::Latency { limit, .. } => slower(counted, self.slow, *limit),
            Quantity::Ratio { bad, total } if is_simulated(bad, total) => counted.stale,
            Quantity::Ratio { .. } => 0.0,
            Quantity::Lookups | Quantity::Scalar { .. } => counted.misses,
        };
        let all = |counted: Totals| match quantity {
            Quantity::Ratio { .. } => counted.sampled,
            Quantity::Requests | Quantity::Latency { .. } | Quantity::Lookups | Quantity::Scalar { .. } => {
                counted.requests
            }
        };
        let figure = |counted: Totals| match quantity {
            Quantity::Latency { quantile, .. } => latency(counted, self.slow, *quantile),
            Quantity::Ratio { .. } => (counted.sampled > 0.0).then(|| bad(counted) / counted.sampled),
            Quantity::Requests | Quantity::Lookups | Quantity::Scalar { .. } => counted.share(bad(counted)),
        };
        if let Quantity::Scalar { promql } = quantity {
            return Reading::Scalar {
                candidate: self.good(promql),
                baseline: None,
            };
        }
        let subject = &question.subject;
        let counts = |version| {
            let counted = self.counted(version, question.start, question.end);
            Counts {
                bad: bad(counted),
                total: all(counted),
            }
        };
        let shown = |version| figure(self.counted(version, question.figures_since, question.end));
        Reading::Counts {
            candidate: counts(&subject.candidate),
            baseline: Some(counts(&subject.baseline)),
            candidate_figure: shown(&subject.candidate),
            baseline_figure: shown(&subject.baseline),
        }
    }

    fn counted(&self, version: &Version, from: Timestamp, to: Timestamp) -> Totals {
        let whose = if self.revision == Some(version.hash.as_str()) {
            Whose::New
        } else {
            Whose::Old
        };
        let seconds = |moment: Timestamp| moment.duration_since(self.start).as_secs_f64();
        self.series.between(whose, seconds(from), seconds(to))
    }

    /// An expression is not simulated: its value is a good one.
    fn good(&self, asked: &str) -> f64 {
        let limits = self.checks.iter().find_map(|check| match &check.kind {
            CheckKind::Query { promql, max, min, .. } if promql == asked => max.or(*min),
            CheckKind::Query { .. }
            | CheckKind::ErrorRate { .. }
            | CheckKind::Latency { .. }
            | CheckKind::HitRatio { .. }
            | CheckKind::Ratio { .. } => None,
        });
        limits.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_breaks_a_limit_when_what_is_counted_does() {
        let slow = Duration::from_millis(300);
        for (share, limit, quantile) in [
            (0.02, 0.3, 0.99),
            (0.009, 0.3, 0.99),
            (0.04, 0.5, 0.95),
            (0.02, 1.0, 0.99),
        ] {
            let counted = Totals {
                requests: 10_000.0,
                slow: 10_000.0 * share,
                ..Totals::default()
            };
            let breaks = slower(counted, slow, limit) > (1.0 - quantile) * 10_000.0;
            assert_eq!(
                latency(counted, slow, quantile) > Some(limit),
                breaks,
                "{share} {limit}"
            );
        }
        assert_eq!(latency(Totals::default(), slow, 0.99), None);
    }
}
