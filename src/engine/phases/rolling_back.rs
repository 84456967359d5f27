//! Traffic goes back, or a promotion is undone.

use std::ops::ControlFlow;

use crate::{
    api::Percent,
    engine::{draft::Draft, facts::Facts},
};

/// From traffic that is taken back to a run that has ended.
pub fn rolling_back(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let Some(run) = next.run().cloned() else {
        return ControlFlow::Break(());
    };
    match &run.undoing {
        // The exchange in reverse.
        Some(old) if facts.mode.has_taken_over(facts, next.status(), &run).is_some() => {
            next.close_undone(facts, &run, old);
        }
        None if facts.weight_confirmed(Percent::ZERO).is_ok() => {
            next.close(facts, &run, "weight 0% confirmed by the gateway");
        }
        Some(_) | None => {}
    }
    ControlFlow::Continue(())
}
