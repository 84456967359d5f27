//! A closed loop: what a rule decides of a tick acts in the next one.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    curve::Curve,
    params::Params,
    rule::{Order, Rule, Said},
    world::{PRE_RUN, Seen, World},
};

/// How a release went.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Why it was rolled back.
    pub rolled_back: Option<String>,
    /// Whether it was promoted.
    pub promoted: bool,
    /// Whether it was paused when the world ended.
    pub paused: bool,
    /// Everything it was paused for.
    pub pauses: BTreeSet<String>,
    /// Everything its weight waited for.
    pub causes: BTreeSet<String>,
    /// Minutes until it ended.
    pub minutes: f64,
    /// Seconds from the onset of the fault to its end.
    pub since_onset: f64,
    /// Minutes in which the database was asked for more than it can carry.
    pub overload: f64,
    /// How often the weight was taken back.
    pub step_backs: u32,
    /// The greatest weight, in percent.
    pub greatest: f64,
    /// The least weight, in percent.
    pub least: f64,
}

/// One release. `curve` is that of the same parameters; `watch` sees what a tick was and what was said of it.
pub fn release(
    params: &Params,
    curve: Option<Arc<Curve>>,
    seed: u64,
    rule: &mut dyn Rule,
    watch: &mut dyn FnMut(&Seen, &Said),
) -> Run {
    let mut world = World::new(params, curve, seed);
    for _ in 0..PRE_RUN {
        let seen = world.tick();
        let said = rule.after(&seen.tick);
        watch(&seen, &said);
    }
    let first = params.steps.first().copied().unwrap_or(100.0);
    world.set_weight(first / 100.0);
    let mut run = Run {
        greatest: first,
        least: first,
        ..Run::default()
    };
    let mut onset = params.err_at.is_none().then(|| i64::from(params.onset));
    while world.t() < i64::from(params.horizon) {
        let seen = world.tick();
        let said = rule.after(&seen.tick);
        watch(&seen, &said);
        if params.err_at.is_some_and(|(from, _)| seen.tick.weight >= from - 1e-9) {
            onset = onset.or(Some(world.t() - 1));
        }
        run.minutes = world.t() as f64 * params.tick / 60.0;
        run.since_onset = onset.map_or(0.0, |onset| (world.t() - onset) as f64 * params.tick);
        if seen.overloaded {
            run.overload += params.tick / 60.0;
        }
        run.paused = said.pause.is_some();
        run.pauses.extend(said.pause);
        run.causes.extend(said.cause);
        match said.order {
            Order::Stay => {}
            Order::Rise(to) => {
                world.set_weight(to);
                run.greatest = run.greatest.max(to * 100.0);
            }
            Order::StepBack(to) => {
                world.set_weight(to);
                run.step_backs += 1;
                run.least = run.least.min(to * 100.0);
            }
            Order::RollBack(reason) => {
                run.rolled_back = Some(reason);
                run.paused = false;
                break;
            }
            Order::Promote => {
                run.promoted = true;
                run.paused = false;
                break;
            }
        }
    }
    run
}
