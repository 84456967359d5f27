//! Objects with versions, and the log of all changes that watches and the world follow.

pub mod admission;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::kinds::Kind;

/// Kind, namespace (empty where there is none) and name.
pub type Key = (Kind, String, String);

/// Who writes what.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// Writes the status only.
    pub status: bool,
    /// Only asks what would come of it.
    pub dry_run: bool,
}

/// A writer of everything but the status.
pub fn by(manager: &str) -> Author<'_> {
    Author {
        manager,
        status: false,
        dry_run: false,
    }
}

/// A writer of the status.
pub fn status_by(manager: &str) -> Author<'_> {
    Author {
        manager,
        status: true,
        dry_run: false,
    }
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Number of the change, the object's resourceVersion after it.
    pub version: u64,
    /// When.
    pub at: Instant,
    /// Field manager of whoever did it.
    pub by: String,
    /// Which object.
    pub key: Key,
    /// Before; `None` if it was created.
    pub old: Option<Arc<Value>>,
    /// After; `None` if it is gone.
    pub new: Option<Arc<Value>>,
    /// The object as watches tell it.
    pub told: Arc<Value>,
}

/// All objects.
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    missing: BTreeSet<Kind>,
    log: Vec<Change>,
    version: u64,
    compacted: u64,
    names: u64,
    changed: watch::Sender<u64>,
    start: Instant,
}

/// Simulated time begins here.
pub const EPOCH: i64 = 1_800_000_000;

/// Simulated wall-clock time of a moment.
pub fn wall(start: Instant, at: Instant) -> Timestamp {
    let since = i64::try_from(at.duration_since(start).as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(EPOCH * 1_000 + since).unwrap_or_default()
}

/// The API's times are whole seconds.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl Store {
    /// An empty one, without KEDA, which is no part of Kubernetes, and without policies that change objects, which older
    /// ones lack.
    pub fn new(start: Instant) -> Self {
        let missing = BTreeSet::from([Kind::ScaledObject, Kind::HoldPolicy, Kind::HoldBinding]);
        Self {
            objects: BTreeMap::new(),
            missing,
            log: Vec::new(),
            version: 1,
            compacted: 0,
            names: 0,
            changed: watch::channel(1).0,
            start,
        }
    }

    /// Whether the cluster has no such kind.
    pub fn lacks(&self, kind: Kind) -> bool {
        self.missing.contains(&kind)
    }

    /// The cluster has the kind from now on.
    pub fn install(&mut self, kind: Kind) {
        self.missing.remove(&kind);
    }

    /// Number of the newest change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Tells of changes.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes whoever follows changes.
    pub fn poke(&self) {
        self.changed.send_replace(self.version);
    }

    /// Simulated wall-clock time.
    pub fn now(&self) -> Timestamp {
        wall(self.start, Instant::now())
    }

    /// Changes after a version.
    pub fn since(&self, version: u64) -> &[Change] {
        let from = self.log.partition_point(|change| change.version <= version);
        &self.log[from..]
    }

    /// The next change of a kind after a version.
    pub fn next(&self, kind: Kind, version: u64) -> Option<&Change> {
        self.since(version).iter().find(|change| change.key.0 == kind)
    }

    /// Watches can go on only from here.
    pub fn compact(&mut self) {
        self.compacted = self.version;
    }

    /// Whether a watch can go on from a version.
    pub fn remembers(&self, version: u64) -> bool {
        version >= self.compacted
    }

    /// An object.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects
            .get(&(kind, namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// All objects of a kind, of one namespace or of all.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let from = (kind, String::new(), String::new());
        let all = self.objects.range(from..).take_while(|(key, _)| key.0 == kind);
        all.filter(|(key, _)| namespace.is_none_or(|namespace| key.1 == namespace))
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Everything there is.
    pub fn all(&self) -> &BTreeMap<Key, Arc<Value>> {
        &self.objects
    }

    /// Letters and digits that were not given before.
    pub fn fresh_suffix(&mut self) -> String {
        const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        self.names += 1;
        let mut rest = self.names.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        (0..5)
            .map(|_| {
                let letter = ALPHABET[usize::try_from(rest % 27).unwrap_or_default()];
                rest /= 27;
                char::from(letter)
            })
            .collect()
    }

    /// Takes an object away at once.
    pub fn remove(&mut self, key: &Key, author: Author<'_>) -> Arc<Value> {
        let Some(old) = self.objects.remove(key) else {
            return Arc::new(Value::Null);
        };
        self.version += 1;
        let mut told = (*old).clone();
        told["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let told = Arc::new(told);
        self.record(key.clone(), Some(old), None, told.clone(), author);
        told
    }

    fn commit(&mut self, key: Key, old: Option<Arc<Value>>, mut new: Value, author: Author<'_>) -> Arc<Value> {
        self.version += 1;
        let content = |object: &Value| {
            let mut object = object.clone();
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
            object
        };
        // Entries that a patch dropped stay away only if it changed nothing else.
        if key.0 == Kind::HttpRoute && old.as_ref().is_none_or(|old| content(old) != content(&new)) {
            let rules = |object: &Value| object["spec"]["rules"].clone();
            if old.as_ref().is_some_and(|old| rules(old) != rules(&new)) {
                disown(&mut new, "warmfront");
            }
            self.own(key.0, &mut new, author);
        }
        new["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let new = Arc::new(new);
        self.objects.insert(key.clone(), new.clone());
        self.record(key, old, Some(new.clone()), new.clone(), author);
        new
    }

    /// One entry per manager and operation, with the time of its last write.
    fn own(&self, kind: Kind, object: &mut Value, author: Author<'_>) {
        let mut entry = json!({"manager": author.manager, "operation": "Update", "apiVersion": kind.api_version(), "time": seconds(self.now()), "fieldsType": "FieldsV1", "fieldsV1": {}});
        if author.status {
            entry["subresource"] = json!("status");
        }
        let metadata = &mut object["metadata"];
        if !metadata["managedFields"].is_array() {
            metadata["managedFields"] = json!([]);
        }
        let Some(entries) = metadata["managedFields"].as_array_mut() else {
            return;
        };
        let same =
            |one: &&mut Value| one["manager"] == entry["manager"] && one.get("subresource") == entry.get("subresource");
        match entries.iter_mut().find(same) {
            Some(found) => *found = entry,
            None => entries.push(entry),
        }
    }

    fn record(
        &mut self,
        key: Key,
        old: Option<Arc<Value>>,
        new: Option<Arc<Value>>,
        told: Arc<Value>,
        author: Author<'_>,
    ) {
        self.log.push(Change {
            version: self.version,
            at: Instant::now(),
            by: author.manager.to_owned(),
            key,
            old,
            new,
            told,
        });
        self.changed.send_replace(self.version);
    }
}

/// `spec.rules` is one field to the API server: whoever changes anything in it takes it from a manager, and of one that
/// owned nothing else nothing is left.
fn disown(object: &mut Value, manager: &str) {
    if let Some(entries) = object["metadata"]["managedFields"].as_array_mut() {
        entries.retain(|entry| entry["manager"] != manager);
    }
}
