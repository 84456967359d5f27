//! Before the first request: the new version's pods become ready, or their deadline ends the release.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use crate::{
    api::{
        Percent,
        status::{Growing, PauseReason, Phase, Run},
        webhook::Before,
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
        guards::{capacity, drift, gates, holds, waits},
        judge::ticks,
    },
};

/// From pods that are being made to the first weight that is asked for.
pub fn preparing(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    drift::keep_services_narrow(facts, next);
    waits::go_on_when_written(facts, next);
    holds::for_people(facts, next);
    holds::for_nothing_judged(next);
    let Some(run) = next.run().cloned() else {
        return ControlFlow::Break(());
    };
    let Some(growing) = run.growing.clone() else {
        // A status edited by hand; the wait begins anew.
        next.grow(Growing {
            weight: facts.first_weight(),
            since: facts.now,
        });
        return ControlFlow::Break(());
    };
    gates::roll_back_if_one_said_no(facts, next)?;
    // Testers may reach a version that a person holds at 0%.
    let held = run.paused_for == Some(PauseReason::User);
    if !held && !run.paused_for.is_none_or(PauseReason::is_looked_at_anew) {
        return ControlFlow::Break(());
    }
    if gates::keeps_out(facts, &run) {
        return gates::ask(facts, Before::Start, 0, next);
    }
    if waits::missing(facts, next.status().phase, &run, &growing) {
        if run.paused_for.is_none() {
            waits::give_up_late(facts, next, &growing);
        }
        return ControlFlow::Break(());
    }
    if facts.refusal.is_some() || (held && facts.plan.testers.is_empty()) || capacity::stable_holds(facts, next) {
        return ControlFlow::Break(());
    }
    introduce(facts, &run, &growing, next)?;
    if held || run.paused_for == Some(PauseReason::WriteRefused) {
        return ControlFlow::Break(());
    }
    if holds::rests(facts, &run) || ticks::looks_back(facts, next.status()) {
        return ControlFlow::Break(());
    }
    holds::hold_outside_windows(facts, next)?;
    gates::ask(facts, Before::Step, 1, next)?;
    let seconds = facts.now.duration_since(growing.since).as_secs();
    let needed = waits::needed(facts, Phase::Preparing, &growing);
    next.tell(
        Reason::CanaryReady,
        format!(
            "{needed} of {needed} pods of revision {} ready after {seconds}s{}",
            run.revision,
            expected(&run)
        ),
    );
    if let Some(warning) = run.judge.said.as_ref().and_then(|said| said.warning.as_ref()) {
        next.warn(warning);
    }
    next.aim(facts, Some(0), growing.weight);
    ControlFlow::Continue(())
}

/// How long the release will take, by the requests that the old version gets.
fn expected(run: &Run) -> String {
    let said = run.judge.said.as_ref().filter(|said| !said.message.is_empty());
    said.map_or_else(String::new, |said| format!("; {}", said.message))
}

/// Goes on once the new version stands in the route at weight 0, and the data plane has had time to learn of it:
/// a proxy that learns of a share before it learns of the backend would fail that share.
fn introduce(facts: &Facts<'_>, run: &Run, growing: &Growing, next: &mut Draft) -> ControlFlow<()> {
    let confirmed = facts.weight_confirmed(Percent::ZERO);
    if let Some(intent) = &run.intent {
        let waiting = match confirmed {
            Ok(()) if facts.entry_stands() => {
                next.confirm_entry();
                return ControlFlow::Break(());
            }
            Ok(()) => "the new version's entry to stand in the route".to_owned(),
            Err(waiting) => waiting,
        };
        drift::contest_if_undone(facts, intent, next)?;
        if run.paused_for.is_none() {
            waits::give_up_unaccepted(facts, intent.at, &waiting, next);
        }
        return ControlFlow::Break(());
    }
    match run.entered_at {
        Some(entered) if facts.entry_stands() => {
            let settled = facts.now >= entered.plus(facts.plan.settle.signed());
            return if settled {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            };
        }
        Some(_) => drift::tell_of_removed_entry(facts, next)?,
        None => {}
    }
    // The route must be as found, and served so, before our entry is put in.
    match confirmed {
        Ok(()) => next.enter_routes(facts),
        Err(_) if run.paused_for.is_some() => {}
        Err(waiting) => waits::give_up_unaccepted(facts, growing.since, &waiting, next),
    }
    ControlFlow::Break(())
}
