//! A circuit breaker before the cache: after slow or failed operations the database is asked directly for a while.

use std::time::{Duration, Instant};

/// Operations in a row that open the breaker.
const FAILURES: u32 = 5;
/// How long it stays open before one operation is tried.
const OPEN_FOR: Duration = Duration::from_secs(2);

/// State of the breaker; time is told to it.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether the cache may be asked. Once the open time is over, one caller may try.
    pub fn allows(&mut self, now: Instant) -> bool {
        match self.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now + OPEN_FOR);
                true
            }
            None => true,
        }
    }

    /// The cache answered in time.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The cache was too slow or failed.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.open_until = Some(now + OPEN_FOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
