//! Turns the results of many tries into what a log should say: a failure begins, and a failure has ended.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

/// Systems that fail at the same time and are remembered: an entry takes about 200 bytes.
const MOST: usize = 1_000;

/// One system that is tried again and again.
#[derive(Debug)]
pub struct Outage {
    /// It must have worked for so long before its failure is over: one that now answers and now fails is told once, not at every turn.
    settled_after: Duration,
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    /// The first try that failed.
    since: Instant,
    /// The last one so far.
    last: Instant,
    /// The first try that succeeded after that.
    works_since: Option<Instant>,
    tries: u32,
}

/// A failure that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// From the first try that failed to the first that succeeded after the last such one.
    pub lasted: Duration,
    /// Tries that failed.
    pub tries: u32,
}

impl Past {
    /// How long it lasted, as a line has it.
    pub fn lasted_ms(&self) -> u64 {
        super::millis(self.lasted)
    }
}

impl Outage {
    /// Of a system that works as far as anybody knows.
    pub fn new(settled_after: Duration) -> Self {
        Self {
            settled_after,
            failing: None,
        }
    }

    /// A try failed. Returns whether a failure begins with it.
    pub fn failed(&mut self, now: Instant) -> bool {
        let begins = self.failing.is_none();
        let failing = self.failing.get_or_insert(Failing {
            since: now,
            last: now,
            works_since: None,
            tries: 0,
        });
        failing.last = now;
        failing.works_since = None;
        failing.tries = failing.tries.saturating_add(1);
        begins
    }

    /// A try succeeded. Returns the failure that has ended, if one has.
    pub fn worked(&mut self, now: Instant) -> Option<Past> {
        let failing = self.failing.as_mut()?;
        let works_since = *failing.works_since.get_or_insert(now);
        if now.saturating_duration_since(failing.last) < self.settled_after {
            return None;
        }
        let past = Past {
            lasted: works_since.saturating_duration_since(failing.since),
            tries: failing.tries,
        };
        self.failing = None;
        Some(past)
    }

    /// Whether it fails, as far as anybody knows.
    pub fn is_on(&self) -> bool {
        self.failing.is_some()
    }

    fn last(&self) -> Option<Instant> {
        self.failing.as_ref().map(|failing| failing.last)
    }
}

/// Many systems, each known by a key. Only those that fail take room, and of those at most [`MOST`] are remembered: when one more
/// comes, the one that was tried longest ago is forgotten. It is told as a new failure if it is ever tried again.
#[derive(Debug)]
pub struct Outages {
    settled_after: Duration,
    by_key: HashMap<String, Outage>,
}

impl Outages {
    /// Of systems that all work; for `settled_after` see [`Outage`].
    pub fn new(settled_after: Duration) -> Self {
        Self {
            settled_after,
            by_key: HashMap::new(),
        }
    }

    /// A try failed. Returns whether a failure begins with it.
    pub fn failed(&mut self, key: &str, now: Instant) -> bool {
        if let Some(outage) = self.by_key.get_mut(key) {
            return outage.failed(now);
        }
        if self.by_key.len() >= MOST {
            let stalest = self.by_key.iter().min_by_key(|(_, outage)| outage.last());
            if let Some(key) = stalest.map(|(key, _)| key.clone()) {
                self.by_key.remove(&key);
            }
        }
        self.by_key
            .entry(key.to_owned())
            .or_insert(Outage::new(self.settled_after))
            .failed(now)
    }

    /// A try succeeded. Returns the failure that has ended, if one has.
    pub fn worked(&mut self, key: &str, now: Instant) -> Option<Past> {
        let past = self.by_key.get_mut(key)?.worked(now)?;
        self.by_key.remove(key);
        Some(past)
    }

    /// Of keys whose first word is none of these the rest is gone and never tried again.
    pub fn keep_only(&mut self, known: &HashSet<String>) {
        self.by_key
            .retain(|key, _| key.split(' ').next().is_some_and(|first| known.contains(first)));
    }

    /// Whatever begins so is gone and never tried again.
    pub fn forget(&mut self, prefix: &str) {
        self.by_key.retain(|key, _| !key.starts_with(prefix));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn past(seconds: u32, tries: u32) -> Past {
        Past {
            lasted: SECOND * seconds,
            tries,
        }
    }

    #[test]
    fn a_failure_is_told_when_it_begins_and_when_it_ends() {
        let start = Instant::now();
        let mut outage = Outage::new(Duration::ZERO);
        assert_eq!(outage.worked(start), None);
        let begins: Vec<bool> = (1..=50).map(|second| outage.failed(start + SECOND * second)).collect();
        assert_eq!(begins.iter().filter(|begins| **begins).count(), 1);
        assert!(begins[0]);
        assert_eq!(outage.worked(start + SECOND * 61), Some(past(60, 50)));
        assert_eq!(outage.worked(start + SECOND * 62), None);
        assert!(outage.failed(start + SECOND * 63), "another one");
    }

    #[test]
    fn one_that_now_works_and_now_fails_is_told_once() {
        let start = Instant::now();
        let mut outage = Outage::new(SECOND * 30);
        assert!(outage.failed(start));
        for second in 1..100 {
            let now = start + SECOND * second;
            if second % 2 == 0 {
                assert!(!outage.failed(now), "{second}");
            } else {
                assert_eq!(outage.worked(now), None, "{second}");
            }
        }
        assert_eq!(outage.worked(start + SECOND * 127), None);
        assert_eq!(
            outage.worked(start + SECOND * 128),
            Some(past(99, 50)),
            "it has lasted until it worked, not until that was sure"
        );
    }

    #[test]
    fn each_key_has_its_own_failure_and_no_more_are_kept_than_fit() {
        let start = Instant::now();
        let mut outages = Outages::new(Duration::ZERO);
        assert!(outages.failed("a", start) && outages.failed("b", start) && !outages.failed("a", start + SECOND));
        assert_eq!(outages.worked("a", start + SECOND * 2), Some(past(2, 2)));
        assert_eq!(outages.worked("a", start + SECOND * 2), None);
        outages.forget("b");
        assert!(outages.failed("b", start + SECOND), "it was forgotten");

        for number in 0..MOST {
            outages.failed(&number.to_string(), start + SECOND * 3);
            outages.failed("b", start + SECOND * 3);
        }
        assert_eq!(outages.by_key.len(), MOST);
        assert!(!outages.failed("b", start + SECOND * 4), "who is tried often stays");
        assert_eq!(
            outages.worked("b", start + SECOND * 5).map(|past| past.lasted),
            Some(SECOND * 4)
        );
        for number in MOST..3 * MOST {
            outages.failed(&number.to_string(), start + SECOND * 6);
        }
        assert_eq!(outages.by_key.len(), MOST, "who never comes back makes room");
    }
}
