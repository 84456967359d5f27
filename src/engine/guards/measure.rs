//! How the answers of a tick enter the status.

use crate::{
    api::{
        metric_source::Preset,
        status::{Advice, Cause, PauseReason, Phase, Run},
    },
    engine::{
        contract::observed::Measured,
        draft::{Draft, Judged},
        facts::Facts,
        judge::{
            self,
            input::Setting,
            readings::Counted,
            tick::{Baseline, Split},
            ticks,
        },
    },
};

/// Has the answers of a tick judged.
pub fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    if let Some(measured) = &facts.seen.measured {
        take_in(facts, measured, next);
    }
}

/// The same for answers of an earlier look.
pub fn take_in(facts: &Facts<'_>, measured: &Measured, next: &mut Draft) {
    if measured.readings.len() != facts.plan.checks.len() {
        return; // The plan changed between asking and answering.
    }
    let (Some(run), Some(source)) = (next.run().cloned(), facts.seen.source) else {
        return;
    };
    let phase = next.status().phase;
    let setting = Setting {
        plan: facts.plan,
        run: &run,
        phase,
        interval: ticks::interval(facts.plan, source.scrape_interval),
        split: split(facts),
        counted: counted(facts, source.preset),
        baseline: baseline(facts, next),
        unseen: ticks::unseen(facts, &run, phase),
    };
    let Some(Judged {
        memory,
        checks,
        figures,
    }) = next.judge_mut()
    else {
        return;
    };
    if measured.end <= run.started_at {
        if phase == Phase::Preparing {
            judge::look_at_baseline(memory, &setting, measured);
        }
    } else if phase == Phase::Preparing && run.judge.rests_until.is_some() {
        judge::look_at_rest(memory, &setting, measured);
    } else if phase.is_judged() && !is_to_be_acted_on(&run) {
        *checks = judge::judge(memory, figures, &setting, measured, checks, facts.now);
        let said = memory.said.clone().unwrap_or_default();
        if said.cause == Some(Cause::SharedIncident) {
            // What was accepted was seen before it, and is forgotten.
            next.accept_no_longer();
        }
        if let Some(warning) = &said.warning {
            next.warn(warning);
        }
        next.note_figures(judge::traced(&setting, measured));
    }
}

/// What the judge has said last was not acted on, because it could not be stored: said over, it would be lost, and to the judge it
/// has happened.
fn is_to_be_acted_on(run: &Run) -> bool {
    match run.judge.said.as_ref().map(|said| said.advice) {
        Some(Advice::StepBack | Advice::Fail) => true,
        Some(Advice::Pause) => run
            .paused_for
            .is_none_or(|held| held != PauseReason::CheckFailed && held != PauseReason::User),
        Some(Advice::Hold | Advice::Rise | Advice::Promote | Advice::Unknown) | None => false,
    }
}

/// Sessions that stay on their version need not follow the weight.
fn split(facts: &Facts<'_>) -> Split {
    let stay = facts.found_routes().any(|(_, route)| route.state.keeps_sessions);
    if stay { Split::ByUser } else { Split::ByRequest }
}

/// A gateway counts what it routes; others count callers who pass it by as well, and rules that are not ours.
fn counted(facts: &Facts<'_>, preset: Preset) -> Counted {
    let all_rules = |rules: &Vec<String>| rules.iter().all(|rule| rule == "*");
    let rules_are_ours = facts.plan.routes.iter().all(|route| all_rules(&route.rules));
    if preset == Preset::Envoy && rules_are_ours {
        Counted::Routed
    } else {
        Counted::All
    }
}

/// With most pods missing the old version is nothing to compare with. A few always may be: they start, or fail a probe while
/// what both versions share is down, and then its counts still say that the new version is not to blame.
fn baseline(facts: &Facts<'_>, next: &Draft) -> Baseline {
    let stable = facts.stable(next.status());
    let wanted: u32 = stable.sets.iter().map(|set| set.replicas).sum();
    let serving = facts.reached(&stable);
    if serving > 0 && serving >= wanted.div_ceil(2) {
        Baseline::Ready
    } else {
        Baseline::NotReady
    }
}
