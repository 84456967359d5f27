//! The judge's memory in a status: how it is read and written, and what it forgets when.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    input::{self, Compared},
    state::{Forget, Memory, Remembered},
    tick::{Check, CheckKind},
};
use crate::api::{
    Duration, Percent, Plan,
    status::{Cause, CheckStatus, JudgeMemory, Run, Verdict},
};

/// Why what was counted is no longer worth anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reset<'a> {
    /// Another weight was confirmed: a step begins.
    Step,
    /// The weight fell to this one, or is to begin again from nothing.
    Fall(Percent),
    /// Checks have other limits than in this plan, if it can be read.
    Limits(Option<&'a Plan>, &'a Plan),
    /// The weight stays, but what was compared is no longer the same, or a person wants it judged anew.
    Evidence,
    /// The same, and the old version is another one.
    Baseline,
}

/// What is remembered; nothing where it is not the judge's own.
pub fn read(memory: &JudgeMemory) -> Memory {
    Memory::deserialize(&memory.memory).unwrap_or_default()
}

/// Stores what is remembered.
pub fn write(memory: &mut JudgeMemory, known: &Memory) {
    memory.memory = serde_json::to_value(known).unwrap_or(Value::Null);
}

/// Forgets what is worth nothing any more from `since` on. The checks' last words stay, but for a plan with other checks.
pub fn start_afresh(run: &mut Run, checks: &mut Vec<CheckStatus>, why: Reset<'_>, since: Timestamp) {
    let at = input::clock(run.started_at, since);
    let compared = Compared::of(run);
    let memory = &mut run.judge;
    memory.said = None;
    memory.last_tick = Some(since);
    if why == Reset::Step {
        memory.rests_until = None;
    }
    let mut known = read(memory);
    match why {
        // A tick of another step tells the judge so.
        Reset::Step => {}
        Reset::Fall(weight) => {
            known.forget(Forget::Evidence, at);
            if weight == Percent::ZERO {
                known.fall_to_nothing();
            }
        }
        Reset::Evidence => known.forget(Forget::Evidence, at),
        Reset::Baseline => known.forget(Forget::Baseline, at),
        Reset::Limits(before, now) => carry_over(&mut known, before, now, compared),
    }
    if !memory.memory.is_null() {
        write(memory, &known);
    }
    match why {
        Reset::Limits(..) => checks.clear(),
        Reset::Step | Reset::Fall(_) | Reset::Evidence | Reset::Baseline => {
            for check in checks {
                check.verdict = Verdict::Wait;
                check.cause = Some(Cause::FewSamples);
                check.evidence = None;
                check.message.clear();
            }
        }
    }
}

/// What is remembered of checks that are the same in both plans stays.
fn carry_over(known: &mut Memory, before: Option<&Plan>, now: &Plan, compared: Compared) {
    let of = |plan: &Plan| -> Vec<Check> {
        let checks = input::checks(&plan.checks, plan.interval.unwrap_or(Duration::ZERO), compared);
        checks.into_iter().map(|(_, check)| check).collect()
    };
    let old = before.map(of).unwrap_or_default();
    let kept = of(now).into_iter().map(|check| {
        let at = old.iter().position(|one| *one == check);
        at.and_then(|at| known.checks.get(at).cloned())
            .unwrap_or_else(|| nothing_of(&check))
    });
    known.checks = kept.collect();
}

fn nothing_of(check: &Check) -> Remembered {
    match check.kind {
        CheckKind::Query { .. } => Remembered::Values(super::scalar::Values::default()),
        CheckKind::Errors { .. }
        | CheckKind::ErrorIncrease { .. }
        | CheckKind::Latency { .. }
        | CheckKind::Ratio { .. }
        | CheckKind::HitRatio { .. } => Remembered::Counted(Box::default()),
    }
}

/// Everything is on the new version, and what was held so far is not part of the bake.
pub fn begin_bake(memory: &mut JudgeMemory) {
    let mut known = read(memory);
    known.current.held = 0.0;
    known.current.paused = 0.0;
    memory.said = None;
    write(memory, &known);
}

/// Every check was evaluated in this step and passes.
pub fn all_pass(plan: &Plan, checks: &[CheckStatus]) -> bool {
    checks.len() == plan.checks.len() && checks.iter().all(|check| check.verdict == Verdict::Pass)
}

/// No check is without data. That there is no traffic is known, and judged.
pub fn all_read(plan: &Plan, checks: &[CheckStatus]) -> bool {
    let read = |check: &CheckStatus| match check.verdict {
        Verdict::Pass | Verdict::Fail | Verdict::Wait => true,
        Verdict::NoData => check.cause == Some(Cause::NoTraffic),
        Verdict::Unknown => false,
    };
    checks.len() == plan.checks.len() && checks.iter().all(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_there_is_no_traffic_is_known() {
        let spec = serde_json::json!({"workload": {"deployment": {"name": "a"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "a"}]}},
            "checks": [{"errorRate": {"max": "1%"}}]});
        let plan = Plan::try_from(&serde_json::from_value(spec).unwrap()).unwrap();
        for (cause, read) in [(Cause::NoTraffic, true), (Cause::ProviderDown, false)] {
            let check = serde_json::json!({"name": "error-rate", "verdict": "noData", "cause": cause, "threshold": ""});
            let checks = [serde_json::from_value(check).unwrap()];
            assert_eq!(all_read(&plan, &checks), read, "{cause}");
        }
    }
}
