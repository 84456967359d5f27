//! What the judge is told: the plan of a release, and what was counted in one tick of it.

use serde::{Deserialize, Serialize};

use super::rounding::{Number, counted, round3};

/// What is released, by what steps and limits. Shares are 0..1, lengths of time are seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Length of a full tick.
    pub tick: f64,
    /// The planned weights, rising; the last one is 1.
    pub steps: Vec<Step>,
    /// So long after its end a tick is judged: the hold has gone on meanwhile.
    pub lag: f64,
    /// How long everything stays on the new version before it is promoted, judged all the while.
    pub bake: f64,
    /// In the order of the spec. `errorRate` with both limits is two of them.
    pub checks: Vec<Check>,
    /// How the cache lies and what is behind it.
    pub cache: Cache,
    /// What splits the requests.
    pub split: Split,
    /// Whether requests that pods get without any weight (probes) are in the counts of requests and errors.
    pub probes: Probes,
    /// After so long without a decision the step pauses as having too few requests or a share that does not fit.
    pub no_data_deadline: f64,
}

/// A planned weight, and how long it is held at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Share of the requests.
    pub weight: f64,
    /// Time with data at this weight.
    pub hold: f64,
}

/// One limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// As in the spec.
    pub name: String,
    /// What is limited.
    pub kind: CheckKind,
    /// What follows when it breaks.
    pub breach: Breach,
}

/// What is limited, and by how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CheckKind {
    /// At most this share of the requests fails.
    Errors {
        /// The limit.
        max: f64,
    },
    /// At most this share more than at the old version before the release.
    ErrorIncrease {
        /// Added to the old version's own share.
        by: f64,
    },
    /// Requests slower than the limit are at most `1 - quantile` of all.
    Latency {
        /// Above .75; lower ones are scalars.
        quantile: f64,
        /// The limit in seconds, for messages.
        max: f64,
    },
    /// A pair of counters of the new version.
    Ratio {
        /// Greatest share of bad ones.
        max: f64,
    },
    /// Hits of all lookups. Its counts are the tick's `lookups`.
    HitRatio {
        /// Least share of hits.
        min: Option<f64>,
        /// Greatest difference to the old version.
        max_drop: Option<f64>,
    },
    /// A plain number.
    Query {
        /// Greatest good value.
        max: Option<f64>,
        /// Least good value.
        min: Option<f64>,
        /// So many bad values of the last `of` break the limit.
        breaches: usize,
        /// So many values are looked back on.
        of: usize,
        /// Seconds from one value to the next, so that what they look back on does not overlap.
        period: f64,
        /// Whether a cold cache makes it worse although nothing is wrong.
        warms: Warms,
    },
}

/// Whether a value is worse while a cache is cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warms {
    /// It is a latency.
    Yes,
    /// Any other number.
    No,
}

/// What follows from a broken limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breach {
    /// The release ends.
    #[default]
    Rollback,
    /// The release waits for a person.
    Pause,
}

/// The cache and its database.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cache {
    /// Who shares a cache with whom; nothing where it is not stated.
    pub placement: Option<Placement>,
    /// How long an entry lives.
    pub ttl: Option<f64>,
    /// Whether the old version has a cache at all (in a pair it may have none).
    pub baseline: BaselineCache,
    /// What the database can carry, in the unit of its load.
    pub capacity: Option<f64>,
    /// Load that one miss causes; measured where it is not stated.
    pub per_miss: Option<f64>,
    /// Hit ratio that a warm-up reached before the first weight.
    pub warmed: Option<f64>,
}

/// Who shares a cache with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Both versions use the same one: there is nothing to warm.
    Shared,
    /// Each version has its own.
    PerVersion,
    /// Each pod has its own.
    PerPod,
}

/// Whether the old version looks things up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BaselineCache {
    /// It has a cache.
    #[default]
    Present,
    /// It asks the database for everything.
    Absent,
}

/// What splits the requests between the versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// Each request by the weight.
    #[default]
    ByRequest,
    /// Users stay where they are: the counts need not follow the weight, and each brings keys of its own.
    ByUser,
    /// Pods share as they are many: the counts need not follow the weight.
    ByPod,
}

/// Whether requests that come without any weight are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probes {
    /// Only the router's requests are counted.
    #[default]
    NotCounted,
    /// The application counts all of them: their rate at weight 0 is taken off.
    Counted,
}

/// What was counted in one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// End of the tick in seconds since any fixed moment; messages need it, verdicts do not.
    pub at: f64,
    /// Length of the tick; 0 stands for the plan's.
    pub seconds: f64,
    /// Seconds of the hold before the tick, of which nothing could be counted by itself: the first tick of a step has some.
    pub lead: f64,
    /// Which confirmation of a weight this tick belongs to. Another number is another step; 0 is the pre-run, before the
    /// first weight.
    pub step: u64,
    /// The confirmed weight, 0..1.
    pub weight: f64,
    /// Requests of both sides. Without them this is no data tick, and nothing changes; a live target without any request
    /// is `Some` with 0. A release without count checks says 0 when any of its checks could be read.
    pub requests: Option<Sides<f64>>,
    /// One for each check of the plan, in its order.
    pub readings: Vec<Reading>,
    /// Misses (bad) of lookups (total) of both sides.
    pub lookups: Option<Sides<Count>>,
    /// With `placement: PerPod` the new version's caches one by one.
    pub pods: Vec<PodCache>,
    /// Requests in flight at the tick's end, where the source has them.
    pub in_flight: Option<Sides<f64>>,
    /// Load of the database, where it is read.
    pub origin_load: Option<f64>,
    /// Whether the old version is whole.
    pub baseline: Baseline,
    /// Whether a person has accepted what is too close to call in this step.
    pub promote: Promote,
    /// Seconds of this step in which a person had paused it so far: they count towards no hold, and nobody loses patience in them.
    pub paused: f64,
}

