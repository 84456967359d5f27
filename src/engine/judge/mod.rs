//! Numbers to verdicts: it knows no draft, no route and no phase.
//!
//! `input` tells the judge what was measured, [`decide::judge`] judges it, `output` says it in the status's words. The rest is
//! the judge's arithmetic, which knows nothing of a status.

pub mod blame;
pub mod checks;
pub mod decide;
pub mod drains;
pub mod evaluate;
pub mod evidence;
pub mod figures;
pub mod gate;
pub mod input;
pub mod inspection;
pub mod judgement;
pub mod memory;
pub mod mismatch;
pub mod origin;
mod output;
mod ranges;
pub mod readings;
pub mod recent;
pub mod report;
pub mod rounding;
pub mod says;
pub mod scalar;
mod sentence;
pub mod sequential;
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
        status::{Cause, CheckStatus, Figures, JudgeMemory, Said, TracePoint, Verdict, Worst},
    },
    engine::contract::observed::Measured,
    provider::Reading,
};
use input::{Compared, Setting};
use judgement::{CheckJudgement, Outcome};
use readings::Counted;
use state::Memory;
use tick::{BaselineCache, Tick};

/// What is said where far fewer requests were counted than the weight says.
const MISMATCH: &str = "far fewer requests were counted for the new version than its weight says: do its requests hang, does the gateway send it none, or do most callers reach the old version past the route?";

/// What is said where no request was counted.
const NO_REQUEST: &str =
    "no request has reached the new version in this interval, or it counts them under a name that is not known";

/// What is said of a check that could only be compared with an old version that does not serve.
const NOT_COMPARED: &str = "not compared: the old version did not serve when the release began";

/// Looks at the old version before the first weight, which tells how long a release will take.
pub fn look_at_baseline(memory: &mut JudgeMemory, setting: &Setting<'_>, measured: &Measured) {
    memory.last_asked = Some(measured.end);
    let mut known = memory::read(memory);
    let tick = input::tick_before(setting, measured);
    let plan = input::plan(setting, cached(setting, &known, &tick));
    let judgement = decide::judge(&mut known, &plan, &tick);
    memory::write(memory, &known);
    if !judgement.says.is_empty() {
        memory.said = Some(Said {
            warning: judgement.warnings.into_iter().next().map(output::warning),
            message: judgement.says,
            ..Said::default()
        });
    }
}

/// Looks at the old version while the weight rests at 0: whether it does well then tells what the next raise is to blame for.
pub fn look_at_rest(memory: &mut JudgeMemory, setting: &Setting<'_>, measured: &Measured) {
    memory.last_asked = Some(measured.end);
    let mut known = memory::read(memory);
    let tick = input::tick_of_the_old(setting, measured);
    let plan = input::plan(setting, cached(setting, &known, &tick));
    decide::judge(&mut known, &plan, &tick);
    memory::write(memory, &known);
}

/// What every check says after a tick, in the order of the plan: `measured` has one reading for each of its checks. What it means
/// for the release stands in the memory. Where no new sample has come yet stays what was said `before`.
pub fn judge(
    memory: &mut JudgeMemory,
    figures: &mut Figures,
    setting: &Setting<'_>,
    measured: &Measured,
    before: &[CheckStatus],
    now: Timestamp,
) -> Vec<CheckStatus> {
    memory.last_asked = Some(measured.end);
    let mut known = memory::read(memory);
    let tick = input::tick(setting, measured);
    // What was not judged is asked for again, with the tick that comes.
    if tick.requests.is_some() {
        memory.last_tick = Some(measured.end);
    }
    let mut plan = input::plan(setting, cached(setting, &known, &tick));
    plan.lag = (plan.lag - known.left_in(&tick)).max(0.0);
    let judgement = decide::judge(&mut known, &plan, &tick);
    let checks = input::checks(&setting.plan.checks, setting.interval, Compared::of(setting.run));
    let mut evaluated = Vec::with_capacity(setting.plan.checks.len());
    for (index, (planned, reading)) in setting.plan.checks.iter().zip(&measured.readings).enumerate() {
        let late = matches!(reading, Err((Cause::Late, _)));
        if let Some(known) = before.iter().find(|known| late && known.name == planned.name) {
            evaluated.push(known.clone());
            continue;
        }
        let own = checks.iter().zip(&judgement.checks);
        let own = own.filter(|((of, _), _)| *of == index).map(|(_, said)| said);
        let said = output::of_check(own);
        let entry = match said {
            None if tick.requests.is_some() => not_compared(planned, reading, now),
            _ => status(planned, reading, said, setting, now),
        };
        note_worst(memory, planned, reading, &entry);
        let (value, baseline) = (entry.value.as_deref(), entry.baseline.as_deref());
        figures::show(figures, &planned.kind, value, baseline);
        evaluated.push(entry);
    }
    if judgement.outcome
        == (Outcome::Hold {
            cause: Some(judgement::Cause::ShareMismatch),
        })
    {
        // Of what passes the route by, the judge knows only a part.
        let why = match setting.counted {
            Counted::Routed => judgement.says.as_str(),
            Counted::All => "",
        };
        hold_for_traffic(why, &mut evaluated);
    }
    if tick.requests.is_some() {
        let said = output::said(&judgement, setting, &plan, &known, (&checks, &evaluated), measured.end);
        memory.said = Some(said);
        memory::write(memory, &known);
    }
    evaluated
}

