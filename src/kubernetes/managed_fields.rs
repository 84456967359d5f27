//! Who owns fields of an object, as the API server keeps it in `metadata.managedFields`.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    json::{list, text},
    patch::{Patch, at, remove, test},
};

fn entries(object: &Value) -> &[Value] {
    list(object, "/metadata/managedFields")
}

fn manager(entry: &Value) -> &str {
    text(entry, "/manager")
}

/// Entries of changes of the object itself rather than of its status or its scale.
fn of_the_object(object: &Value) -> impl Iterator<Item = &Value> {
    entries(object)
        .iter()
        .filter(|entry| text(entry, "/subresource").is_empty())
}

/// The manager that is named first, of an object that nobody is expected to change: who created it.
pub fn first_manager(object: &Value) -> Option<String> {
    let manager = of_the_object(object).next()?.get("manager")?;
    manager.as_str().map(str::to_owned)
}

/// Removes the entries of `ours`, so that Git tools see the fields as theirs again.
///
/// To be sent in a patch of its own: in one patch with another change the entry comes back.
pub fn drop_entries(object: &Value, ours: &str) -> Option<Patch> {
    let mut patch = Vec::new();
    let all = entries(object).iter().enumerate().rev();
    for (index, entry) in all.filter(|(_, entry)| manager(entry) == ours) {
        let at = at!["metadata", "managedFields", index];
        patch.push(test(at.with_trailing_token("manager"), manager(entry)));
        patch.push(remove(at));
    }
    (!patch.is_empty()).then_some(patch)
}

/// The manager besides `ours` that changed the object's spec last, as far as the object tells.
pub fn newest_other_manager(object: &Value, ours: &str) -> Option<String> {
    let others = of_the_object(object).filter(|entry| manager(entry) != ours);
    others
        .max_by_key(|entry| text(entry, "/time"))
        .map(|entry| manager(entry).to_owned())
}

/// All who changed the object.
pub fn managers(object: &Value) -> Vec<String> {
    entries(object).iter().map(|entry| manager(entry).to_owned()).collect()
}

/// When `ours` changed the object last, as far as the object tells; not after our marks were dropped.
pub fn written_at(object: &Value, ours: &str) -> Option<Timestamp> {
    let own = of_the_object(object).filter(|entry| manager(entry) == ours);
    own.filter_map(|entry| entry.get("time")?.as_str()?.parse().ok()).max()
}

/// The manager besides `ours` that applies a manifest in which a field stands, such as `/f:spec/f:paused`.
pub fn applier_of(object: &Value, field: &str, ours: &str) -> Option<String> {
    let applies =
        |entry: &&Value| text(entry, "/operation") == "Apply" || manager(entry) == "kubectl-client-side-apply";
    let names_it = |entry: &&Value| {
        entry
            .get("fieldsV1")
            .is_some_and(|fields| fields.pointer(field).is_some())
    };
    let mut others = entries(object).iter().filter(|entry| manager(entry) != ours);
    others
        .find(|entry| applies(entry) && names_it(entry))
        .map(|entry| manager(entry).to_owned())
}

/// The manager besides `ours` that a field belongs to.
pub fn owner_of(object: &Value, field: &str, ours: &str) -> Option<String> {
    let names_it = |entry: &&Value| {
        let fields = entry.get("fieldsV1");
        fields.is_some_and(|fields| fields.pointer(field).is_some())
    };
    let mut others = entries(object).iter().filter(|entry| manager(entry) != ours);
    others.find(names_it).map(|entry| manager(entry).to_owned())
}
