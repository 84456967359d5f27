//! What is told of a world, as its parameters: a tick of it is a second.

use anyhow::bail;

use super::{
    file::Subject,
    spec::{Cold, Faults, Simulation},
    world::params::{self, Incident, Params, Start},
};
use crate::api::{Duration, Percent, cache::Placement, plan::CheckKind};

/// Slow is what takes longer than this, where nothing else is said.
const SLOW: Duration = Duration::from_millis(300);
/// A database without a limit, in queries per second.
const ENDLESS: f64 = 1e12;
/// More requests per second are not simulated.
const MOST: f64 = 1e7;
/// More keys are not simulated.
const MOST_KEYS: f64 = 1e9;
/// A MetricSource has no longer one.
const LONGEST_SCRAPE: Duration = Duration::from_mins(10);
/// Within less nothing is seen.
const SHORTEST: Duration = Duration::from_mins(1);
/// A longer time is not simulated.
const LONGEST: Duration = Duration::from_mins(7 * 24 * 60);

/// What is called slow.
pub fn slow(subject: &Subject) -> Duration {
    let latencies = subject.plan.checks.iter().filter_map(|check| match check.kind {
        CheckKind::Latency { max, .. } => Some(max),
        CheckKind::ErrorRate { .. }
        | CheckKind::HitRatio { .. }
        | CheckKind::Ratio { .. }
        | CheckKind::Query { .. } => None,
    });
    let stated = subject.simulation.traffic.slow;
    stated.or(latencies.into_iter().next()).unwrap_or(SLOW)
}

/// The world's parameters.
pub fn params(subject: &Subject) -> anyhow::Result<Params> {
    let simulation = &subject.simulation;
    let cold = simulation.cache.cold.as_ref();
    checked(subject)?;
    let placement = match subject.plan.placement {
        Some(Placement::Shared) => params::Placement::Shared,
        Some(Placement::PerVersion) | None => params::Placement::PerVersion,
        Some(Placement::PerPod) => params::Placement::PerPod,
    };
    let rate = simulation.traffic.requests_per_second;
    Ok(Params {
        tick: 1.0,
        rate,
        capacity: simulation.database.queries_per_second.unwrap_or(ENDLESS),
        mb: simulation.cache.hit_ratio.complement().fraction(),
        be: simulation.traffic.errors.fraction(),
        placement,
        cold: cold.map(|cold| (cold.keys, cold.skew)),
        ttl: subject.plan.ttl.map(Duration::as_secs_f64),
        pod_rps: cold.map(|_| rate / f64::from(simulation.traffic.pods)),
        slow_miss: simulation.database.slow.fraction(),
        sampled: simulation.cache.sampled.fraction(),
        stale: (simulation.cache.stale.fraction() + simulation.faults.stale.fraction()).min(1.0),
        stale_usual: simulation.cache.stale.fraction(),
        ..faulty(&simulation.faults)
    })
}

fn faulty(faults: &Faults) -> Params {
    let from = |weight: Percent| weight.fraction();
    Params {
        onset: seconds(faults.after),
        err: faults.errors.fraction(),
        err_at: faults
            .errors_from
            .as_ref()
            .map(|fault| (from(fault.weight), fault.errors.fraction())),
        slow: faults.slow.fraction(),
        hang: faults.hang.fraction(),
        poison: faults.old_errors.fraction(),
        flat: faults.hit_ratio.map(Percent::fraction),
        amp: faults
            .queries_per_miss_from
            .as_ref()
            .map(|fault| (from(fault.weight), fault.queries)),
        incident: faults.incident.as_ref().map(|incident| Incident {
            errors: incident.errors.fraction(),
            slow: incident.slow.fraction(),
            ticks: seconds(incident.lasts),
            start: Start::At(seconds(incident.at)),
        }),
        down: faults
            .database_stops
            .as_ref()
            .map(|stop| (seconds(stop.at), seconds(stop.lasts))),
        ..Params::default()
    }
}

/// Whole seconds, of a length that is not longer than a week.
pub fn seconds(length: Duration) -> u32 {
    u32::try_from(length.as_millis() / 1_000).unwrap_or(u32::MAX)
}

fn checked(subject: &Subject) -> anyhow::Result<()> {
    let simulation = &subject.simulation;
    within(
        "traffic.requestsPerSecond",
        simulation.traffic.requests_per_second,
        0.0,
        MOST,
    )?;
    within("traffic.pods", f64::from(simulation.traffic.pods), 1.0, 1_000.0)?;
    if let Some(capacity) = simulation.database.queries_per_second {
        within("database.queriesPerSecond", capacity, 1.0, ENDLESS)?;
    }
    if let Some(fault) = &simulation.faults.queries_per_miss_from {
        within("faults.queriesPerMissFrom.queries", fault.queries, 0.0, 1e6)?;
    }
    if let Some(Cold { keys, skew }) = &simulation.cache.cold {
        within("cache.cold.keys", *keys, 1.0, MOST_KEYS)?;
        within("cache.cold.skew", *skew, 0.0, 3.0)?;
        if subject.plan.placement == Some(Placement::Shared) {
            bail!(
                "cache.cold: the CanaryRollout says `placement: Shared`, and a cache that is shared does not begin cold"
            );
        }
    }
    times(simulation)
}

fn times(simulation: &Simulation) -> anyhow::Result<()> {
    for (index, asked) in simulation.actions.iter().enumerate() {
        if asked.at > simulation.duration {
            bail!(
                "actions[{index}].at is {}, when the simulation is over: write at most {}",
                asked.at,
                simulation.duration
            );
        }
    }
    if simulation.duration < SHORTEST || simulation.duration > LONGEST {
        bail!("duration is {}: write {SHORTEST} to {LONGEST}", simulation.duration);
    }
    let scrape = simulation.scrape_interval;
    if scrape < Duration::from_secs(1) || scrape > LONGEST_SCRAPE {
        bail!("scrapeInterval is {scrape}: write 1s to {LONGEST_SCRAPE}");
    }
    if simulation.traffic.slow.is_some_and(|slow| slow.is_zero()) {
        bail!("traffic.slow is 0s: write how long a slow request takes at least, such as 300ms");
    }
    Ok(())
}

fn within(field: &str, value: f64, least: f64, most: f64) -> anyhow::Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    bail!("{field} is {value}: write {least} to {most}")
}
