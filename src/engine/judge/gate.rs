//! When the weight may rise: how much must have been seen, and how long is too long.

use super::{
    blame::Blame,
    checks::StepCount,
    evaluate::{Case, Finding},
    judgement::{Cause, Left, Pause},
    origin, scalar,
    state::{Memory, Remembered},
    tick::{CheckKind, Plan, Promote},
    warmth::State,
    wilson::Z,
};

/// What stands in the way of a greater weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Both versions broke a limit in this tick.
    Incident,
    /// A limit is broken, and by whom is not clear yet.
    Comparing,
    /// The requests are not there.
    Mismatch,
    /// The old version has not been seen for long enough.
    NoBaseline,
    /// A check could not be read.
    NoData,
    /// There are fewer requests, lookups or values than needed.
    TooFew,
    /// The database carries too much, or cannot carry more.
    Origin,
    /// The hold is not over.
    Hold,
    /// Something speaks against the limit.
    Doubtful,
    /// More of the step's requests are bad than allowed.
    AboveLimit,
    /// The bake ends when the cache is warmer.
    Warming,
}

/// All of them, with the check where one is meant.
pub type Obstacles = Vec<(Obstacle, Option<usize>)>;

/// So many requests a rise asks for at least.
const LEAST: f64 = 20.0;
/// So many of this step.
const LEAST_OF_STEP: f64 = 10.0;

/// Requests of the run that a rise to this weight asks for: so many clean ones show that at most `limit` is bad, in proportion to
/// the weight that will meet it. Source: Wilson's upper bound of 0 of n.
pub fn need(weight: f64, limit: f64) -> f64 {
    (weight * Z * Z * (1.0 - limit) / limit).max(LEAST)
}

/// Whether the step's requests keep what was allowed.
pub fn keeps(step: &StepCount, allowed: f64) -> bool {
    has_enough(step) && step.count.bad <= allowed.max(1.0)
}

/// Whether the step has requests to speak of.
pub fn has_enough(step: &StepCount) -> bool {
    step.count.total >= LEAST_OF_STEP
}

const HOUR: f64 = 3_600.0;
/// Longer than this nothing is waited for without a pause.
const LONGEST: f64 = 6.0 * HOUR;

/// After so many seconds at one weight the release is paused as undecided.
pub fn patience(told: f64, hold: f64) -> f64 {
    (2.0 * told).max(10.0 * hold).clamp(HOUR, LONGEST)
}

/// Seconds that are as good as none.
pub const MOMENT: f64 = 1e-3;

/// What stands in the way of `next`, or of the end of the bake where there is no next weight.
pub fn obstacles(memory: &Memory, case: &Case<'_>, next: Option<f64>) -> Obstacles {
    let mut found = at_nothing(memory, case.plan, next);
    if case.findings.mismatch.is_some() {
        found.push((Obstacle::Mismatch, None));
    }
    if case.plan.shares_cache() && !memory.harm.sequence.points.is_clean() {
        found.push((Obstacle::Doubtful, None));
    }
    for (index, finding) in case.findings.checks.iter().enumerate() {
        let obstacle = match finding {
            Finding::NoData | Finding::Value(scalar::Finding::NoData) => Some(Obstacle::NoData),
            Finding::NoBaseline => Some(Obstacle::NoBaseline),
            Finding::Broken(Blame::Unclear) => Some(Obstacle::Comparing),
            Finding::Broken(Blame::Shared) | Finding::Value(scalar::Finding::BothBroken) => Some(Obstacle::Incident),
            Finding::Broken(_) | Finding::Doubtful | Finding::Value(scalar::Finding::Broken) => {
                Some(Obstacle::Doubtful)
            }
            Finding::Clean => uncounted(memory, case.plan, index, next),
            Finding::Cache(state) => cold(memory, case, *state, next),
            Finding::Value(scalar::Finding::TooFew) => Some(Obstacle::TooFew),
            Finding::Value(scalar::Finding::Good) => None,
        };
        found.extend(obstacle.map(|obstacle| (obstacle, Some(index))));
    }
    found
}

/// What stands in the way of a first weight, or of any: the hold, and the database.
pub fn at_nothing(memory: &Memory, plan: &Plan, next: Option<f64>) -> Obstacles {
    let mut found = Obstacles::new();
    let weight = memory.current.weight;
    let hold = plan.hold(weight) * memory.steps_back.hold_factor();
    if memory.current.held + plan.lag + MOMENT < hold {
        found.push((Obstacle::Hold, None));
    }
    let planned = plan.above(weight);
    let no_room = next
        .zip(planned)
        .is_some_and(|(next, planned)| next <= weight || origin::is_too_near(weight, next, planned));
    if no_room || memory.origin.is_high() {
        found.push((Obstacle::Origin, None));
    }
    found
}

