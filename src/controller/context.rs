//! What every pass shares: the client, the caches, the clock and the provider.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kube::{Client, Resource, api::DynamicObject};

use super::caches::{Caches, Readiness};
use crate::{provider::Provider, runtime::metrics::Metrics};

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Shared by all passes.
pub struct Context {
    /// Talks to the API server.
    pub client: Client,
    /// What the watches have seen.
    pub caches: Arc<Caches>,
    /// Asks metrics stores.
    pub provider: Box<dyn Provider>,
    /// Tells the time.
    pub clock: Clock,
    /// What this process tells about itself.
    pub metrics: Metrics,
    /// Whether all watches are in sync.
    pub readiness: Readiness,
    /// Delays after failures.
    pub backoff: Backoff,
    /// Events that this process has told.
    pub told: Told,
}

impl Context {
    /// The time, to the millisecond: what is stored in a status reads back as the same moment.
    pub fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// First delay after a failure.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay after many failures.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both maps hold only hints; one that a panic left half-written is still usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn uid(object: &DynamicObject) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

/// Delays that double with every failure of the same object.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// Delay after one more failure.
    pub fn next(&self, object: &DynamicObject) -> Duration {
        let mut failures = lock(&self.0);
        let count = failures.entry(uid(object)).or_default();
        let delay = FIRST_DELAY.saturating_mul(2_u32.saturating_pow((*count).min(16)));
        *count += 1;
        delay.min(LONGEST_DELAY)
    }

    /// A pass came to its end.
    pub fn reset(&self, object: &DynamicObject) {
        lock(&self.0).remove(&uid(object));
    }
}

/// Number of the last Event told, by UID of the rollout. Only saves requests: telling again is harmless.
#[derive(Default)]
pub struct Told(Mutex<HashMap<String, i64>>);

impl Told {
    /// The last one told.
    pub fn last(&self, uid: &str) -> i64 {
        lock(&self.0).get(uid).copied().unwrap_or_default()
    }
    /// One more was told.
    pub fn advance(&self, uid: &str, sequence: i64) {
        lock(&self.0).insert(uid.to_owned(), sequence);
    }
    /// The rollout is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.0).remove(uid);
    }
}
