//! Promotion: the new version takes over for good.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use crate::{
    api::status::EndReason,
    engine::{
        draft::{Draft, cursor::Narrowed},
        facts::Facts,
        guards::capacity,
        judge::drains::DRAIN,
    },
};

/// From the exchange under way to the new version that has taken over.
pub fn promoting(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let Some(run) = next.run().cloned() else {
        return ControlFlow::Break(());
    };
    // A few lost pods come again while the rest carry the traffic; without any, users have nothing.
    if facts.candidate(&run).available() == 0 && facts.mode.is_reversible(facts, &run) {
        if let Some(why) = &run.abort {
            next.go_back(EndReason::Aborted, &format!("aborted by request: {why}"));
        } else if capacity::fall_if_pods_lost(facts, &run, next).is_break() {
            // The Services are narrowed to the old version again: that is no other hand's doing.
            next.note_narrowed(Narrowed::No);
        }
        return ControlFlow::Break(());
    }
    if let Some(how) = facts.mode.has_taken_over(facts, next.status(), &run) {
        if facts.mode.keeps_pods() && facts.serving(next.status()).is_none() {
            // Until now users had whatever was ready.
            next.keep_longer(facts.now.plus(DRAIN.signed()));
        }
        let old = next.succeed(facts, &run, &how);
        if let (Some(why), Some(old)) = (run.abort, old) {
            next.undo(&old, EndReason::Aborted, &format!("aborted by request: {why}"));
        }
    }
    ControlFlow::Continue(())
}
