//! What the judge remembers of a run: small, rounded as it is stored, so that a restart changes no verdict.

use serde::{Deserialize, Serialize};

use super::{
    blame::{Clock, Harm, Incidents, StepsBack},
    checks::{self, Counted, Stage},
    mismatch::Shares,
    origin::Origin,
    rounding::{counted, number, round3, round6},
    scalar::Values,
    sequential::Moment,
    tick::{BaselineCache, Check, CheckKind, Count, Plan, Tick},
    warmth::{Expected, Warmth},
};

/// The memory of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Seconds with data since the pre-run began.
    pub clock: Clock,
    /// Data ticks since then.
    pub ticks: u64,
    /// The weight that is judged.
    pub current: StepMemory,
    /// Of each check, in the plan's order.
    pub checks: Vec<Remembered>,
    /// The old version's lookups before the release, added to until there are enough.
    pub lookups_before: Count,
    /// The old version's lookups since the pre-run.
    pub lookups: Count,
    /// The pre-run.
    pub before: Before,
    /// The old version's errors since the new one has traffic.
    pub harm: Harm,
    /// Limits that both versions broke.
    #[serde(skip_serializing_if = "is_default")]
    pub incidents: Incidents,
    /// Weights that were taken back.
    #[serde(skip_serializing_if = "is_default")]
    pub steps_back: StepsBack,
    /// The new version's cache.
    pub warmth: Warmth,
    /// The database.
    pub origin: Origin,
    /// Whether the requests are there.
    pub shares: Shares,
    /// Seconds with data in which they were not.
    #[serde(serialize_with = "number", skip_serializing_if = "is_default")]
    pub mismatched: f64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The weight that is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepMemory {
    /// `Tick::step` of its confirmation.
    pub id: u64,
    /// The weight.
    #[serde(serialize_with = "number")]
    pub weight: f64,
    /// Number of its first tick in the run.
    pub first_tick: u64,
    /// Its data ticks.
    pub ticks: u32,
    /// Seconds with data.
    #[serde(serialize_with = "number")]
    pub seconds: f64,
    /// Seconds with data that count as its hold.
    #[serde(serialize_with = "number")]
    pub held: f64,
    /// The weight has risen to it.
    pub raised: bool,
    /// So many seconds it was expected to take when it began.
    #[serde(serialize_with = "number")]
    pub told: f64,
    /// Of `Tick::paused` so much has been left out of its hold.
    #[serde(serialize_with = "number", skip_serializing_if = "is_default")]
    pub paused: f64,
    /// Of `seconds` those in which a person had paused it.
    #[serde(serialize_with = "number", skip_serializing_if = "is_default")]
    pub idle: f64,
}

impl StepMemory {
    /// Seconds with data in which nobody but the judge held it.
    pub fn waited(&self) -> f64 {
        self.seconds - self.idle
    }
}

/// What was seen before the first weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Before {
    /// Requests of both versions.
    #[serde(serialize_with = "number")]
    pub requests: f64,
    /// Requests that the new version's pods got without any weight.
    #[serde(serialize_with = "number")]
    pub probes: f64,
    /// Seconds with data.
    #[serde(serialize_with = "number")]
    pub seconds: f64,
}

impl Before {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 {
            self.requests / self.seconds
        } else {
            0.0
        }
    }

    /// Requests a second that pods get without any weight.
    pub fn probe_rate(&self) -> f64 {
        if self.seconds > 0.0 {
            self.probes / self.seconds
        } else {
            0.0
        }
    }
}

/// What is remembered of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Remembered {
    /// Of one that counts.
    Counted(Box<Counted>),
    /// Of a plain number.
    Values(Values),
}

/// Why what was counted is no longer worth anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// The weight fell, or what was compared is no longer the same: points, steps, hold.
    Evidence,
    /// The same, and all that is known of the old version: it is another one.
    Baseline,
}

impl Remembered {
    fn of(check: &Check) -> Self {
        match check.kind {
            CheckKind::Query { .. } => Self::Values(Values::default()),
            _ => Self::Counted(Box::default()),
        }
    }

    fn fits(&self, check: &Check) -> bool {
        matches!(self, Self::Values(_)) == matches!(check.kind, CheckKind::Query { .. })
    }

