//! What the watches have seen, and what our own writes have returned since.
//!
//! A watch lags behind a write by some milliseconds. Whoever decided on the older copy in between
//! would take his own write for somebody else's, so the answer of every write is kept until the
//! watch has caught up.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::{
        reflector::{Store, store},
        watcher::Event,
    },
};
use serde_json::Value;
use tokio::sync::watch;

use super::{
    kinds::{Caches, KINDS, ROLLOUT, Reach, Row},
    named::{Named, event_of, identity_of},
    shelf::{Filed, Shelf},
    snapshot::Snapshot,
    told::{Content, Told, Unreadable},
};
use crate::look::{Known, Objects, keys::Keys};

/// One kind of object, as fresh as it is known here: what the watch has seen, or what a write of ours has returned since.
pub struct Cache {
    row: Row,
    resource: ApiResource,
    shelf: Mutex<Shelf>,
    /// kube's scheduler of passes looks objects up in a store of its own; ours are there by name only.
    names: Mutex<store::Writer<Named>>,
    in_sync: watch::Sender<bool>,
    installed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another pass leaves at worst a copy that the watch replaces.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// Empty, of a kind whose objects are found by these keys.
    pub fn new(row: Row, keys: Keys) -> Self {
        let shelf = Shelf::new(keys, row.slim);
        Self {
            resource: row.resource(),
            shelf: Mutex::new(if row.kind == ROLLOUT {
                shelf.eldest_first()
            } else {
                shelf
            }),
            row,
            names: Mutex::new(store::Writer::default()),
            in_sync: watch::channel(false).0,
            installed: AtomicBool::new(true),
        }
    }

    /// Whether the cluster has the kind, so that what is not here does not exist.
    pub fn is_installed(&self) -> bool {
        self.installed.load(Ordering::Acquire)
    }

    /// The cluster has the kind, or lacks it.
    pub fn set_installed(&self, installed: bool) {
        self.installed.store(installed, Ordering::Release);
    }

    /// Names of what is there, for kube's scheduler.
    pub fn names(&self) -> Store<Named> {
        lock(&self.names).as_reader()
    }

