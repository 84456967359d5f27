//! Traffic moves: the weight is confirmed, held and judged, then the next one is asked for.

use super::{Draft, drift, ending, exchange, facts::Facts, figures, measure, notice::Reason, preparing};
use crate::api::{
    Percent, Plan,
    plan::PlannedStep,
    status::{Cause, CheckStatus, Growing, Intent, Outcome, PauseReason, Phase, Run, Verdict},
};

pub(super) fn shifting(facts: &Facts<'_>, accepted: bool, next: &mut Draft) {
    let Some(run) = next.status.run.clone() else { return };
    if breached(facts, next) || lost_capacity(facts, &run, next) {
        return;
    }
    if let Some(intent) = &run.intent {
        confirm(facts, intent, next);
        return;
    }
    if drift::seen(facts, next) {
        return;
    }
    hold_for_people(facts, next);
    hold_for_data(facts, next);
    let passed = all_pass(facts.plan, &next.status.checks);
    let Some(run) = next.status.run.clone() else { return };
    if !hold_over(facts, &run, next.status.phase) || !accepted {
        return;
    }
    if needs_approval(facts, &run, next.status.phase) {
        if run.paused_for.is_none() {
            pause(next, Some(PauseReason::Approval));
        }
        return;
    }
    if run.paused_for == Some(PauseReason::Approval) {
        pause(next, None);
    }
    if next.status.run.as_ref().is_some_and(|run| run.paused_for.is_some()) || !passed {
        return;
    }
    advance(facts, &run, next);
}

/// A broken limit takes all traffic back, whatever else is going on.
fn breached(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let failed = facts.plan.checks.iter().zip(&next.status.checks).find(|(_, check)| check.verdict == Verdict::Fail);
    let Some((planned, check)) = failed else { return false };
    let value = check.value.as_deref().unwrap_or("no figure");
    let message = format!("check {}: {} {value}, limit {}; {}", check.name, figures::noun(&planned.kind), check.threshold, check.evidence);
    let reason = figures::breach(&planned.kind);
    next.tell(Reason::CheckFailed, message.clone());
    ending::go_back(next, Outcome::RolledBack, reason, &message);
    true
}

/// How often the new version may lose its pods under traffic.
const CAPACITY_LOSSES: i32 = 3;

/// Traffic never stays on pods that are gone: it goes back to 0, and the release starts from the first step.
fn lost_capacity(facts: &Facts<'_>, run: &Run, next: &mut Draft) -> bool {
    // A weight that was written may be served before it is confirmed.
    let exposed = run.intent.as_ref().map_or(run.weight, |intent| intent.weight.max(run.weight));
    if exposed == Percent::ZERO || facts.canary(run).is_some_and(|set| set.available > 0) {
        return false;
    }
    let lost = run.capacity_lost + 1;
    let message = format!("no pod of revision {} is Available at {exposed}", run.revision);
    next.tell(Reason::CapacityLost, format!("{message}: weight {exposed} → 0% ({lost} of {CAPACITY_LOSSES} times)"));
    if lost >= CAPACITY_LOSSES {
        ending::go_back(next, Outcome::RolledBack, "CapacityLost", &message);
        return true;
    }
    let weight = facts.plan.steps[0].weight;
    next.change(|run| {
        run.capacity_lost = lost;
        // It enters the routes again when it has pods.
        run.entered_at = None;
        run.weight = Percent::ZERO;
        run.step = 0;
        run.intent = None;
        run.step_started_at = None;
        run.growing = Some(Growing { weight, since: facts.now });
    });
    next.status.phase = Phase::Preparing;
    next.forget_evidence(facts);
    true
}

