//! What the judge is told, from a plan, a run and what was measured.

use jiff::Timestamp;

use crate::{
    api::{
        Duration, Percent, Plan, cache,
        check::OnBreach,
        plan::{CheckKind, PlannedCheck},
        status::{PauseReason, Phase, Run},
    },
    engine::contract::observed::Measured,
};

use super::{
    ranges,
    readings::{Counted, counts, reading, requests, routed},
    tick::{
        self, Baseline, BaselineCache, Breach, Cache, Check, Count, Probes, Promote, Reading, Sides, Split, Step, Tick,
        Warms,
    },
    ticks::{self, Unseen},
};

/// What surrounds a tick.
pub struct Setting<'a> {
    /// The plan in force.
    pub plan: &'a Plan,
    /// The release.
    pub run: &'a Run,
    /// How far it has come.
    pub phase: Phase,
    /// Length of a full tick.
    pub interval: Duration,
    /// What splits the requests.
    pub split: Split,
    /// Whose requests are counted for the old version.
    pub counted: Counted,
    /// Whether the old version is whole.
    pub baseline: Baseline,
    /// What of the hold is not in the ticks.
    pub unseen: Unseen,
}

/// Whether the new version is compared with the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Limits may depend on the old version.
    WithTheOld,
    /// It did not serve when the release began: only limits that stand by themselves are left.
    WithNothing,
}

impl Compared {
    /// In this release.
    pub fn of(run: &Run) -> Self {
        if run.recovery {
            Self::WithNothing
        } else {
            Self::WithTheOld
        }
    }
}

/// The judge's checks, each with the place in the plan of the one that asks for it: an `errorRate` with both limits is two, and
/// none is left of a check that could only be compared with an old version that does not serve.
pub fn checks(planned: &[PlannedCheck], interval: Duration, compared: Compared) -> Vec<(usize, Check)> {
    let mut checks = Vec::with_capacity(planned.len());
    for (index, check) in planned.iter().enumerate() {
        let breach = match check.on_breach {
            OnBreach::Rollback => Breach::Rollback,
            OnBreach::Pause => Breach::Pause,
        };
        checks.extend(
            kinds(&check.kind, interval, compared)
                .into_iter()
                .flatten()
                .map(|kind| {
                    let name = check.name.clone();
                    (index, Check { name, kind, breach })
                }),
        );
    }
    checks
}

/// Of a latency that is no count, so many bad values …
const BREACHES: usize = 3;
/// … of so many break the limit.
const VALUES: usize = 5;

fn kinds(kind: &CheckKind, interval: Duration, compared: Compared) -> [Option<tick::CheckKind>; 2] {
    let relative = |limit: Option<Percent>| {
        limit
            .filter(|_| compared == Compared::WithTheOld)
            .map(Percent::fraction)
    };
    match kind {
        CheckKind::ErrorRate { max, max_increase } => [
            max.map(|max| tick::CheckKind::Errors { max: max.fraction() }),
            relative(*max_increase).map(|by| tick::CheckKind::ErrorIncrease { by }),
        ],
        CheckKind::Latency { quantile, max } if !quantile.is_counted() => [
            Some(tick::CheckKind::Query {
                max: Some(max.as_secs_f64()),
                min: None,
                breaches: BREACHES,
                of: VALUES,
                // Figures look back so far, and what they look back on must not overlap.
                period: interval.as_secs_f64().max(ticks::FIGURES_WINDOW.as_secs_f64()),
                warms: Warms::Yes,
            }),
            None,
        ],
        CheckKind::Latency { quantile, max } => [
            Some(tick::CheckKind::Latency {
                quantile: quantile.fraction(),
                max: max.as_secs_f64(),
            }),
            None,
        ],
        CheckKind::HitRatio { min, max_drop } => [
            // Without any limit of its own it is the old version's ratio that counts.
            (compared == Compared::WithTheOld || min.is_some()).then(|| tick::CheckKind::HitRatio {
                min: min.map(Percent::fraction),
                max_drop: relative(*max_drop),
            }),
            None,
        ],
        CheckKind::Ratio { max, .. } => [Some(tick::CheckKind::Ratio { max: max.fraction() }), None],
        CheckKind::Query {
            promql,
            max,
            min,
            breaches,
            of,
        } => [
            Some(tick::CheckKind::Query {
                max: *max,
                min: *min,
                breaches: *breaches,
                of: *of,
                period: interval.as_secs_f64().max(ranges::longest(promql)),
                warms: Warms::No,
            }),
            None,
        ],
    }
}

