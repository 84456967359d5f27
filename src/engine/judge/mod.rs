//! Numbers to verdicts: it knows no draft, no route and no phase.

pub mod blame;
pub mod checks;
pub mod decide;
pub mod drains;
pub mod evaluate;
pub mod evidence;
pub mod figures;
pub mod gate;
pub mod inspection;
pub mod judgement;
pub mod mismatch;
pub mod origin;
pub mod recent;
pub mod report;
pub mod rounding;
pub mod rule;
pub mod says;
pub mod scalar;
pub mod sequential;
pub mod share;
pub mod state;
pub mod tick;
pub mod ticks;
pub mod told;
pub mod warmth;
pub mod wilson;

#[cfg(test)]
mod properties;

use jiff::Timestamp;

use crate::{
    api::{
        plan::PlannedCheck,
        status::{Cause, CheckMemory, CheckStatus, Figures, JudgeMemory, Verdict, Worst},
    },
    engine::{contract::observed::Measured, judge::share::Expected},
    provider::Reading,
};

/// What every check says after a tick, in the order of the plan: `tick` has one reading for each of `checks`, and of the
/// requests a share is `expected`. Where no new sample has come yet stays what was said `before`.
pub fn judge(
    memory: &mut JudgeMemory,
    figures: &mut Figures,
    checks: &[PlannedCheck],
    tick: &Measured,
    expected: Expected,
    before: &[CheckStatus],
    now: Timestamp,
) -> Vec<CheckStatus> {
    memory.last_asked = Some(tick.end);
    memory.checks.resize(checks.len(), CheckMemory::default());
    if tick.readings.iter().any(Result::is_ok) {
        memory.last_tick = Some(tick.end);
    }
    let mut evaluated = Vec::with_capacity(checks.len());
    for ((check, reading), counted) in checks.iter().zip(&tick.readings).zip(&mut memory.checks) {
        let mut entry = unread(check, now);
        match reading {
            Ok(reading) => {
                rule::count(check, counted, reading);
                (entry.verdict, entry.cause) = rule::verdict(check, counted, reading);
                if entry.cause == Some(Cause::NoTraffic) {
                    "no request has reached the new version in this interval, or it counts them under a name that is not known".clone_into(&mut entry.message);
                }
                (entry.value, entry.baseline) = figures::values(&check.kind, reading);
                if let Some(worst) = worst(check, reading, &entry) {
                    let known = memory.worst.entry(check.name.clone()).or_insert_with(|| worst.clone());
                    if worst.badness > known.badness {
                        *known = worst;
                    }
                }
            }
            Err((Cause::Late, _)) if before.iter().any(|known| known.name == check.name) => {
                evaluated.extend(before.iter().find(|known| known.name == check.name).cloned());
                continue;
            }
            Err((cause, message)) => {
                entry.cause = Some(*cause);
                entry.message.clone_from(message);
            }
        }
        entry.evidence = rule::evidence(check, counted);
        figures::show(figures, &check.kind, entry.value.as_deref(), entry.baseline.as_deref());
        evaluated.push(entry);
    }
    share::count(memory, checks, tick);
    share::hold(memory, expected, &mut evaluated);
    evaluated
}

/// A check of which nothing is known yet.
fn unread(check: &PlannedCheck, now: Timestamp) -> CheckStatus {
    CheckStatus {
        name: check.name.clone(),
        verdict: Verdict::NoData,
        cause: None,
        value: None,
        threshold: figures::threshold(&check.kind),
        baseline: None,
        evidence: String::new(),
        at: Some(now),
        message: String::new(),
    }
}

fn worst(check: &PlannedCheck, reading: &Reading, entry: &CheckStatus) -> Option<Worst> {
    Some(Worst {
        badness: figures::badness(&check.kind, reading)?,
        value: entry.value.clone()?,
    })
}
