//! Reads single fields of an object's JSON; what is absent or of another type counts as empty.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields of an object and, for each, the ones below it that somebody reads. Fields that are not named are read whole.
pub type Fields = [(&'static str, &'static [&'static str])];

/// The text at `pointer`.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at `pointer`.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The whole number at `pointer`, else 0.
pub fn integer(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The number of things at `pointer`, else `default`.
pub fn count(object: &Value, pointer: &str, default: u32) -> u32 {
    let number = object.pointer(pointer).and_then(Value::as_u64);
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
}

/// The texts by name at `pointer`, such as labels.
pub fn string_map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let map = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
