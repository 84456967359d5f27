//! What the database behind the cache can carry: how far the weight may rise, and when it must fall.

use serde::{Deserialize, Serialize};

use super::{
    rounding::{Number, counted, number, round3, round6},
    tick::{Count, Placement, Plan, Split},
    wilson,
};

/// What is remembered of the database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// The last data ticks, oldest first.
    recent: Vec<Second>,
    /// Ticks in a row with too much load.
    high: u32,
    /// The pre-run: load times seconds, seconds with a load, misses, lookups, seconds.
    before: [f64; 5],
    /// Load that one miss causes, as measured in the pre-run.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<f64>,
    /// Seconds with everything on the new version.
    #[serde(serialize_with = "number")]
    pub alone: f64,
}

/// Lookups of both sides and load of the database in one second of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, Option<f64>)", into = "(Number, Option<Number>)")]
struct Second {
    lookups: f64,
    load: Option<f64>,
}

impl From<(f64, Option<f64>)> for Second {
    fn from((lookups, load): (f64, Option<f64>)) -> Self {
        Self { lookups, load }
    }
}

impl From<Second> for (Number, Option<Number>) {
    fn from(second: Second) -> Self {
        (Number(second.lookups), second.load.map(Number))
    }
}

/// Ticks that a load or a rate is the mean of.
const LOOK_BACK: usize = 4;
/// A raise plans with so much of the capacity …
const PLANNED: f64 = 0.70;
/// … and more than this is too much.
pub const TOO_MUCH: f64 = 0.90;
/// Load and traffic may be so much greater than measured.
const MARGIN: f64 = 1.1;
/// A step that adds no more than this part of the capacity adds next to nothing.
const NEXT_TO_NOTHING: f64 = 0.02;
/// So many ticks in a row say that the load is too much.
const IN_A_ROW: u32 = 2;
/// A weight that is nearer to the present one is not worth a step.
const WORTH_A_STEP: f64 = 0.02;
/// From nothing, so much of the first planned weight is.
const PART_OF_FIRST: f64 = 0.2;
/// So much more than the first step was allowed to cause is busy.
const BUSY_WITHOUT_CAPACITY: f64 = 1.05;

/// What decides how far the weight may rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// The present weight.
    pub weight: f64,
    /// The next planned one.
    pub planned: f64,
    /// Misses of lookups of the new version in this step.
    pub window: Count,
    /// Share of misses of the old version.
    pub baseline_misses: f64,
    /// Share of misses of a cache that nobody has used yet.
    pub cold_misses: f64,
    /// Whether the new version's cache still warms.
    pub warming: Warming,
    /// Whether something shared has been overloaded in this run.
    pub past: Past,
}

/// Whether a cache still warms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warming {
    /// It misses more than it will.
    GoesOn,
    /// Its ratio has reached the target, or is not judged.
    Done,
}

/// Whether something shared has been overloaded in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Nothing was.
    Quiet,
    /// A weight was taken back for it.
    Overloaded,
}

/// What is known of the database now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Carried {
    /// What it can carry.
    pub capacity: f64,
    /// Its load.
    pub load: f64,
    /// Load that one miss causes.
    pub per_miss: f64,
    /// Lookups a second, of both versions.
    pub lookups: f64,
}

impl Demand {
    /// Misses more for each lookup than at the old version, where they are now.
    fn more_misses(&self, plan: &Plan) -> f64 {
        if self.weight > 0.0 {
            return (wilson::upper(self.window) - self.baseline_misses).max(0.0);
        }
        if plan.shares_cache() {
            0.0
        } else {
            (self.cold_misses - self.baseline_misses).max(0.0)
        }
    }

    /// Misses more for each lookup that a raise adds.
    fn more_misses_added(&self, plan: &Plan) -> f64 {
        let arrives_cold =
            plan.cache.placement == Some(Placement::PerPod) || plan.split == Split::ByUser && !plan.shares_cache();
        if arrives_cold {
            (1.0 - self.baseline_misses).max(0.0)
        } else {
            self.more_misses(plan)
        }
    }

    /// Load that one more of weight adds.
    pub fn added(&self, plan: &Plan, carried: Carried) -> f64 {
        carried.per_miss * carried.lookups * MARGIN * self.more_misses_added(plan)
    }

    /// Greatest weight that a stated capacity allows; nothing where it does not matter.
    fn within(&self, plan: &Plan, carried: Carried) -> Option<f64> {
        let added = self.added(plan, carried);
        let load = MARGIN * carried.load;
        let small = added * (self.planned - self.weight) <= NEXT_TO_NOTHING * carried.capacity;
        if added <= 0.0 || small && load <= TOO_MUCH * carried.capacity {
            return None;
        }
        Some(self.weight + (PLANNED * carried.capacity - load) / added)
    }

    /// What the first step was allowed to cause, in misses more for each lookup of both versions.
    fn budget(&self, plan: &Plan) -> f64 {
        plan.first_weight() * (1.0 - self.baseline_misses)
    }

    /// Greatest weight where no capacity is stated: as many misses more as the first step was allowed to cause, or half as many
    /// again as are borne now.
    fn within_budget(&self, plan: &Plan) -> Option<f64> {
        let added = self.more_misses_added(plan);
        if self.warming == Warming::Done || added <= 0.0 {
            return None;
        }
        let caused = self.weight * self.more_misses(plan);
        let half = match self.past {
            Past::Quiet => caused / 2.0,
            Past::Overloaded => 0.0,
        };
        Some(self.weight + (self.budget(plan) - caused).max(half) / added)
    }

