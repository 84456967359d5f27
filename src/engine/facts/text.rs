//! Words that messages share: the time of day, the other hand.

use jiff::Timestamp;

/// ` (manager flux)`, or nothing if the object does not tell which field manager has changed it.
pub fn by(manager: Option<&str>) -> String {
    manager
        .map(|manager| format!(" (manager {manager})"))
        .unwrap_or_default()
}

/// Time of day, as messages carry it.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}
