//! Traffic moves: the weight is confirmed, held and judged, then the next one is asked for.

use std::ops::ControlFlow;

use crate::{
    api::{
        Duration, Percent,
        plan::step_number,
        status::{Advice, EndReason, Growing, Intent, PauseReason, Phase, Run},
        webhook::Before,
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
        guards::{capacity, drift, gates, holds, waits},
        judge::{figures, memory},
    },
};

/// From one weight to the next, and from the last one to the promotion.
pub fn shifting(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let Some(run) = next.run().cloned() else {
        return ControlFlow::Break(());
    };
    follow_the_judge(facts, next)?;
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
    if !held.is_none_or(PauseReason::is_looked_at_anew) {
        return ControlFlow::Break(());
    }
    advance(facts, &run, next)
}

/// What the judge has said last, until it says otherwise: a broken limit takes all traffic back, whatever else is going on, or
/// holds the release if the check says so; what was overloaded by a weight takes that back.
fn follow_the_judge(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let Some(run) = next.run() else {
        return ControlFlow::Break(());
    };
    let Some(said) = run.judge.said.clone() else {
        return ControlFlow::Continue(());
    };
    match said.advice {
        Advice::Fail => {
            next.tell(Reason::CheckFailed, said.message.clone());
            next.go_back(said.reason.unwrap_or(EndReason::CheckFailed), &said.message);
            ControlFlow::Break(())
        }
        Advice::StepBack => {
            let (from, to) = (run.weight, said.to.unwrap_or(Percent::ZERO));
            next.tell(Reason::SteppedBack, format!("weight {from} → {to}: {}", said.message));
            next.stand_at(facts, to);
            if to == Percent::ZERO {
                next.rest(said.hold_until);
            }
            ControlFlow::Break(())
        }
        Advice::Pause => {
            let held = run.paused_for;
            if held != Some(PauseReason::CheckFailed) && held != Some(PauseReason::User) {
                next.tell(Reason::CheckFailed, said.message.clone());
                next.hold(PauseReason::CheckFailed, &said.message);
            }
            ControlFlow::Continue(())
        }
        Advice::Hold | Advice::Rise | Advice::Promote | Advice::Unknown => ControlFlow::Continue(()),
    }
}

/// The greatest weight that may come now by what was measured; none while the judge waits or has no data. A release without checks may
/// rise as far as it likes.
fn risen_to(facts: &Facts<'_>, run: &Run, next: &Draft) -> Option<Percent> {
    if facts.plan.checks.is_empty() {
        return Some(Percent::FULL);
    }
    let said = run.judge.said.as_ref()?;
    let read = memory::all_read(facts.plan, &next.status().checks);
    match said.advice {
        Advice::Rise if read => said.to,
        Advice::Promote if read => Some(Percent::FULL),
        Advice::Rise
        | Advice::Promote
        | Advice::Hold
        | Advice::StepBack
        | Advice::Pause
        | Advice::Fail
        | Advice::Unknown => None,
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
    // Before the first weight nothing was judged, and a weight that falls has passed nothing.
    let has_passed = from > Percent::ZERO && intent.weight > from;
    let figures: Vec<String> = figures.filter(|_| has_passed).collect();
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
        return after_the_last_step(facts, run, next);
    };
    let Some(most) = risen_to(facts, run, next) else {
        return ControlFlow::Break(());
    };
    // What the cache or the database does not bear yet comes in between, and the step stays the same.
    let weight = following.weight.min(most.max(run.weight));
    let step = if weight == following.weight {
        Some(index)
    } else {
        done.checked_sub(1)
    };
    holds::hold_outside_windows(facts, next)?;
    gates::ask(facts, Before::Step, step_number(Some(index)), next)?;
    if facts.ready_for_traffic(run) < facts.size_for(weight) {
        // What the judge permits moves with every tick, and pods are waited for since the first of these weights.
        let same_rise = |growing: &&Growing| growing.weight > run.weight && growing.weight <= following.weight;
        let since = run.growing.as_ref().filter(same_rise).map(|growing| growing.since);
        let growing = Growing {
            weight,
            since: since.unwrap_or(facts.now),
        };
        next.grow(growing.clone());
        waits::give_up_late(facts, next, &growing);
        return ControlFlow::Break(());
    }
    next.aim(facts, step, weight);
    ControlFlow::Continue(())
}

fn after_the_last_step(facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()> {
    if next.status().phase == Phase::Shifting && facts.plan.bake > Duration::ZERO {
        next.bake(facts);
        next.tell(
            Reason::BakeStarted,
            format!("100% for {}, with the old version still up", facts.plan.bake),
        );
        return ControlFlow::Continue(());
    }
    if risen_to(facts, run, next).is_none() {
        return ControlFlow::Break(());
    }
    gates::ask(facts, Before::Promote, step_number(Some(facts.plan.steps.len())), next)?;
    next.promote();
    ControlFlow::Continue(())
}
