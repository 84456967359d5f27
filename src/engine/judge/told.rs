//! What is told before: how long a release takes at this traffic, and how soon a fault would be seen.

use super::{
    gate::need,
    sequential,
    state::{Memory, Remembered},
    tick::{CheckKind, Plan},
};

/// How long a step takes, and what it waits for where that is longer than its hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// The weight.
    pub weight: f64,
    /// Its hold in seconds.
    pub hold: f64,
    /// Seconds that it takes.
    pub seconds: f64,
    /// Requests of the run before the next weight.
    pub needed: f64,
}

/// How long a release takes.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTime {
    /// Requests a second.
    pub rate: f64,
    /// All but the last weight.
    pub steps: Vec<StepTime>,
    /// The bake, in seconds.
    pub bake: f64,
    /// A share of failing requests, and the seconds after which it is seen at the first weight.
    pub faults: Vec<(f64, f64)>,
}

/// Ticks of a step that count for nothing.
const LEFT_OUT: f64 = 2.0;
/// Ticks that the worst fault takes.
const WORST: f64 = 4.0;
/// Shares of failing requests that are told.
const FAULTS: [f64; 3] = [0.5, 0.2, 0.05];
/// A release that takes longer is warned of …
const LONG: f64 = 7_200.0;
/// … and one that takes so many times its holds.
const TIMES_ITS_HOLDS: f64 = 2.0;

/// Whether the check's requests are counted before a rise.
fn is_counted(kind: &CheckKind, plan: &Plan) -> bool {
    match kind {
        CheckKind::Errors { .. } | CheckKind::ErrorIncrease { .. } | CheckKind::Latency { .. } => true,
        CheckKind::HitRatio { .. } => plan.shares_cache(),
        CheckKind::Ratio { .. } | CheckKind::Query { .. } => false,
    }
}

/// Seconds that the present step takes, from its beginning.
pub fn step(memory: &Memory, plan: &Plan) -> f64 {
    let weight = memory.current.weight;
    let hold = plan.hold(weight) * memory.steps_back.hold_factor();
    let next = plan.above(weight).unwrap_or(1.0);
    let missing = plan.checks.iter().enumerate().filter_map(|(index, check)| {
        let limit = memory.limit(plan, index).filter(|_| is_counted(&check.kind, plan))?;
        let Some(Remembered::Counted(known)) = memory.checks.get(index) else {
            return None;
        };
        Some(need(next, limit) - known.run)
    });
    let missing = missing.fold(0.0, f64::max);
    if weight > 0.0 {
        super::rounding::round3(seconds(missing, weight * memory.before.rate(), plan.tick).max(hold))
    } else {
        super::rounding::round3(hold)
    }
}

/// How long a release takes at the traffic of the pre-run.
pub fn release(memory: &Memory, plan: &Plan) -> RunTime {
    let limits: Vec<f64> = plan
        .checks
        .iter()
        .enumerate()
        .filter(|(_, check)| is_counted(&check.kind, plan))
        .filter_map(|(index, _)| memory.limit(plan, index))
        .collect();
    run(plan, &limits, memory.before.rate())
}

fn seconds(requests: f64, rate: f64, tick: f64) -> f64 {
    if requests <= 0.0 {
        0.0
    } else {
        LEFT_OUT * tick + requests / rate
    }
}

/// How long a release takes at `rate` requests a second, with these limits of its counted checks.
pub fn run(plan: &Plan, limits: &[f64], rate: f64) -> RunTime {
    let needed = |weight: f64| limits.iter().map(|limit| need(weight, *limit)).fold(0.0, f64::max);
    let mut so_far = 0.0;
    let steps = plan.steps.windows(2).filter_map(|pair| {
        let [step, next] = pair else { return None };
        let least = needed(next.weight);
        let time = StepTime {
            weight: step.weight,
            hold: step.hold,
            seconds: seconds(least - so_far, step.weight * rate, plan.tick).max(step.hold),
            needed: least,
        };
        so_far = least;
        Some(time)
    });
    let first = plan.first_weight() * rate;
    let strictest = limits.iter().copied().fold(f64::INFINITY, f64::min);
    let faults = FAULTS.into_iter().filter(|share| *share > strictest).map(|share| {
        (
            share,
            (WORST * plan.tick).max(sequential::needed(share, strictest) / first),
        )
    });
    RunTime {
        rate,
        steps: steps.collect(),
        bake: plan.bake + plan.steps.last().map_or(0.0, |step| step.hold),
        faults: faults.collect(),
    }
}

impl RunTime {
    /// Seconds to the last weight.
    pub fn to_all(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds).sum()
    }

    /// Whether it takes so long that somebody should know.
    pub fn is_long(&self) -> bool {
        let holds: f64 = self.steps.iter().map(|step| step.hold).sum();
        let all = self.to_all();
        all > LONG || all > TIMES_ITS_HOLDS * holds
    }
}

/// Requests a second from which every hold is kept; infinite where a hold is shorter than the ticks that count for nothing.
pub fn rate_that_keeps_holds(plan: &Plan, limits: &[f64]) -> f64 {
    let needed = |weight: f64| limits.iter().map(|limit| need(weight, *limit)).fold(0.0, f64::max);
    let mut so_far = 0.0;
    let mut rate = 0.0_f64;
    for pair in plan.steps.windows(2) {
        let [step, next] = pair else { continue };
        let more = needed(next.weight) - so_far;
        let seconds = step.hold - LEFT_OUT * plan.tick;
        if more > 0.0 {
            rate = rate.max(if seconds > 0.0 {
                more / (step.weight * seconds)
            } else {
                f64::INFINITY
            });
        }
        so_far = needed(next.weight);
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::super::tick::{Cache, Probes, Split, Step};
    use super::*;

    fn plan() -> Plan {
        Plan {
            tick: 15.0,
            steps: [0.05, 0.1, 0.25, 0.5, 1.0]
                .map(|weight| Step {
                    weight,
                    hold: if weight < 1.0 { 300.0 } else { 0.0 },
                })
                .to_vec(),
            bake: 3_600.0,
            checks: Vec::new(),
            cache: Cache::default(),
            split: Split::ByRequest,
            probes: Probes::NotCounted,
            no_data_deadline: 600.0,
            lag: 0.0,
        }
    }

    #[test]
    fn one_request_a_second() {
        let told = run(&plan(), &[0.01], 1.0);
        let seconds: Vec<i64> = told.steps.iter().map(|step| as_whole(step.seconds)).collect();
        assert_eq!(seconds, [566, 432, 300, 300]);
        assert_eq!(as_whole(told.to_all()), 1_597);
        let faults: Vec<i64> = told.faults.iter().map(|(_, seconds)| as_whole(*seconds)).collect();
        assert_eq!(faults, [242, 753, 7_757]);
        assert!(!told.is_long());
        assert!(run(&plan(), &[0.01], 0.1).is_long());
    }

    #[allow(clippy::cast_possible_truncation)]
    fn as_whole(seconds: f64) -> i64 {
        seconds.round() as i64
    }

    #[test]
    fn the_rate_from_which_holds_are_kept() {
        let rate = rate_that_keeps_holds(&plan(), &[0.01]);
        assert!((rate - 1.984).abs() < 1e-3, "{rate}");
        let mut hasty = plan();
        hasty.steps[0].hold = 30.0;
        assert!(rate_that_keeps_holds(&hasty, &[0.01]).is_infinite());
    }
}
