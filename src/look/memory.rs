//! Objects in a map: the world of tests and of simulations outside a cluster.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use super::{Known, Objects, keys, name_of, rivals};

/// Objects by kind, namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    objects: BTreeMap<(Known, String, String), Value>,
    missing: BTreeSet<Known>,
}

impl Memory {
    /// Puts an object in, in place of the one of the same name.
    pub fn put(&mut self, kind: Known, namespace: &str, object: Value) {
        let key = (kind, namespace.to_owned(), name_of(&object));
        self.objects.insert(key, object);
    }

    /// The cluster lacks this kind.
    pub fn lack(&mut self, kind: Known) {
        self.missing.insert(kind);
    }

    fn found<'a>(&'a self, kind: Known, namespace: &str, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let first = (kind, namespace.to_owned(), String::new());
        let of_namespace = self
            .objects
            .range(first.clone()..)
            .take_while(move |((kind, namespace, _), _)| (*kind, namespace) == (first.0, &first.1));
        let keys_of = keys::of(kind);
        of_namespace
            .filter(move |(_, object)| {
                let metadata = object
                    .get("metadata")
                    .and_then(|metadata| ObjectMeta::deserialize(metadata).ok());
                keys_of(&metadata.unwrap_or_default(), object)
                    .iter()
                    .any(|known| known == key)
            })
            .map(|((_, _, name), object)| (name, object))
    }
}

impl Objects for Memory {
    fn get(&self, kind: Known, namespace: &str, name: &str) -> Option<Value> {
        self.objects
            .get(&(kind, namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    fn about(&self, kind: Known, namespace: &str, key: &str) -> Vec<Value> {
        self.found(kind, namespace, key)
            .map(|(_, object)| object.clone())
            .collect()
    }

    fn names_about(&self, kind: Known, namespace: &str, key: &str) -> Vec<String> {
        self.found(kind, namespace, key).map(|(name, _)| name.clone()).collect()
    }

    fn first_about(&self, kind: Known, namespace: &str, key: &str, at_most: usize) -> Vec<String> {
        let mut found: Vec<_> = self.found(kind, namespace, key).collect();
        if kind == Known::CanaryRollout {
            found.sort_by_key(|(_, rollout)| rivals::age(rollout));
        }
        found.into_iter().take(at_most).map(|(name, _)| name.clone()).collect()
    }

    fn version(&self, kind: Known, namespace: &str, name: &str) -> Option<u64> {
        let object = self.objects.get(&(kind, namespace.to_owned(), name.to_owned()))?;
        object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
    }

    fn is_installed(&self, kind: Known) -> bool {
        !self.missing.contains(&kind)
    }
}
