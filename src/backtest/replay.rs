//! The metrics store of a release in the past: what was counted then, of two versions or of one in both parts.

use jiff::Timestamp;
use serde::Serialize;

use super::past::Past;
use crate::{
    api::{
        CanaryRolloutStatus,
        status::{Cause, CheckStatus},
    },
    provider::{Counts, Quantity, Question, Reading, Whose},
    simulate::{
        going::{Metrics, Readings},
        world::chance::Chance,
    },
};

/// Whose counts the two versions' are.
pub enum Versions {
    /// One version is both: each request falls by chance to one or the other, as a gateway has it.
    One(Chance),
    /// Two that ran side by side.
    Two,
}

/// What the judge said of a tick.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    /// Its end.
    pub time: Timestamp,
    /// Number of the step, counted from 1.
    pub step: i32,
    /// What each check says.
    pub checks: Vec<CheckStatus>,
}

/// Answers from the past.
pub struct Replay<'a> {
    past: &'a Past,
    versions: Versions,
    weight: f64,
    /// Of two versions: what was said of each tick.
    ticks: Vec<Tick>,
}

impl<'a> Replay<'a> {
    /// Of this past.
    pub fn new(past: &'a Past, versions: Versions) -> Self {
        Self {
            past,
            versions,
            weight: 0.0,
            ticks: Vec::new(),
        }
    }

    /// What was said of each tick.
    pub fn into_ticks(self) -> Vec<Tick> {
        self.ticks
    }
}

/// How many of a count fall to the new version.
fn part(count: f64, weight: f64, chance: &mut Chance) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a count, which is not negative and fits 53 bits"
    )]
    let drawn = chance.binomial(count.max(0.0).round() as u64, weight) as f64;
    drawn
}

/// Divides the counts of one version among two. Good and bad ones are drawn apart, so that the new version's share of bad ones
/// differs from the old one's as much as chance has it, and no more.
fn divided(all: Counts, weight: f64, chance: &mut Chance) -> (Counts, Counts) {
    let (bad, good) = (all.bad.round(), (all.total - all.bad).max(0.0).round());
    let own_bad = part(bad, weight, chance);
    let candidate = Counts {
        bad: own_bad,
        total: own_bad + part(good, weight, chance),
    };
    let baseline = Counts {
        bad: bad - candidate.bad,
        total: bad + good - candidate.total,
    };
    (candidate, baseline)
}

/// One version asked for in place of both.
fn alone(counts: Counts, figure: Option<f64>) -> Reading {
    Reading::Counts {
        candidate: counts,
        baseline: Some(counts),
        candidate_figure: figure,
        baseline_figure: figure,
    }
}

/// A value of one version in place of both, where the expression names the new one, so that the old one is asked for too.
fn of_one(value: f64, quantity: Option<&Quantity>) -> Reading {
    let names_one =
        |quantity: &Quantity| matches!(quantity, Quantity::Scalar { promql } if promql.contains("{{candidate."));
    Reading::Scalar {
        candidate: value,
        baseline: quantity.is_some_and(names_one).then_some(value),
    }
}

impl Replay<'_> {
    fn reading(&mut self, check: usize, question: &Question) -> Result<Reading, (Cause, String)> {
        let reading = self.past.answer(check, question.start, question.end)?;
        if let (Reading::Scalar { candidate, .. }, Versions::One(_)) = (&reading, &self.versions) {
            return Ok(of_one(*candidate, question.quantities.get(check)));
        }
        let Reading::Counts {
            candidate,
            baseline,
            candidate_figure,
            baseline_figure,
        } = reading
        else {
            return Ok(reading);
        };
        match (&mut self.versions, question.whose) {
            (Versions::One(_), Whose::Running) => Ok(alone(candidate, candidate_figure)),
            (Versions::One(chance), Whose::New) => {
                let (new, old) = divided(candidate, self.weight, chance);
                Ok(Reading::Counts {
                    candidate: new,
                    baseline: Some(old),
                    candidate_figure,
                    baseline_figure: candidate_figure,
                })
            }
            (Versions::Two, Whose::New) => Ok(reading),
            (Versions::Two, Whose::Running) => match baseline {
                Some(old) => Ok(alone(old, baseline_figure)),
                None => Err((Cause::Empty, "the old version has no series in this time".to_owned())),
            },
        }
    }
}

impl Metrics for Replay<'_> {
    fn set_weight(&mut self, weight: f64) {
        self.weight = weight;
    }

    /// The past stands still.
    fn go_on_until(&mut self, _now: Timestamp) {}

    fn readings(&mut self, question: &Question, _revision: Option<&str>) -> Readings {
        let checks = 0..question.quantities.len();
        checks.map(|check| self.reading(check, question)).collect()
    }

    /// A version that has no weight gets no requests: what it got in truth is not its own doing here.
    fn requests(&mut self, _question: &Question, _revision: Option<&str>) -> f64 {
        0.0
    }

    /// Ticks of the time before the release are of the old version alone.
    fn judged(&mut self, end: Timestamp, status: &CanaryRolloutStatus) {
        let run = status.run.as_ref().filter(|_| matches!(self.versions, Versions::Two));
        let Some(run) = run.filter(|run| end > run.started_at && run.weight_confirmed_at.is_some()) else {
            return;
        };
        if self.ticks.last().is_none_or(|last| last.time < end) {
            self.ticks.push(Tick {
                time: end,
                step: run.step,
                checks: status.checks.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_is_lost_or_counted_twice_and_chance_is_that_of_a_gateway() {
        let mut chance = Chance::new(1, 1);
        let all = Counts {
            bad: 30.0,
            total: 1_000.0,
        };
        let (mut bad, mut squares, mut total) = (0.0, 0.0, 0.0);
        for _ in 0..10_000 {
            let (new, old) = divided(all, 0.1, &mut chance);
            assert_eq!((new.bad + old.bad, new.total + old.total), (30.0, 1_000.0));
            assert!(new.bad <= new.total && old.bad <= old.total);
            bad += new.bad / 10_000.0;
            squares += (new.bad - 3.0).powi(2) / 10_000.0;
            total += new.total / 10_000.0;
        }
        // Binomial: 30 x 0.1 on average, with a variance of 30 x 0.1 x 0.9.
        assert!((bad - 3.0).abs() < 0.1 && (squares - 2.7).abs() < 0.15 && (total - 100.0).abs() < 1.0);
        let (new, old) = divided(all, 1.0, &mut chance);
        assert_eq!((new, old), (all, Counts::default()));
        let (new, _) = divided(all, 0.0, &mut chance);
        assert_eq!(new, Counts::default());
    }
}
