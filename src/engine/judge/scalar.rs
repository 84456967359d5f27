//! Plain numbers: so many bad ones of the last few break the limit.

use serde::{Deserialize, Serialize};

use super::tick::{CheckKind, Sides, Warms};

/// What is remembered of one query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Values {
    /// This step's values, oldest first.
    pub results: Vec<Answer>,
    /// Answers in a row that could not be used.
    pub missing: u32,
    /// Seconds with data of this step when the last one was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<f64>,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(bool, bool, f64)", into = "(bool, bool, f64)")]
pub struct Answer {
    /// The new version's is outside its limits.
    bad: bool,
    /// So is the old version's.
    baseline_bad: bool,
    /// Seconds with data of this step.
    at: f64,
}

impl From<(bool, bool, f64)> for Answer {
    fn from((bad, baseline_bad, at): (bool, bool, f64)) -> Self {
        Self { bad, baseline_bad, at }
    }
}

impl From<Answer> for (bool, bool, f64) {
    fn from(answer: Answer) -> Self {
        (answer.bad, answer.baseline_bad, answer.at)
    }
}

/// What the values of a step say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Enough are good, the newest among them.
    Good,
    /// Too many are bad.
    Broken,
    /// Too many are bad at both versions.
    BothBroken,
    /// There are too few.
    TooFew,
    /// No usable answer, twice in a row.
    NoData,
}

/// So many values pass.
const ENOUGH: usize = 3;
/// A value is too old when so many times the values that are looked back on would have come since.
const PERIODS: f64 = 3.0;
/// While the cache is cold, only a latency so many times the limit is bad.
const WHILE_COLD: f64 = 3.0;
/// So many answers in a row that cannot be used are no data.
const MISSING: u32 = 2;

/// Whether a latency may be worse because the cache is cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmed {
    /// The cache is warm, or nothing that warms is judged.
    Yes,
    /// It is cold.
    NotYet,
}

impl Values {
    /// Whether the time for another value has come, `seconds` after the step began.
    pub fn is_due(&self, period: f64, seconds: f64) -> bool {
        // A tick's length may be a little short: a period ends with the tick that is nearest.
        let since = self.last.map_or(seconds, |last| seconds - last);
        since >= 0.99 * period
    }

    /// Takes an answer, `seconds` after the step began.
    pub fn take(&mut self, kind: &CheckKind, answer: Option<Sides<f64>>, warmed: Warmed, seconds: f64) {
        self.last = Some(seconds);
        let result = answer.and_then(|value| {
            let bad = judged(kind, value.candidate, warmed)?;
            let baseline_bad = value.baseline.and_then(|value| judged(kind, value, warmed)) == Some(true);
            Some(Answer {
                bad,
                baseline_bad,
                at: seconds,
            })
        });
        match result {
            Some(answer) => {
                self.missing = 0;
                self.results.push(answer);
            }
            None => self.missing = self.missing.saturating_add(1),
        }
        let CheckKind::Query { of, period, .. } = kind else {
            return;
        };
        let oldest = seconds - PERIODS * as_number(*of) * period;
        self.results.retain(|answer| answer.at > oldest);
        let surplus = self.results.len().saturating_sub(*of);
        self.results.drain(..surplus);
    }

    /// What the values of this step say.
    pub fn finding(&self, kind: &CheckKind) -> Finding {
        let CheckKind::Query { breaches, of, .. } = kind else {
            return Finding::TooFew;
        };
        let bad = self.results.iter().filter(|answer| answer.bad).count();
        let baseline_bad = self.results.iter().filter(|answer| answer.baseline_bad).count();
        let allowed = usize::from(*breaches > 1);
        let newest_good = self.results.last().is_some_and(|answer| !answer.bad);
        if self.missing >= MISSING {
            Finding::NoData
        } else if bad >= *breaches {
            if baseline_bad >= (*breaches).min(ENOUGH) {
                Finding::BothBroken
            } else {
                Finding::Broken
            }
        } else if self.missing == 0 && newest_good && self.results.len() >= ENOUGH.min(*of) && bad <= allowed {
            Finding::Good
        } else {
            Finding::TooFew
        }
    }

