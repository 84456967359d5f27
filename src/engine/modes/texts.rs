//! Messages about what is so between releases.

use crate::{
    api::{CanaryRolloutStatus, status::Rejected},
    engine::facts::text::clock,
};

/// Why a rejected revision is not started again by itself.
pub fn rejected_message(rejected: &Rejected) -> String {
    format!(
        "revision {} was rejected at {}: {}: {}; a Retry action starts it again",
        rejected.revision,
        clock(rejected.at),
        rejected.reason,
        rejected.message
    )
}

/// The old version stands by; `how` says what brings it back.
pub fn standby_message(status: &CanaryRolloutStatus, how: &str) -> String {
    let standby = status.kept.iter().find(|kept| kept.standby);
    standby
        .map(|kept| {
            format!(
                "; the old version {} stands by until {}: {how}",
                kept.revision,
                clock(kept.until)
            )
        })
        .unwrap_or_default()
}
