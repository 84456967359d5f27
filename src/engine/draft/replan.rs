//! Where a release stands once its plan is another one.

use std::sync::Arc;

use crate::{
    api::{
        CanaryRolloutSpec, Percent, Plan,
        status::{Growing, Intent, Phase},
    },
    engine::{
        draft::{
            Draft,
            cursor::{count, enter},
        },
        facts::Facts,
    },
};

impl Draft {
    /// The plan in force is another one than `old`. A weight that is asked for, or grown for, stays while a step has it, or while
    /// the step has it from which the judge had let it come. Otherwise the run stands at the greatest listed weight that is not
    /// above the present one, and falls to it at once; if all are above, the weight stays and the run stands before the first step.
    pub fn replan(&mut self, facts: &Facts<'_>, spec: Arc<CanaryRolloutSpec>, old: Option<&Plan>) {
        let steps = &facts.plan.steps;
        let weight = self.run().map_or(Percent::ZERO, |run| run.weight);
        let may_stay = |weight: Percent| lists(facts.plan, weight) || is_between(old, facts.plan, weight);
        let at = |weight: Percent| steps.iter().rposition(|step| step.weight <= weight);
        let intent = self
            .run()
            .and_then(|run| run.intent.as_ref())
            .map(|intent| intent.weight);
        let kept = intent.filter(|weight| may_stay(*weight));
        let stands = Some(weight).filter(|weight| may_stay(*weight));
        let stands = stands.unwrap_or_else(|| reached(facts.plan, weight).unwrap_or(weight));
        self.change(|run| {
            run.steps = count(steps.len());
            run.plan = spec;
            run.growing = run.growing.take().filter(|growing| may_stay(growing.weight));
            // Where steps come or go before it, the present one is the same under another number.
            let approved = run.approved && kept.is_none() && stands == weight;
            if let Some(kept) = kept {
                enter(run, at(kept));
            } else if weight > Percent::ZERO {
                enter(run, at(weight));
                run.approved = approved;
                // The route may carry what was asked for before: it is brought back, and that is confirmed.
                if intent.is_some() || stands != weight {
                    run.intent = Some(Intent::new(stands, facts.generations(), facts.now));
                }
            } else {
                // The entry at 0% is the same in any plan.
                run.intent = run.intent.take().filter(|intent| intent.weight == Percent::ZERO);
                let first = facts.first_weight();
                let growing = run.growing.take().filter(|growing| growing.weight == first);
                run.growing = growing.or(Some(Growing {
                    weight: first,
                    since: facts.now,
                }));
                enter(run, None);
            }
        });
        if kept.is_some() {
            self.status.phase = Phase::Shifting;
        } else if weight == Percent::ZERO {
            self.status.phase = Phase::Preparing;
        } else if self.status.phase == Phase::Baking && weight < Percent::FULL {
            self.status.phase = Phase::Shifting;
        }
    }
}

fn lists(plan: &Plan, weight: Percent) -> bool {
    plan.steps.iter().any(|step| step.weight == weight)
}

/// The greatest listed weight that is not above this one.
fn reached(plan: &Plan, weight: Percent) -> Option<Percent> {
    let reached = plan.steps.iter().rfind(|step| step.weight <= weight);
    reached.map(|step| step.weight)
}

/// No step had this weight: it was to come between two, of which the lower one is still there.
fn is_between(old: Option<&Plan>, plan: &Plan, weight: Percent) -> bool {
    old.filter(|old| !lists(old, weight))
        .and_then(|old| reached(old, weight))
        .is_some_and(|lower| reached(plan, weight) == Some(lower))
}
