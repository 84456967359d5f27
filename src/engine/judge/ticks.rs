//! When a tick of metrics is due and what it asks.

use crate::api::moment::Moment as _;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus, Duration,
        plan::{CheckKind, Plan, PlannedCheck},
        status::{PauseReason, Phase, Run},
        traffic::RouteKind,
    },
    engine::{contract::observed::Source, facts::Facts},
    provider::{Protocol, Quantity, Question, Subject, Version, Whose},
    router::RouteState,
};

/// Shortest default interval. Asking more often than metrics are scraped repeats the same figures.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// Up to this many missed ticks are asked for one by one; more than these as a single tick.
const MADE_UP_FOR: i128 = 40;

/// Longest time that one question covers: stores answer longer ones slowly.
const LONGEST_TICK: SignedDuration = SignedDuration::from_mins(5);

/// The printed figures are over this much time.
const FIGURES_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// Length of a tick: at least a scrape, or ticks without a sample would look like ticks without a request.
pub fn interval(plan: &Plan, scrape_interval: Duration) -> Duration {
    plan.interval.unwrap_or(DEFAULT_INTERVAL).max(scrape_interval)
}

/// Groups into which an interval spreads the ticks of many rollouts. One wake for several of them costs a good part less
/// than one for each: code, connections and the processor are warm after the first.
const GROUPS: i128 = 20;

/// The newest end of a tick that is not after `latest`. Ticks end on a fixed grid; its offset comes from the UID and spreads
/// many rollouts over the interval.
pub(super) fn grid_end(uid: &str, interval: Duration, latest: Timestamp) -> Timestamp {
    let length = i128::from(interval.as_millis().max(1));
    let seed = uid
        .bytes()
        .fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 1_000_003);
    let apart = (length / GROUPS).max(1);
    let offset = i128::from(seed) % length / apart * apart;
    let end = (i128::from(latest.as_millisecond()) - offset).div_euclid(length) * length + offset;
    let end = i64::try_from(end)
        .ok()
        .and_then(|end| Timestamp::from_millisecond(end).ok());
    end.unwrap_or(latest)
}

/// The run and the moment from which its step is counted, if its weight is confirmed and judged. Counters are subtracted from
/// the newest sample before that moment, which is up to one scrape older: it has to be of this weight, too.
fn judged_step<'s>(facts: &Facts<'_>, status: &'s CanaryRolloutStatus) -> Option<(&'s Run, Timestamp)> {
    let run = status.run.as_ref().filter(|run| run.intent.is_none())?;
    let since = step_since(facts, run).filter(|_| status.phase.is_judged())?;
    Some((run, since))
}

/// The moment from which the run's step is counted.
fn step_since(facts: &Facts<'_>, run: &Run) -> Option<Timestamp> {
    let since = run.step_started_at?;
    let scrape = facts
        .seen
        .source
        .map_or(SignedDuration::ZERO, |source| source.scrape_interval.signed());
    let sampled = run
        .weight_confirmed_at
        .filter(|_| !facts.plan.checks.iter().all(is_query));
    Some(sampled.map_or(since, |confirmed| since.max(confirmed.plus(scrape))))
}

fn is_query(check: &PlannedCheck) -> bool {
    matches!(check.kind, CheckKind::Query { .. })
}

/// Of the next tick: its start, its earliest end, and how long after its end its samples are visible.
fn next_tick(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Timestamp, Timestamp, SignedDuration)> {
    let (run, since) = judged_step(facts, status)?;
    let source = facts.seen.source.filter(|_| !facts.plan.checks.is_empty())?;
    let interval = interval(facts.plan, source.scrape_interval);
    let start = run.judge.last_tick.map_or(since, |last| last.max(since));
    let asked = run.judge.last_asked.map_or(start, |last| last.max(start));
    let first_end = grid_end(&facts.id.uid, interval, asked).plus(interval.signed());
    let half = interval.signed().checked_div(2).unwrap_or_default();
    // The first tick begins with the step, and is joined to the next one where it would be short.
    let earliest = if first_end.duration_since(start) < half {
        first_end.plus(interval.signed())
    } else {
        first_end
    };
    // So that a hold costs no more than its time, the tick in which it ends is cut, or made longer, to end with it.
    let goes_on = run.paused_for != Some(PauseReason::User);
    let with_the_hold = hold_end(facts, run, status.phase).filter(|end| {
        let length = end.duration_since(start);
        goes_on && *end > asked && length >= half && length <= interval.signed().saturating_add(half)
    });
    let earliest = with_the_hold.unwrap_or(earliest);
    let scrape = source.scrape_interval.signed();
    let checks = &facts.plan.checks;
    // A query returns the newest sample, which is up to one scrape old: it must be of this step.
    let fresh = since.plus(scrape);
    let stale = earliest < fresh && checks.iter().any(is_query);
    let earliest = if stale {
        grid_end(&facts.id.uid, interval, fresh.minus(SignedDuration::from_millis(1))).plus(interval.signed())
    } else {
        earliest
    };
    // Counts need every sample of the tick; a query takes the newest one. Both wait until late samples have come.
    let least = if checks.iter().all(is_query) {
        SignedDuration::ZERO
    } else {
        scrape
    };
    let lag = source.lag.map_or(least, |lag| lag.signed().max(least));
    Some((start, earliest, lag))
}