    /// What is said about the kind.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// The kind as kube knows it.
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// The newest copy.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Snapshot> {
        lock(&self.shelf).get(namespace.unwrap_or_default(), name)
    }

    /// Version of the newest copy.
    pub fn version(&self, namespace: &str, name: &str) -> Option<u64> {
        lock(&self.shelf).version(namespace, name)
    }

    /// The newest copies of all objects of a namespace that are about `key`.
    pub fn about(&self, namespace: &str, key: &str) -> Vec<Snapshot> {
        lock(&self.shelf).about(namespace, key)
    }

    /// Names of all objects of a namespace that are about `key`.
    pub fn names_about(&self, namespace: &str, key: &str) -> Vec<String> {
        lock(&self.shelf).names_about(namespace, key)
    }

    /// Whether an object of a namespace is about `key`.
    pub fn has_about(&self, namespace: &str, key: &str) -> bool {
        lock(&self.shelf).has_about(namespace, key)
    }

    /// Keys like this, each with its namespace.
    pub fn keys_like(&self, like: impl Fn(&str) -> bool) -> HashSet<(String, String)> {
        lock(&self.shelf).keys_like(like)
    }

    /// Everything that a key finds is here, so that what is not here does not exist.
    pub fn is_complete(&self, namespace: &str, key: &str) -> bool {
        lock(&self.shelf).is_complete(namespace, key)
    }

    /// Looks at the shelf, or changes it.
    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelf)
    }

    /// Namespaces and names of the objects that have a key like this.
    pub fn everywhere(&self, like: impl Fn(&str) -> bool) -> HashSet<(String, String)> {
        lock(&self.shelf).everywhere(like)
    }

    /// The first ones of a namespace that are about `key`, so many at most; of rollouts the eldest.
    pub fn first_about(&self, namespace: &str, key: &str, at_most: usize) -> Vec<Filed> {
        lock(&self.shelf).first_about(namespace, key, at_most)
    }

    /// Where an object stands among those that are about the same.
    pub fn filed(&self, object: &DynamicObject) -> Filed {
        lock(&self.shelf).filed(object)
    }

    /// Fingerprint of what is cached of the kind and a rollout of the namespace may read. Our own final writes do not
    /// change it.
    pub fn stamp(&self, namespace: &str) -> u64 {
        let shelf = lock(&self.shelf);
        match self.row.reach {
            Reach::Namespace => shelf.stamp(namespace),
            Reach::Specs => shelf.stamp_of_specs(namespace),
            Reach::Everywhere => shelf.stamp_of_all(),
        }
    }

    /// Namespaces and names of all objects.
    pub fn places(&self) -> Vec<(String, String)> {
        lock(&self.shelf).places()
    }

    /// Remembers what a write of ours returned, unless the watch is past it: an answer that comes after
    /// the watch has told of the object's deletion would stay for ever.
    pub fn wrote(&self, object: DynamicObject) {
        lock(&self.shelf).wrote(object, false);
    }

    /// The same for a write after which nothing is left to be decided: what the watch tells of it is no news.
    pub fn wrote_finally(&self, object: DynamicObject) {
        lock(&self.shelf).wrote(object, true);
    }

    /// A write of this process to an object begins, of which only what is said about the object is changed.
    /// What the watch tells before the write's end concerns nobody else, and is decided upon after it.
    pub fn writing<'a>(&'a self, namespace: &'a str, name: &'a str) -> Writing<'a> {
        lock(&self.shelf).begin_write(namespace, name);
        Writing {
            cache: self,
            namespace,
            name,
            ended: false,
        }
    }

    /// The watch has yet to tell what a write of ours has made of the object.
    pub fn is_behind(&self, namespace: &str, name: &str) -> bool {
        lock(&self.shelf).is_behind(namespace, name)
    }

    /// Takes over what was read from the API server, if the watch lags behind it.
    pub fn freshen(&self, told: impl Into<Told>) {
        lock(&self.shelf).freshen(told.into());
    }

    /// Takes in what the watch tells; returns the objects that it concerns.
    pub fn follow(&self, event: Event<impl Into<Told>>) -> Vec<Snapshot> {
        let event = event_of(event, Into::into);
        let listed = matches!(event, Event::InitDone);
        if self.row.kind == ROLLOUT {
            lock(&self.names).apply_watcher_event(&identity_of(&event));
        }
        if let Event::Apply(told) | Event::InitApply(told) = &event {
            self.log(told);
        }
        let touched = lock(&self.shelf).follow(event);
        if listed {
            self.in_sync.send_replace(true);
        }
        touched
    }

    /// Takes in what was fetched.
    pub fn fetched(&self, told: Told) {
        self.log(&told);
        lock(&self.shelf).fetched(told);
    }

    /// Says once of an object that it cannot be read.
    fn log(&self, told: &Told) {
        let Content::Unreadable(Unreadable { why, .. }) = &told.content else {
            return;
        };
        let (namespace, name) = (told.object.namespace().unwrap_or_default(), told.object.name_any());
        if !lock(&self.shelf).is_unreadable(&namespace, &name, why) {
            let kind = self.row.kind;
            tracing::warn!(
                kind,
                namespace,
                name,
                why,
                "an object cannot be read and is left out; rollouts that need it are refused until it is mended"
            );
        }
    }

    /// What could be read of an object of which there is a version that cannot be read, and why it cannot.
    pub fn rest_of(&self, namespace: &str, name: &str) -> Option<(Snapshot, String)> {
        let shelf = lock(&self.shelf);
        let (rest, why) = shelf.rest_of(namespace, name)?;
        Some((rest, why.to_owned()))
    }

    /// Number of the objects that cannot be read.
    pub fn count_unreadable(&self) -> usize {
        lock(&self.shelf).count_unreadable()
    }

    /// Whether the watch has listed its objects once.
    fn is_listed(&self) -> bool {
        *self.in_sync.borrow()
    }

    /// Waits until the watch has listed its objects once.
    pub async fn wait_until_listed(&self) {
        // The sender lives as long as this.
        let _ = self.in_sync.subscribe().wait_for(|in_sync| *in_sync).await;
    }
}