    /// Of a check that counts.
    pub fn counted(&self) -> Option<&Counted> {
        match self {
            Self::Counted(counted) => Some(counted),
            Self::Values(_) => None,
        }
    }

    fn forget(&mut self, now: Moment) {
        match self {
            Self::Counted(counted) => counted.forget(now),
            Self::Values(values) => values.begin_step(),
        }
    }

    fn forget_baseline(&mut self) {
        if let Self::Counted(counted) = self {
            counted.forget_baseline();
        }
    }

    fn begin_step(&mut self) {
        match self {
            Self::Counted(counted) => counted.begin_step(),
            Self::Values(values) => values.begin_step(),
        }
    }
}

impl Memory {
    /// Makes room for each check of the plan.
    pub fn fit(&mut self, plan: &Plan) {
        self.checks.truncate(plan.checks.len());
        for (index, check) in plan.checks.iter().enumerate() {
            match self.checks.get_mut(index) {
                Some(known) if known.fits(check) => {}
                Some(known) => *known = Remembered::of(check),
                None => self.checks.push(Remembered::of(check)),
            }
        }
    }

    /// Forgets what is no longer worth anything.
    pub fn forget(&mut self, what: Forget, at: f64) {
        let now = Moment { at, tick: self.ticks };
        self.checks.iter_mut().for_each(|known| known.forget(now));
        self.harm.sequence.forget(now);
        self.warmth.begin_step();
        self.shares.begin_step();
        self.mismatched = 0.0;
        self.current.ticks = 0;
        self.current.seconds = 0.0;
        self.current.idle = 0.0;
        self.current.held = 0.0;
        if what == Forget::Baseline {
            self.checks.iter_mut().for_each(Remembered::forget_baseline);
            self.lookups_before = Count::default();
            self.lookups = Count::default();
            // What is normal without the new version can no longer be seen.
            self.harm.limit = None;
        }
    }

    /// All traffic is the old version's again. Its last ticks are those in which the weight fell: how it does from now on says
    /// whether it keeps the limits without the new version.
    pub fn fall_to_nothing(&mut self) {
        self.current.weight = 0.0;
        for known in &mut self.checks {
            if let Remembered::Counted(counted) = known {
                counted.recent.clear();
            }
        }
    }

    /// Both versions broke a limit: hold and counts of the step begin anew.
    pub fn begin_hold(&mut self) {
        for known in &mut self.checks {
            if let Remembered::Counted(counted) = known {
                counted.begin_step();
            }
        }
        self.current.held = 0.0;
    }

    /// Begins another step where the tick belongs to one. The last tick's baseline tells whether it kept each limit.
    pub fn begin_step(&mut self, plan: &Plan, tick: &Tick) {
        let (id, weight) = (tick.step, round6(tick.weight));
        if id == self.current.id && (weight - self.current.weight).abs() < 1e-6 {
            return;
        }
        if self.current.id == 0 {
            self.origin.begin();
            let own = self.errors(plan).map(|(known, limit)| (known.before, limit));
            self.harm.limit = own.and_then(|(before, limit)| Harm::limit(before, limit));
        }
        let raised = weight > self.current.weight;
        if weight < self.current.weight {
            self.forget(Forget::Evidence, tick.at);
        }
        // Before the first weight, and at weight 0, nothing was judged that could say so.
        let start = Moment {
            at: tick.at - tick.length(plan),
            tick: self.ticks,
        };
        for known in &mut self.checks {
            if let Remembered::Counted(counted) = known {
                counted.sequence.begin(start);
            }
        }
        for index in 0..self.checks.len() {
            let limit = self.limit(plan, index);
            if let (Some(Remembered::Counted(known)), Some(limit)) = (self.checks.get_mut(index), limit) {
                known.kept = raised && known.has_kept(limit);
            }
        }
        self.checks.iter_mut().for_each(Remembered::begin_step);
        self.warmth.begin_step();
        if raised && tick.pods_are_one(plan) {
            // Caches of the pods that came with the raise are empty, and lower what all of them find together.
            self.warmth.begin_growth();
        }
        self.shares.begin_step();
        self.mismatched = 0.0;
        self.current = StepMemory {
            id,
            weight,
            first_tick: self.ticks.saturating_add(1),
            raised,
            ..StepMemory::default()
        };
    }

