//! What was counted, second by second: all that a metrics store, a report or a picture asks of a world.

use super::world::{Counted, Side};

/// Sums of one side since the world began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Requests; each looks one thing up.
    pub requests: f64,
    /// Those that failed.
    pub errors: f64,
    /// Those that were slow.
    pub slow: f64,
    /// Those whose lookup missed.
    pub misses: f64,
    /// Answers that were compared with the database.
    pub sampled: f64,
    /// Those of them that were stale.
    pub stale: f64,
}

/// One of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one that is released.
    New,
    /// The one before.
    Old,
}

/// One second besides what is counted of both sides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// The new version's share of the requests.
    pub weight: f64,
    /// Queries of the database.
    pub load: f64,
    /// It was asked for more than it can carry.
    pub overloaded: bool,
}

/// All seconds of a world.
#[derive(Clone, Debug)]
pub struct Series {
    /// So many come before the moment 0.
    before: f64,
    /// At the beginning of each second, and at the end of the last one.
    sums: Vec<(Totals, Totals)>,
    seconds: Vec<Second>,
}

impl Totals {
    fn plus(self, side: Side) -> Self {
        let counted = |number: u64| u32::try_from(number).map_or(f64::from(u32::MAX), f64::from);
        Self {
            requests: self.requests + counted(side.requests),
            errors: self.errors + counted(side.errors),
            slow: self.slow + counted(side.slow),
            misses: self.misses + counted(side.misses),
            sampled: self.sampled + counted(side.sampled),
            stale: self.stale + counted(side.stale),
        }
    }

    /// This one and a part of what is between it and `later`.
    fn toward(self, later: Self, part: f64) -> Self {
        let between = |from: f64, to: f64| from + (to - from) * part;
        Self {
            requests: between(self.requests, later.requests),
            errors: between(self.errors, later.errors),
            slow: between(self.slow, later.slow),
            misses: between(self.misses, later.misses),
            sampled: between(self.sampled, later.sampled),
            stale: between(self.stale, later.stale),
        }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            errors: self.errors - earlier.errors,
            slow: self.slow - earlier.slow,
            misses: self.misses - earlier.misses,
            sampled: self.sampled - earlier.sampled,
            stale: self.stale - earlier.stale,
        }
    }

    /// A share of the requests; nothing of none.
    pub fn share(self, part: f64) -> Option<f64> {
        (self.requests > 0.0).then(|| part / self.requests)
    }

    /// Share of hits.
    pub fn hits(self) -> Option<f64> {
        self.share(self.requests - self.misses)
    }
}

impl Series {
    /// Before the first second, which comes so many before the moment 0.
    pub fn new(before: u32) -> Self {
        Self {
            before: f64::from(before),
            sums: vec![Default::default()],
            seconds: Vec::new(),
        }
    }

    /// One second more, at this weight.
    pub fn push(&mut self, weight: f64, counted: &Counted) {
        let (new, old) = self.sums.last().copied().unwrap_or_default();
        self.sums
            .push((new.plus(counted.candidate), old.plus(counted.baseline)));
        self.seconds.push(Second {
            weight,
            load: counted.load,
            overloaded: counted.overloaded,
        });
    }

    /// What was counted of a version from one moment to another, in seconds after the moment 0.
    pub fn between(&self, whose: Whose, from: f64, to: f64) -> Totals {
        self.until(whose, to).since(self.until(whose, from))
    }

    fn until(&self, whose: Whose, moment: f64) -> Totals {
        let at = self.place(moment);
        let side = |index: usize| {
            let (new, old) = self.sums.get(index).or(self.sums.last()).copied().unwrap_or_default();
            match whose {
                Whose::New => new,
                Whose::Old => old,
            }
        };
        let index = whole(at);
        side(index).toward(side(index.saturating_add(1)), at.fract())
    }

    /// The seconds from one moment to another.
    pub fn seconds(&self, from: f64, to: f64) -> &[Second] {
        let last = self.seconds.len();
        let first = whole(self.place(from)).min(last.saturating_sub(1));
        let end = whole(self.place(to).ceil()).clamp(first.saturating_add(1).min(last), last);
        self.seconds.get(first..end).unwrap_or_default()
    }

    fn place(&self, moment: f64) -> f64 {
        (moment + self.before).max(0.0)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a week at most, not negative"
)]
fn whole(seconds: f64) -> usize {
    seconds as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_moments_is_counted_once() {
        let mut series = Series::new(2);
        for requests in [10_u32, 20, 30, 40] {
            let side = Side {
                requests: requests.into(),
                misses: 5,
                ..Side::default()
            };
            let counted = Counted {
                candidate: side,
                baseline: Side::default(),
                pods: Vec::new(),
                load: requests.into(),
                in_flight: (0.0, 0.0),
                factor: 1.0,
                lost: false,
                overloaded: false,
            };
            series.push(0.1, &counted);
        }
        let requests = |from, to| series.between(Whose::New, from, to).requests;
        assert_eq!((requests(-2.0, 2.0), requests(0.0, 1.0)), (100.0, 30.0));
        assert_eq!((requests(-0.5, 0.5), requests(1.0, 99.0)), (25.0, 40.0));
        assert_eq!(series.between(Whose::Old, -9.0, 9.0), Totals::default());
        assert_eq!(series.between(Whose::New, 0.0, 1.0).hits(), Some(25.0 / 30.0));
        let loads = |from, to| {
            series
                .seconds(from, to)
                .iter()
                .map(|second| second.load)
                .collect::<Vec<_>>()
        };
        assert_eq!((loads(0.0, 1.0), loads(-1.0, 0.5)), (vec![30.0], vec![20.0, 30.0]));
        assert_eq!(loads(50.0, 60.0), vec![40.0]);
    }
}
