//! Objects of which there is a version that cannot be read.

use std::sync::Arc;

use kube::api::DynamicObject;

use super::{Shelf, Snapshot, Unreadable, place};

/// An object that cannot be read.
pub(super) struct Unread {
    found: Unreadable,
    /// What could be read of it, as text.
    rest: Arc<[u8]>,
}

impl Shelf {
    /// The newest version of the object cannot be read. The copy of an older one stays: what cannot be read is not gone.
    pub(super) fn cannot_read(&mut self, object: DynamicObject, found: Unreadable) -> Vec<Snapshot> {
        let mut object = object;
        (self.slim)(&mut object);
        let place = place(&object);
        let object = Snapshot::from(object);
        let rest = object.text().clone();
        self.drawers.entry(place.0.as_str().into()).or_default();
        self.count_change(&place.0, false);
        self.unreadable.insert(place, Unread { found, rest });
        vec![object]
    }

    /// What could be read of an object of which there is a version that cannot be read, and why it cannot.
    pub fn rest_of(&self, namespace: &str, name: &str) -> Option<(Snapshot, &str)> {
        let unread = self.unreadable.get(&(namespace.to_owned(), name.to_owned()))?;
        Some((Snapshot::of(&unread.rest), &unread.found.why))
    }

    /// Name of an object of the namespace that cannot be read and is sought by one of these keys, and why.
    pub fn unreadable(&self, namespace: &str, keys: &[String]) -> Option<(&str, &str)> {
        let first = (namespace.to_owned(), String::new());
        let mut here = self
            .unreadable
            .range(first..)
            .take_while(|((of, _), _)| of == namespace);
        let ((_, name), unread) = here.find(|(_, unread)| unread.found.keys.iter().any(|key| keys.contains(key)))?;
        Some((name, &unread.found.why))
    }

    /// Whether the newest version of the object cannot be read, and for this reason.
    pub fn is_unreadable(&self, namespace: &str, name: &str, why: &str) -> bool {
        let unread = self.unreadable.get(&(namespace.to_owned(), name.to_owned()));
        unread.is_some_and(|unread| unread.found.why == why)
    }

    /// Number of the objects that cannot be read.
    pub fn count_unreadable(&self) -> usize {
        self.unreadable.len()
    }
}
