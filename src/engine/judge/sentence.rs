//! What is said of one check in a tick.

use super::{
    evaluate::{Case, Finding},
    gate::Obstacle,
    judgement::Evidence,
    says::{self, What},
    state::{Memory, Remembered},
    tick::CheckKind,
    warmth::State,
};

/// Shares that are nearer than this read the same.
const LEAST_DIFFERENCE: f64 = 5e-5;

/// What is said of one check.
pub(super) fn sentence(
    case: &Case<'_>,
    memory: &Memory,
    index: usize,
    next: Option<f64>,
    evidence: &Evidence,
    obstacle: Option<Obstacle>,
) -> String {
    let Some(kind) = case.plan.checks.get(index).map(|check| check.kind) else {
        return String::new();
    };
    let what = what(&kind);
    let cold = while_cold(case, memory, index, evidence);
    let then = cold.map_or_else(String::new, |limit| format!("; {}", says::limit_when_warm(limit)));
    match (case.findings.checks.get(index), obstacle) {
        (Some(Finding::Cache(State::Broken)), _) => {
            let floor = memory
                .expected(case.plan, memory.current.weight)
                .map_or(0.0, |it| it.floor);
            says::broken_cache(1.0 - memory.warmth.window().share(), memory.warmth.lookups, floor)
        }
        (Some(Finding::Cache(State::Cold)), _) => warming(case, memory),
        (Some(Finding::Cache(_)), _) if evidence.total > 0.0 => {
            format!("hit ratio {}", says::percent(1.0 - evidence.bad / evidence.total))
        }
        (Some(Finding::Value(_)), _) => values(memory, index),
        (Some(Finding::NoBaseline), _) => "too little is known of the old version to compare with".to_owned(),
        (Some(Finding::Broken(_)), _) => says::counted(&what, evidence, case.tick.at - evidence.since) + &then,
        (_, Some(Obstacle::TooFew)) => {
            let run = memory
                .checks
                .get(index)
                .and_then(Remembered::counted)
                .map_or(0.0, |known| known.run);
            let rate = memory.current.weight * memory.before.rate();
            let missing = (evidence.needed - run).max(10.0 - evidence.total).max(0.0);
            says::few(run, evidence.needed, next.unwrap_or(1.0), missing / rate.max(1e-9))
        }
        (_, Some(Obstacle::AboveLimit | Obstacle::Doubtful)) => says::close(&what, evidence) + &then,
        _ => String::new(),
    }
}

fn values(memory: &Memory, index: usize) -> String {
    match memory.checks.get(index) {
        Some(Remembered::Values(values)) => {
            let (bad, of) = values.bad_of();
            let old = match values.baseline_bad() {
                0 => String::new(),
                bad => format!("; of the old version's {bad}"),
            };
            format!("{bad} of the last {of} values are outside the limit{old}")
        }
        _ => String::new(),
    }
}

/// How the cache warms.
pub(super) fn warming(case: &Case<'_>, memory: &Memory) -> String {
    let target = memory
        .expected(case.plan, memory.current.weight)
        .map_or(0.0, |it| it.target);
    let per_second = memory.origin.lookups() * memory.current.weight;
    let growth = memory.warmth.growth();
    says::warming(
        1.0 - memory.warmth.window().share(),
        growth.gain(),
        target,
        memory.warmth.seconds_to(target, per_second),
    )
}

/// What a check counts, in words.
fn what(kind: &CheckKind) -> What {
    let (things, bad) = match kind {
        CheckKind::Latency { max, .. } => {
            let limit = if *max < 1.0 {
                format!("{:.0}ms", max * 1e3)
            } else {
                format!("{max}s")
            };
            ("requests to the new version", format!("took longer than {limit}"))
        }
        CheckKind::HitRatio { .. } => ("lookups of the new version", "missed".to_owned()),
        CheckKind::Ratio { .. } => ("samples of the new version", "were bad".to_owned()),
        _ => ("requests to the new version", "failed".to_owned()),
    };
    What { things, bad }
}

/// The limit of a latency, while more may be slow because the cache is cold.
pub(super) fn while_cold(case: &Case<'_>, memory: &Memory, index: usize, evidence: &Evidence) -> Option<f64> {
    let kind = case.plan.checks.get(index)?.kind;
    let limit = memory.limit(case.plan, index)?;
    let is_latency = matches!(kind, CheckKind::Latency { .. });
    (is_latency && evidence.total > 0.0 && evidence.limit > limit + LEAST_DIFFERENCE).then_some(limit)
}

/// A passing latency whose limit is not the plan's.
pub(super) fn allowance(case: &Case<'_>, memory: &Memory, index: usize, evidence: &Evidence) -> Option<String> {
    let limit = while_cold(case, memory, index, evidence)?;
    let what = what(&case.plan.checks.get(index)?.kind);
    Some(says::allowed_while_cold(&what, evidence.limit, limit))
}
