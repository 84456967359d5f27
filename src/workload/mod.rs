//! What is released: a Deployment, its ReplicaSets and its Services, seen and changed as plain JSON.
//!
//! Templates stay opaque: a typed copy would drop fields that this build does not know. Pure; the
//! controller's shell reads and writes.

pub mod autoscaler;
pub mod deployment;
pub mod pod;
pub mod replica_set;
pub mod service;
pub mod template;

use std::collections::BTreeMap;

use serde_json::Value;

/// String map at `pointer`, empty where it is absent.
fn string_map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let Some(Value::Object(map)) = object.pointer(pointer) else {
        return BTreeMap::new();
    };
    map.iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn count(object: &Value, pointer: &str, default: u32) -> u32 {
    object
        .pointer(pointer)
        .and_then(Value::as_u64)
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(default)
}

/// A key as one segment of a JSON pointer.
fn segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
