//! What was seen of each object, in order and with its moment; the measures are read off it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// By object (`namespace/name`), what changed when.
pub struct Journal<T> {
    entries: Mutex<HashMap<String, Vec<(Instant, T)>>>,
    changed: watch::Sender<()>,
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }
}

impl<T: Clone + PartialEq> Journal<T> {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Vec<(Instant, T)>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what is seen now, if it differs from what was seen last.
    pub fn note(&self, key: String, seen: T) {
        let mut entries = self.entries();
        let of_object = entries.entry(key).or_default();
        if of_object.last().is_none_or(|(_, last)| *last != seen) {
            of_object.push((Instant::now(), seen));
            drop(entries);
            self.changed.send_replace(());
        }
    }

    /// What was seen last.
    pub fn last(&self, key: &str) -> Option<T> {
        self.entries().get(key)?.last().map(|(_, seen)| seen.clone())
    }

    /// What was seen from a moment on.
    pub fn since(&self, key: &str, from: Instant) -> Vec<T> {
        let entries = self.entries();
        entries
            .get(key)
            .into_iter()
            .flatten()
            .filter(|(at, _)| *at >= from)
            .map(|(_, seen)| seen.clone())
            .collect()
    }

    /// Objects whose last entry is as wanted.
    pub fn count(&self, wanted: impl Fn(&T) -> bool) -> usize {
        self.entries()
            .values()
            .filter(|seen| seen.last().is_some_and(|(_, last)| wanted(last)))
            .count()
    }

    /// When an object was first as wanted, at `from` or later.
    pub async fn first(
        &self,
        key: &str,
        from: Instant,
        what: &str,
        within: Duration,
        wanted: impl Fn(&T) -> bool,
    ) -> anyhow::Result<Instant> {
        let mut changed = self.changed.subscribe();
        let look = || {
            let entries = self.entries();
            entries
                .get(key)?
                .iter()
                .find(|(at, seen)| *at >= from && wanted(seen))
                .map(|(at, _)| *at)
        };
        let wait = async {
            loop {
                if let Some(at) = look() {
                    return at;
                }
                // The sender lives as long as the journal.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(within, wait)
            .await
            .map_err(|_| anyhow::anyhow!("{key}: {what} did not come within {within:?}"))
    }

    /// Waits until the last entry of an object is as wanted.
    pub async fn until(
        &self,
        key: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(&T) -> bool,
    ) -> anyhow::Result<()> {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !self.last(key).is_some_and(|seen| wanted(&seen)) {
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(within, wait)
            .await
            .map_err(|_| anyhow::anyhow!("{key}: {what} did not come within {within:?}"))
    }
}
