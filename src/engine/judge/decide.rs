//! What follows from a tick: of several outcomes the first of fail, step back, shared incident and wait.

use super::{
    blame::{Back, Blame, Taken},
    checks::Stage,
    evaluate::{self, Case, Finding, Findings},
    gate::{self, Obstacle},
    judgement::{Judgement, Outcome, Overload, Reason},
    origin::{self, Broken, Demand, Past, Warming},
    report, rounding, scalar,
    state::{Forget, Memory, Remembered},
    tick::{ALL, Breach, CheckKind, Plan, Tick, Warms},
    told,
    warmth::State,
};

/// A raise is blamed for what begins in so many of its first ticks.
const AFTER_A_RAISE: u64 = 10;

/// Judges one tick. A tick without requests is no data tick and changes nothing; one of the pre-run only tells what is normal.
pub fn judge(memory: &mut Memory, plan: &Plan, tick: &Tick) -> Judgement {
    if tick.requests.is_none() {
        return report::without_data(memory, plan);
    }
    memory.fit(plan);
    if tick.step == 0 {
        if memory.current.id == 0 {
            memory.go_on(tick.length(plan), 0.0);
            evaluate::observe(memory, plan, tick, Stage::PreRun);
        }
        return report::before_the_first_weight(memory, plan);
    }
    let known = memory.current.id;
    memory.begin_step(plan, tick);
    if memory.current.id != known {
        memory.current.told = told::step(memory, plan);
    }
    memory.go_on(tick.length(plan), tick.paused);
    memory.hold_since(tick.lead);
    evaluate::observe(memory, plan, tick, Stage::Release);
    let hold = plan.hold(memory.current.weight) * memory.steps_back.hold_factor();
    memory.incidents.end_after(memory.clock.0, hold.max(plan.tick));
    if memory.current.weight <= 0.0 {
        return at_nothing(memory, plan, tick);
    }
    if memory.current.weight >= ALL {
        memory.origin.alone = rounding::round3(memory.origin.alone + tick.length(plan));
    } else {
        memory.origin.alone = 0.0;
    }
    let findings = evaluate::evaluate(memory, plan, tick);
    let demand = demand(memory, plan);
    let case = Case {
        plan,
        tick,
        findings,
        demand,
    };
    case.decide(memory)
}

/// What decides how far the weight may rise.
fn demand(memory: &Memory, plan: &Plan) -> Demand {
    let judged = plan
        .checks
        .iter()
        .any(|check| matches!(check.kind, CheckKind::HitRatio { .. }));
    let warm = !judged || plan.shares_cache() || memory.warmth.is_warm;
    let weight = memory.current.weight;
    Demand {
        weight,
        planned: plan.above(weight).unwrap_or(1.0),
        window: memory.warmth.window(),
        baseline_misses: memory.baseline_misses(plan),
        cold_misses: plan.cache.warmed.map_or(1.0, |ratio| 1.0 - ratio),
        warming: if warm { Warming::Done } else { Warming::GoesOn },
        past: if memory.steps_back.is_warned() {
            Past::Overloaded
        } else {
            Past::Quiet
        },
    }
}

/// At weight 0, after a step back: the weight rises again when its hold is served and the database can carry it.
fn at_nothing(memory: &mut Memory, plan: &Plan, tick: &Tick) -> Judgement {
    let demand = demand(memory, plan);
    let findings = Findings {
        checks: Vec::new(),
        mismatch: None,
    };
    let case = Case {
        plan,
        tick,
        findings,
        demand,
    };
    let next = case.next(memory);
    let obstacles = gate::at_nothing(memory, plan, next);
    case.rise_or_wait(memory, next, &obstacles)
}