/// When the hold of a judged weight is served, if no interval is without data until then.
pub fn hold_end(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Timestamp> {
    if let Some(said) = &run.judge.said {
        return said.hold_until;
    }
    let since = step_since(facts, run)?;
    let present = usize::try_from(run.step).unwrap_or(0).clamp(1, facts.plan.steps.len());
    let hold = if phase == Phase::Baking {
        facts.plan.bake
    } else {
        facts.plan.steps.get(present.saturating_sub(1))?.hold
    };
    let since = run.judge.last_tick.map_or(since, |last| last.max(since));
    Some(since.plus(hold.signed()))
}

/// The hold of a judged weight is served: the judge has counted all of it, or there is none.
pub fn hold_served(facts: &Facts<'_>, run: &Run) -> bool {
    let since = step_since(facts, run).filter(|since| facts.now >= *since);
    match &run.judge.said {
        Some(said) => said.hold_until <= run.judge.last_tick,
        None => since.is_some() && hold_end(facts, run, Phase::Shifting).is_some_and(|end| Some(end) <= since),
    }
}

/// Before the first weight the old version is looked back on with so many questions, …
const QUESTIONS_BEFORE: i32 = 8;
/// … each about so many intervals, …
const INTERVALS_OF_ONE: i32 = 5;
/// … for which the first weight waits no longer than this.
const LONGEST_LOOK_BACK: SignedDuration = SignedDuration::from_secs(60);

/// The next stretch of time before the release of which the old version's numbers are asked for.
fn next_before(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Timestamp, Timestamp)> {
    let run = status.run.as_ref().filter(|_| status.phase == Phase::Preparing)?;
    let begun = run.weight_confirmed_at.is_some() || run.recovery;
    let counts = !facts.plan.checks.iter().all(is_query);
    let source = facts.seen.source.filter(|_| counts && !begun)?;
    if facts.now >= before_ends(run) {
        return None;
    }
    let interval = interval(facts.plan, source.scrape_interval).signed();
    let part = interval.saturating_mul(INTERVALS_OF_ONE).min(LONGEST_TICK);
    let last = run.started_at.minus(lag_of_counts(source));
    let first = last.minus(part.saturating_mul(QUESTIONS_BEFORE));
    let start = run.judge.last_asked.map_or(first, |asked| asked.max(first));
    let end = start.plus(part);
    (end <= last).then_some((start, end))
}

/// A weight that was taken back to 0 is given again by what the old version did in so many intervals before.
const INTERVALS_AT_REST: i32 = 8;

/// The next interval of a rest at 0 of which the old version's numbers are asked for, and how long after its end they can be.
fn next_at_rest(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Timestamp, Timestamp, SignedDuration)> {
    let run = status.run.as_ref().filter(|_| status.phase == Phase::Preparing)?;
    let until = run.judge.rests_until?;
    let counts = !facts.plan.checks.iter().all(is_query);
    let source = facts.seen.source.filter(|_| counts)?;
    let interval = interval(facts.plan, source.scrape_interval).signed();
    let lag = lag_of_counts(source);
    let first = until.minus(lag).minus(interval.saturating_mul(INTERVALS_AT_REST));
    // Before the last tick the new version still had traffic.
    let known = run.judge.last_tick.max(run.judge.last_asked);
    let start = known.map_or(first, |known| known.max(first));
    let end = start.plus(interval);
    (end.plus(lag) <= until).then_some((start, end, lag))
}

/// How long after a moment all samples of counters are there.
fn lag_of_counts(source: Source) -> SignedDuration {
    let stated = source.lag.map_or(SignedDuration::ZERO, Duration::signed);
    stated.max(source.scrape_interval.signed())
}

/// The first weight waits for the old version's numbers.
pub fn looks_back(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    next_before(facts, status).is_some()
}

/// Until when it waits for them.
pub fn before_ends(run: &Run) -> Timestamp {
    run.started_at.plus(LONGEST_LOOK_BACK)
}

/// When the next tick can be asked for.
pub fn due_at(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<Timestamp> {
    if let (Some(_), Some(run)) = (next_before(facts, status), &status.run) {
        // At once, but not in the pass that has begun the release.
        return Some(run.started_at.plus(SignedDuration::from_millis(1)));
    }
    let next = next_at_rest(facts, status).or_else(|| next_tick(facts, status));
    next.map(|(_, end, lag)| end.plus(lag))
}

/// The tick that is due, if one is.
pub fn due(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<Question> {
    let at_rest = next_at_rest(facts, status).filter(|(_, end, lag)| facts.now >= end.plus(*lag));
    let of_the_old = next_before(facts, status).or(at_rest.map(|(start, end, _)| (start, end)));
    if let (Some((start, end)), Some(run)) = (of_the_old, &status.run) {
        let mut subject = subject(facts, status, run);
        // The new version counts nothing without traffic: the old one is asked for in its place.
        subject.candidate = subject.baseline.clone();
        return Some(Question {
            whose: Whose::Running,
            subject,
            start,
            end,
            figures_since: start,
            run_started: run.started_at,
            quantities: quantities(facts),
        });
    }
    let (start, earliest, lag) = next_tick(facts, status)?;
    let (run, since) = judged_step(facts, status)?;
    if facts.now < earliest.plus(lag) {
        return None;
    }
    let interval = interval(facts.plan, facts.seen.source?.scrape_interval);
    let newest = grid_end(&facts.id.uid, interval, facts.now.minus(lag));
    // One by one, so that a restart changes no result.
    let missed = newest.duration_since(earliest).as_millis() / i128::from(interval.as_millis().max(1));
    let end = if missed > MADE_UP_FOR { newest } else { earliest };
    Some(Question {
        whose: Whose::New,
        subject: subject(facts, status, run),
        start: start.max(end.minus(LONGEST_TICK)),
        end,
        figures_since: since.max(end.minus(FIGURES_WINDOW)),
        run_started: run.started_at,
        quantities: quantities(facts),
    })
}

/// The two versions, by the names under which they are measured.
fn subject(facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Subject {
    let stable = facts.stable(status);
    let (canary_ports, ports) = ports_of_both(facts);
    Subject {
        namespace: facts.id.namespace.clone(),
        protocols: protocols(facts),
        candidate: Version {
            workload: facts.mode.candidate_workload(facts, run),
            replica_sets: vec![run.replica_set.clone()],
            service: facts.plan.canary_service.clone(),
            ports: canary_ports,
            hash: run.revision.clone(),
        },
        baseline: Version {
            workload: facts.mode.stable_workload(facts, &stable),
            replica_sets: stable.names(),
            service: facts.plan.service.clone(),
            ports,
            hash: status.stable_revision.clone().unwrap_or_default(),
        },
    }
}

/// One for each check.
fn quantities(facts: &Facts<'_>) -> Vec<Quantity> {
    facts.plan.checks.iter().map(|check| quantity(&check.kind)).collect()
}

fn protocol(kind: RouteKind) -> Protocol {
    match kind {
        RouteKind::Http => Protocol::Http,
        RouteKind::Grpc => Protocol::Grpc,
    }
}

/// Ports, and what is spoken there.
type Ports = BTreeSet<(u16, Protocol)>;

/// Those of one version in all routes.
fn ports(facts: &Facts<'_>, of: impl Fn(&RouteState) -> &BTreeSet<u16>) -> Ports {
    facts
        .found_routes()
        .flat_map(|(id, route)| of(&route.state).iter().map(|port| (*port, protocol(id.kind))))
        .collect()
}

/// Ports of the new version in all routes, and of the old one: the same, where no entry of its own says others.
pub(super) fn ports_of_both(facts: &Facts<'_>) -> (Ports, Ports) {
    let stable = ports(facts, |state| &state.ports);
    let own = ports(facts, |state| &state.canary_ports);
    (if own.is_empty() { stable.clone() } else { own }, stable)
}

/// What is spoken in each route.
pub(super) fn protocols(facts: &Facts<'_>) -> BTreeSet<Protocol> {
    facts.plan.routes.iter().map(|route| protocol(route.kind)).collect()
}

/// What a check asks.
pub fn quantity(kind: &CheckKind) -> Quantity {
    match kind {
        CheckKind::ErrorRate { .. } => Quantity::Requests,
        CheckKind::Latency { quantile, max } => Quantity::Latency {
            limit: max.as_secs_f64(),
            quantile: quantile.fraction(),
        },
        CheckKind::HitRatio { .. } => Quantity::Lookups,
        CheckKind::Query { promql, .. } => Quantity::Scalar { promql: promql.clone() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn ticks_of_many_rollouts_come_in_groups_that_are_spread_over_the_interval() {
        let now: Timestamp = "2026-01-01T00:00:07.5Z".parse().unwrap();
        for interval in [Duration::from_secs(10), Duration::from_secs(1)] {
            let ends = (0..400).map(|n| grid_end(&format!("{n:08}-uid"), interval, now));
            let mut groups = BTreeMap::<_, usize>::new();
            ends.for_each(|end| *groups.entry(now.duration_since(end)).or_default() += 1);
            let apart = interval.signed() / 20;
            assert!(
                groups
                    .keys()
                    .all(|since| *since < interval.signed() && since.as_millis() % apart.as_millis() == 0),
                "{groups:?}"
            );
            assert!(
                groups.len() == 20 && groups.values().all(|members| *members < 60),
                "{groups:?}"
            );
        }
    }
}
