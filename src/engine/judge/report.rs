//! A judgement with what it rests on and what it says.

use super::{
    blame::Blame,
    evaluate::{Case, Finding},
    evidence::evidence,
    gate::{self, Obstacle},
    judgement::{About, Cause, CheckJudgement, Evidence, Judgement, Outcome, Overload, Pause, Verdict, Warning},
    says::{self, Again},
    scalar, sentence,
    state::Memory,
    tick::{Check, CheckKind, Plan},
    told,
    warmth::State,
};

/// A tick that is no data tick: everything waits.
pub fn without_data(memory: &Memory, plan: &Plan) -> Judgement {
    Judgement {
        outcome: Outcome::Hold { cause: None },
        pause: memory.incidents.is_paused().then_some(Pause::SharedIncident),
        checks: plan.checks.iter().map(|_| silent(Verdict::NoData)).collect(),
        says: String::new(),
        left: None,
        warnings: Vec::new(),
    }
}

/// A tick of the pre-run: how long a release will take.
pub fn before_the_first_weight(memory: &Memory, plan: &Plan) -> Judgement {
    let told = told::release(memory, plan);
    let says = if told.rate > 0.0 {
        says::started(&told)
    } else {
        String::new()
    };
    let long = told.is_long().then(|| Warning {
        about: About::Long,
        says: format!("the release takes much longer than its holds: {says}"),
    });
    Judgement {
        outcome: Outcome::Hold { cause: None },
        pause: None,
        checks: plan.checks.iter().map(|_| silent(Verdict::Wait)).collect(),
        left: None,
        warnings: long.filter(|_| !says.is_empty()).into_iter().collect(),
        says,
    }
}

fn silent(verdict: Verdict) -> CheckJudgement {
    CheckJudgement {
        verdict,
        cause: None,
        evidence: Evidence::default(),
        says: String::new(),
    }
}

/// What a step back was taken from: its memory is gone when it is told.
pub struct Before {
    /// The weight.
    pub weight: f64,
    /// One for each check.
    pub checks: Vec<CheckJudgement>,
}

impl Before {
    /// What is known before an outcome changes the memory.
    pub fn of(case: &Case<'_>, memory: &Memory) -> Self {
        Self {
            weight: memory.current.weight,
            checks: checks(case, memory, None, &[]),
        }
    }
}

/// What both versions broke is told by what it was seen by, which an incident makes forget.
pub fn tell_as_seen(case: &Case<'_>, judgement: &mut Judgement, seen: Before) {
    let broken = case.findings.checks.iter().zip(&mut judgement.checks).zip(seen.checks);
    let mut broken = broken.filter(|((finding, _), _)| finding.is_shared()).peekable();
    if let Some((_, seen)) = broken.peek() {
        judgement.says.clone_from(&seen.says);
    }
    for ((_, check), seen) in broken {
        (check.says, check.evidence) = (seen.says, seen.evidence);
    }
}

/// What a data tick says. `next` is the weight that is waited for.
pub fn of(
    case: &Case<'_>,
    memory: &Memory,
    outcome: Outcome,
    next: Option<f64>,
    obstacles: &[(Obstacle, Option<usize>)],
) -> Judgement {
    let pause = match outcome {
        Outcome::Hold { .. } => gate::pause(memory, case.plan, obstacles),
        Outcome::Pause { .. } => Some(Pause::CheckFailed),
        _ => None,
    };
    let before = Before {
        weight: memory.current.weight,
        checks: checks(case, memory, next, obstacles),
    };
    with(case, memory, outcome, pause, obstacles, before)
}

/// The same for an outcome that has changed the memory.
pub fn after(case: &Case<'_>, memory: &Memory, outcome: Outcome, before: Before) -> Judgement {
    with(case, memory, outcome, None, &[], before)
}

