//! What is told of an object: all that is kept of it, or why nothing is.

use kube::api::DynamicObject;

/// An object, and what came of it.
pub struct Told {
    /// What could be read of it: its metadata at least.
    pub object: DynamicObject,
    /// What came of it.
    pub content: Content,
}

/// What came of an object.
pub enum Content {
    /// It was read.
    Known,
    /// Nobody seeks it, so its metadata is all that was read; the keys by which it would be sought.
    Foreign(Vec<String>),
    /// It cannot be read; why, and by which keys those find it who need it.
    Unreadable(Unreadable),
}

/// An object that cannot be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// The field that cannot be read, and why.
    pub why: String,
    /// By which keys those find it who need it.
    pub keys: Vec<String>,
}

impl From<DynamicObject> for Told {
    fn from(object: DynamicObject) -> Self {
        Self {
            object,
            content: Content::Known,
        }
    }
}
