//! The steps of a plan: as listed, as a ramp, or the default ones.

use super::{InvalidSpec, PlannedStep};
use crate::api::{
    CanaryRolloutSpec, Duration, Percent,
    rollout::{Ramp, Step},
};

const DEFAULT_HOLD: Duration = Duration::from_mins(5);
const DEFAULT_WEIGHTS: [u32; 5] = [500, 1_000, 2_500, 5_000, 10_000];

pub(super) fn steps(spec: &CanaryRolloutSpec) -> Result<Vec<PlannedStep>, InvalidSpec> {
    let steps = match (&spec.steps, &spec.ramp) {
        (Some(_), Some(_)) => return Err(InvalidSpec("spec: steps and ramp exclude one another".to_owned())),
        (Some(steps), None) => listed(steps),
        (None, Some(ramp)) => ramped(ramp)?,
        (None, None) => DEFAULT_WEIGHTS
            .iter()
            .filter_map(|hundredths| Percent::from_hundredths(*hundredths).ok())
            .map(|weight| PlannedStep {
                weight,
                hold: default_hold(weight),
                approval: false,
            })
            .collect(),
    };
    let rising = steps.windows(2).all(|pair| pair[0].weight <= pair[1].weight);
    let first = steps.first().is_some_and(|step| step.weight > Percent::ZERO);
    let last = steps.last().is_some_and(|step| step.weight == Percent::FULL);
    if !(rising && first && last) {
        return Err(InvalidSpec(
            "spec.steps: weights must be above 0, rise, and end with 100".to_owned(),
        ));
    }
    Ok(steps)
}

fn default_hold(weight: Percent) -> Duration {
    if weight == Percent::FULL {
        Duration::ZERO
    } else {
        DEFAULT_HOLD
    }
}

fn listed(steps: &[Step]) -> Vec<PlannedStep> {
    let planned = |step: &Step| PlannedStep {
        weight: step.weight,
        hold: step.hold.unwrap_or_else(|| default_hold(step.weight)),
        approval: step.approval,
    };
    steps.iter().map(planned).collect()
}

fn ramped(ramp: &Ramp) -> Result<Vec<PlannedStep>, InvalidSpec> {
    if ramp.by == Percent::ZERO {
        return Err(InvalidSpec("spec.ramp.by must be above 0".to_owned()));
    }
    let to = ramp.to.unwrap_or(Percent::FULL);
    let mut steps = Vec::new();
    let mut at = ramp.from.hundredths();
    loop {
        let weight = Percent::from_hundredths(at.min(to.hundredths()))
            .map_err(|error| InvalidSpec(format!("spec.ramp: {error}")))?;
        let hold = if weight == Percent::FULL {
            Duration::ZERO
        } else {
            ramp.hold.unwrap_or(DEFAULT_HOLD)
        };
        steps.push(PlannedStep {
            weight,
            hold,
            approval: false,
        });
        if weight >= to {
            return Ok(steps);
        }
        at += ramp.by.hundredths();
    }
}