/// Whether a clean check has seen enough of this step and of the run.
fn uncounted(memory: &Memory, plan: &Plan, index: usize, next: Option<f64>) -> Option<Obstacle> {
    let kind = plan.checks.get(index)?.kind;
    // A ratio's samples may be rare: that nothing speaks against it must do.
    if matches!(kind, CheckKind::Ratio { .. }) {
        return None;
    }
    let limit = memory.limit(plan, index)?;
    let Some(Remembered::Counted(known)) = memory.checks.get(index) else {
        return None;
    };
    // A cold cache may be slow; the end of the bake asks for the limit itself.
    let allowed = match (kind, next) {
        (CheckKind::Latency { .. }, Some(_)) => known.current.allowed,
        _ => limit * known.current.count.total,
    };
    let weight = next.unwrap_or(1.0).max(memory.current.weight);
    if !has_enough(&known.current) || known.run < need(weight, limit) {
        Some(Obstacle::TooFew)
    } else if keeps(&known.current, allowed) {
        None
    } else {
        Some(Obstacle::AboveLimit)
    }
}

/// A cold cache holds nothing up before the end of the bake.
fn cold(memory: &Memory, case: &Case<'_>, state: State, next: Option<f64>) -> Option<Obstacle> {
    let may_end = || {
        let expected = memory.expected(case.plan, memory.current.weight);
        expected.is_some_and(|expected| memory.warmth.may_end(expected))
    };
    match state {
        State::Warm => None,
        State::Unknown => Some(Obstacle::TooFew),
        State::Cold if next.is_some() || may_end() => None,
        State::Cold | State::Broken => Some(Obstacle::Warming),
    }
}

/// Whether a person's Promote takes it away: it accepts what is too close to call, not what is broken or cannot be carried.
pub fn is_accepted(obstacle: Obstacle, promote: Promote) -> bool {
    promote == Promote::Accepted
        && matches!(
            obstacle,
            Obstacle::Doubtful
                | Obstacle::TooFew
                | Obstacle::AboveLimit
                | Obstacle::NoBaseline
                | Obstacle::Warming
                | Obstacle::Mismatch
        )
}

/// What stands in the way, where all of it is of one kind.
pub fn left(obstacles: &[(Obstacle, Option<usize>)]) -> Option<Left> {
    let all = |is: fn(Obstacle) -> bool| obstacles.iter().all(|(obstacle, _)| is(*obstacle));
    if obstacles.is_empty() {
        None
    } else if all(|obstacle| obstacle == Obstacle::Hold) {
        Some(Left::Time)
    } else {
        all(|obstacle| is_accepted(obstacle, Promote::Accepted)).then_some(Left::Doubt)
    }
}

/// What the weight waits for, where it is not just the time.
pub fn cause(obstacles: &[(Obstacle, Option<usize>)]) -> Option<Cause> {
    let first = obstacles.iter().map(|(obstacle, _)| *obstacle).min()?;
    cause_of(first)
}

/// The cause of one obstacle.
pub fn cause_of(obstacle: Obstacle) -> Option<Cause> {
    match obstacle {
        Obstacle::Incident => Some(Cause::SharedIncident),
        Obstacle::Comparing => Some(Cause::Comparing),
        Obstacle::Mismatch => Some(Cause::ShareMismatch),
        Obstacle::NoBaseline => Some(Cause::NoBaseline),
        Obstacle::TooFew => Some(Cause::FewSamples),
        Obstacle::Origin => Some(Cause::OriginLimit),
        Obstacle::NoData | Obstacle::Hold | Obstacle::Doubtful | Obstacle::AboveLimit | Obstacle::Warming => None,
    }
}