/// The figures of a tick, for the release's trace.
pub fn traced(setting: &Setting<'_>, measured: &Measured) -> TracePoint {
    let mut point = TracePoint::new(measured.end, setting.run.weight);
    figures::trace(&mut point, &setting.plan.checks, &measured.readings);
    point
}

/// No check passes while the traffic is not there. What fails still fails.
fn hold_for_traffic(why: &str, checks: &mut [CheckStatus]) {
    let undecided = |check: &&mut CheckStatus| matches!(check.verdict, Verdict::Pass | Verdict::Wait);
    for check in checks.iter_mut().filter(undecided) {
        check.verdict = Verdict::Wait;
        check.cause = Some(Cause::ShareMismatch);
        if why.is_empty() { MISMATCH } else { why }.clone_into(&mut check.message);
    }
}

/// Whether the old version has a cache: of a pair it may have none, and then counts no lookup.
fn cached(setting: &Setting<'_>, known: &Memory, tick: &Tick) -> BaselineCache {
    let now = tick.lookups.and_then(|sides| sides.baseline);
    let looks_up = known.lookups.total > 0.0 || now.is_some_and(|count| count.total > 0.0);
    if setting.plan.is_pair() && !looks_up {
        BaselineCache::Absent
    } else {
        BaselineCache::Present
    }
}

/// What one check says: the judge, and what could be read of it.
fn status(
    planned: &PlannedCheck,
    reading: &Result<Reading, (Cause, String)>,
    said: Option<&CheckJudgement>,
    setting: &Setting<'_>,
    now: Timestamp,
) -> CheckStatus {
    let mut entry = unread(planned, now);
    if let Some(said) = said {
        entry.verdict = output::verdict(said.verdict);
        entry.cause = said.cause.map(output::cause_of);
        entry.evidence = output::evidence(&said.evidence, setting.run);
        entry.message.clone_from(&said.says);
    }
    match reading {
        Ok(reading) => {
            (entry.value, entry.baseline) = figures::values(&planned.kind, reading);
            let is_silent = entry.cause == Some(Cause::FewSamples) || entry.verdict == Verdict::NoData;
            if is_silent && reading.total() == Some(0.0) {
                entry.cause = Some(Cause::NoTraffic);
                NO_REQUEST.clone_into(&mut entry.message);
            }
        }
        Err((cause, message)) if entry.verdict != Verdict::Fail => {
            entry.verdict = Verdict::NoData;
            entry.cause = Some(*cause);
            entry.message.clone_from(message);
        }
        Err(_) => {}
    }
    entry
}

/// A check of which nothing is left without an old version.
fn not_compared(planned: &PlannedCheck, reading: &Result<Reading, (Cause, String)>, now: Timestamp) -> CheckStatus {
    let mut entry = unread(planned, now);
    entry.verdict = Verdict::Pass;
    NOT_COMPARED.clone_into(&mut entry.message);
    if let Ok(reading) = reading {
        (entry.value, entry.baseline) = figures::values(&planned.kind, reading);
    }
    entry
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
        evidence: None,
        at: Some(now),
        message: String::new(),
    }
}

/// Keeps the worst figure of each check.
fn note_worst(
    memory: &mut JudgeMemory,
    check: &PlannedCheck,
    reading: &Result<Reading, (Cause, String)>,
    entry: &CheckStatus,
) {
    let reading = reading.as_ref().ok();
    let Some(worst) = reading.and_then(|reading| worst(check, reading, entry)) else {
        return;
    };
    let known = memory.worst.entry(check.name.clone()).or_insert_with(|| worst.clone());
    if worst.badness > known.badness {
        *known = worst;
    }
}

fn worst(check: &PlannedCheck, reading: &Reading, entry: &CheckStatus) -> Option<Worst> {
    Some(Worst {
        badness: figures::badness(&check.kind, reading)?,
        value: entry.value.clone()?,
    })
}
