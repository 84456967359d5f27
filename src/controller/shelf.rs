//! Objects of one kind in memory, found by name or by what they are about.
//!
//! They are kept as text and read when somebody looks: most of them are not looked at for days, and
//! parsed they take several times the space.

pub mod complete;
mod drawer;
mod follow;
#[cfg(test)]
mod tests;
mod unreadable;

use std::collections::{BTreeMap, HashMap, HashSet};

use kube::{ResourceExt, api::DynamicObject};

use super::{
    snapshot::Snapshot,
    told::{Content, Told, Unreadable},
};
use crate::look::keys::Keys;
pub use drawer::Filed;
use drawer::{Drawer, Shelved, digest};
use unreadable::Unread;

/// Takes out of a copy what no decision needs.
pub type Slim = fn(&mut DynamicObject);

/// Namespace (empty for cluster-wide kinds) and name.
type Place = (String, String);

/// Number of the change that made this copy.
pub(super) fn version(object: &DynamicObject) -> u64 {
    object
        .metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

fn place(object: &DynamicObject) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Objects of one kind.
pub struct Shelf {
    keys: Keys,
    /// Of those that are about the same the eldest come first, and not those whose names do.
    eldest_first: bool,
    slim: Slim,
    drawers: BTreeMap<Box<str>, Drawer>,
    /// While a list is coming in: what it has named so far, and what writes of ours have returned since it was asked for.
    listing: Option<HashSet<Place>>,
    /// The newest version that the watch has told of; it tells of all changes of a kind in order.
    newest: u64,
    /// Changes so far, final answers aside.
    changes: u64,
    /// Objects that a write of ours is under way to; true when the watch has told of a change meanwhile.
    writing: HashMap<Place, bool>,
    /// Objects whose newest version cannot be read. An older copy of them may be kept.
    unreadable: BTreeMap<Place, Unread>,
    complete: complete::Complete,
}

impl Shelf {
    /// An empty one.
    pub fn new(keys: Keys, slim: Slim) -> Self {
        Self {
            keys,
            eldest_first: false,
            slim,
            drawers: BTreeMap::new(),
            listing: None,
            newest: 0,
            changes: 0,
            writing: HashMap::new(),
            unreadable: BTreeMap::new(),
            complete: complete::Complete::default(),
        }
    }

    /// The same, with the eldest first.
    #[must_use]
    pub fn eldest_first(self) -> Self {
        Self {
            eldest_first: true,
            ..self
        }
    }

    /// Where an object stands among those that are about the same.
    pub fn filed(&self, object: &DynamicObject) -> Filed {
        let created = object.metadata.creation_timestamp.as_ref();
        Filed {
            since: created
                .filter(|_| self.eldest_first)
                .map_or(0, |time| time.0.as_second()),
            name: object.name_any().into(),
        }
    }

    /// The first ones of a namespace that are about `key`, so many at most.
    pub fn first_about(&self, namespace: &str, key: &str, at_most: usize) -> Vec<Filed> {
        let places = self.drawers.get(namespace).and_then(|drawer| drawer.by_key.get(key));
        places.into_iter().flatten().take(at_most).cloned().collect()
    }

    fn kept(&self, namespace: &str, name: &str) -> Option<&Shelved> {
        self.drawers.get(namespace)?.objects.get(name)
    }

    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Snapshot> {
        self.kept(namespace, name).map(|kept| Snapshot::of(&kept.text))
    }

    /// Version of the object of this name.
    pub fn version(&self, namespace: &str, name: &str) -> Option<u64> {
        self.kept(namespace, name).map(|kept| kept.version)
    }

    /// What is kept is older than what a write of ours has returned.
    pub fn is_behind(&self, namespace: &str, name: &str) -> bool {
        self.kept(namespace, name)
            .is_some_and(|kept| kept.answered > kept.version)
    }

    /// Names of the objects of a namespace that are about `key`, in order.
    pub fn names_about(&self, namespace: &str, key: &str) -> Vec<String> {
        let names = self.drawers.get(namespace).and_then(|drawer| drawer.by_key.get(key));
        names
            .into_iter()
            .flatten()
            .map(|place| place.name.to_string())
            .collect()
    }

    /// Objects of a namespace that are about `key`, by name.
    pub fn about(&self, namespace: &str, key: &str) -> Vec<Snapshot> {
        let Some(drawer) = self.drawers.get(namespace) else {
            return Vec::new();
        };
        let names = drawer.by_key.get(key).into_iter().flatten();
        names
            .filter_map(|place| drawer.objects.get(&place.name))
            .map(|kept| Snapshot::of(&kept.text))
            .collect()
    }

    /// Whether an object of a namespace is about `key`.
    pub fn has_about(&self, namespace: &str, key: &str) -> bool {
        let drawer = self.drawers.get(namespace);
        drawer.is_some_and(|drawer| drawer.by_key.contains_key(key))
    }

    /// Keys like this, each with its namespace.
    pub fn keys_like(&self, like: impl Fn(&str) -> bool) -> HashSet<(String, String)> {
        let found = self.drawers.iter().flat_map(|(namespace, drawer)| {
            let keys = drawer.by_key.keys().filter(|key| like(key));
            keys.map(move |key| (namespace.to_string(), key.to_string()))
        });
        found.collect()
    }

    /// Namespaces and names of the objects that have a key like this.
    pub fn everywhere(&self, like: impl Fn(&str) -> bool) -> HashSet<(String, String)> {
        let found = self.drawers.iter().flat_map(|(namespace, drawer)| {
            let keys = drawer.by_key.iter().filter(|(key, _)| like(key));
            keys.flat_map(move |(_, names)| {
                names
                    .iter()
                    .map(move |place| (namespace.to_string(), place.name.to_string()))
            })
        });
        found.collect()
    }

    /// Namespaces and names of all objects, in order.
    pub fn places(&self) -> Vec<(String, String)> {
        let all = self.drawers.iter().flat_map(|(namespace, drawer)| {
            drawer
                .objects
                .keys()
                .map(move |name| (namespace.to_string(), name.to_string()))
        });
        all.collect()
    }

    /// Puts a copy in place of an older one, and returns it as it is kept. One that went with the last write of its finalizers is gone.
    pub fn put(&mut self, object: DynamicObject, final_answer: bool) -> Snapshot {
        let mut object = object;
        (self.slim)(&mut object);
        let place = place(&object);
        let copy = Snapshot::from(object);
        if copy.metadata.deletion_timestamp.is_some()
            && copy.finalizers().is_empty()
            && copy.metadata.deletion_grace_period_seconds.unwrap_or(0) == 0
        {
            // The watch may have said so already, and says it only once.
            self.remove(&place);
            return copy;
        }
        let keys = (self.keys)(&copy.metadata, &copy.data);
        let version = version(&copy);
        let filed = self.filed(&copy);
        let mut kept = Shelved {
            version,
            keys: digest(&keys, filed.since),
            generation: copy.metadata.generation,
            answered: 0,
            text: copy.text().clone(),
        };
        let old = self.kept(&place.0, &place.1);
        if old.is_some_and(|old| old.version > kept.version) {
            return copy;
        }
        let same_keys = old.is_some_and(|old| old.keys == kept.keys);
        let same_spec =
            same_keys && old.is_some_and(|old| old.generation.is_some() && old.generation == kept.generation);
        // Others may be concerned by what it is about now.
        if final_answer && same_keys {
            kept.answered = version;
        }
        if !same_keys {
            self.remove(&place);
            self.drawers
                .entry(place.0.as_str().into())
                .or_default()
                .file(&keys, &filed);
        }
        let is_news = kept.answered == 0;
        if let Some(drawer) = self.drawers.get_mut(place.0.as_str()) {
            drawer.objects.insert(place.1.into(), kept);
        }
        if is_news {
            self.count_change(&place.0, same_spec);
        }
        copy
    }

    fn count_change(&mut self, namespace: &str, same_spec: bool) {
        self.changes += 1;
        if let Some(drawer) = self.drawers.get_mut(namespace) {
            drawer.changed = self.changes;
            if !same_spec {
                drawer.respecified = self.changes;
            }
        }
    }

    /// Fingerprint of what is kept of the namespace. Our own final writes do not change it.
    pub fn stamp(&self, namespace: &str) -> u64 {
        self.drawers.get(namespace).map_or(0, |drawer| drawer.changed)
    }

    /// The same for what objects ask for and are about; what is said about them does not count.
    pub fn stamp_of_specs(&self, namespace: &str) -> u64 {
        self.drawers.get(namespace).map_or(0, |drawer| drawer.respecified)
    }

    /// The same over all namespaces.
    pub fn stamp_of_all(&self) -> u64 {
        self.changes
    }

    /// Puts in what a write returned, unless the watch is past it: an answer that comes after the watch
    /// has told of the object's deletion would stay for ever. What the watch tells of a final answer later is no news.
    pub fn wrote(&mut self, object: DynamicObject, final_answer: bool) {
        if version(&object) > self.newest {
            self.spare(&object);
            self.put(object, final_answer);
        }
    }

    /// A write to this object begins. The watch may tell of it before its answer is here, which is no news then.
    pub fn begin_write(&mut self, namespace: &str, name: &str) {
        self.writing.insert((namespace.to_owned(), name.to_owned()), false);
    }

    /// The write has ended. True if the watch has told of a later change than `answer`, the version that the write returned.
    pub fn end_write(&mut self, namespace: &str, name: &str, answer: Option<u64>) -> bool {
        let place = (namespace.to_owned(), name.to_owned());
        let told = self.writing.remove(&place).unwrap_or_default();
        let kept = self
            .drawers
            .get_mut(namespace)
            .and_then(|drawer| drawer.objects.get_mut(name));
        if let (Some(kept), Some(answer)) = (kept, answer) {
            kept.answered = kept.answered.max(answer);
            return told && kept.version > answer;
        }
        told
    }

    /// A list that is coming in does not remove this one.
    fn spare(&mut self, object: &DynamicObject) {
        if let Some(listing) = &mut self.listing {
            listing.insert(place(object));
        }
    }

    /// Replaces the copy if we hold one. Never inserts: an object that we do not hold is either new (the watch will bring it)
    /// or deleted (inserting would revive it).
    pub fn freshen(&mut self, told: Told) {
        let Told { object, content } = told;
        let (namespace, name) = place(&object);
        let Some(known) = self.version(&namespace, &name) else {
            return;
        };
        match content {
            Content::Known => drop(self.put(object, false)),
            Content::Unreadable(why) if known < version(&object) => drop(self.cannot_read(object, why)),
            Content::Unreadable(_) | Content::Foreign(_) => {}
        }
    }

    fn remove(&mut self, place: &Place) -> Option<Snapshot> {
        let drawer = self.drawers.get_mut(place.0.as_str())?;
        let old = Snapshot::of(&drawer.objects.remove(place.1.as_str())?.text);
        drawer.unfile(&(self.keys)(&old.metadata, &old.data), &place.1);
        if drawer.objects.is_empty() && drawer.by_key.is_empty() {
            self.drawers.remove(place.0.as_str());
        }
        self.count_change(&place.0, false);
        Some(old)
    }
}
