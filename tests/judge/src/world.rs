//! One release's world as the judge is told it: readings of what was counted in each tick.

use std::sync::Arc;

use warmfront::{
    engine::judge::tick::{Count, Reading, Sides, Tick},
    simulate::world::{self, Counted, Side, curve::Curve},
};

use crate::params::Params;

/// Ticks of the old version alone, before the first weight.
pub const PRE_RUN: u32 = 40;

/// The world of one release.
pub struct World<'a> {
    params: &'a Params,
    world: world::World<'a>,
}

/// What a tick was.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What is told of it.
    pub tick: Tick,
    /// Whether the database was asked for more than it can carry.
    pub overloaded: bool,
}

/// The places of the checks in a tick's readings.
pub mod checks {
    /// At most 1% of the requests fail.
    pub const ERRORS: usize = 0;
    /// At most 1% are slow.
    pub const SLOW: usize = 1;
    /// At most .1% of the sampled answers are stale.
    pub const STALE: usize = 2;
    /// The hit ratio.
    pub const HITS: usize = 3;
}

impl<'a> World<'a> {
    /// A world before its first tick. `curve` is that of the same parameters.
    pub fn new(params: &'a Params, curve: Option<Arc<Curve>>, seed: u64) -> Self {
        Self {
            params,
            world: world::World::new(params, curve, seed, PRE_RUN),
        }
    }

    /// The tick that comes next; the first with a weight is 0.
    pub fn t(&self) -> i64 {
        self.world.t()
    }

    /// From the next tick on the new version gets this share.
    pub fn set_weight(&mut self, weight: f64) {
        self.world.set_weight(weight);
    }

    /// One tick later.
    pub fn tick(&mut self) -> Seen {
        let t = self.world.t();
        let counted = self.world.tick();
        Seen {
            tick: self.tell(t, &counted),
            overloaded: counted.overloaded,
        }
    }

    fn tell(&self, t: i64, told: &Counted) -> Tick {
        let mut tick = Tick {
            at: (t + i64::from(PRE_RUN) + 1) as f64 * self.params.tick,
            seconds: self.params.tick,
            step: self.world.step(),
            weight: self.world.weight(),
            readings: vec![Reading::Missing, Reading::Missing, Reading::Missing, Reading::NotAsked],
            ..Tick::default()
        };
        if told.lost {
            return tick;
        }
        let sides = |bad: fn(&Side) -> u64| Sides {
            candidate: Count {
                bad: bad(&told.candidate) as f64 * told.factor,
                total: told.candidate.requests as f64 * told.factor,
            },
            baseline: Some(Count {
                bad: bad(&told.baseline) as f64,
                total: told.baseline.requests as f64,
            }),
        };
        tick.requests = Some(Sides {
            candidate: told.candidate.requests as f64 * told.factor,
            baseline: Some(told.baseline.requests as f64),
        });
        tick.lookups = Some(sides(|side| side.misses));
        tick.readings[checks::ERRORS] = Reading::Counts(sides(|side| side.errors));
        tick.readings[checks::SLOW] = Reading::Counts(sides(|side| side.slow));
        tick.readings[checks::STALE] = Reading::Counts(Sides {
            candidate: Count {
                bad: told.candidate.stale as f64 * told.factor,
                total: told.candidate.sampled as f64 * told.factor,
            },
            baseline: None,
        });
        if !self.params.pods_together {
            tick.pods.clone_from(&told.pods);
        }
        for pod in &mut tick.pods {
            pod.lookups *= told.factor;
            pod.hits *= told.factor;
        }
        if self.params.in_flight {
            tick.in_flight = Some(Sides {
                candidate: told.in_flight.0,
                baseline: Some(told.in_flight.1),
            });
        }
        if !self.params.no_capacity && self.params.rate >= 1.0 {
            tick.origin_load = Some(told.load);
        }
        tick
    }
}

#[cfg(test)]
mod tests;
