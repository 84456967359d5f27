//! The trace of a release: a point for each tick and for each weight that was confirmed.

use jiff::Timestamp;

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{
            TracePoint,
            trace::{self, add},
        },
    },
    engine::draft::Draft,
};

impl Draft {
    /// A tick that ended then has told these figures.
    pub fn note_figures(&mut self, point: TracePoint) {
        self.change(|run| add(&mut run.trace, point));
    }
}

/// The confirmed weight has changed since the last point.
pub(super) fn note_weight(status: &mut CanaryRolloutStatus, now: Timestamp) {
    let Some(run) = &mut status.run else { return };
    let known = run.trace.last().map_or(Percent::ZERO, |last| last.w);
    // At rest the trace may be left out of the copy that this rests on.
    let at = run.ended_at.unwrap_or(now);
    if known != run.weight && at >= now {
        trace::add(&mut run.trace, TracePoint::new(at, run.weight));
    }
}

/// The release is followed by another one: the history keeps its trace, and that of no other.
pub(super) fn hand_on(status: &mut CanaryRolloutStatus) {
    for entry in &mut status.history {
        entry.trace.clear();
    }
    let Some(run) = &mut status.run else { return };
    if let Some(entry) = status.history.iter_mut().find(|entry| entry.run == run.number) {
        entry.trace = std::mem::take(&mut run.trace);
    }
}
