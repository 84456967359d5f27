//! Objects of one namespace, and in which order they are found by what they are about.

use std::{
    collections::{BTreeMap, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

/// An object as it is kept.
pub(super) struct Shelved {
    pub version: u64,
    /// Digest of its keys: most changes leave them as they are.
    pub keys: u64,
    /// Generation of its spec.
    pub generation: Option<i64>,
    /// resourceVersion of our last final write, 0 if there was none: the watch's echo of it begins no pass. The copy in
    /// `text` may be older.
    pub answered: u64,
    pub text: Arc<[u8]>,
}

/// An object's place among those that are about the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filed {
    /// When it was created, where the eldest come first: 0 where names alone make the order.
    pub since: i64,
    /// Its name.
    pub name: Box<str>,
}

/// Objects of one namespace.
#[derive(Default)]
pub(super) struct Drawer {
    pub objects: BTreeMap<Box<str>, Shelved>,
    /// Names by what they are about, in order.
    pub by_key: HashMap<Box<str>, Vec<Filed>>,
    /// Number of the last change in it, final answers aside.
    pub changed: u64,
    /// Number of the last change of what an object asks for, rather than of what is said about it.
    pub respecified: u64,
}

impl Drawer {
    pub fn file(&mut self, keys: &[String], place: &Filed) {
        for key in keys {
            let places = self.by_key.entry(key.as_str().into()).or_default();
            if let Err(at) = places.binary_search(place) {
                places.insert(at, place.clone());
            }
        }
    }

    pub fn unfile(&mut self, keys: &[String], name: &str) {
        for key in keys {
            let Some(names) = self.by_key.get_mut(key.as_str()) else {
                continue;
            };
            names.retain(|known| *known.name != *name);
            if names.is_empty() {
                self.by_key.remove(key.as_str());
            }
        }
    }
}

/// Of its keys and its age: whether it is filed as before.
pub(super) fn digest(keys: &[String], since: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (keys, since).hash(&mut hasher);
    hasher.finish()
}