fn with(
    case: &Case<'_>,
    memory: &Memory,
    outcome: Outcome,
    pause: Option<Pause>,
    obstacles: &[(Obstacle, Option<usize>)],
    before: Before,
) -> Judgement {
    let mut checks = before.checks;
    if let Outcome::Fail { check: Some(index), .. } | Outcome::Pause { check: index } = outcome
        && let Some(failed) = checks.get_mut(index)
    {
        failed.verdict = Verdict::Fail;
        failed.cause = None;
    }
    let at = says::percent(before.weight);
    let says = match &outcome {
        Outcome::Fail { check, .. } => {
            let why = check
                .and_then(|index| checks.get(index))
                .map(|check| check.says.clone());
            format!("rolled back at {at}: {}", why.unwrap_or_else(|| harmed(memory)))
        }
        Outcome::Pause { check } => {
            let why = checks.get(*check).map_or("", |check| check.says.as_str());
            format!("paused at {at}: {why}")
        }
        Outcome::StepBack { to, why } => stepped_back(case, memory, *to, *why, before.weight, &checks),
        Outcome::Hold { .. } => waits(case, memory, obstacles, &checks),
        Outcome::Rise { to } => format!("every check passes at {at}: {} is next", says::percent(*to)),
        Outcome::Promote => "every check passes: promoted".to_owned(),
    };
    // It is worth a word where the check has no other, and not in the place of what the weight waits for.
    for (index, check) in checks.iter_mut().enumerate().filter(|(_, check)| check.says.is_empty()) {
        check.says = sentence::allowance(case, memory, index, &check.evidence).unwrap_or_default();
    }
    let waits = matches!(outcome, Outcome::Hold { .. });
    Judgement {
        warnings: cold(case, memory, &outcome).into_iter().collect(),
        // In the middle of an incident a limit is broken and doubtful by turns.
        left: gate::left(obstacles).filter(|_| waits && !memory.incidents.goes_on()),
        outcome,
        pause,
        checks,
        says,
    }
}

/// The old version fails since the new one has traffic, or what both share was overloaded again.
fn harmed(memory: &Memory) -> String {
    let window = &memory.harm.sequence.window;
    match memory.harm.limit {
        Some(limit) if memory.harm.sequence.points.is_broken() => format!(
            "{} of {} requests to the old version fail since the new one has traffic (limit {}); the new version: {}",
            says::count(window.baseline.bad),
            says::count(window.baseline.total),
            says::percent(limit),
            says::percent(window.candidate.share())
        ),
        _ => "what both versions share was overloaded again after a step back".to_owned(),
    }
}

fn stepped_back(
    case: &Case<'_>,
    memory: &Memory,
    to: f64,
    why: Overload,
    weight: f64,
    checks: &[CheckJudgement],
) -> String {
    let carried = memory.origin.carried(case.plan);
    match (why, carried) {
        (Overload::Origin, Some(carried)) => says::overloaded(carried.load, carried.capacity, weight, to),
        (Overload::Origin, None) => says::slowed(weight, to),
        (Overload::Shared, _) => {
            let worst = checks
                .iter()
                .max_by(|one, other| one.evidence.strength.total_cmp(&other.evidence.strength));
            let evidence = worst.map(|check| check.evidence).unwrap_or_default();
            let again = if memory.steps_back.overloads > 0 {
                Again::Ends
            } else {
                Again::StepsBack
            };
            says::both_fail(weight, &evidence, to, again)
        }
    }
}