/// The plan as the judge is told it at `at`. Of the steps before and after the present one only those with other weights are in it,
/// and with `skipSteps` only the last. The present one is not held at all where that was waived.
pub fn plan(setting: &Setting<'_>, cached: BaselineCache) -> tick::Plan {
    let (plan, run) = (setting.plan, setting.run);
    let present = usize::try_from(run.step).ok().and_then(|step| step.checked_sub(1));
    let last = plan.steps.len().saturating_sub(1);
    let baking = setting.phase == Phase::Baking;
    let reached = present.and_then(|index| plan.steps.get(index)).map(|step| step.weight);
    let steps = plan.steps.iter().enumerate().filter_map(|(index, step)| {
        let is_present = Some(index) == present;
        let is_later = present.is_none_or(|present| index > present);
        let left_out = is_later && (reached >= Some(step.weight) || run.skip_steps && index != last);
        let is_over = is_present && (baking || run.hold_waived || run.skip_steps);
        let hold = if is_over { 0.0 } else { step.hold.as_secs_f64() };
        (!left_out).then_some(Step {
            weight: step.weight.fraction(),
            hold,
        })
    });
    let interval = setting.interval;
    tick::Plan {
        tick: interval.as_secs_f64(),
        steps: steps.collect(),
        lag: setting.unseen.lag,
        bake: if baking && run.hold_waived {
            0.0
        } else {
            plan.bake.as_secs_f64()
        },
        checks: checks(&plan.checks, interval, Compared::of(run))
            .into_iter()
            .map(|(_, check)| check)
            .collect(),
        cache: Cache {
            placement: plan.placement.map(placement),
            ttl: plan.ttl.map(Duration::as_secs_f64),
            baseline: cached,
            ..Cache::default()
        },
        split: setting.split,
        probes: Probes::NotCounted,
        no_data_deadline: plan.no_data_deadline.as_secs_f64(),
    }
}

/// Seconds for which a person has held this step.
fn paused(run: &Run, at: Timestamp) -> f64 {
    let since = run.paused_at.filter(|_| run.paused_for == Some(PauseReason::User));
    let since = since.map(|since| run.step_started_at.map_or(since, |step| since.max(step)));
    let lasting = since.map_or(0.0, |since| at.duration_since(since).as_secs_f64().max(0.0));
    run.paused_total.as_secs_f64() + lasting
}

fn placement(placement: cache::Placement) -> tick::Placement {
    match placement {
        cache::Placement::Shared => tick::Placement::Shared,
        cache::Placement::PerVersion => tick::Placement::PerVersion,
        cache::Placement::PerPod => tick::Placement::PerPod,
    }
}

/// Seconds of a moment since the release began: the judge's clock.
pub fn clock(started: Timestamp, at: Timestamp) -> f64 {
    at.duration_since(started).as_secs_f64()
}

/// Which confirmation of a weight it is that stands: each has another number, and none is 0.
fn confirmation(run: &Run) -> u64 {
    let since = run.weight_confirmed_at.map(|at| at.duration_since(run.started_at));
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).unwrap_or(0).saturating_add(1)
}

/// What was counted of both versions at a confirmed weight. Without requests it is no data tick.
pub fn tick(setting: &Setting<'_>, measured: &Measured) -> Tick {
    let (plan, run) = (setting.plan, setting.run);
    let asked = || plan.checks.iter().zip(&measured.readings);
    Tick {
        at: clock(run.started_at, measured.end),
        seconds: measured.end.duration_since(measured.start).as_secs_f64(),
        lead: setting.unseen.lead,
        step: confirmation(run),
        weight: run.weight.fraction(),
        requests: requests(plan, measured).map(|sides| routed(sides, setting.counted)),
        readings: checks(&plan.checks, setting.interval, Compared::of(run))
            .into_iter()
            .map(
                |(index, _)| match (plan.checks.get(index), measured.readings.get(index)) {
                    (Some(check), Some(answer)) => reading(&check.kind, answer),
                    _ => Reading::Missing,
                },
            )
            .collect(),
        lookups: asked().find_map(|(check, answer)| match check.kind {
            CheckKind::HitRatio { .. } => counts(answer),
            CheckKind::ErrorRate { .. }
            | CheckKind::Latency { .. }
            | CheckKind::Ratio { .. }
            | CheckKind::Query { .. } => None,
        }),
        pods: Vec::new(),
        in_flight: None,
        origin_load: None,
        baseline: setting.baseline,
        promote: if run.accepted {
            Promote::Accepted
        } else {
            Promote::NotAsked
        },
        paused: paused(run, measured.end),
    }
}

/// What was counted of the old version before the release.
pub fn tick_before(setting: &Setting<'_>, measured: &Measured) -> Tick {
    Tick {
        step: 0,
        ..tick_of_the_old(setting, measured)
    }
}

/// What was counted of the old version at weight 0, where it was asked for in the new one's place.
pub fn tick_of_the_old(setting: &Setting<'_>, measured: &Measured) -> Tick {
    let tick = tick(setting, measured);
    let of_baseline = |sides: Sides<Count>| Sides {
        candidate: Count::default(),
        baseline: Some(sides.candidate),
    };
    Tick {
        weight: 0.0,
        requests: requests(setting.plan, measured).map(|sides| Sides {
            candidate: 0.0,
            baseline: Some(sides.candidate),
        }),
        readings: tick
            .readings
            .into_iter()
            .map(|reading| match reading {
                Reading::Counts(sides) => Reading::Counts(of_baseline(sides)),
                Reading::NotAsked | Reading::Value(_) | Reading::Missing => Reading::NotAsked,
            })
            .collect(),
        lookups: tick.lookups.map(of_baseline),
        ..tick
    }
}
