//! Reads of a field what can be read, where all of it cannot.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

/// Longest piece that is read, 128 KiB.
const LONGEST: usize = 128 << 10;
/// How far below the field pieces are told apart.
const LEVELS: usize = 2;

/// The value with a text in place of every piece that cannot be read.
pub fn read(field: &RawValue) -> Value {
    below(field, LEVELS)
}

fn below(field: &RawValue, levels: usize) -> Value {
    let text = field.get();
    if text.len() <= LONGEST
        && let Ok(value) = serde_json::from_str(text)
    {
        return value;
    }
    let fields = (levels > 0).then(|| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok());
    match fields.flatten() {
        Some(fields) => fields
            .into_iter()
            .map(|(name, field)| (name, below(field, levels - 1)))
            .collect(),
        None => Value::from("cannot be read"),
    }
}
