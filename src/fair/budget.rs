//! Bytes that namespaces share: what is read at once has a bound, and none of them holds all of it.

use std::{collections::HashMap, sync::Mutex};

use super::{Permit, Permits, lock};

/// How many bytes may be in memory at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Taken freely, as long as any are left, …
    pub pool: usize,
    /// … and of one namespace.
    pub pool_of_one: usize,
    /// One reader has so many at most.
    pub reader: usize,
    /// Readers that may go on at once when the pool gives them none: one of a namespace.
    pub beyond: usize,
}

/// A number of bytes, at most `pool + beyond * reader` of which are taken at once.
///
/// A reader that holds some and needs more never waits for another that does the same: it waits for leave to take all it may, beyond
/// the pool, and whoever has that leave waits for nobody.
pub struct Budget {
    limits: Limits,
    taken: Mutex<Taken>,
    beyond: Permits,
}

#[derive(Default)]
struct Taken {
    all: usize,
    of: HashMap<String, usize>,
}

/// It has taken all that one reader may.
#[derive(Debug, PartialEq, Eq)]
pub struct Exhausted;

/// What one reader has taken. Dropping it gives everything back.
pub struct Reader<'a> {
    budget: &'a Budget,
    namespace: &'a str,
    held: Mutex<Held>,
    leave: tokio::sync::Mutex<Option<Permit>>,
}

#[derive(Default)]
struct Held {
    /// All that it has.
    all: usize,
    /// The part that the pool gave.
    of_pool: usize,
}

impl Budget {
    /// Of which nothing is taken yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Mutex::default(),
            beyond: Permits::new(limits.beyond, 1),
        }
    }

    /// Somebody of this namespace who is about to read.
    pub fn reader<'a>(&'a self, namespace: &'a str) -> Reader<'a> {
        Reader {
            budget: self,
            namespace,
            held: Mutex::default(),
            leave: tokio::sync::Mutex::default(),
        }
    }

    /// Bytes that the pool has given.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        lock(&self.taken).all
    }

    fn take(&self, namespace: &str, bytes: usize) -> bool {
        let mut taken = lock(&self.taken);
        let of_one = taken.of.get(namespace).copied().unwrap_or_default();
        let (all, of_one) = (taken.all.saturating_add(bytes), of_one.saturating_add(bytes));
        if all > self.limits.pool || of_one > self.limits.pool_of_one {
            return false;
        }
        taken.all = all;
        match taken.of.get_mut(namespace) {
            Some(known) => *known = of_one,
            None => drop(taken.of.insert(namespace.to_owned(), of_one)),
        }
        true
    }

    fn give_back(&self, namespace: &str, bytes: usize) {
        let mut taken = lock(&self.taken);
        taken.all = taken.all.saturating_sub(bytes);
        let left = taken.of.get(namespace).map_or(0, |of_one| of_one.saturating_sub(bytes));
        if left == 0 {
            taken.of.remove(namespace);
        } else if let Some(known) = taken.of.get_mut(namespace) {
            *known = left;
        }
    }
}

impl Reader<'_> {
    /// Takes so many bytes more, when they are to be had.
    pub async fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let mut leave = self.leave.lock().await;
        let after = lock(&self.held).all.saturating_add(bytes);
        if after > self.budget.limits.reader {
            return Err(Exhausted);
        }
        let of_pool = leave.is_none() && self.budget.take(self.namespace, bytes);
        if !of_pool && leave.is_none() {
            *leave = self.budget.beyond.acquire(self.namespace).await;
        }
        let mut held = lock(&self.held);
        held.all = held.all.saturating_add(bytes);
        if of_pool {
            held.of_pool = held.of_pool.saturating_add(bytes);
        }
        Ok(())
    }

    /// Gives so many of them back.
    pub fn give_back(&self, bytes: usize) {
        let mut held = lock(&self.held);
        held.all = held.all.saturating_sub(bytes);
        let more_than_all = held.of_pool.saturating_sub(held.all);
        held.of_pool = held.of_pool.min(held.all);
        self.budget.give_back(self.namespace, more_than_all);
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.give_back(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMITS: Limits = Limits {
        pool: 40,
        pool_of_one: 20,
        reader: 15,
        beyond: 2,
    };

    /// Readers of a namespace that take all they may, bit by bit, and hold it for 10 s each.
    fn hostile(budget: &Arc<Budget>, namespace: &'static str, number: usize) {
        for _ in 0..number {
            let budget = budget.clone();
            tokio::spawn(async move {
                let reader = budget.reader(namespace);
                for _ in 0..LIMITS.reader {
                    reader.take(1).await.unwrap();
                    tokio::task::yield_now().await;
                }
                assert_eq!(reader.take(1).await, Err(Exhausted));
                sleep(Duration::from_secs(10)).await;
            });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_take_bit_by_bit_never_have_more_than_the_bound_and_all_come_to_an_end() {
        let budget = Arc::new(Budget::new(LIMITS));
        for namespace in ["a", "b", "c"] {
            hostile(&budget, namespace, 20);
        }
        sleep(Duration::from_secs(1)).await;
        assert!(
            budget.taken() <= LIMITS.pool && budget.taken() > LIMITS.pool_of_one,
            "{}",
            budget.taken()
        );
        let asked = Instant::now();
        let victim = budget.reader("victim");
        for _ in 0..LIMITS.reader {
            victim.take(1).await.unwrap();
        }
        // Before it wait those who may hold more than the pool gives: one of each namespace.
        assert!(asked.elapsed() <= Duration::from_secs(30), "{:?}", asked.elapsed());
        drop(victim);
        sleep(Duration::from_mins(10)).await;
        assert_eq!(
            (budget.taken(), lock(&budget.taken).of.len()),
            (0, 0),
            "all is given back"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_takes_all_it_may_keeps_nobody_waiting() {
        let budget = Arc::new(Budget::new(LIMITS));
        hostile(&budget, "hostile", 50);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(budget.taken(), LIMITS.pool_of_one);
        let asked = Instant::now();
        let victim = budget.reader("victim");
        victim.take(LIMITS.reader).await.unwrap();
        victim.give_back(10);
        victim.take(10).await.unwrap();
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }
}
