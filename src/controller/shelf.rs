//! Objects of one kind in memory, found by name or by what they are about.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Deref,
    sync::{Arc, OnceLock},
};

use kube::{ResourceExt, api::DynamicObject, runtime::watcher::Event};
use serde_json::Value;

/// What an object is about, such as the Service of an EndpointSlice; it is found by each of these within its namespace.
pub type Keys = fn(&DynamicObject) -> Vec<String>;

/// Namespace (empty for cluster-wide kinds) and name.
type Place = (String, String);

/// Number of the change that made this copy.
pub(super) fn version(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn place(object: &DynamicObject) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A copy of an object, which does not change.
pub struct Snapshot {
    object: DynamicObject,
    whole: OnceLock<Value>,
}

impl Snapshot {
    /// The object as the API server wrote it; put together once, however often it is looked at.
    pub fn value(&self) -> &Value {
        // Metadata and data of a dynamic object always serialise; if not, nothing in it is believed.
        self.whole.get_or_init(|| serde_json::to_value(&self.object).unwrap_or_default())
    }
}

impl From<DynamicObject> for Snapshot {
    fn from(object: DynamicObject) -> Self {
        Self { object, whole: OnceLock::new() }
    }
}

impl Deref for Snapshot {
    type Target = DynamicObject;

    fn deref(&self) -> &DynamicObject {
        &self.object
    }
}

/// Objects of one kind.
pub struct Shelf {
    keys: Keys,
    objects: HashMap<Place, Arc<Snapshot>>,
    by_key: HashMap<Place, BTreeSet<String>>,
    /// While a list is coming in: what it has named so far, and what writes of ours have returned since it was asked for.
    listing: Option<HashSet<Place>>,
    /// The newest version that the watch has told of; it tells of all changes of a kind in order.
    newest: u64,
}

impl Shelf {
    /// An empty one.
    pub fn new(keys: Keys) -> Self {
        Self { keys, objects: HashMap::new(), by_key: HashMap::new(), listing: None, newest: 0 }
    }

    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Snapshot>> {
        self.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Objects of a namespace that are about `key`, by name.
    pub fn about(&self, namespace: &str, key: &str) -> Vec<Arc<Snapshot>> {
        let names = self.by_key.get(&(namespace.to_owned(), key.to_owned()));
        names.into_iter().flatten().filter_map(|name| self.get(namespace, name)).collect()
    }

    /// Every object, by namespace and name.
    pub fn all(&self) -> Vec<Arc<Snapshot>> {
        let mut all: Vec<_> = self.objects.iter().collect();
        all.sort_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, object)| object.clone()).collect()
    }

    /// Puts a copy in place of an older one. One that went with the last write of its finalizers is gone.
    pub fn put(&mut self, object: DynamicObject) {
        let place = place(&object);
        if object.metadata.deletion_timestamp.is_some() && object.finalizers().is_empty() && object.metadata.deletion_grace_period_seconds.unwrap_or(0) == 0 {
            // The watch may have said so already, and says it only once.
            self.remove(&place);
            return;
        }
        if let Some(old) = self.objects.get(&place) {
            if version(old) > version(&object) {
                return;
            }
            self.remove(&place);
        }
        for key in (self.keys)(&object) {
            self.by_key.entry((place.0.clone(), key)).or_default().insert(place.1.clone());
        }
        self.objects.insert(place, Arc::new(Snapshot::from(object)));
    }

    /// Puts in what a write returned, unless the watch is past it: an answer that comes after the watch
    /// has told of the object's deletion would stay for ever.
    pub fn wrote(&mut self, object: DynamicObject) {
        if version(&object) > self.newest {
            self.spare(&object);
            self.put(object);
        }
    }

    /// A list that is coming in does not remove this one.
    fn spare(&mut self, object: &DynamicObject) {
        if let Some(listing) = &mut self.listing {
            listing.insert(place(object));
        }
    }

    /// Puts a copy in place of one that is there. What is not there is new, and comes, or is gone: its deletion must not be undone.
    pub fn freshen(&mut self, object: DynamicObject) {
        if self.objects.contains_key(&place(&object)) {
            self.put(object);
        }
    }

    fn remove(&mut self, place: &Place) -> Option<Arc<Snapshot>> {
        let old = self.objects.remove(place)?;
        for key in (self.keys)(&old) {
            let key = (place.0.clone(), key);
            if let Some(names) = self.by_key.get_mut(&key) {
                names.remove(&place.1);
                if names.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        Some(old)
    }

    /// Takes in what a watch tells. Returns the objects that it concerns; those that went unseen while the watch was broken, too.
    pub fn follow(&mut self, event: Event<DynamicObject>) -> Vec<Arc<Snapshot>> {
        if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = &event {
            self.newest = self.newest.max(version(object));
        }
        match event {
            Event::Init => {
                self.listing = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                self.spare(&object);
                self.put(object.clone());
                vec![Arc::new(Snapshot::from(object))]
            }
            Event::InitDone => {
                // What was there before and is not in the list went while the watch was broken.
                let there = self.listing.take().unwrap_or_default();
                let gone: Vec<Place> = self.objects.keys().filter(|place| !there.contains(*place)).cloned().collect();
                gone.iter().filter_map(|place| self.remove(place)).collect()
            }
            Event::Apply(object) => {
                self.put(object.clone());
                vec![Arc::new(Snapshot::from(object))]
            }
            Event::Delete(object) => {
                let place = place(&object);
                if self.objects.get(&place).is_some_and(|kept| version(kept) <= version(&object) || kept.uid() == object.uid()) {
                    self.remove(&place);
                }
                vec![Arc::new(Snapshot::from(object))]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::api::ApiResource;
    use serde_json::json;

    use super::*;

    fn object(name: &str, version: u64, about: &str) -> DynamicObject {
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
        let mut object = DynamicObject::new(name, &resource).within("shop");
        object.metadata.resource_version = Some(version.to_string());
        object.metadata.uid = Some(format!("{name}-1"));
        object.data = json!({"about": about});
        object
    }

    fn shelf() -> Shelf {
        Shelf::new(|object| object.data["about"].as_str().map(str::to_owned).into_iter().collect())
    }

    fn about(shelf: &Shelf, key: &str) -> Vec<String> {
        shelf.about("shop", key).iter().map(|object| object.name_any()).collect()
    }

    #[test]
    fn an_older_copy_never_takes_the_place_of_a_newer_one() {
        let mut shelf = shelf();
        shelf.put(object("a", 5, "new"));
        shelf.follow(Event::Apply(object("a", 4, "old")));
        assert_eq!((about(&shelf, "new"), about(&shelf, "old")), (vec!["a".to_owned()], vec![]));
        shelf.follow(Event::Apply(object("a", 6, "old")));
        assert_eq!((about(&shelf, "new"), about(&shelf, "old")), (vec![], vec!["a".to_owned()]));
    }

    #[test]
    fn an_object_that_goes_with_our_write_leaves_no_copy() {
        let mut shelf = shelf();
        let going = |version: u64, finalizers: &[&str]| {
            let metadata = json!({"name": "a", "namespace": "shop", "resourceVersion": version.to_string(), "finalizers": finalizers, "deletionTimestamp": "2026-01-01T00:00:00Z"});
            serde_json::from_value::<DynamicObject>(json!({"metadata": metadata, "about": "x"})).unwrap()
        };
        shelf.put(going(5, &["x"]));
        assert_eq!(about(&shelf, "x"), ["a"], "somebody's finalizer still holds it");
        shelf.put(going(6, &[]));
        assert!(about(&shelf, "x").is_empty() && shelf.all().is_empty());
    }

    #[test]
    fn an_answer_that_comes_after_the_deletion_was_told_is_dropped() {
        let mut shelf = shelf();
        shelf.follow(Event::Apply(object("a", 3, "x")));
        shelf.follow(Event::Delete(object("a", 5, "x")));
        shelf.wrote(object("a", 4, "x"));
        assert!(about(&shelf, "x").is_empty());
        shelf.wrote(object("b", 6, "x"));
        assert_eq!(about(&shelf, "x"), ["b"], "the watch has not told of it yet");
    }

    #[test]
    fn what_went_while_the_watch_was_broken_is_told() {
        let mut shelf = shelf();
        for name in ["a", "b"] {
            shelf.follow(Event::Apply(object(name, 3, "x")));
        }
        shelf.wrote(object("written-before", 9, "x"));
        shelf.follow(Event::Init);
        shelf.wrote(object("ours", 10, "x"));
        shelf.follow(Event::InitApply(object("b", 7, "x")));
        let gone: Vec<_> = shelf.follow(Event::InitDone).iter().map(|object| object.name_any()).collect();
        assert_eq!(gone.into_iter().collect::<BTreeSet<_>>(), ["a", "written-before"].map(str::to_owned).into());
        assert_eq!(about(&shelf, "x"), ["b", "ours"]);
        shelf.follow(Event::Delete(object("b", 8, "x")));
        assert_eq!(about(&shelf, "x"), ["ours"]);
        assert_eq!(shelf.all().len(), 1);
    }
}