impl Case<'_> {
    fn decide(&self, memory: &mut Memory) -> Judgement {
        let fails = self.fails(memory);
        let (by_origin, fails): (Vec<_>, Vec<_>) = fails
            .into_iter()
            .partition(|(index, _)| self.may_be_the_origins(memory, *index));
        let is = |breach| {
            let checks = &self.plan.checks;
            move |(index, _): &&(usize, Reason)| checks.get(*index).is_some_and(|check| check.breach == breach)
        };
        if let Some((index, reason)) = fails.iter().find(is(Breach::Rollback)) {
            return self.report(memory, fail(*reason, Some(*index)));
        }
        if self.plan.shares_cache() && memory.harm.is_done(self.tick.baseline) {
            return self.report(memory, fail(Reason::StableRegressed, None));
        }
        if let Some((why, check)) = self.back(memory, &by_origin) {
            let before = report::Before::of(self, memory);
            let outcome = self.step_back(memory, why, check);
            return report::after(self, memory, outcome, before);
        }
        if let Some((index, _)) = fails.iter().find(is(Breach::Pause)) {
            return self.report(memory, Outcome::Pause { check: *index });
        }
        // An incident makes forget what it was seen by.
        let harm = report::harm(self, memory);
        let is_shared = self.findings.checks.iter().any(Finding::is_shared);
        let seen = is_shared.then(|| report::Before::of(self, memory));
        let incident = self.incident(memory);
        let next = self.next(memory);
        let mut obstacles = gate::obstacles(memory, self, next);
        if incident {
            obstacles.push((Obstacle::Incident, None));
        }
        let mut judgement = self.rise_or_wait(memory, next, &obstacles);
        judgement.warnings.extend(harm);
        if let Some(seen) = seen {
            report::tell_as_seen(self, &mut judgement, seen);
        }
        judgement
    }

    /// Checks whose limits are broken by the new version alone, in the order of the plan.
    fn fails(&self, memory: &Memory) -> Vec<(usize, Reason)> {
        let broken = |(index, finding): (usize, &Finding)| {
            let kind = &self.plan.checks.get(index)?.kind;
            let fails = match finding {
                Finding::Broken(Blame::Candidate)
                | Finding::Cache(State::Broken)
                | Finding::Value(scalar::Finding::Broken) => true,
                Finding::Broken(Blame::Alone) => self.plan.below(memory.current.weight) <= 0.0,
                _ => false,
            };
            fails.then(|| (index, reason(kind)))
        };
        self.findings.checks.iter().enumerate().filter_map(broken).collect()
    }

    /// What a busy database does to misses is not yet the new version's fault.
    fn may_be_the_origins(&self, memory: &Memory, index: usize) -> bool {
        let kind = self.plan.checks.get(index).map(|check| check.kind);
        let broken = match kind {
            Some(CheckKind::Errors { .. } | CheckKind::ErrorIncrease { .. }) => Broken::Errors,
            Some(CheckKind::Latency { .. }) => Broken::Latency,
            _ => return false,
        };
        !self.plan.shares_cache()
            && self.demand.warming == Warming::GoesOn
            && memory.origin.is_busy(self.plan, &self.demand, broken)
    }

    /// Whether what began then began with the raise to this weight.
    fn began_with_the_raise(memory: &Memory, index: usize) -> bool {
        let Some(Remembered::Counted(known)) = memory.checks.get(index) else {
            return false;
        };
        let first = memory.current.first_tick;
        let began = known.sequence.window.first_tick;
        memory.current.raised && known.kept && (first..first.saturating_add(AFTER_A_RAISE)).contains(&began)
    }

    /// Why the weight must fall, with the check that says so where nothing is left to compare with.
    fn back(&self, memory: &Memory, by_origin: &[(usize, Reason)]) -> Option<(Back, Option<usize>)> {
        let broken_by = |blame| {
            let checks = self.findings.checks.iter().enumerate();
            checks
                .filter(move |(_, finding)| **finding == Finding::Broken(blame))
                .map(|(index, _)| index)
        };
        let with_the_raise = |index: &usize| Self::began_with_the_raise(memory, *index);
        let alone = broken_by(Blame::Alone).next();
        let alone_by_raise = broken_by(Blame::Alone).find(with_the_raise);
        let shared_by_raise = broken_by(Blame::Shared).find(with_the_raise);
        let high = memory.origin.stays_high() && {
            let just_raised = memory.current.raised && u64::from(memory.current.ticks) <= AFTER_A_RAISE;
            just_raised || !self.plan.shares_cache() && self.demand.warming == Warming::GoesOn
        };
        if shared_by_raise.is_some() {
            Some((Back::Overload, None))
        } else if alone_by_raise.is_some() {
            Some((Back::Overload, alone_by_raise))
        } else if high || !by_origin.is_empty() {
            Some((Back::Origin, None))
        } else {
            alone.map(|index| (Back::Alone, Some(index)))
        }
    }

    /// Takes the weight back, or ends the release where that has happened too often.
    fn step_back(&self, memory: &mut Memory, why: Back, check: Option<usize>) -> Outcome {
        if memory.steps_back.count(why) == Taken::End {
            let own = check.and_then(|index| self.plan.checks.get(index));
            let reason = own.map_or(Reason::OriginOverloaded, |check| reason(&check.kind));
            return fail(reason, check);
        }
        let to = self.plan.below(memory.current.weight);
        memory.forget(Forget::Evidence, self.tick.at);
        let why = match why {
            Back::Overload | Back::Alone => Overload::Shared,
            Back::Origin => Overload::Origin,
        };
        Outcome::StepBack { to, why }
    }

    /// Whether both versions broke a limit in this tick: nobody is blamed, and the hold begins anew.
    fn incident(&self, memory: &mut Memory) -> bool {
        let now = super::sequential::Moment {
            at: self.tick.at,
            tick: memory.ticks,
        };
        let mut found = false;
        for (index, finding) in self.findings.checks.iter().enumerate() {
            match (finding, memory.checks.get_mut(index)) {
                (Finding::Broken(Blame::Shared), Some(Remembered::Counted(known))) => {
                    known.share(now);
                    found = true;
                }
                (Finding::Value(scalar::Finding::BothBroken), Some(Remembered::Values(values))) => {
                    values.begin_step();
                    found = true;
                }
                _ => {}
            }
        }
        if memory.harm.is_done(self.tick.baseline) {
            memory.harm.sequence.forget(now);
            found = true;
        }
        if found {
            let hold = self.plan.hold(memory.current.weight) * memory.steps_back.hold_factor();
            memory.incidents.add(memory.clock.0, hold.max(self.plan.tick));
            memory.begin_hold();
        }
        found
    }

    /// The weight that may come next; nothing at the last one.
    fn next(&self, memory: &Memory) -> Option<f64> {
        let planned = self.plan.above(memory.current.weight)?;
        let carried = memory.origin.carried(self.plan);
        Some(origin::next_weight(planned, self.demand.greatest(self.plan, carried)))
    }

    fn rise_or_wait(&self, memory: &Memory, next: Option<f64>, obstacles: &[(Obstacle, Option<usize>)]) -> Judgement {
        let stands = obstacles
            .iter()
            .any(|(obstacle, _)| !gate::is_accepted(*obstacle, self.tick.promote));
        let outcome = match next {
            _ if stands => Outcome::Hold {
                cause: gate::cause(obstacles),
            },
            Some(to) => Outcome::Rise { to },
            None => Outcome::Promote,
        };
        report::of(self, memory, outcome, next, obstacles)
    }

    fn report(&self, memory: &Memory, outcome: Outcome) -> Judgement {
        report::of(self, memory, outcome, None, &[])
    }
}

fn fail(reason: Reason, check: Option<usize>) -> Outcome {
    Outcome::Fail { reason, check }
}

/// How a release ends that breaks such a check.
fn reason(kind: &CheckKind) -> Reason {
    match kind {
        CheckKind::Errors { .. } => Reason::ErrorRateAboveMax,
        CheckKind::ErrorIncrease { .. } => Reason::ErrorRateAboveStable,
        CheckKind::Latency { .. } | CheckKind::Query { warms: Warms::Yes, .. } => Reason::LatencyAboveMax,
        CheckKind::HitRatio { min: Some(_), .. } => Reason::HitRatioBelowMin,
        CheckKind::HitRatio { min: None, .. } => Reason::HitRatioBelowStable,
        CheckKind::Ratio { .. } | CheckKind::Query { .. } => Reason::CheckFailed,
    }
}
