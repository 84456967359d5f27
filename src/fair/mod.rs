//! Permits that namespaces share: none of them ever holds all, and nobody is passed by.

mod budget;
#[cfg(test)]
pub(crate) mod measured;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use budget::{Budget, Exhausted, Limits, Reader};

/// What is shared here are maps and sums, which are changed without anything that panics in between.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number of permits, of which each namespace has a share at most.
///
/// Whoever waits for one of all has one of its namespace's share already, so that the queue, which is in order of arrival, never has
/// more than a share of one namespace.
pub struct Permits {
    all: Arc<Semaphore>,
    share: usize,
    shares: Mutex<Shares>,
}

/// The shares of namespaces that hold permits or wait for them.
struct Shares {
    of: HashMap<String, Weak<Semaphore>>,
    /// With so many of them those that nobody uses any more are taken out.
    tidied_at: usize,
}

/// With fewer shares than this none is taken out.
const FEW: usize = 16;

/// The right to do one thing. Dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    _one_of_all: OwnedSemaphorePermit,
    _one_of_share: OwnedSemaphorePermit,
}

impl Permits {
    /// So many of `all`; `share` of them are the most that one namespace holds.
    pub fn new(all: usize, share: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            share,
            shares: Mutex::new(Shares {
                of: HashMap::new(),
                tidied_at: FEW,
            }),
        }
    }

    /// Waits for a permit; nothing after [`Permits::close`].
    pub async fn acquire(&self, namespace: &str) -> Option<Permit> {
        let one_of_share = self.share_of(namespace).acquire_owned().await.ok()?;
        let one_of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(Permit {
            _one_of_all: one_of_all,
            _one_of_share: one_of_share,
        })
    }

    /// Gives none any more, also to those that wait.
    pub fn close(&self) {
        self.all.close();
    }

    fn share_of(&self, namespace: &str) -> Arc<Semaphore> {
        let mut shares = lock(&self.shares);
        if let Some(share) = shares.of.get(namespace).and_then(Weak::upgrade) {
            return share;
        }
        if shares.of.len() >= shares.tidied_at {
            shares.of.retain(|_, share| share.strong_count() > 0);
            shares.tidied_at = FEW.max(shares.of.len().saturating_mul(2));
        }
        let share = Arc::new(Semaphore::new(self.share));
        shares.of.insert(namespace.to_owned(), Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// How long the victim waits for a permit that it gives back at once, while each of `others` wants a hundred for 10 s each.
    async fn wait_beside(others: &[&str]) -> Duration {
        let permits = Arc::new(Permits::new(8, 2));
        for namespace in others {
            for _ in 0..100 {
                let (permits, namespace) = (permits.clone(), (*namespace).to_owned());
                tokio::spawn(async move {
                    let _permit = permits.acquire(&namespace).await;
                    sleep(Duration::from_secs(10)).await;
                });
            }
        }
        sleep(Duration::from_secs(1)).await;
        let asked = Instant::now();
        assert!(permits.acquire("victim").await.is_some());
        asked.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_wants_everything_lets_others_have_theirs_at_once() {
        assert_eq!(wait_beside(&["hostile"]).await, Duration::ZERO);
        assert_eq!(wait_beside(&["a", "b", "c"]).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn among_many_a_newcomer_waits_for_a_share_of_each_and_not_for_all_that_they_want() {
        // Ten namespaces have two each at a time: eight permits run, twelve wait, each for 10 s.
        let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        assert!(wait_beside(&many).await <= Duration::from_secs(30));
    }

    #[tokio::test]
    async fn whoever_waits_gets_none_after_the_end_and_no_share_stays_behind() {
        let permits = Arc::new(Permits::new(1, 1));
        let held = permits.acquire("a").await;
        let waiting = join_all(["a", "b"].map(|namespace| permits.acquire(namespace)));
        permits.close();
        let ((), given) = tokio::join!(async { drop(held) }, waiting);
        assert!(given.iter().all(Option::is_none));
        for number in 0..10_000 {
            assert!(permits.acquire(&number.to_string()).await.is_none());
        }
        let known = permits.shares.lock().unwrap().of.len();
        assert!(known <= FEW, "{known}");
    }
}
