//! What is released: a Deployment with its ReplicaSets, Services and autoscalers, read and changed as plain JSON.
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

/// The strings of the map at `pointer`; empty if there is none.
fn string_map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let Some(Value::Object(map)) = object.pointer(pointer) else {
        return BTreeMap::new();
    };
    map.iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The text at `pointer`; empty if there is none.
fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The number at `pointer`; `default` if there is none.
fn count(object: &Value, pointer: &str, default: u32) -> u32 {
    object
        .pointer(pointer)
        .and_then(Value::as_u64)
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(default)
}

/// A key as one segment of a JSON pointer, escaped.
fn segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
