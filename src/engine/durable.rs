//! What of a status must be stored at once, and what can be read from the metrics store again.
//!
//! Figures, counts and sentences change with every tick. Ticks lie on a fixed grid and counters keep
//! their past, so a controller that starts again asks for the ticks since the last stored one.

use jiff::SignedDuration;

use crate::api::{
    CanaryRolloutStatus,
    status::{Figures, JudgeMemory, Phase},
};

/// While a step is judged, what `kubectl get` shows is at most this old.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Whether `next` says more than newer figures: a transition, which must not be lost. While no step is
/// judged nothing changes with every tick, and what keeps pods or a route waiting is shown at once.
pub fn must_be_stored(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let waiting = next.run.as_ref().is_none_or(|run| run.intent.is_some() || run.growing.is_some());
    let judged = matches!(next.phase, Phase::Shifting | Phase::Baking) && !waiting;
    !judged || lasting(stored) != lasting(next)
}

/// The status without what every tick changes.
fn lasting(status: &CanaryRolloutStatus) -> CanaryRolloutStatus {
    let mut lasting = status.clone();
    lasting.message.clear();
    lasting.figures = Figures::default();
    lasting.checks.clear();
    for condition in &mut lasting.conditions {
        condition.message.clear();
    }
    if let Some(run) = &mut lasting.run {
        run.judge = JudgeMemory::default();
    }
    lasting
}