/// A write that is under way.
pub struct Writing<'a> {
    cache: &'a Cache,
    namespace: &'a str,
    name: &'a str,
    ended: bool,
}

impl Writing<'_> {
    /// The write returned this version, and nothing has to follow from it. True if the watch has told of a later change meanwhile.
    pub fn ended(mut self, version: u64) -> bool {
        self.ended = true;
        lock(&self.cache.shelf).end_write(self.namespace, self.name, Some(version))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Whoever failed comes again.
            lock(&self.cache.shelf).end_write(self.namespace, self.name, None);
        }
    }
}

impl Caches {
    /// Takes in what the watch of a kind tells; returns the objects that it concerns.
    pub fn follow(&self, cache: &Cache, event: Event<impl Into<Told>>) -> Vec<Snapshot> {
        if matches!(event, Event::Init) {
            lock(&cache.shelf).begin_list(self.seeking(&cache.row));
        }
        cache.follow(event)
    }

    /// Fingerprint of all cached state that a rollout of this namespace may read. Our own final writes do not change it.
    pub fn stamp(&self, namespace: &str) -> [u64; KINDS] {
        self.all()
            .map(|cache| cache.stamp(namespace) << 1 | u64::from(cache.is_installed()))
    }

    /// An object of the namespace that cannot be read and is sought by one of these keys, and why.
    pub fn unreadable(&self, namespace: &str, keys: &[String]) -> Option<String> {
        self.all().iter().find_map(|cache| {
            let shelf = lock(&cache.shelf);
            let (name, why) = shelf.unreadable(namespace, keys)?;
            let kind = cache.row.kind;
            Some(format!(
                "{kind} {name} cannot be read: {why}. Mend the field, or delete the object"
            ))
        })
    }

    /// Kinds whose objects have not all been listed yet.
    pub fn not_in_sync(&self) -> Vec<&'static str> {
        let missing = |cache: &&&Cache| cache.is_installed() && !cache.is_listed();
        self.all().iter().filter(missing).map(|cache| cache.row.kind).collect()
    }

    /// Waits until every watch has listed its objects once: before that, everything would seem to be missing.
    pub async fn wait_until_ready(&self) {
        for cache in self.all().into_iter().filter(|cache| cache.is_installed()) {
            cache.wait_until_listed().await;
        }
    }
}

impl Objects for Caches {
    fn get(&self, kind: Known, namespace: &str, name: &str) -> Option<Value> {
        self.of(kind).get(Some(namespace), name).map(|copy| copy.value())
    }

    fn about(&self, kind: Known, namespace: &str, key: &str) -> Vec<Value> {
        let found = self.of(kind).about(namespace, key);
        found.iter().map(Snapshot::value).collect()
    }

    fn names_about(&self, kind: Known, namespace: &str, key: &str) -> Vec<String> {
        self.of(kind).names_about(namespace, key)
    }

    fn first_about(&self, kind: Known, namespace: &str, key: &str, at_most: usize) -> Vec<String> {
        let places = self.of(kind).first_about(namespace, key, at_most);
        places.into_iter().map(|place| place.name.into_string()).collect()
    }

    fn version(&self, kind: Known, namespace: &str, name: &str) -> Option<u64> {
        self.of(kind).version(namespace, name)
    }

    fn is_installed(&self, kind: Known) -> bool {
        self.of(kind).is_installed()
    }
}

/// Whether the process may be sent work: all watches are in sync.
#[derive(Clone)]
pub struct Readiness(Arc<watch::Sender<bool>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }
}

impl Readiness {
    /// All watches are in sync.
    pub fn set_ready(&self) {
        self.0.send_replace(true);
    }
    /// Whether they are.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }
}
