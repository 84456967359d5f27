//! Where a release stands once its plan is another one.

use std::sync::Arc;

use crate::{
    api::{
        CanaryRolloutSpec, Percent,
        plan::step_number,
        status::{Growing, Intent, Phase},
    },
    engine::{
        draft::{Draft, cursor::count},
        facts::Facts,
    },
};

impl Draft {
    /// The plan in force is another one. A weight that is asked for, or grown for, stays while a step has it. Otherwise the
    /// run stands at the greatest listed weight that is not above the present one, and falls to it at once; if all are
    /// above, the weight stays and the run stands before the first step.
    pub fn replan(&mut self, facts: &Facts<'_>, spec: Arc<CanaryRolloutSpec>) {
        let steps = &facts.plan.steps;
        let weight = self.run().map_or(Percent::ZERO, |run| run.weight);
        let listed = |weight: Percent| steps.iter().position(|step| step.weight == weight);
        let intent = self
            .run()
            .and_then(|run| run.intent.as_ref())
            .map(|intent| intent.weight);
        let kept = intent.and_then(listed);
        let at = steps.iter().rposition(|step| step.weight <= weight);
        let stands = at.and_then(|index| steps.get(index)).map_or(weight, |step| step.weight);
        self.change(|run| {
            run.steps = count(steps.len());
            run.plan = spec;
            run.growing = run.growing.take().filter(|growing| listed(growing.weight).is_some());
            if kept.is_some() {
                run.step = step_number(kept);
            } else if weight > Percent::ZERO {
                run.step = step_number(at);
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
                run.step = 0;
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
