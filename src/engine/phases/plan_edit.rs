//! An edit of the plan while a release runs.

use crate::{
    api::{Percent, Plan},
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
        judge::memory::Reset,
    },
};

/// A valid edit of the plan takes effect at once; a refused one leaves the last valid plan in force.
pub fn adopt_plan(facts: &Facts<'_>, next: &mut Draft) {
    let Some(spec) = next.spec().cloned() else { return };
    let moving = next.status().phase.is_moving();
    let Some(run) = next.run().filter(|run| moving && run.plan != spec) else {
        return;
    };
    let old = Plan::of_release(&run.plan).ok();
    let (weight, steps) = (run.weight, &facts.plan.steps);
    let steps_changed = old.as_ref().is_none_or(|old| old.steps != *steps);
    let checks_changed = old.as_ref().is_none_or(|old| old.checks != facts.plan.checks);
    let routes_changed = old.as_ref().is_none_or(|old| old.routes != facts.plan.routes);
    let introduced = run.entered_at.is_some() || run.weight > Percent::ZERO;
    next.replan(facts, spec, old.as_ref());
    if steps_changed {
        // It was accepted for another next weight.
        next.accept_no_longer();
    }
    if routes_changed && introduced && !facts.entry_stands() {
        // A proxy must learn of the backend before it learns of a share, in the new rule or route as in the others.
        next.start_over(facts);
        next.tell(
            Reason::PlanChanged,
            format!("the plan names other routes or rules at {weight}: the release begins again at its first weight"),
        );
    }
    if checks_changed {
        next.forget(Reset::Limits(old.as_ref(), facts.plan));
    }
    if steps_changed || checks_changed {
        let listed: Vec<String> = steps.iter().map(|step| step.weight.to_string()).collect();
        next.tell(
            Reason::PlanChanged,
            format!(
                "the plan was changed at {weight}: steps {}, {} checks",
                listed.join(", "),
                facts.plan.checks.len()
            ),
        );
    }
}
