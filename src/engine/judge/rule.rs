//! What a check says, from the counts of its ticks.
//!
//! Counts of successive ticks are added up until they hold enough samples for one result, good or
//! bad; a few results of the same step make a verdict. A query gives one result a tick.

use jiff::Timestamp;

use crate::{
    api::{
        Plan,
        plan::{CheckKind, PlannedCheck},
        status::{Cause, CheckMemory, CheckStatus, JudgeMemory, Verdict},
    },
    provider::Reading,
};

/// Why what was counted is no longer worth anything. For today's rule all but `Limits` are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Another weight was confirmed: a step begins.
    Step,
    /// The weight fell, or is to begin again from nothing.
    Fall,
    /// Checks have other limits.
    Limits,
    /// The weight stays, but what was compared is no longer the same, or a person wants it judged anew.
    Evidence,
}

/// Forgets what was counted before `since`. The checks' last words stay, but for a plan with other checks.
pub fn start_afresh(memory: &mut JudgeMemory, checks: &mut Vec<CheckStatus>, why: Reset, since: Timestamp) {
    memory.checks.clear();
    memory.share.clear();
    memory.last_tick = Some(since);
    match why {
        Reset::Limits => checks.clear(),
        Reset::Step | Reset::Fall | Reset::Evidence => {
            for check in checks {
                check.verdict = Verdict::Wait;
                check.cause = Some(Cause::FewSamples);
                check.evidence.clear();
                check.message.clear();
            }
        }
    }
}

/// Every check was evaluated in this step and passes.
pub fn all_pass(plan: &Plan, checks: &[CheckStatus]) -> bool {
    checks.len() == plan.checks.len() && checks.iter().all(|check| check.verdict == Verdict::Pass)
}

/// This many requests or lookups make one result.
const ENOUGH: f64 = 50.0;

/// Of a count check this many results are looked back on.
const LOOK_BACK: usize = 5;

/// This many bad ones among them break the limit.
const BAD: usize = 3;

/// This many newest ones, all good, keep it.
const GOOD: usize = 3;

/// How many bad results break the limit, and among how many.
fn rule(kind: &CheckKind) -> (usize, usize) {
    match kind {
        CheckKind::ErrorRate { .. } | CheckKind::Latency { .. } | CheckKind::HitRatio { .. } => (BAD, LOOK_BACK),
        CheckKind::Query { breaches, of, .. } => (*breaches, *of),
    }
}

/// How many newest results must all be good.
fn good_needed(kind: &CheckKind) -> usize {
    match kind {
        CheckKind::ErrorRate { .. } | CheckKind::Latency { .. } | CheckKind::HitRatio { .. } => GOOD,
        CheckKind::Query { breaches, .. } => (*breaches).min(GOOD),
    }
}

/// Greatest share of bad ones that keeps the limit.
fn allowed(kind: &CheckKind) -> f64 {
    match kind {
        CheckKind::ErrorRate { max } => max.fraction(),
        CheckKind::Latency { quantile, .. } => quantile.slow_share(),
        CheckKind::HitRatio { min } => min.complement().fraction(),
        CheckKind::Query { .. } => 0.0,
    }
}

/// Adds a tick to what the judge remembers.
pub fn count(check: &PlannedCheck, memory: &mut CheckMemory, reading: &Reading) {
    match (reading, &check.kind) {
        (Reading::Counts { candidate, .. }, kind) => {
            memory.bad += candidate.bad;
            memory.total += candidate.total;
            memory.seen += candidate.total;
            if memory.total >= ENOUGH {
                // Shares such as 1% are not exact in binary; a millionth of a request is nobody's error.
                let is_good = memory.bad <= allowed(kind) * memory.total + 1e-6;
                memory.results.push(is_good);
                (memory.bad, memory.total) = (0.0, 0.0);
            }
        }
        (Reading::Scalar(_), CheckKind::Query { .. }) => {
            memory.seen += 1.0;
            memory.results.push(is_good(&check.kind, reading));
        }
        (Reading::Scalar(_), _) => {}
    }
    let surplus = memory.results.len().saturating_sub(rule(&check.kind).1.max(GOOD));
    memory.results.drain(..surplus);
}

/// What the check says after a tick.
pub fn verdict(check: &PlannedCheck, memory: &CheckMemory, reading: &Reading) -> (Verdict, Option<Cause>) {
    let (breaches, of) = rule(&check.kind);
    let bad = memory.results.iter().rev().take(of).filter(|good| !**good).count();
    let needed = good_needed(&check.kind);
    let newest_good = memory.results.iter().rev().take_while(|good| **good).count();
    if bad >= breaches {
        (Verdict::Fail, None)
    } else if newest_good >= needed {
        (Verdict::Pass, None)
    } else if reading.total() == Some(0.0) {
        (Verdict::Wait, Some(Cause::NoTraffic))
    } else {
        (Verdict::Wait, Some(Cause::FewSamples))
    }
}

/// What one reading says by itself: it is of a version that nobody judges, so nothing follows from it.
pub fn at_once(kind: &CheckKind, reading: &Reading) -> (Verdict, Option<Cause>) {
    match reading {
        Reading::Counts { candidate, .. } if candidate.total <= 0.0 => (Verdict::Wait, Some(Cause::NoTraffic)),
        Reading::Counts { candidate, .. } if candidate.total < ENOUGH => (Verdict::Wait, Some(Cause::FewSamples)),
        reading if is_good(kind, reading) => (Verdict::Pass, None),
        _ => (Verdict::Fail, None),
    }
}

/// Whether a reading, taken by itself, keeps the limit.
fn is_good(kind: &CheckKind, reading: &Reading) -> bool {
    match (reading, kind) {
        // Shares such as 1% are not exact in binary; a millionth of a request is nobody's error.
        (Reading::Counts { candidate, .. }, kind) => candidate.bad <= allowed(kind) * candidate.total + 1e-6,
        (Reading::Scalar(value), CheckKind::Query { max, min, .. }) => {
            max.is_none_or(|max| *value <= max) && min.is_none_or(|min| *value >= min)
        }
        (Reading::Scalar(_), _) => true,
    }
}

/// What the verdict rests on.
pub fn evidence(check: &PlannedCheck, memory: &CheckMemory) -> String {
    let (_, of) = rule(&check.kind);
    let looked_at = memory.results.len().min(of);
    let bad = memory.results.iter().rev().take(of).filter(|good| !**good).count();
    match &check.kind {
        CheckKind::Query { .. } => format!("{bad} of the last {looked_at} values bad"),
        CheckKind::HitRatio { .. } => format!(
            "{bad} of the last {looked_at} results bad; {:.0} lookups in this step",
            memory.seen
        ),
        CheckKind::ErrorRate { .. } | CheckKind::Latency { .. } => {
            format!(
                "{bad} of the last {looked_at} results bad; {:.0} requests in this step",
                memory.seen
            )
        }
    }
}
