//! Words that messages share: the time of day, the other hand.

use jiff::Timestamp;

use crate::api::status::DriftSeen;

/// By which field manager an edit was made, in parentheses and with a space before; empty if the object does not tell.
pub fn by(edit: &DriftSeen) -> String {
    edit.by
        .as_deref()
        .map(|manager| format!(" (manager {manager})"))
        .unwrap_or_default()
}

/// Time of day, as messages carry it.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}