/// Why the release is paused, while it is.
pub fn pause(memory: &Memory, plan: &Plan, obstacles: &[(Obstacle, Option<usize>)]) -> Option<Pause> {
    let stands = |wanted: Obstacle| obstacles.iter().any(|(obstacle, _)| *obstacle == wanted);
    let hold = plan.hold(memory.current.weight) * memory.steps_back.hold_factor();
    if memory.incidents.is_paused() {
        Some(Pause::SharedIncident)
    } else if stands(Obstacle::Origin) && !stands(Obstacle::Hold) {
        Some(Pause::OriginLimit)
    } else if memory.mismatched >= plan.no_data_deadline && stands(Obstacle::Mismatch) {
        Some(Pause::ShareMismatch)
    } else if memory.current.waited() <= patience(memory.current.told, hold) {
        None
    } else if memory.incidents.goes_on() {
        // What counts anew after each of them is short of requests and too close to call by turns.
        Some(Pause::SharedIncident)
    } else if stands(Obstacle::TooFew) {
        Some(Pause::FewSamples)
    } else if stands(Obstacle::NoBaseline) {
        Some(Pause::NoBaseline)
    } else if stands(Obstacle::AboveLimit) || stands(Obstacle::Doubtful) || stands(Obstacle::Comparing) {
        Some(Pause::Inconclusive)
    } else {
        stands(Obstacle::Warming).then_some(Pause::WarmingSlow)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tick::Count;
    use super::*;

    #[test]
    fn evidence_in_proportion_to_exposure() {
        for (limit, clean) in [(0.01, 268.0), (0.001, 2_703.0), (0.05, 52.0)] {
            assert!((need(1.0, limit).ceil() - clean).abs() < 1e-9, "{limit}");
        }
        for (weight, clean) in [(0.1, 27.0), (0.25, 67.0), (0.5, 134.0), (1.0, 268.0)] {
            assert!((need(weight, 0.01).ceil() - clean).abs() < 1e-9, "{weight}");
        }
        assert!((need(0.05, 0.01) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_step_keeps_its_limit_with_one_bad_request_however_few_there_are() {
        let step = |bad, total| StepCount {
            count: Count { bad, total },
            allowed: 0.01 * total,
        };
        assert!(keeps(&step(1.0, 10.0), 0.1));
        assert!(!keeps(&step(0.0, 9.0), 0.09));
        assert!(!keeps(&step(2.0, 150.0), 1.5));
        assert!(keeps(&step(2.0, 200.0), 2.0));
    }

    #[test]
    fn a_person_may_accept_doubts_and_nothing_besides() {
        for (obstacles, kind) in [
            (vec![], None),
            (vec![Obstacle::Hold], Some(Left::Time)),
            (vec![Obstacle::AboveLimit, Obstacle::TooFew], Some(Left::Doubt)),
            (vec![Obstacle::Hold, Obstacle::TooFew], None),
            (vec![Obstacle::Doubtful, Obstacle::Incident], None),
            (vec![Obstacle::NoData], None),
            (vec![Obstacle::Origin], None),
            (vec![Obstacle::Comparing], None),
        ] {
            let found: Obstacles = obstacles.iter().map(|obstacle| (*obstacle, None)).collect();
            assert_eq!(left(&found), kind, "{obstacles:?}");
        }
    }

    #[test]
    fn nobody_loses_patience_while_a_person_holds_the_weight() {
        let plan = Plan {
            tick: 15.0,
            steps: vec![super::super::tick::Step { weight: 1.0, hold: 0.0 }],
            bake: 0.0,
            checks: Vec::new(),
            cache: super::super::tick::Cache::default(),
            split: super::super::tick::Split::ByRequest,
            probes: super::super::tick::Probes::NotCounted,
            no_data_deadline: 600.0,
            lag: 0.0,
        };
        for (paused, pauses) in [(0.0, true), (7_000.0, false)] {
            let mut memory = Memory::default();
            for tick in 1..=500 {
                memory.go_on(15.0, f64::min(f64::from(tick) * 15.0, paused));
            }
            let found = pause(&memory, &plan, &[(Obstacle::TooFew, None)]);
            assert_eq!(found.is_some(), pauses, "{paused}");
            assert!((memory.current.held - (7_500.0 - paused)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_pause_in_the_middle_of_incidents_has_one_reason() {
        let plan = crate::engine::judge::properties::plan(None, None);
        let mut memory = Memory::default();
        memory.current.seconds = 1e5;
        memory.incidents.add(1e5, 300.0);
        for obstacle in [Obstacle::TooFew, Obstacle::AboveLimit] {
            assert_eq!(
                pause(&memory, &plan, &[(obstacle, Some(0))]),
                Some(Pause::SharedIncident)
            );
        }
        memory.incidents.end_after(2e5, 300.0);
        assert_eq!(
            pause(&memory, &plan, &[(Obstacle::AboveLimit, Some(0))]),
            Some(Pause::Inconclusive)
        );
    }

    #[test]
    fn an_old_version_that_is_never_seen_is_not_waited_for_without_a_pause() {
        for weight in [0.05, 1.0] {
            let mut memory = Memory::default();
            memory.current.weight = weight;
            let obstacles = [(Obstacle::NoBaseline, Some(0))];
            let plan = crate::engine::judge::properties::plan(None, None);
            assert_eq!(pause(&memory, &plan, &obstacles), None);
            memory.current.seconds = 3_601.0;
            assert_eq!(pause(&memory, &plan, &obstacles), Some(Pause::NoBaseline));
        }
    }

    #[test]
    fn patience_has_a_least_and_an_end() {
        for (told, hold, seconds) in [
            (300.0, 300.0, 3_600.0),
            (4_000.0, 300.0, 8_000.0),
            (0.0, 9_000.0, 21_600.0),
        ] {
            assert!((patience(told, hold) - seconds).abs() < 1e-9);
        }
    }
}
