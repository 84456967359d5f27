//! One tick through every check: counts, points, blame, warmth and plain numbers.

use super::{
    blame::{self, Blame},
    checks::{self, Stage},
    mismatch::Mismatch,
    origin::Demand,
    rounding::{counted, round3},
    scalar::{self, Warmed},
    sequential::Moment,
    state::{Memory, Remembered},
    tick::{ALL, Baseline, CheckKind, Count, Plan, Probes, Reading, Sides, Tick},
    warmth::State,
};

/// What one check found in a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// It could not be read.
    NoData,
    /// Its limit depends on an old version that is not known well enough yet.
    NoBaseline,
    /// So little speaks against the limit that the weight may rise.
    Clean,
    /// Something speaks against it.
    Doubtful,
    /// It is broken.
    Broken(Blame),
    /// What the cache is.
    Cache(State),
    /// What the plain numbers say.
    Value(scalar::Finding),
}

impl Finding {
    /// Both versions break the limit.
    pub fn is_shared(&self) -> bool {
        matches!(
            self,
            Self::Broken(Blame::Shared) | Self::Value(scalar::Finding::BothBroken)
        )
    }
}

/// One data tick with what it said.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The tick.
    pub tick: &'a Tick,
    /// What each check found.
    pub findings: Findings,
    /// What decides how far the weight may rise.
    pub demand: Demand,
}

/// What a tick said.
#[derive(Clone, Debug)]
pub struct Findings {
    /// One for each check of the plan.
    pub checks: Vec<Finding>,
    /// The requests are not there.
    pub mismatch: Option<Mismatch>,
}

/// Adds what both stages of a release remember: the old version, lookups and the database.
pub fn observe(memory: &mut Memory, plan: &Plan, tick: &Tick, stage: Stage) {
    let seconds = tick.length(plan);
    let now = memory.ticks;
    let lookups = tick.lookups.map(cleaned);
    let of_baseline = lookups.and_then(|sides| sides.baseline);
    if tick.baseline == Baseline::Ready {
        for (index, check) in plan.checks.iter().enumerate() {
            let baseline = match (&check.kind, tick.readings.get(index)) {
                (CheckKind::HitRatio { .. }, _) => of_baseline.filter(|_| plan.shares_cache()),
                (_, Some(Reading::Counts(sides))) => sides.baseline.map(Count::cleaned),
                _ => None,
            };
            if let (Some(count), Some(Remembered::Counted(known))) = (baseline, memory.checks.get_mut(index)) {
                known.add_baseline(count, stage, now);
            }
        }
        if let Some(count) = of_baseline {
            memory.add_baseline_lookups(count, stage);
        }
    }
    let of_candidate = lookups.map_or(0.0, |sides| sides.candidate.total);
    let all = of_candidate + of_baseline.map_or(0.0, |count| count.total);
    memory.origin.add(all, seconds, tick.origin_load, plan.cache.capacity);
    if stage == Stage::PreRun {
        let both = of_baseline.unwrap_or_default();
        memory.origin.add_before(both, seconds, tick.origin_load);
        let requests = requests(tick);
        memory.add_before(requests.baseline.unwrap_or(0.0), requests.candidate, seconds);
    }
}

/// Requests of both sides, brought into bounds.
fn requests(tick: &Tick) -> Sides<f64> {
    let requests = tick.requests.unwrap_or_default();
    Sides {
        candidate: counted(requests.candidate),
        baseline: requests.baseline.map(counted),
    }
}

fn cleaned(sides: Sides<Count>) -> Sides<Count> {
    Sides {
        candidate: sides.candidate.cleaned(),
        baseline: sides.baseline.map(Count::cleaned),
    }
}

/// Judges every check by a data tick at a weight above 0.
pub fn evaluate(memory: &mut Memory, plan: &Plan, tick: &Tick) -> Findings {
    let now = Moment {
        at: tick.at,
        tick: memory.ticks,
    };
    if let Some(lookups) = tick.lookups {
        memory
            .warmth
            .add(lookups.candidate.cleaned(), &tick.pods, tick.placement(plan), now.tick);
    }
    let state = warmth(memory, plan, tick);
    harm(memory, plan, tick, now);
    let checks = (0..plan.checks.len())
        .map(|index| match plan.checks.get(index).map(|check| check.kind) {
            Some(kind @ CheckKind::Query { .. }) => {
                let reading = comparable(tick, tick.readings.get(index).copied().unwrap_or_default());
                Finding::Value(value(memory, index, &kind, reading, warmed(plan, state)))
            }
            Some(CheckKind::HitRatio { .. }) if !plan.shares_cache() => match (tick.lookups, state) {
                (None, _) => Finding::NoData,
                (Some(_), None) => Finding::NoBaseline,
                (Some(_), Some(state)) => Finding::Cache(state),
            },
            _ => points(memory, plan, tick, index, now),
        })
        .collect();
    memory.shares.add(requests(tick), now.tick);
    let mismatch = memory.shares.mismatch(tick.weight, plan.split);
    memory.mismatched = match mismatch {
        Some(_) => round3(memory.mismatched + tick.length(plan)),
        None => 0.0,
    };
    Findings { checks, mismatch }
}

/// What the cache is; nothing where no ratio is judged, both versions use one, or the target is not known yet.
fn warmth(memory: &mut Memory, plan: &Plan, tick: &Tick) -> Option<State> {
    let expected = memory.expected(plan, tick.weight).filter(|_| !plan.shares_cache())?;
    Some(memory.warmth.judge(expected, plan.cache.placement))
}

