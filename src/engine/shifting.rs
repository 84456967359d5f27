//! Traffic moves: the weight is confirmed, held and judged, then the next one is asked for.

use super::{
    Draft, capacity, drift, ending, exchange, facts::Facts, figures, gates, holds, measure, notice::Reason, preparing,
};
use crate::api::{
    Duration, Percent, Plan,
    check::OnBreach,
    plan::step_number,
    status::{CheckStatus, Growing, Intent, Outcome, PauseReason, Phase, Run, Verdict},
    webhook::Before,
};

pub(super) fn shifting(facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
    let Some(run) = next.status.run.clone() else { return };
    if breached(facts, next) || capacity::lost(facts, &run, next) || gates::rejected(facts, next) {
        return;
    }
    drift::services(facts, next);
    if let Some(intent) = &run.intent {
        confirm(facts, intent, next);
        return;
    }
    if drift::seen(facts, next) {
        return;
    }
    holds::for_people(facts, next);
    holds::for_data(facts, next);
    let stable_holds = capacity::stable_holds(facts, next);
    let passed = all_pass(facts.plan, &next.status.checks);
    let Some(run) = next.status.run.clone() else { return };
    if !holds::hold_over(facts, &run, next.status.phase) || !accepted || stable_holds {
        return;
    }
    if holds::needs_approval(facts, &run, next.status.phase) {
        if run.paused_for.is_none() {
            holds::pause(next, Some(PauseReason::Approval), "");
        }
        return;
    }
    if run.paused_for == Some(PauseReason::Approval) {
        holds::pause(next, None, "");
    }
    let held = next.status.run.as_ref().and_then(|run| run.paused_for);
    if !held.is_none_or(PauseReason::is_looked_at_anew) || !passed {
        return;
    }
    advance(facts, &run, next);
}

/// A broken limit takes all traffic back, whatever else is going on, or holds the release if the check says so.
fn breached(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let mut failed: Vec<_> = facts
        .plan
        .checks
        .iter()
        .zip(&next.status.checks)
        .filter(|(_, check)| check.verdict == Verdict::Fail)
        .collect();
    failed.sort_by_key(|(planned, _)| planned.on_breach == OnBreach::Pause);
    let Some((planned, check)) = failed.first() else {
        return false;
    };
    let value = check.value.as_deref().unwrap_or("no figure");
    let message = format!(
        "check {}: {} {value}, limit {}; {}",
        check.name,
        figures::noun(&planned.kind),
        check.threshold,
        check.evidence
    );
    let reason = figures::breach(&planned.kind);
    if planned.on_breach == OnBreach::Pause {
        let held = next.status.run.as_ref().is_some_and(|run| {
            run.paused_for
                .is_some_and(|held| held == PauseReason::CheckFailed || held == PauseReason::User)
        });
        if !held {
            next.tell(Reason::CheckFailed, message.clone());
            holds::pause(next, Some(PauseReason::CheckFailed), &message);
        }
        return false;
    }
    next.tell(Reason::CheckFailed, message.clone());
    ending::go_back(next, Outcome::RolledBack, reason, &message);
    true
}

/// The step's clock and its samples count from the router's confirmation.
fn confirm(facts: &Facts<'_>, intent: &Intent, next: &mut Draft) {
    let from = next.status.run.as_ref().map_or(Percent::ZERO, |run| run.weight);
    if let Err(waiting) = facts.weight_confirmed(intent.weight) {
        if !drift::undone(facts, intent, next) {
            give_up_unaccepted(facts, intent, &waiting, next);
        }
        return;
    }
    let seconds = facts.now.duration_since(intent.at).as_millis();
    let passed: Vec<String> = facts
        .plan
        .checks
        .iter()
        .zip(&next.status.checks)
        .filter_map(|(planned, check)| {
            let value = check.value.as_deref()?;
            (from > Percent::ZERO).then(|| format!("{} {value} ({})", figures::noun(&planned.kind), check.threshold))
        })
        .collect();
    let passed = if passed.is_empty() {
        String::new()
    } else {
        format!("; passed at {from} with {}", passed.join(", "))
    };
    let step = next.status.run.as_ref().map_or(0, |run| run.step);
    next.tell(
        Reason::WeightConfirmed,
        format!(
            "step {step}/{}: {from} → {}, confirmed by the gateway after {seconds}ms{passed}",
            facts.plan.steps.len(),
            intent.weight
        ),
    );
    let since = facts.now + facts.plan.settle.signed();
    next.change(|run| {
        run.weight = intent.weight;
        run.intent = None;
        run.weight_confirmed_at = Some(facts.now);
        run.step_started_at = Some(since);
        run.approved = false;
        run.hold_waived = false;
        run.paused_total = Duration::ZERO;
    });
    next.forget_evidence(facts);
}

/// Rolls back once the router has been waited for as long as the plan allows.
pub(super) fn give_up_unaccepted(facts: &Facts<'_>, intent: &Intent, waiting: &str, next: &mut Draft) {
    let paused = next.status.run.as_ref().is_some_and(|run| run.paused_for.is_some());
    if paused || facts.now < intent.at + facts.plan.progress_deadline.signed() {
        return;
    }
    let message = format!(
        "not accepted within {}: waiting for {waiting}",
        facts.plan.progress_deadline
    );
    next.tell(Reason::RouteNotAccepted, message.clone());
    ending::go_back(next, Outcome::RolledBack, "RouteNotAccepted", &message);
}