/// What the weight waits for, the nearest to an end first.
fn waits(
    case: &Case<'_>,
    memory: &Memory,
    obstacles: &[(Obstacle, Option<usize>)],
    checks: &[CheckJudgement],
) -> String {
    let first = obstacles.iter().min_by_key(|(obstacle, _)| *obstacle);
    let own = |index: &Option<usize>| {
        index
            .and_then(|index| checks.get(index))
            .map(|check| check.says.clone())
    };
    match first {
        Some((Obstacle::Mismatch, _)) => case.findings.mismatch.map_or_else(String::new, |found| {
            says::mismatch(found.got, found.expected, memory.current.weight)
        }),
        Some((Obstacle::Origin, _)) => no_room(case, memory),
        Some((Obstacle::Hold, _)) => {
            let hold = case.plan.hold(memory.current.weight) * memory.steps_back.hold_factor();
            let left = (hold - memory.current.held - case.plan.lag).max(0.0);
            let said: Vec<&str> = checks
                .iter()
                .map(|check| check.says.as_str())
                .filter(|says| !says.is_empty())
                .collect();
            let rest = said.first().map_or_else(String::new, |says| format!("; {says}"));
            format!("holding {} more{rest}", says::duration(left))
        }
        Some((_, index)) => own(index).unwrap_or_default(),
        None => String::new(),
    }
}

fn no_room(case: &Case<'_>, memory: &Memory) -> String {
    let (planned, weight) = (case.demand.planned, memory.current.weight);
    match memory.origin.carried(case.plan) {
        Some(carried) => {
            let adds = case.demand.added(case.plan, carried) * (planned - weight);
            says::no_room(planned, adds, 0.7 * carried.capacity, carried.capacity, weight)
        }
        None => says::no_room_without_capacity(planned, weight),
    }
}

/// The cache is not warm, and the new version is promoted all the same.
fn cold(case: &Case<'_>, memory: &Memory, outcome: &Outcome) -> Option<Warning> {
    let is_ratio = |check: &Check| matches!(check.kind, CheckKind::HitRatio { .. });
    let judged = case.plan.checks.iter().any(is_ratio) && !case.plan.shares_cache();
    (*outcome == Outcome::Promote && judged && !memory.warmth.is_warm).then(|| Warning {
        about: About::Cold,
        says: format!(
            "promoted before the cache was warm: {}",
            sentence::warming(case, memory)
        ),
    })
}

/// The old version fails since the new one has traffic, with which it shares no cache.
pub fn harm(case: &Case<'_>, memory: &Memory) -> Option<Warning> {
    (!case.plan.shares_cache() && memory.harm.is_done(case.tick.baseline)).then(|| Warning {
        about: About::Harm,
        says: format!("{}: whose fault it is is not known", harmed(memory)),
    })
}

fn checks(
    case: &Case<'_>,
    memory: &Memory,
    next: Option<f64>,
    obstacles: &[(Obstacle, Option<usize>)],
) -> Vec<CheckJudgement> {
    let indexes = 0..case.plan.checks.len();
    indexes
        .map(|index| check(case, memory, index, next, obstacles))
        .collect()
}

fn check(
    case: &Case<'_>,
    memory: &Memory,
    index: usize,
    next: Option<f64>,
    obstacles: &[(Obstacle, Option<usize>)],
) -> CheckJudgement {
    let finding = case.findings.checks.get(index);
    let own = obstacles
        .iter()
        .filter(|(_, check)| *check == Some(index))
        .map(|(obstacle, _)| *obstacle)
        .min();
    let (verdict, cause) = match (finding, own) {
        (None, _) => (Verdict::Wait, None),
        (Some(Finding::NoData | Finding::Value(scalar::Finding::NoData)), _) => (Verdict::NoData, None),
        (
            Some(
                Finding::Broken(Blame::Candidate)
                | Finding::Cache(State::Broken)
                | Finding::Value(scalar::Finding::Broken),
            ),
            _,
        ) => (Verdict::Fail, None),
        (Some(_), Some(obstacle)) => (Verdict::Wait, gate::cause_of(obstacle)),
        (Some(Finding::Broken(_)), None) => (Verdict::Wait, Some(Cause::SharedIncident)),
        (Some(_), None) => (Verdict::Pass, None),
    };
    let evidence = evidence(case, memory, index, next);
    CheckJudgement {
        verdict,
        cause,
        evidence,
        says: sentence::sentence(case, memory, index, next, &evidence, own),
    }
}
