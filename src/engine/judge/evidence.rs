//! Of how much a check's verdict is made.

use super::{
    checks::Counted,
    evaluate::Case,
    gate,
    judgement::Evidence,
    sequential::BROKEN,
    state::{Memory, Remembered},
    tick::CheckKind,
};

/// From the time in which the points came while there are any, else from the step.
pub fn evidence(case: &Case<'_>, memory: &Memory, index: usize, next: Option<f64>) -> Evidence {
    let counted = memory.checks.get(index).and_then(Remembered::counted);
    let step_began = case.tick.at - memory.current.seconds;
    let Some(kind) = case.plan.checks.get(index).map(|check| check.kind) else {
        return Evidence::default();
    };
    if matches!(kind, CheckKind::HitRatio { .. }) && !case.plan.shares_cache() {
        let window = memory.warmth.window();
        return Evidence {
            bad: window.bad,
            total: window.total,
            limit: memory
                .expected(case.plan, memory.current.weight)
                .map_or(0.0, |it| 1.0 - it.target),
            baseline_bad: memory.lookups.bad,
            baseline_total: memory.lookups.total,
            since: step_began,
            ..Evidence::default()
        };
    }
    let Some(known) = counted else {
        return Evidence::default();
    };
    let limit = memory.limit(case.plan, index).unwrap_or(0.0);
    let weight = next.unwrap_or(1.0).max(memory.current.weight);
    let points = known.sequence.points;
    let (own, baseline, since) = if points.is_calm() {
        (known.current.count, known.recent.sum(), step_began)
    } else {
        let window = known.sequence.window;
        // What was counted in this step alone was counted since it began: before the first one there was nothing to count.
        let since = if window.first_tick >= memory.current.first_tick {
            window.since.max(step_began)
        } else {
            window.since
        };
        (window.candidate, window.baseline, since)
    };
    Evidence {
        bad: own.bad,
        total: own.total,
        limit: limit_now(known, limit, kind),
        baseline_bad: baseline.bad,
        baseline_total: baseline.total,
        since,
        strength: (points.most() / BROKEN).min(1.0),
        // A ratio's samples may be rare: no number of them is waited for.
        needed: if limit > 0.0 && !matches!(kind, CheckKind::Ratio { .. }) {
            gate::need(weight, limit)
        } else {
            0.0
        },
    }
}

/// A latency's limit is higher while the cache is cold.
fn limit_now(known: &Counted, limit: f64, kind: CheckKind) -> f64 {
    let step = known.current;
    if matches!(kind, CheckKind::Latency { .. }) && step.count.total > 0.0 {
        limit.max(step.allowed / step.count.total)
    } else {
        limit
    }
}
