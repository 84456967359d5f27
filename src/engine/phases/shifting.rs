//! Traffic moves: the weight is confirmed, held and judged, then the next one is asked for.

use std::ops::ControlFlow;

use crate::{
    api::{
        Duration, Percent,
        check::OnBreach,
        plan::step_number,
        status::{Growing, Intent, PauseReason, Phase, Run, Verdict},
        webhook::Before,
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
        guards::{capacity, drift, gates, holds, waits},
        judge::{figures, rule},
    },
};

/// From one weight to the next, and from the last one to the promotion.
pub fn shifting(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let Some(run) = next.run().cloned() else {
        return ControlFlow::Break(());
    };
    roll_back_if_breached(facts, next)?;
    capacity::fall_if_pods_lost(facts, &run, next)?;
    gates::roll_back_if_one_said_no(facts, next)?;
    drift::keep_services_narrow(facts, next);
    if let Some(intent) = &run.intent {
        return confirm(facts, intent, next);
    }
    drift::answer_route_edit(facts, next)?;
    waits::go_on_when_written(facts, next);
    holds::for_people(facts, next);
    holds::for_data(facts, next);
    let phase = next.status().phase;
    let Some(run) = next.run().cloned() else {
        return ControlFlow::Break(());
    };
    let served = holds::hold_over(facts, &run, phase) && run.unreached_since.is_none();
    if !served || facts.refusal.is_some() || capacity::stable_holds(facts, next) {
        return ControlFlow::Break(());
    }
    hold_for_approval(facts, &run, next)?;
    let held = next.run().and_then(|run| run.paused_for);
    let passed = rule::all_pass(facts.plan, &next.status().checks);
    if !held.is_none_or(PauseReason::is_looked_at_anew) || !passed {
        return ControlFlow::Break(());
    }
    advance(facts, &run, next)
}

/// A broken limit takes all traffic back, whatever else is going on, or holds the release if the check says so.
fn roll_back_if_breached(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let checks = facts.plan.checks.iter().zip(&next.status().checks);
    let failed = checks.filter(|(_, check)| check.verdict == Verdict::Fail);
    // One that asks for a rollback comes before one that asks for a pause.
    let first = failed.min_by_key(|(planned, _)| planned.on_breach == OnBreach::Pause);
    let Some((planned, check)) = first else {
        return ControlFlow::Continue(());
    };
    let message = format!(
        "check {}: {} {}, limit {}; {}",
        check.name,
        figures::noun(&planned.kind),
        check.value.as_deref().unwrap_or("no figure"),
        check.threshold,
        check.evidence
    );
    match planned.on_breach {
        OnBreach::Rollback => {
            next.tell(Reason::CheckFailed, message.clone());
            next.go_back(figures::breach(&planned.kind), &message);
            ControlFlow::Break(())
        }
        OnBreach::Pause => {
            let held = next.run().and_then(|run| run.paused_for);
            if held != Some(PauseReason::CheckFailed) && held != Some(PauseReason::User) {
                next.tell(Reason::CheckFailed, message.clone());
                next.hold(PauseReason::CheckFailed, &message);
            }
            ControlFlow::Continue(())
        }
    }
}

/// The step's clock and its samples count from the router's confirmation.
fn confirm(facts: &Facts<'_>, intent: &Intent, next: &mut Draft) -> ControlFlow<()> {
    let from = next.run().map_or(Percent::ZERO, |run| run.weight);
    if let Err(waiting) = facts.weight_confirmed(intent.weight) {
        drift::contest_if_undone(facts, intent, next)?;
        waits::give_up_unaccepted(facts, intent.at, &waiting, next);
        return ControlFlow::Break(());
    }
    let seconds = facts.now.duration_since(intent.at).as_millis();
    let checks = facts.plan.checks.iter().zip(&next.status().checks);
    let figures = checks.filter_map(|(planned, check)| {
        let value = check.value.as_deref()?;
        Some(format!(
            "{} {value} ({})",
            figures::noun(&planned.kind),
            check.threshold
        ))
    });
    // Before the first weight nothing was judged.
    let figures: Vec<String> = figures.filter(|_| from > Percent::ZERO).collect();
    let passed = if figures.is_empty() {
        String::new()
    } else {
        format!("; passed at {from} with {}", figures.join(", "))
    };
    let step = next.run().map_or(0, |run| run.step);
    next.tell(
        Reason::WeightConfirmed,
        format!(
            "step {step}/{}: {from} → {}, confirmed by the gateway after {seconds}ms{passed}",
            facts.plan.steps.len(),
            intent.weight
        ),
    );
    next.confirm(facts);
    ControlFlow::Continue(())
}

/// A step that asks for approval waits for a person after its hold.
fn hold_for_approval(facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()> {
    if holds::needs_approval(facts, run, next.status().phase) {
        if run.paused_for.is_none() {
            next.hold(PauseReason::Approval, "");
        }
        return ControlFlow::Break(());
    }
    if run.paused_for == Some(PauseReason::Approval) {
        next.resume();
    }
    ControlFlow::Continue(())
}

fn advance(facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()> {
    let done = usize::try_from(run.step).unwrap_or(0);
    let last = facts.plan.steps.len() - 1;
    let index = if run.skip_steps { done.max(last) } else { done };
    let Some(following) = facts.plan.steps.get(index) else {
        return after_the_last_step(facts, next);
    };
    holds::hold_outside_windows(facts, next)?;
    gates::ask(facts, Before::Step, step_number(Some(index)), next)?;
    if facts.ready_for_traffic(run) < facts.size_for(following.weight) {
        let growing = run.growing.clone().unwrap_or(Growing {
            weight: following.weight,
            since: facts.now,
        });
        next.grow(growing.clone());
        waits::give_up_late(facts, next, &growing);
        return ControlFlow::Break(());
    }
    next.aim(facts, index, following.weight);
    ControlFlow::Continue(())
}

fn after_the_last_step(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    if next.status().phase == Phase::Shifting && facts.plan.bake > Duration::ZERO {
        next.bake();
        next.tell(
            Reason::BakeStarted,
            format!("100% for {}, with the old version still up", facts.plan.bake),
        );
        return ControlFlow::Continue(());
    }
    gates::ask(facts, Before::Promote, step_number(Some(facts.plan.steps.len())), next)?;
    next.promote();
    ControlFlow::Continue(())
}
