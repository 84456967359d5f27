//! A copy of an object that is kept as text, read in the form in which somebody looks at it.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
};

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde::Deserialize;
use serde_json::Value;

/// A copy of an object, which does not change.
pub struct Snapshot {
    text: Arc<[u8]>,
    object: OnceLock<DynamicObject>,
}

impl Snapshot {
    /// Of an object that is kept as this text.
    pub(super) fn of(text: &Arc<[u8]>) -> Self {
        Self {
            text: text.clone(),
            object: OnceLock::new(),
        }
    }

    /// The text.
    pub(super) fn text(&self) -> &Arc<[u8]> {
        &self.text
    }

    /// The object as the API server wrote it.
    pub fn value(&self) -> Value {
        // The text is our own, so it can be read; if not, nothing in it is believed.
        serde_json::from_slice(&self.text).unwrap_or_default()
    }
}

impl From<DynamicObject> for Snapshot {
    fn from(object: DynamicObject) -> Self {
        // Metadata and data of a dynamic object always serialise.
        let text = serde_json::to_vec(&object).unwrap_or_default();
        Self {
            text: text.into(),
            object: object.into(),
        }
    }
}

impl Deref for Snapshot {
    type Target = DynamicObject;

    fn deref(&self) -> &DynamicObject {
        self.object.get_or_init(|| dynamic(self.value()))
    }
}

/// Taken apart by hand: serde reads a dynamic object through a copy of its own.
fn dynamic(mut whole: Value) -> DynamicObject {
    let types = TypeMeta::deserialize(&whole).ok();
    let Value::Object(fields) = &mut whole else {
        return DynamicObject {
            types,
            metadata: ObjectMeta::default(),
            data: whole,
        };
    };
    fields.remove("apiVersion");
    fields.remove("kind");
    let metadata = fields
        .remove("metadata")
        .and_then(|metadata| serde_json::from_value(metadata).ok())
        .unwrap_or_default();
    DynamicObject {
        types,
        metadata,
        data: whole,
    }
}
