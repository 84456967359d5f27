//! JSON Patch: changes of single fields, each at a path of names and places.

use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation, jsonptr::PointerBuf};
use serde_json::Value;

/// A change of one object: operations of a JSON Patch. The controller adds a test of the resourceVersion.
pub type Patch = Vec<PatchOperation>;

/// Path of a field from names and places, such as `at!["spec", "rules", index]`. They are escaped where they must be.
macro_rules! at {
    ($($segment:expr),+ $(,)?) => {
        json_patch::jsonptr::PointerBuf::from_tokens([$(json_patch::jsonptr::Token::from($segment)),+])
    };
}
pub(crate) use at;

/// Sets a field, or puts something into a list.
pub fn add(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    let value = value.into();
    PatchOperation::Add(AddOperation { path, value })
}

/// Takes a field, or an item of a list, out.
pub fn remove(path: PointerBuf) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path })
}

/// Puts something else in the place of what stands there.
pub fn replace(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    let value = value.into();
    PatchOperation::Replace(ReplaceOperation { path, value })
}

/// The API server refuses the whole patch if something else stands there.
pub fn test(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    let value = value.into();
    PatchOperation::Test(TestOperation { path, value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_written_as_the_standard_says() {
        let patch = vec![
            test(at!["metadata", "resourceVersion"], "7"),
            add(at!["metadata", "labels", "example.dev/a~b"], 1),
            add(at!["spec", "rules", 2_usize, "backendRefs", "-"], json!({"name": "a"})),
            replace(at!["spec", "paused"], Value::Null),
            remove(at!["spec", "rules", 0_usize]),
        ];
        let written = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/metadata/labels/example.dev~1a~0b", "value": 1},
            {"op": "add", "path": "/spec/rules/2/backendRefs/-", "value": {"name": "a"}},
            {"op": "replace", "path": "/spec/paused", "value": null},
            {"op": "remove", "path": "/spec/rules/0"},
        ]);
        assert_eq!(json!(patch), written);
    }
}