/// Whether a latency may be worse for the cache.
fn warmed(plan: &Plan, state: Option<State>) -> Warmed {
    let judged = plan
        .checks
        .iter()
        .any(|check| matches!(check.kind, CheckKind::HitRatio { .. }));
    if !judged || plan.shares_cache() || state == Some(State::Warm) {
        Warmed::Yes
    } else {
        Warmed::NotYet
    }
}

/// What a query gave, without what the old version's is no measure of: it gets no requests any more, or is not whole.
fn comparable(tick: &Tick, reading: Reading) -> Reading {
    match reading {
        Reading::Value(sides) if tick.weight >= ALL || tick.baseline == Baseline::NotReady => Reading::Value(Sides {
            baseline: None,
            ..sides
        }),
        reading => reading,
    }
}

fn value(memory: &mut Memory, index: usize, kind: &CheckKind, reading: Reading, warmed: Warmed) -> scalar::Finding {
    let seconds = memory.current.seconds;
    let Some(Remembered::Values(values)) = memory.checks.get_mut(index) else {
        return scalar::Finding::NoData;
    };
    let CheckKind::Query { period, .. } = kind else {
        return scalar::Finding::NoData;
    };
    let answer = match reading {
        Reading::Value(sides) => Some(sides),
        Reading::Missing | Reading::Counts(_) => None,
        Reading::NotAsked => return values.finding(kind),
    };
    if values.is_due(*period, seconds) {
        values.take(kind, answer, warmed, seconds);
    }
    values.finding(kind)
}

/// The new version's counts of this tick, with what hangs and without what comes at any weight.
fn counts(memory: &Memory, plan: &Plan, tick: &Tick, index: usize) -> Option<Sides<Count>> {
    let kind = plan.checks.get(index)?.kind;
    let sides = match (kind, tick.readings.get(index)?) {
        (CheckKind::HitRatio { .. }, _) => tick.lookups?,
        (_, Reading::Counts(sides)) => *sides,
        _ => return None,
    };
    let mut sides = cleaned(sides);
    let are_requests = !matches!(kind, CheckKind::HitRatio { .. } | CheckKind::Ratio { .. });
    if are_requests && plan.probes == Probes::Counted {
        sides.candidate = memory.without_probes(sides.candidate, tick.length(plan));
    }
    if let (CheckKind::Latency { .. }, Some(in_flight)) = (kind, tick.in_flight) {
        let hung = checks::hung(in_flight, tick.weight);
        sides.candidate = sides.candidate.plus(Count { bad: hung, total: hung });
    }
    Some(sides)
}

/// The points of one check that counts, and who broke its limit.
fn points(memory: &mut Memory, plan: &Plan, tick: &Tick, index: usize, now: Moment) -> Finding {
    let Some(sides) = counts(memory, plan, tick, index) else {
        return Finding::NoData;
    };
    let limit = memory.limit(plan, index);
    let times = memory.times_as_many_misses(plan);
    let left_out = memory.current.ticks <= checks::LEFT_OUT;
    let Some(Remembered::Counted(known)) = memory.checks.get_mut(index) else {
        return Finding::NoData;
    };
    let Some(limit) = limit else {
        // What was seen meanwhile counts once the limit is known.
        if !left_out {
            known.add_step(sides.candidate, 0.0);
        }
        return Finding::NoBaseline;
    };
    let is_latency = plan
        .checks
        .get(index)
        .is_some_and(|check| matches!(check.kind, CheckKind::Latency { .. }));
    let limit_now = if is_latency {
        checks::limit_while_cold(limit, known.baseline, times)
    } else {
        limit
    };
    let series = sides
        .baseline
        .or((known.baseline.total > 0.0).then_some(known.baseline));
    let compared = match sides.baseline {
        _ if tick.weight >= ALL => Some((sides.candidate, Count::default())),
        Some(baseline) => Some((sides.candidate, baseline)),
        None => series.is_none().then_some((sides.candidate, Count::default())),
    };
    // What an incident still leaves after it was seen would count against this step until it is a small share of it.
    let goes_on = known.shared
        && compared.is_some_and(|(candidate, baseline)| {
            candidate.share() > limit_now && blame::is_as_bad(candidate, baseline, limit)
        });
    known.shared = goes_on;
    known.sequence.add(sides.candidate, limit_now, compared, now);
    if goes_on {
        return Finding::Broken(Blame::Shared);
    }
    if !left_out {
        known.add_step(sides.candidate, limit_now);
    }
    let points = known.sequence.points;
    if points.is_broken() {
        let standing = blame::standing(tick.baseline, series);
        Finding::Broken(blame::who(&known.sequence.window, limit, tick.weight, standing))
    } else if points.is_clean() {
        Finding::Clean
    } else {
        Finding::Doubtful
    }
}

/// Adds the old version's errors to what is remembered of its harm.
fn harm(memory: &mut Memory, plan: &Plan, tick: &Tick, now: Moment) {
    let is_errors = |kind: &CheckKind| matches!(kind, CheckKind::Errors { .. } | CheckKind::ErrorIncrease { .. });
    let index = plan.checks.iter().position(|check| is_errors(&check.kind));
    let sides = index.and_then(|index| counts(memory, plan, tick, index));
    if let Some(Sides {
        candidate,
        baseline: Some(baseline),
    }) = sides
        && tick.weight < ALL
    {
        memory.harm.add(candidate, baseline, now);
    }
}
