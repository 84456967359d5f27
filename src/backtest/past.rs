//! What was counted between one scrape and the next, over a long time.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{Duration, moment::Moment as _, status::Cause},
    provider::{Counts, NoData, Reading},
};

/// What was read of one scrape. Long runs without data share their words.
pub type Answer = Result<Reading, Arc<NoData>>;

/// What was read of each scrape, for each check. A scrape counts to the time in which it ends: nothing counts twice, and nothing is
/// divided.
#[derive(Clone, Debug)]
pub struct Past {
    /// The beginning of the first scrape.
    first: Timestamp,
    step: SignedDuration,
    scrapes: usize,
    /// By check, an answer for each scrape.
    columns: Vec<Vec<Answer>>,
}

impl Past {
    /// Nothing yet, of so many checks. A step is not shorter than a second.
    pub fn new(from: Timestamp, to: Timestamp, step: Duration, checks: usize) -> Self {
        let step = step.max(Duration::from_secs(1));
        let length = to.duration_since(from).as_millis().max(0);
        let scrapes = length / i128::from(step.as_millis());
        Self {
            first: from,
            step: step.signed(),
            scrapes: usize::try_from(scrapes).unwrap_or(usize::MAX),
            columns: vec![Vec::new(); checks],
        }
    }

    /// How many scrapes there are.
    pub fn scrapes(&self) -> usize {
        self.scrapes
    }

    /// When the `n`-th scrape ends, counted from 1; 0 is the beginning of the first.
    pub fn end(&self, n: usize) -> Timestamp {
        let n = i32::try_from(n).unwrap_or(i32::MAX);
        self.first.plus(self.step.saturating_mul(n))
    }

    /// How long one is.
    pub fn step(&self) -> SignedDuration {
        self.step
    }

    /// Takes in what was read of a check.
    pub fn set(&mut self, check: usize, answers: Vec<Answer>) {
        if let Some(column) = self.columns.get_mut(check) {
            *column = answers;
        }
    }

    /// All that was read of a check.
    pub fn column(&self, check: usize) -> &[Answer] {
        self.columns.get(check).map(Vec::as_slice).unwrap_or_default()
    }

    /// How many scrapes have ended at a moment.
    fn ended(&self, moment: Timestamp) -> usize {
        let since = moment.duration_since(self.first).as_millis().max(0);
        let ended = since.checked_div(self.step.as_millis()).unwrap_or(0);
        usize::try_from(ended).unwrap_or(usize::MAX).min(self.scrapes)
    }

    /// The answer to a check over a time: sums of the scrapes that ended in it; of an expression the newest value.
    pub fn answer(&self, check: usize, start: Timestamp, end: Timestamp) -> Result<Reading, (Cause, String)> {
        let column = self.column(check);
        let of = self.ended(start)..self.ended(end);
        let within = column.get(of).unwrap_or_default();
        let Some(newest) = within.last() else {
            return Err((Cause::Late, "no sample in this interval".to_owned()));
        };
        if within.iter().any(|answer| matches!(answer, Ok(Reading::Scalar { .. }))) {
            return told(newest);
        }
        let counted = within.iter().filter_map(|answer| answer.as_ref().ok());
        counted
            .cloned()
            .reduce(|sum, one| together(&sum, one))
            .map_or_else(|| told(newest), Ok)
    }
}

fn told(answer: &Answer) -> Result<Reading, (Cause, String)> {
    answer.clone().map_err(|error| (error.cause, error.message.clone()))
}

/// Counts of both, and the figures of the newer one.
fn together(sum: &Reading, newer: Reading) -> Reading {
    let (
        Reading::Counts {
            candidate, baseline, ..
        },
        Reading::Counts {
            candidate: more,
            baseline: more_old,
            candidate_figure,
            baseline_figure,
        },
    ) = (sum, &newer)
    else {
        return newer;
    };
    let plus = |one: &Counts, other: &Counts| Counts {
        bad: one.bad + other.bad,
        total: one.total + other.total,
    };
    Reading::Counts {
        candidate: plus(candidate, more),
        baseline: match (baseline, more_old) {
            (Some(one), Some(other)) => Some(plus(one, other)),
            (one, other) => one.or(*other),
        },
        candidate_figure: *candidate_figure,
        baseline_figure: *baseline_figure,
    }
}

#[cfg(test)]
#[allow(
    clippy::float_cmp,
    clippy::unnecessary_wraps,
    reason = "sums of whole numbers are exact, and answers are results"
)]
mod tests {
    use super::*;

    fn alone(candidate: f64) -> Reading {
        Reading::Scalar {
            candidate,
            baseline: None,
        }
    }

    fn counts(bad: f64, total: f64) -> Answer {
        Ok(Reading::Counts {
            candidate: Counts { bad, total },
            baseline: None,
            candidate_figure: Some(bad),
            baseline_figure: None,
        })
    }

    #[test]
    fn each_scrape_counts_once_wherever_ticks_are_cut() {
        let at = |second: i64| Timestamp::from_second(1_000 + second).unwrap();
        let mut past = Past::new(at(0), at(65), Duration::from_secs(15), 2);
        assert_eq!((past.scrapes(), past.end(0), past.end(4)), (4, at(0), at(60)));
        let gap = Arc::new(NoData {
            cause: Cause::Stale,
            message: "old".to_owned(),
        });
        past.set(
            0,
            vec![
                counts(1.0, 10.0),
                counts(2.0, 20.0),
                Err(gap.clone()),
                counts(4.0, 40.0),
            ],
        );
        past.set(1, vec![Ok(alone(1.0)), Ok(alone(2.0)), Err(gap), Ok(alone(4.0))]);
        let total = |from, to| past.answer(0, at(from), at(to)).map(|reading| reading.total());
        for cuts in [[0, 15, 60], [0, 22, 60], [0, 31, 60], [0, 59, 60]] {
            let parts = cuts
                .windows(2)
                .map(|pair| total(pair[0], pair[1]).unwrap_or(Some(0.0)).unwrap());
            assert_eq!(parts.sum::<f64>(), 70.0, "{cuts:?}");
        }
        assert_eq!(total(30, 45), Err((Cause::Stale, "old".to_owned())));
        assert_eq!(total(16, 29).unwrap_err().0, Cause::Late);
        assert_eq!(
            (total(-90, 0).unwrap_err().0, total(60, 90).unwrap_err().0),
            (Cause::Late, Cause::Late)
        );
        assert_eq!(past.answer(1, at(0), at(31)), Ok(alone(2.0)));
        assert_eq!(past.answer(1, at(0), at(45)).unwrap_err().0, Cause::Stale);
    }
}