/// A figure of the new version and, where it has one, of the old version.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sides<T> {
    /// Of the new version.
    pub candidate: T,
    /// Of the old version, unless it has no such series.
    pub baseline: Option<T>,
}

/// Bad ones of all. Fractions occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, f64)", into = "(Number, Number)")]
pub struct Count {
    /// Failed, slow, stale, missed.
    pub bad: f64,
    /// All.
    pub total: f64,
}

/// What could be read for one check.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reading {
    /// Nothing is asked for this check in this tick (a query between two of its values; `HitRatio`, which has `lookups`).
    #[default]
    NotAsked,
    /// Counts, of this tick alone.
    Counts(Sides<Count>),
    /// A number, of both sides where the query has a placeholder for them.
    Value(Sides<f64>),
    /// It was asked and there is no usable answer.
    Missing,
}

/// One pod's cache in this tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PodCache {
    /// Lookups that it had answered since it began, before this tick.
    pub before: f64,
    /// Lookups in this tick.
    pub lookups: f64,
    /// Hits in this tick.
    pub hits: f64,
}

/// Whether the old version is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Baseline {
    /// All its pods are Ready.
    #[default]
    Ready,
    /// Some are not: what it does is not compared with.
    NotReady,
}

/// Whether a person has accepted this step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Promote {
    /// Nobody has.
    #[default]
    NotAsked,
    /// A `Promote` that is guarded with this step stands.
    Accepted,
}

impl From<(f64, f64)> for Count {
    fn from((bad, total): (f64, f64)) -> Self {
        Self { bad, total }
    }
}

impl From<Count> for (Number, Number) {
    fn from(count: Count) -> Self {
        (Number(count.bad), Number(count.total))
    }
}

impl Count {
    /// What an input says, brought into 0 to a billion, the bad ones into 0 to all.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let total = counted(self.total);
        let bad = counted(self.bad).min(total);
        Self { bad, total }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bad: round3(self.bad + other.bad),
            total: round3(self.total + other.total),
        }
    }

    /// Nothing was counted.
    pub fn is_nothing(&self) -> bool {
        self.total <= 0.0
    }

    /// The share of bad ones; 0 of nothing.
    pub fn share(self) -> f64 {
        if self.total > 0.0 { self.bad / self.total } else { 0.0 }
    }

    /// The sum of several.
    pub fn sum<'a>(counts: impl IntoIterator<Item = &'a Self>) -> Self {
        counts.into_iter().fold(Self::default(), |sum, count| sum.plus(*count))
    }
}

/// Weights that are nearer than this are the same.
const SAME: f64 = 1e-6;

/// A tick is not longer than this many seconds, whatever an input says.
const LONGEST: f64 = 3_600.0;

/// From this weight on nothing is left to compare with.
pub const ALL: f64 = 0.98;

impl Plan {
    /// The next planned weight above this one.
    pub fn above(&self, weight: f64) -> Option<f64> {
        self.steps
            .iter()
            .map(|step| step.weight)
            .find(|planned| *planned > weight + SAME)
    }

    /// The next planned weight below this one; 0 below the first.
    pub fn below(&self, weight: f64) -> f64 {
        self.steps
            .iter()
            .map(|step| step.weight)
            .filter(|planned| *planned < weight - SAME)
            .fold(0.0, f64::max)
    }

    /// How long this weight is held: as the greatest planned one that is not above it, and everything also for the bake.
    pub fn hold(&self, weight: f64) -> f64 {
        let reached = self.steps.iter().rev().find(|step| step.weight <= weight + SAME);
        let hold = reached.or(self.steps.first()).map_or(0.0, |step| step.hold);
        if self.above(weight).is_none() {
            hold + self.bake
        } else {
            hold
        }
    }

    /// The first planned weight.
    pub fn first_weight(&self) -> f64 {
        self.steps.first().map_or(1.0, |step| step.weight)
    }

    /// Whether both versions use one cache.
    pub fn shares_cache(&self) -> bool {
        self.cache.placement == Some(Placement::Shared)
    }
}

impl Tick {
    /// Each pod has a cache, and they were not counted one by one.
    pub fn pods_are_one(&self, plan: &Plan) -> bool {
        plan.cache.placement == Some(Placement::PerPod) && self.pods.is_empty()
    }

    /// Who shares a cache with whom, as far as it was counted: pods that were not counted one by one are taken for one.
    pub fn placement(&self, plan: &Plan) -> Option<Placement> {
        if self.pods_are_one(plan) {
            Some(Placement::PerVersion)
        } else {
            plan.cache.placement
        }
    }

    /// Its length.
    pub fn length(&self, plan: &Plan) -> f64 {
        if self.seconds > 0.0 {
            round3(self.seconds.min(LONGEST))
        } else {
            plan.tick
        }
    }
}
