//! When a tick of metrics is due and what it asks.

use crate::api::moment::Moment as _;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus, Duration,
        plan::{CheckKind, Plan, PlannedCheck},
        status::Run,
        traffic::RouteKind,
    },
    engine::facts::Facts,
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
    let judged = status.phase.is_judged();
    let since = run.step_started_at.filter(|_| judged)?;
    let scrape = facts
        .seen
        .source
        .map_or(SignedDuration::ZERO, |source| source.scrape_interval.signed());
    let sampled = run
        .weight_confirmed_at
        .filter(|_| !facts.plan.checks.iter().all(is_query));
    Some((
        run,
        sampled.map_or(since, |confirmed| since.max(confirmed.plus(scrape))),
    ))
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
    let earliest = if first_end.duration_since(start) < interval.signed() {
        first_end.plus(interval.signed())
    } else {
        first_end
    };
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

/// When the next tick can be asked for.
pub fn due_at(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<Timestamp> {
    next_tick(facts, status).map(|(_, end, lag)| end.plus(lag))
}

/// The tick that is due, if one is.
pub fn due(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<Question> {
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
    let stable = facts.stable(status);
    let (canary_ports, ports) = ports_of_both(facts);
    Some(Question {
        whose: Whose::New,
        subject: Subject {
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
        },
        start: start.max(end.minus(LONGEST_TICK)),
        end,
        figures_since: since.max(end.minus(FIGURES_WINDOW)),
        run_started: run.started_at,
        quantities: facts.plan.checks.iter().map(|check| quantity(&check.kind)).collect(),
    })
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

pub(super) fn quantity(kind: &CheckKind) -> Quantity {
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
