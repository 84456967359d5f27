//! A circuit breaker before the cache: after slow or failed operations the database is asked directly for a while.

use std::time::{Duration, Instant};

/// Operations in a row that open the breaker.
const FAILURES: u32 = 5;
/// How long it stays open before one operation is tried.
const OPEN_FOR: Duration = Duration::from_secs(2);

/// State of the breaker; time is told to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// The cache is asked; so many operations in a row were slow or failed.
    Closed { failures: u32 },
    /// The cache is left alone.
    Open { until: Instant },
    /// One operation is under way. If it is never heard of again, another one may try from `until` on.
    HalfOpen { until: Instant },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether the cache may be asked. Once the open time is over, one caller may try.
    pub fn allows(&mut self, now: Instant) -> bool {
        match *self {
            Self::Closed { .. } => true,
            Self::Open { until } | Self::HalfOpen { until } if now < until => false,
            Self::Open { .. } | Self::HalfOpen { .. } => {
                *self = Self::HalfOpen { until: now + OPEN_FOR };
                true
            }
        }
    }

    /// The cache answered in time.
    pub fn succeeded(&mut self) {
        // While open, this is an operation from before: one good answer among bad ones proves nothing.
        if !matches!(self, Self::Open { .. }) {
            *self = Self::default();
        }
    }

    /// The cache was too slow or failed.
    pub fn failed(&mut self, now: Instant) {
        *self = match *self {
            Self::Closed { failures } if failures + 1 < FAILURES => Self::Closed { failures: failures + 1 },
            Self::Closed { .. } | Self::HalfOpen { .. } => Self::Open { until: now + OPEN_FOR },
            // Stragglers do not keep it open for longer.
            Self::Open { until } => Self::Open { until },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.failed(now));
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_tries_one() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.failed(start);
            assert!(breaker.allows(start));
        }
        breaker.failed(start);
        assert!(!breaker.allows(start + OPEN_FOR / 2));
        assert!(breaker.allows(start + OPEN_FOR), "one may try");
        assert!(!breaker.allows(start + OPEN_FOR), "but only one");
        breaker.succeeded();
        assert!(breaker.allows(start + OPEN_FOR));
    }

    #[test]
    fn transitions() {
        let now = Instant::now();
        let later = now + OPEN_FOR;
        let table = [
            (
                "a success forgets failures",
                Breaker::Closed { failures: 4 },
                true,
                Breaker::Closed { failures: 0 },
            ),
            (
                "a failure is counted",
                Breaker::Closed { failures: 3 },
                false,
                Breaker::Closed { failures: 4 },
            ),
            (
                "the last failure opens",
                Breaker::Closed { failures: 4 },
                false,
                Breaker::Open { until: later },
            ),
            (
                "an old success does not close",
                Breaker::Open { until: now },
                true,
                Breaker::Open { until: now },
            ),
            (
                "an old failure does not prolong",
                Breaker::Open { until: now },
                false,
                Breaker::Open { until: now },
            ),
            (
                "a good try closes",
                Breaker::HalfOpen { until: now },
                true,
                Breaker::default(),
            ),
            (
                "a bad try opens again",
                Breaker::HalfOpen { until: now },
                false,
                Breaker::Open { until: later },
            ),
        ];
        for (name, mut breaker, good, expected) in table {
            if good {
                breaker.succeeded();
            } else {
                breaker.failed(now);
            }
            assert_eq!(breaker, expected, "{name}");
        }
    }

    #[test]
    fn a_try_that_is_never_heard_of_again_blocks_nobody_for_good() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert!(breaker.allows(start + OPEN_FOR));
        assert!(breaker.allows(start + 2 * OPEN_FOR));
    }

    /// Every sequence of eight events: never two tries within the open time, and never open without enough failures.
    #[test]
    fn holds_for_all_short_histories() {
        let start = Instant::now();
        for history in 0..4_u32.pow(8) {
            let (mut now, mut breaker, mut in_a_row, mut last_try) = (start, opened(start), 0, None::<Instant>);
            for event in (0..8).map(|n| history / 4_u32.pow(n) % 4) {
                let before = breaker;
                match event {
                    0 => now += OPEN_FOR / 2,
                    1 => {
                        breaker.succeeded();
                        in_a_row = 0;
                    }
                    2 => {
                        breaker.failed(now);
                        in_a_row += 1;
                    }
                    _ if breaker.allows(now) && !matches!(before, Breaker::Closed { .. }) => {
                        assert!(last_try.is_none_or(|last| now >= last + OPEN_FOR), "{history}");
                        last_try = Some(now);
                    }
                    _ => {}
                }
                if matches!((before, breaker), (Breaker::Closed { .. }, Breaker::Open { .. })) {
                    assert!(in_a_row >= FAILURES, "{history}");
                }
                if matches!(breaker, Breaker::Closed { .. }) {
                    last_try = None;
                }
            }
        }
    }
}