/// The step's clock and its samples count from the router's confirmation.
fn confirm(facts: &Facts<'_>, intent: &Intent, next: &mut Draft) {
    let from = next.status.run.as_ref().map_or(Percent::ZERO, |run| run.weight);
    if let Err(waiting) = facts.weight_confirmed(intent.weight) {
        give_up_unaccepted(facts, intent, &waiting, next);
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
    let passed = if passed.is_empty() { String::new() } else { format!("; passed at {from} with {}", passed.join(", ")) };
    let step = next.status.run.as_ref().map_or(0, |run| run.step);
    next.tell(
        Reason::WeightConfirmed,
        format!("step {step}/{}: {from} → {}, confirmed by the gateway after {seconds}ms{passed}", facts.plan.steps.len(), intent.weight),
    );
    let since = facts.now + facts.plan.settle.signed();
    next.change(|run| {
        run.weight = intent.weight;
        run.intent = None;
        run.weight_confirmed_at = Some(facts.now);
        run.step_started_at = Some(since);
        run.approved = false;
        run.hold_waived = false;
    });
    next.forget_evidence(facts);
}

/// Rolls back once the router has been waited for as long as the plan allows.
pub(super) fn give_up_unaccepted(facts: &Facts<'_>, intent: &Intent, waiting: &str, next: &mut Draft) {
    if facts.now < intent.at + facts.plan.progress_deadline.signed() {
        return;
    }
    let message = format!("not accepted within {}: waiting for {waiting}", facts.plan.progress_deadline);
    next.tell(Reason::RouteNotAccepted, message.clone());
    ending::go_back(next, Outcome::RolledBack, "RouteNotAccepted", &message);
}

/// A person's pause, by action or in the spec.
pub(super) fn hold_for_people(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = &next.status.run else { return };
    let wanted = facts.plan.paused || run.user_pause;
    match (wanted, run.paused_for) {
        (true, current) if current != Some(PauseReason::User) => pause(next, Some(PauseReason::User)),
        (false, Some(PauseReason::User)) => pause(next, None),
        _ => {}
    }
}

/// Checks without data for too long hold the release until fresh data is back.
fn hold_for_data(facts: &Facts<'_>, next: &mut Draft) {
    let missing = next.status.checks.iter().find(|check| check.verdict == Verdict::NoData || check.cause == Some(Cause::NoTraffic)).cloned();
    let Some(run) = next.status.run.as_mut() else { return };
    let Some(check) = missing else {
        run.no_data_since = None;
        if run.paused_for == Some(PauseReason::NoData) {
            pause(next, None);
        }
        return;
    };
    let since = *run.no_data_since.get_or_insert(facts.now);
    if run.paused_for.is_none() && facts.now >= since + facts.plan.no_data_deadline.signed() {
        let cause = check.cause.map(|cause| cause.to_string()).unwrap_or_default();
        next.tell(Reason::NoData, format!("no data for check {} since {since:.0}: {cause} {}", check.name, check.message));
        pause(next, Some(PauseReason::NoData));
    }
}

/// Enters or leaves a pause, and tells so.
pub(super) fn pause(next: &mut Draft, reason: Option<PauseReason>) {
    let now = next.now;
    let weight = next.status.run.as_ref().map_or(Percent::ZERO, |run| run.weight);
    next.change(|run| {
        run.paused_for = reason;
        run.paused_at = reason.map(|_| now);
    });
    match reason {
        Some(PauseReason::User) => next.tell_as(Reason::Paused, false, format!("paused at {weight} by a person")),
        Some(reason) => next.tell_as(Reason::Paused, reason != PauseReason::Approval, format!("paused at {weight}: {reason}")),
        None => next.tell(Reason::Resumed, format!("goes on at {weight}")),
    }
}

fn step(facts: &Facts<'_>, run: &Run) -> PlannedStep {
    let index = usize::try_from(run.step).unwrap_or(0).clamp(1, facts.plan.steps.len()) - 1;
    facts.plan.steps[index]
}

/// The time at this weight was served, or waived.
pub(super) fn hold_over(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    let hold = if phase == Phase::Baking { facts.plan.bake } else { step(facts, run).hold };
    run.hold_waived || run.step_started_at.is_some_and(|since| facts.now >= since + hold.signed())
}

/// The step waits for a person after its hold.
pub(super) fn needs_approval(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    phase == Phase::Shifting && step(facts, run).approval && !run.approved
}

/// Every check was evaluated in this step and passes.
pub(super) fn all_pass(plan: &Plan, checks: &[CheckStatus]) -> bool {
    checks.len() == plan.checks.len() && checks.iter().all(|check| check.verdict == Verdict::Pass)
}

fn advance(facts: &Facts<'_>, run: &Run, next: &mut Draft) {
    let index = usize::try_from(run.step).unwrap_or(0);
    let Some(following) = facts.plan.steps.get(index) else {
        after_the_last_step(facts, next);
        return;
    };
    let growing = run.growing.clone().unwrap_or(Growing { weight: following.weight, since: facts.now });
    if facts.ready_for_traffic(run) < facts.size_for(following.weight) {
        next.change(|run| run.growing = Some(growing.clone()));
        preparing::give_up_late(facts, next, &growing);
        return;
    }
    next.change(|run| {
        run.step += 1;
        run.intent = Some(Intent { weight: following.weight, at: facts.now });
        run.growing = None;
    });
}

fn after_the_last_step(facts: &Facts<'_>, next: &mut Draft) {
    if next.status.phase == Phase::Shifting && facts.plan.bake > crate::api::Duration::ZERO {
        next.status.phase = Phase::Baking;
        next.change(|run| {
            run.step_started_at = Some(facts.now);
            run.hold_waived = false;
        });
        next.tell(Reason::BakeStarted, format!("100% for {}, with the old version still up", facts.plan.bake));
    } else {
        exchange::begin(next);
    }
}

/// A valid edit of the plan takes effect at once; a refused one leaves the last valid plan in force.
pub(super) fn adopt_plan(facts: &Facts<'_>, next: &mut Draft) {
    let Some(spec) = next.spec.clone() else { return };
    let moving = matches!(next.status.phase, Phase::Preparing | Phase::Shifting | Phase::Baking);
    let Some(run) = next.status.run.as_ref().filter(|run| moving && run.plan != spec) else { return };
    let old = Plan::try_from(&run.plan).ok();
    let weight = run.weight;
    let steps = &facts.plan.steps;
    let changed = old.as_ref().is_none_or(|old| old.steps != *steps || old.checks != facts.plan.checks);
    let checks_changed = old.is_none_or(|old| old.checks != facts.plan.checks);
    let at = steps.iter().rposition(|step| step.weight <= weight);
    next.change(|run| {
        run.of = i32::try_from(steps.len()).unwrap_or(i32::MAX);
        run.plan = spec;
        if weight > Percent::ZERO {
            run.step = at.map_or(0, |index| i32::try_from(index + 1).unwrap_or(i32::MAX));
            run.growing = None;
            run.intent = at.map(|index| steps[index].weight).filter(|listed| *listed != weight).map(|weight| Intent { weight, at: facts.now });
        } else if run.intent.is_some() || run.growing.is_some() {
            run.intent = None;
            run.growing = Some(Growing { weight: steps[0].weight, since: facts.now });
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
        next.tell(Reason::PlanChanged, format!("the plan was changed at {weight}: steps {}, {} checks", listed.join(", "), facts.plan.checks.len()));
    }
}

impl Draft {
    /// Changes the run, if there is one.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Run)) {
        if let Some(run) = &mut self.status.run {
            change(run);
        }
    }

    /// Forgets what was counted so far in this step.
    pub(super) fn forget_evidence(&mut self, facts: &Facts<'_>) {
        if let Some(run) = &mut self.status.run {
            measure::start_afresh(run, &mut self.status.checks, facts.now);
        }
    }
}
