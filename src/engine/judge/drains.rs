//! Whether requests still reach a version that has lost its traffic: what is asked, and how long that is waited for.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus, Duration,
        metric_source::Preset,
        plan::CheckKind,
        status::{Draining, Needed},
    },
    engine::{
        contract::{DrainQuestion, observed::Source},
        facts::Facts,
        judge::ticks,
    },
    provider::{Question, Subject, Version, Whose},
};

/// Requests in flight and proxies that lag are given this long after weight 0 before pods go.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Where requests cannot be counted, proxies are given this long …
const UNMEASURED: SignedDuration = SignedDuration::from_secs(60);
/// … and at least so many times `settle`.
const SETTLES: i32 = 5;

/// Scrapes that a window has room for: one before what is counted, and one after.
const SCRAPES: u64 = 2;

/// How this version's requests are counted, if they can be: by its pods, or by its Service.
fn counted(facts: &Facts<'_>, draining: &Draining) -> Option<(Source, CheckKind)> {
    let source = facts.seen.source?;
    let fits = match (draining.needs, source.preset) {
        // What reaches the Service cannot be told from what else reaches pods that serve on, and the other way round.
        (Needed::Service, Preset::App) | (Needed::Pods, Preset::Envoy) => false,
        (Needed::Service | Needed::ServiceAndPods | Needed::Unknown, Preset::Envoy) => true,
        // Users reach its pods by their own Service as well.
        (Needed::ServiceAndPods | Needed::Unknown, Preset::App) if reached_by_users(facts) => false,
        (Needed::ServiceAndPods | Needed::Unknown | Needed::Pods, Preset::App) => !sets_of(facts, draining).is_empty(),
    };
    let counts = |kind: &&CheckKind| matches!(kind, CheckKind::ErrorRate { .. } | CheckKind::Latency { .. });
    let kind = facts.plan.checks.iter().map(|check| &check.kind).find(counts)?;
    fits.then(|| (source, kind.clone()))
}

/// A Service of the user's that is narrow during a release is wide.
fn reached_by_users(facts: &Facts<'_>) -> bool {
    facts.mode.narrows_services() && facts.narrowed_services().any(|service| service.hash().is_none())
}

fn sets_of(facts: &Facts<'_>, draining: &Draining) -> Vec<String> {
    facts
        .replica_set(&draining.revision)
        .map(|set| set.name.clone())
        .into_iter()
        .collect()
}

/// Length of a window, and how long after its end its samples are visible.
fn window(facts: &Facts<'_>, source: Source) -> (Duration, SignedDuration) {
    let scrape = source.scrape_interval;
    let least = Duration::from_millis(scrape.as_millis().saturating_mul(SCRAPES));
    let lag = source.lag.map_or(scrape, |lag| lag.max(scrape));
    (ticks::interval(facts.plan, scrape).max(least), lag.signed())
}

/// The next window that lies wholly after `settle`: its earliest end, and when it can be asked for.
fn next_window(facts: &Facts<'_>, draining: &Draining, source: Source) -> (Timestamp, Timestamp) {
    let (length, lag) = window(facts, source);
    let settled = draining.since.plus(facts.plan.settle.signed());
    let from = draining.asked.map_or(settled, |asked| asked.max(settled));
    let first = ticks::grid_end(&facts.id.uid, length, from).plus(length.signed());
    let end = if first.duration_since(settled) < length.signed() {
        first.plus(length.signed())
    } else {
        first
    };
    (end, end.plus(lag).max(draining.since.plus(DRAIN.signed())))
}

/// When requests of this version can be looked for next.
pub fn due_at(facts: &Facts<'_>, draining: &Draining) -> Option<Timestamp> {
    counted(facts, draining).map(|(source, _)| next_window(facts, draining, source).1)
}

/// What is to be asked now, if anything is.
pub fn due(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<DrainQuestion> {
    status
        .draining
        .iter()
        .find_map(|draining| question(facts, status, draining))
}

fn question(facts: &Facts<'_>, status: &CanaryRolloutStatus, draining: &Draining) -> Option<DrainQuestion> {
    let (source, kind) = counted(facts, draining)?;
    let (earliest, due) = next_window(facts, draining, source);
    if facts.now < due {
        return None;
    }
    let (length, lag) = window(facts, source);
    // The newest window says most.
    let end = ticks::grid_end(&facts.id.uid, length, facts.now.minus(lag)).max(earliest);
    let start = end.minus(length.signed());
    let (canary_ports, ports) = ticks::ports_of_both(facts);
    let version = |replica_sets: Vec<String>, service: &str, ports, hash: &str| Version {
        workload: replica_sets.first().cloned().unwrap_or_default(),
        replica_sets,
        service: service.to_owned(),
        ports,
        hash: hash.to_owned(),
    };
    let stable = status.stable_revision.clone().unwrap_or_default();
    Some(DrainQuestion {
        revision: draining.revision.clone(),
        needs: draining.needs,
        question: Question {
            whose: Whose::New,
            subject: Subject {
                namespace: facts.id.namespace.clone(),
                protocols: ticks::protocols(facts),
                candidate: version(
                    sets_of(facts, draining),
                    &facts.plan.canary_service,
                    canary_ports,
                    &draining.revision,
                ),
                baseline: version(facts.stable(status).names(), &facts.plan.service, ports, &stable),
            },
            start,
            end,
            figures_since: start,
            run_started: draining.since,
            quantities: vec![ticks::quantity(&kind)],
        },
    })
}

/// Shortest time without any count after which nothing is expected to lag.
fn unmeasured(facts: &Facts<'_>) -> SignedDuration {
    facts.plan.settle.signed().saturating_mul(SETTLES).max(UNMEASURED)
}

/// When this version counts as left, requests or not: nothing waits for ever.
pub fn latest(facts: &Facts<'_>, draining: &Draining) -> Timestamp {
    draining
        .since
        .plus(facts.plan.progress_deadline.signed().max(unmeasured(facts)))
}

/// When this version counts as left if no request of it is counted until then.
pub fn left_at(facts: &Facts<'_>, draining: &Draining) -> Timestamp {
    let silent = draining
        .last_seen
        .unwrap_or(draining.since)
        .max(draining.since)
        .plus(unmeasured(facts));
    // Where requests can be counted, the first count is waited for.
    let first = counted(facts, draining).filter(|_| draining.asked.is_none());
    let first = first.map(|(source, _)| {
        let (length, _) = window(facts, source);
        next_window(facts, draining, source).1.plus(length.signed())
    });
    first
        .map_or(silent, |first| first.max(silent))
        .min(latest(facts, draining))
}
