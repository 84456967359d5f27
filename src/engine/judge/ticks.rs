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
pub(super) const FIGURES_WINDOW: SignedDuration = SignedDuration::from_secs(60);

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
    // So that a hold costs no more than its time, the tick by which it is served is cut, or made longer, to be judged when it ends;
    // and where that has too few requests, the next one to end with it.
    let goes_on = run.paused_for != Some(PauseReason::User);
    let hold_end = hold_end(facts, run, status.phase).filter(|_| goes_on);
    let judged_then = hold_end.map(|end| end.minus(counted_without(facts, run, status.phase)));
    // The first two of a step count for little, and are made no longer.
    let are_over = start.duration_since(since) >= interval.signed().saturating_mul(2);
    let longest = interval
        .signed()
        .saturating_add(if are_over { half } else { SignedDuration::ZERO });
    let with_the_hold = judged_then.into_iter().chain(hold_end).find(|end| {
        let length = end.duration_since(start);
        *end > asked && length >= half && length <= longest
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
    Some((start, earliest, lag(facts.plan, source)))
}

/// Counts need every sample of the tick; a query takes the newest one. Both wait until late samples have come.
fn lag(plan: &Plan, source: Source) -> SignedDuration {
    let least = if plan.checks.iter().all(is_query) {
        SignedDuration::ZERO
    } else {
        source.scrape_interval.signed()
    };
    source.lag.map_or(least, |lag| lag.signed().max(least))
}

/// So much of a hold passes while samples of the newest tick are waited for: at most a scrape, and nothing of it while a person
/// holds the weight. The bake begins with what was judged last, and ends so.
fn counted_without(facts: &Facts<'_>, run: &Run, phase: Phase) -> SignedDuration {
    let goes_on = phase == Phase::Shifting && run.paused_for != Some(PauseReason::User);
    let source = facts.seen.source.filter(|_| goes_on);
    source.map_or(SignedDuration::ZERO, |source| {
        lag(facts.plan, source).min(source.scrape_interval.signed())
    })
}

/// Seconds that a weight was held besides those that were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Unseen {
    /// Before the first tick of the step.
    pub lead: f64,
    /// Since the end of the newest one.
    pub lag: f64,
}

/// What of the present hold is in no tick, when one is judged.
pub fn unseen(facts: &Facts<'_>, run: &Run, phase: Phase) -> Unseen {
    let lead = held_since(run)
        .zip(step_since(facts, run))
        .map_or(SignedDuration::ZERO, |(held, counted)| {
            counted.duration_since(held).max(SignedDuration::ZERO)
        });
    Unseen {
        lead: lead.as_secs_f64(),
        lag: counted_without(facts, run, phase).as_secs_f64(),
    }
}

/// From when the hold of a step counts that has not been judged yet, or from when it goes on.
fn held_since(run: &Run) -> Option<Timestamp> {
    let began = run.step_started_at?;
    Some(run.judge.last_tick.map_or(began, |last| last.max(began)))
}

/// When the hold of a judged weight is served, if no interval is without data until then.
pub fn hold_end(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Timestamp> {
    if let Some(said) = &run.judge.said {
        return said.hold_until;
    }
    Some(held_since(run)?.plus(hold(facts, run, phase)?.signed()))
}

/// The hold of a judged weight in the plan.
fn hold(facts: &Facts<'_>, run: &Run, phase: Phase) -> Option<Duration> {
    let present = usize::try_from(run.step).unwrap_or(0).clamp(1, facts.plan.steps.len());
    if phase == Phase::Baking {
        Some(facts.plan.bake)
    } else {
        Some(facts.plan.steps.get(present.saturating_sub(1))?.hold)
    }
}

/// The hold of a judged weight is served: the judge has counted all of it, or there is none.
pub fn hold_served(facts: &Facts<'_>, run: &Run, phase: Phase) -> bool {
    let since = step_since(facts, run).filter(|since| facts.now >= *since);
    match &run.judge.said {
        Some(said) => said.hold_until <= run.judge.last_tick,
        None => since.is_some() && hold(facts, run, phase).is_some_and(|hold| hold.is_zero()),
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
        CheckKind::Ratio { bad, total, .. } => Quantity::Ratio {
            bad: bad.clone(),
            total: total.clone(),
        },
        CheckKind::Query { promql, .. } => Quantity::Scalar { promql: promql.clone() },
    }
}

#[cfg(test)]
mod tests;