/// Every check was evaluated in this step and passes.
pub(super) fn all_pass(plan: &Plan, checks: &[CheckStatus]) -> bool {
    checks.len() == plan.checks.len() && checks.iter().all(|check| check.verdict == Verdict::Pass)
}

fn advance(facts: &Facts<'_>, run: &Run, next: &mut Draft) {
    let done = usize::try_from(run.step).unwrap_or(0);
    let last = facts.plan.steps.len() - 1;
    let index = if run.skip_steps { done.max(last) } else { done };
    let Some(following) = facts.plan.steps.get(index) else {
        after_the_last_step(facts, next);
        return;
    };
    if holds::outside_windows(facts, next) || gates::closed(facts, Before::Step, step_number(Some(index)), next) {
        return;
    }
    let growing = run.growing.clone().unwrap_or(Growing {
        weight: following.weight,
        since: facts.now,
    });
    if facts.ready_for_traffic(run) < facts.size_for(following.weight) {
        next.change(|run| run.growing = Some(growing.clone()));
        preparing::give_up_late(facts, next, &growing);
        return;
    }
    next.change(|run| {
        run.step = step_number(Some(index));
        run.intent = Some(Intent::new(following.weight, facts.generations(), facts.now));
        run.carriers = i32::try_from(facts.size_for(following.weight)).unwrap_or(i32::MAX);
        run.growing = None;
    });
}

fn after_the_last_step(facts: &Facts<'_>, next: &mut Draft) {
    if next.status.phase == Phase::Shifting && facts.plan.bake > Duration::ZERO {
        next.status.phase = Phase::Baking;
        next.change(|run| {
            run.step_started_at = Some(facts.now);
            run.hold_waived = false;
            run.skip_steps = false;
            run.paused_total = Duration::ZERO;
        });
        next.tell(
            Reason::BakeStarted,
            format!("100% for {}, with the old version still up", facts.plan.bake),
        );
    } else if !gates::closed(facts, Before::Promote, step_number(Some(facts.plan.steps.len())), next) {
        exchange::begin(next);
    }
}

/// A valid edit of the plan takes effect at once; a refused one leaves the last valid plan in force.
pub(super) fn adopt_plan(facts: &Facts<'_>, next: &mut Draft) {
    let Some(spec) = next.spec.clone() else { return };
    let moving = next.status.phase.is_moving();
    let Some(run) = next.status.run.as_ref().filter(|run| moving && run.plan != spec) else {
        return;
    };
    let old = Plan::try_from(&*run.plan).ok();
    let weight = run.weight;
    let steps = &facts.plan.steps;
    let changed = old
        .as_ref()
        .is_none_or(|old| old.steps != *steps || old.checks != facts.plan.checks);
    let checks_changed = old.is_none_or(|old| old.checks != facts.plan.checks);
    let at = steps.iter().rposition(|step| step.weight <= weight);
    next.change(|run| {
        run.steps = i32::try_from(steps.len()).unwrap_or(i32::MAX);
        run.plan = spec;
        if weight > Percent::ZERO {
            run.step = step_number(at);
            run.growing = None;
            run.intent = at
                .map(|index| steps[index].weight)
                .filter(|listed| *listed != weight)
                .map(|weight| Intent::new(weight, facts.generations(), facts.now));
        } else if run.intent.is_some() || run.growing.is_some() {
            run.intent = None;
            run.growing = Some(Growing {
                weight: steps[0].weight,
                since: facts.now,
            });
            run.step = 0;
        }
    });
    if weight == Percent::ZERO {
        next.status.phase = Phase::Preparing;
    } else if next.status.phase == Phase::Baking && weight < Percent::FULL {
        next.status.phase = Phase::Shifting;
    }
    if checks_changed {
        next.status.checks.clear();
        next.forget_evidence(facts);
    }
    if changed {
        let listed: Vec<String> = steps.iter().map(|step| step.weight.to_string()).collect();
        next.tell(
            Reason::PlanChanged,
            format!(
                "the plan was changed at {weight}: steps {}, {} checks",
                listed.join(", "),
                facts.plan.checks.len()
            ),
        );
    }
}

impl Draft {
    /// Changes the run, if there is one.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Run)) {
        if let Some(run) = &mut self.status.run {
            change(run);
        }
    }

    /// The hold and the evidence of a confirmed step begin anew: what was compared is no longer the same.
    pub(super) fn begin_step_anew(&mut self, facts: &Facts<'_>) {
        if self.status.phase.is_judged() && self.status.run.as_ref().is_some_and(|run| run.intent.is_none()) {
            self.change(|run| run.step_started_at = run.step_started_at.max(Some(facts.now)));
            self.forget_evidence(facts);
        }
    }

    /// Forgets what was counted so far in this step.
    pub(super) fn forget_evidence(&mut self, facts: &Facts<'_>) {
        if let Some(run) = &mut self.status.run {
            measure::start_afresh(run, &mut self.status.checks, facts.now);
        }
    }
}