    /// Goes on by a data tick. A person had paused the step for `paused` seconds so far: what a tick is too short to leave out of
    /// the hold the next one leaves out.
    pub fn go_on(&mut self, seconds: f64, paused: f64) {
        let idle = (paused - self.current.paused).min(seconds).max(0.0);
        self.current.paused = round3(self.current.paused + idle);
        self.current.idle = round3(self.current.idle + idle);
        self.clock.add(seconds);
        self.ticks = self.ticks.saturating_add(1);
        self.current.ticks = self.current.ticks.saturating_add(1);
        self.current.seconds = round3(self.current.seconds + seconds);
        self.current.held = round3(self.current.held + seconds - idle);
    }

    /// Of a person's pause so many seconds will not be left out of the hold by this tick: they are in what follows it.
    pub fn left_in(&self, tick: &Tick) -> f64 {
        let left_out = if tick.step == self.current.id {
            self.current.paused
        } else {
            0.0
        };
        (tick.paused - left_out - tick.seconds).max(0.0)
    }

    /// The hold has begun so many seconds before the tick.
    pub fn hold_since(&mut self, lead: f64) {
        self.current.held = round3(self.current.held + counted(lead));
    }

    /// Adds a tick of the pre-run.
    pub fn add_before(&mut self, requests: f64, probes: f64, seconds: f64) {
        self.before.requests = round3(self.before.requests + requests);
        self.before.probes = round3(self.before.probes + probes);
        self.before.seconds = round3(self.before.seconds + seconds);
    }

    /// Adds a tick of the old version's lookups.
    pub fn add_baseline_lookups(&mut self, lookups: Count, stage: Stage) {
        self.lookups = self.lookups.plus(lookups);
        if stage == Stage::PreRun || self.lookups_before.total < checks::KNOWN {
            self.lookups_before = self.lookups_before.plus(lookups);
        }
    }

    /// What the new version's hit ratio is measured by, of the first such check.
    pub fn expected(&self, plan: &Plan, weight: f64) -> Option<Expected> {
        let is_ratio = |check: &&Check| matches!(check.kind, CheckKind::HitRatio { .. });
        let check = plan.checks.iter().find(is_ratio)?;
        Expected::of(&check.kind, &plan.cache, self.lookups_before, weight)
    }

    /// Greatest share of bad ones that a check allows; nothing while it depends on what is not known yet.
    pub fn limit(&self, plan: &Plan, index: usize) -> Option<f64> {
        let kind = &plan.checks.get(index)?.kind;
        let before = self.checks.get(index)?.counted()?.before;
        let target = Expected::of(kind, &plan.cache, self.lookups_before, 1.0).map(|expected| expected.target);
        checks::limit(kind, before, target)
    }

    /// The check of the old version's errors, with its limit.
    pub fn errors(&self, plan: &Plan) -> Option<(&Counted, f64)> {
        let is_errors = |kind: &CheckKind| matches!(kind, CheckKind::Errors { .. } | CheckKind::ErrorIncrease { .. });
        let index = plan.checks.iter().position(|check| is_errors(&check.kind))?;
        Some((self.checks.get(index)?.counted()?, self.limit(plan, index)?))
    }

    /// Share of misses of the old version.
    pub fn baseline_misses(&self, plan: &Plan) -> f64 {
        match plan.cache.baseline {
            BaselineCache::Absent => 1.0,
            BaselineCache::Present => checks::smoothed(self.lookups),
        }
    }

    /// How many times as many misses the new version has; 1 where nothing is looked up or both use one cache.
    pub fn times_as_many_misses(&self, plan: &Plan) -> f64 {
        let nothing = self.warmth.lookups <= 0.0 && self.lookups.total <= 0.0;
        if nothing || plan.shares_cache() {
            1.0
        } else {
            self.warmth.misses() / self.baseline_misses(plan)
        }
    }

    /// Requests of a tick without those that come without any weight.
    pub fn without_probes(&self, count: Count, seconds: f64) -> Count {
        let total = counted(count.total - self.before.probe_rate() * seconds);
        Count {
            bad: count.bad.min(total),
            total,
        }
    }
}
