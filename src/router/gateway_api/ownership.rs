//! Who owns fields of a route, as the API server keeps it in `metadata.managedFields`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Patch;

fn entries(route: &Value) -> impl DoubleEndedIterator<Item = (usize, &Value)> {
    route
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .into_iter()
        .enumerate()
}

fn manager(entry: &Value) -> &str {
    entry.get("manager").and_then(Value::as_str).unwrap_or_default()
}

/// Removes the entries of `ours`, so that Git tools see the fields as theirs again.
///
/// To be sent in a patch of its own: in one patch with another change the entry comes back.
pub fn drop_managed_fields(route: &Value, ours: &str) -> Option<Patch> {
    let mut patch = Vec::new();
    for (index, entry) in entries(route).rev().filter(|(_, entry)| manager(entry) == ours) {
        let path = format!("/metadata/managedFields/{index}");
        patch.push(json!({"op": "test", "path": format!("{path}/manager"), "value": manager(entry)}));
        patch.push(json!({"op": "remove", "path": path}));
    }
    (!patch.is_empty()).then_some(patch)
}

/// The manager besides `ours` that changed the route's spec last, as far as the object tells.
pub fn newest_other_manager(route: &Value, ours: &str) -> Option<String> {
    let time = |entry: &Value| entry.get("time").and_then(Value::as_str).unwrap_or_default().to_owned();
    let others = entries(route)
        .map(|(_, entry)| entry)
        .filter(|entry| manager(entry) != ours && entry.get("subresource").is_none());
    others
        .max_by_key(|entry| time(entry))
        .map(|entry| manager(entry).to_owned())
}

/// When `ours` changed the route last, as far as the object tells; not after our marks were dropped.
pub fn written_at(route: &Value, ours: &str) -> Option<Timestamp> {
    let own = entries(route)
        .map(|(_, entry)| entry)
        .filter(|entry| manager(entry) == ours && entry.get("subresource").is_none());
    own.filter_map(|entry| entry.get("time")?.as_str()?.parse().ok()).max()
}