    /// How many were bad, of how many.
    pub fn bad_of(&self) -> (usize, usize) {
        (
            self.results.iter().filter(|answer| answer.bad).count(),
            self.results.len(),
        )
    }

    /// How many of the old version's were bad.
    pub fn baseline_bad(&self) -> usize {
        self.results.iter().filter(|answer| answer.baseline_bad).count()
    }

    /// Another weight: the values begin anew.
    pub fn begin_step(&mut self) {
        *self = Self::default();
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few")]
fn as_number(of: usize) -> f64 {
    of as f64
}

/// Whether the value is outside its limits; nothing when it is no number, or only a cold cache's.
fn judged(kind: &CheckKind, value: f64, warmed: Warmed) -> Option<bool> {
    let CheckKind::Query { max, min, warms, .. } = kind else {
        return None;
    };
    if !value.is_finite() {
        return None;
    }
    let above = max.is_some_and(|max| value > max);
    let below = min.is_some_and(|min| value < min);
    let excused = above && *warms == Warms::Yes && warmed == Warmed::NotYet;
    if excused && max.is_some_and(|max| value <= WHILE_COLD * max) {
        return None;
    }
    Some(above || below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(warms: Warms) -> CheckKind {
        CheckKind::Query {
            max: Some(100.0),
            min: None,
            breaches: 3,
            of: 5,
            period: 15.0,
            warms,
        }
    }

    fn findings(kind: &CheckKind, values: &[Option<f64>], warmed: Warmed) -> Vec<Finding> {
        let mut memory = Values::default();
        let mut seconds = 0.0;
        values
            .iter()
            .map(|value| {
                seconds += 15.0;
                let answer = value.map(|candidate| Sides {
                    candidate,
                    baseline: None,
                });
                memory.take(kind, answer, warmed, seconds);
                memory.finding(kind)
            })
            .collect()
    }

    #[test]
    fn three_bad_ones_of_five_break_the_limit() {
        use Finding::{Broken, Good, NoData, TooFew};
        let values = [90.0, 95.0, 80.0, 120.0, 90.0, 130.0, 140.0].map(Some);
        let found = findings(&query(Warms::No), &values, Warmed::Yes);
        assert_eq!(found, [TooFew, TooFew, Good, TooFew, Good, TooFew, Broken]);
        let found = findings(&query(Warms::No), &[120.0, 110.0, 105.0].map(Some), Warmed::Yes);
        assert_eq!(found, [TooFew, TooFew, Broken]);
        let gaps = [Some(90.0), Some(f64::NAN), None, Some(95.0), Some(80.0)];
        let found = findings(&query(Warms::No), &gaps, Warmed::Yes);
        assert_eq!(found, [TooFew, TooFew, NoData, TooFew, Good]);
    }

    #[test]
    fn a_cold_cache_is_no_bad_latency() {
        use Finding::{Broken, NoData, TooFew};
        let slow = [250.0; 3].map(Some);
        assert_eq!(
            findings(&query(Warms::Yes), &slow, Warmed::NotYet),
            [TooFew, NoData, NoData]
        );
        let slower = [350.0; 3].map(Some);
        assert_eq!(
            findings(&query(Warms::Yes), &slower, Warmed::NotYet),
            [TooFew, TooFew, Broken]
        );
    }

    #[test]
    fn where_the_old_version_is_bad_too_both_are() {
        let kind = query(Warms::No);
        let mut memory = Values::default();
        for at in [15.0, 30.0, 45.0] {
            assert!(memory.is_due(15.0, at));
            let both = Sides {
                candidate: 140.0,
                baseline: Some(130.0),
            };
            memory.take(&kind, Some(both), Warmed::Yes, at);
            assert!(!memory.is_due(15.0, at + 5.0));
        }
        assert_eq!(memory.finding(&kind), Finding::BothBroken);
    }
}