    /// Greatest weight; nothing where no limit matters.
    pub fn greatest(&self, plan: &Plan, carried: Option<Carried>) -> Option<f64> {
        match carried {
            Some(carried) => self.within(plan, carried),
            None => self.within_budget(plan),
        }
    }

    /// Without a stated capacity: it causes more misses than the first step was allowed to.
    fn is_busy(&self, plan: &Plan) -> bool {
        self.weight * self.more_misses(plan) > BUSY_WITHOUT_CAPACITY * self.budget(plan)
    }
}

/// The weight to rise to: a planned one, or whole percents below it, tenths below 1%.
pub fn next_weight(planned: f64, greatest: Option<f64>) -> f64 {
    let Some(greatest) = greatest.filter(|greatest| *greatest < planned) else {
        return planned;
    };
    let parts = if greatest < 0.01 { 1_000.0 } else { 100.0 };
    round6((greatest.max(0.0) * parts + 1e-9).floor() / parts)
}

/// Whether a weight below the planned one is not worth a step.
pub fn is_too_near(weight: f64, next: f64, planned: f64) -> bool {
    let least = if weight > 0.0 {
        weight + WORTH_A_STEP
    } else {
        PART_OF_FIRST * planned
    };
    next < planned - 1e-9 && next < least - 1e-9
}

/// Which kind of check is broken while the database may be busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Errors.
    Errors,
    /// A latency.
    Latency,
}

impl Origin {
    /// Adds a tick: lookups of both sides in its seconds, and the load.
    pub fn add(&mut self, lookups: f64, seconds: f64, load: Option<f64>, capacity: Option<f64>) {
        let load = load.filter(|load| load.is_finite()).map(counted);
        self.recent.push(Second {
            lookups: round3(lookups / seconds.max(0.001)),
            load,
        });
        let surplus = self.recent.len().saturating_sub(LOOK_BACK);
        self.recent.drain(..surplus);
        if let (Some(load), Some(capacity)) = (load, capacity) {
            self.high = if load > TOO_MUCH * capacity {
                self.high.saturating_add(1)
            } else {
                0
            };
        }
    }

    /// Adds a tick of the pre-run: misses of lookups of the old version, and the load.
    pub fn add_before(&mut self, lookups: Count, seconds: f64, load: Option<f64>) {
        let load = load.filter(|load| load.is_finite()).map(counted);
        let with_load = if load.is_some() { seconds } else { 0.0 };
        let added = [
            load.unwrap_or(0.0) * seconds,
            with_load,
            lookups.bad,
            lookups.total,
            seconds,
        ];
        for (sum, added) in self.before.iter_mut().zip(added) {
            *sum = round3(*sum + added);
        }
    }

    /// The pre-run is over: what one miss causes is fixed.
    pub fn begin(&mut self) {
        let [load, with_load, misses, lookups, seconds] = self.before;
        let known = lookups >= 1_000.0 && misses >= 30.0 && with_load > 0.0 && seconds > 0.0;
        self.measured = known.then(|| round6(((load / with_load) / (misses / seconds)).max(1.0)));
    }

    /// Mean load of the last ticks.
    pub fn load(&self) -> Option<f64> {
        let (sum, ticks) = self
            .recent
            .iter()
            .filter_map(|second| second.load)
            .fold((0.0, 0.0), |(sum, ticks), load| (sum + load, ticks + 1.0));
        (ticks > 0.0).then(|| sum / ticks)
    }

    /// Mean lookups a second of the last ticks.
    pub fn lookups(&self) -> f64 {
        let (sum, ticks) = self
            .recent
            .iter()
            .fold((0.0, 0.0), |(sum, ticks), second| (sum + second.lookups, ticks + 1.0));
        if ticks > 0.0 { sum / ticks } else { 0.0 }
    }

    /// Load that one miss causes.
    pub fn per_miss(&self, plan: &Plan) -> f64 {
        plan.cache.per_miss.or(self.measured).unwrap_or(1.0)
    }

    /// What is known of the database, where its capacity is stated and its load is read.
    pub fn carried(&self, plan: &Plan) -> Option<Carried> {
        Some(Carried {
            capacity: plan.cache.capacity?,
            load: self.load()?,
            per_miss: self.per_miss(plan),
            lookups: self.lookups(),
        })
    }

    /// It carries too much in this tick.
    pub fn is_high(&self) -> bool {
        self.high > 0
    }

    /// It carries too much for so long that a weight is taken back for it.
    pub fn stays_high(&self) -> bool {
        self.high >= IN_A_ROW
    }

    /// It is so busy that a broken limit may be its fault.
    pub fn is_busy(&self, plan: &Plan, demand: &Demand, broken: Broken) -> bool {
        let Some(carried) = self.carried(plan) else {
            return demand.is_busy(plan);
        };
        let part = match broken {
            Broken::Latency => PLANNED,
            Broken::Errors => TOO_MUCH,
        };
        let now = self.recent.last().and_then(|second| second.load).unwrap_or(0.0);
        now.max(carried.load) > part * carried.capacity
    }
}

#[cfg(test)]
mod tests;
