//! The look at the running version's metrics before a release: when it is due, what it asks, and what it says.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        plan::{CheckKind, PlannedCheck},
        status::{Cause, CheckStatus, Evidence, NO_FIGURE, Phase, Verdict},
    },
    engine::{
        contract::{InspectionQuestion, observed::Deletion},
        facts::{Facts, text},
        judge::{checks::KNOWN, figures, says, tick::Count, ticks, warmth::USUAL_DROP, wilson},
    },
    provider::{Question, Reading, Subject, Version, Whose},
    workload::template::revision_of,
};

/// What counts happened in so much time. Stores answer longer questions slowly.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// A look that has read nothing is repeated after this time, then after twice that, and so on …
const FIRST_REPEAT: SignedDuration = SignedDuration::from_secs(30);
/// … up to this.
const LONGEST_REPEAT: SignedDuration = SignedDuration::from_mins(10);
/// Series that are not there are looked for so many times more: pods that have just started are scraped a moment later.
const REPEATS_WITHOUT_SERIES: i32 = 3;

/// Digest of what a look rests on: another one asks for another look.
pub fn basis(facts: &Facts<'_>) -> String {
    let plan = facts.plan;
    let basis = (&plan.checks, &plan.source, plan.interval, &facts.seen.source_spec);
    revision_of(&format!("{basis:?}"), 0)
}

/// When the metrics of the running version are to be looked at: at rest once for the same checks and the same source, and again
/// when a release begins. One that could not be made is repeated at rest.
pub fn due_at(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<Timestamp> {
    let preparing = status.phase == Phase::Preparing;
    if !(preparing || status.phase.is_at_rest()) || !can_be_made(facts, status) {
        return None;
    }
    let known = status.inspection.as_ref();
    let Some(known) = known.filter(|known| known.basis == basis(facts)) else {
        return Some(facts.now);
    };
    if preparing {
        let run = status.run.as_ref()?;
        return (known.run != run.number).then_some(facts.now);
    }
    known.again_at
}

/// There is something to ask about, and somebody to ask.
fn can_be_made(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    facts.seen.source.is_some()
        && !facts.plan.checks.is_empty()
        && facts.seen.deletion == Deletion::No
        && status.taken_over()
        && !facts.mode.is_over(status)
        && !facts.rolls_out(status)
        && facts.stable(status).ready() > 0
}

/// What is to be asked now, if anything is.
pub fn due(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<InspectionQuestion> {
    if due_at(facts, status)? > facts.now {
        return None;
    }
    let source = facts.seen.source?;
    let scrape = source.scrape_interval;
    let end = facts
        .now
        .minus(source.lag.map_or(scrape, |lag| lag.max(scrape)).signed());
    let start = end.minus(WINDOW);
    let stable = facts.stable(status);
    let revision = status.stable_revision.clone().unwrap_or_default();
    let (canary_ports, ports) = ticks::ports_of_both(facts);
    let is_canary = stable.service == facts.plan.canary_service;
    let running = Version {
        workload: facts.mode.stable_workload(facts, &stable),
        replica_sets: stable.names(),
        service: stable.service.to_owned(),
        ports: if is_canary { canary_ports } else { ports },
        hash: revision.clone(),
    };
    let checks = &facts.plan.checks;
    Some(InspectionQuestion {
        revision,
        basis: basis(facts),
        question: Question {
            whose: Whose::Running,
            subject: Subject {
                namespace: facts.id.namespace.clone(),
                protocols: ticks::protocols(facts),
                candidate: running.clone(),
                baseline: running,
            },
            start,
            end,
            figures_since: start,
            // None of its pods came with a release of which all samples are known.
            run_started: end,
            quantities: checks.iter().map(|check| ticks::quantity(&check.kind)).collect(),
        },
    })
}

/// When a look is repeated after which `unread` in a row have read nothing; not at all if it has read something, or what it
/// found missing does not come by waiting.
pub fn again_at(checks: &[CheckStatus], unread: i32, now: Timestamp) -> Option<Timestamp> {
    let comes_by_waiting = |check: &CheckStatus| match check.cause {
        Some(Cause::ProviderDown | Cause::Unauthorized | Cause::BadReply | Cause::PartialReply) => true,
        Some(Cause::Empty | Cause::Stale | Cause::Late) => unread <= REPEATS_WITHOUT_SERIES,
        _ => false,
    };
    let is_unread = checks.iter().all(|check| check.verdict == Verdict::NoData) && checks.iter().any(comes_by_waiting);
    let doublings = u32::try_from(unread.saturating_sub(1)).unwrap_or_default();
    let wait = FIRST_REPEAT
        .saturating_mul(2_i32.saturating_pow(doublings))
        .min(LONGEST_REPEAT);
    is_unread.then(|| now.plus(wait))
}

/// What is said of one check.
pub fn evaluate(check: &PlannedCheck, reading: &Result<Reading, (Cause, String)>, now: Timestamp) -> CheckStatus {
    let mut entry = super::unread(check, now);
    match reading {
        Ok(reading) => {
            (entry.verdict, entry.cause) = at_once(&check.kind, reading);
            // There is no new version: the figure is that of the one which will be the old one.
            entry.baseline = figures::values(&check.kind, reading).0;
            entry.evidence = evidence(&check.kind, reading);
            let counted = words(&check.kind, entry.evidence.as_ref());
            if entry.verdict == Verdict::Wait {
                let minutes = WINDOW.as_mins();
                entry.message = match entry.cause {
                    Some(Cause::NoTraffic) => format!("the running version had none in {minutes}m"),
                    _ => format!("{counted}: too few to say whether the limit is kept"),
                };
            } else {
                entry.message = relative(&check.kind, reading).unwrap_or_default();
            }
        }
        Err((cause, message)) => {
            entry.cause = Some(*cause);
            entry.message.clone_from(message);
        }
    }
    entry
}

/// What a limit relative to the running version comes to, if there is one.
fn relative(kind: &CheckKind, reading: &Reading) -> Option<String> {
    let Reading::Counts { candidate, .. } = reading else {
        return None;
    };
    let count = Count {
        bad: candidate.bad,
        total: candidate.total,
    };
    let (limit, things) = match kind {
        CheckKind::ErrorRate {
            max_increase: Some(by), ..
        } => {
            let most = (wilson::upper(count) + by.fraction()).min(1.0);
            let says = format!(
                "with maxIncrease {by} up to {} of a new version's requests may fail",
                says::percent(most)
            );
            (says, "requests")
        }
        CheckKind::HitRatio { min, max_drop } if max_drop.is_some() || min.is_none() => {
            let drop = max_drop.map_or(USUAL_DROP, Percent::fraction);
            let least = (1.0 - count.share() - drop).max(0.0);
            let says = match max_drop {
                Some(drop) => format!(
                    "with maxDrop {drop} a new version's cache has to reach {}",
                    says::percent(least)
                ),
                None => format!(
                    "without min or maxDrop a new version's cache has to reach {}",
                    says::percent(least)
                ),
            };
            (says, "lookups")
        }
        CheckKind::ErrorRate { .. }
        | CheckKind::HitRatio { .. }
        | CheckKind::Latency { .. }
        | CheckKind::Ratio { .. }
        | CheckKind::Query { .. } => return None,
    };
    Some(if count.total < KNOWN {
        format!(
            "{limit}; a release waits until it has seen {KNOWN} {things} of the old version, and in {}m there were {:.0}",
            WINDOW.as_mins(),
            count.total
        )
    } else {
        limit
    })
}

/// This many requests or lookups say something.
const ENOUGH: f64 = 50.0;

/// What one reading says by itself: it is of a version that nobody judges, so nothing follows from it.
fn at_once(kind: &CheckKind, reading: &Reading) -> (Verdict, Option<Cause>) {
    match reading {
        Reading::Counts { candidate, .. } if candidate.total <= 0.0 => (Verdict::Wait, Some(Cause::NoTraffic)),
        Reading::Counts { candidate, .. } if candidate.total < ENOUGH => (Verdict::Wait, Some(Cause::FewSamples)),
        reading if is_good(kind, reading) => (Verdict::Pass, None),
        _ => (Verdict::Fail, None),
    }
}

/// Whether a reading, taken by itself, keeps the limit.
fn is_good(kind: &CheckKind, reading: &Reading) -> bool {
    match (reading, kind) {
        // Shares such as 1% are not exact in binary; a millionth of a request is nobody's error.
        (Reading::Counts { candidate, .. }, kind) => {
            allowed(kind).is_none_or(|share| candidate.bad <= share * candidate.total + 1e-6)
        }
        (Reading::Scalar { candidate, .. }, CheckKind::Query { max, min, .. }) => {
            max.is_none_or(|max| *candidate <= max) && min.is_none_or(|min| *candidate >= min)
        }
        (Reading::Scalar { .. }, _) => true,
    }
}

/// Greatest share of bad ones, unless the limit is the running version's own share.
fn allowed(kind: &CheckKind) -> Option<f64> {
    match kind {
        CheckKind::ErrorRate { max, .. } => max.map(Percent::fraction),
        CheckKind::Latency { quantile, .. } => Some(quantile.slow_share()),
        CheckKind::HitRatio { min, .. } => min.map(|min| min.complement().fraction()),
        CheckKind::Ratio { max, .. } => Some(max.fraction()),
        CheckKind::Query { .. } => None,
    }
}

/// What the verdict rests on.
fn evidence(kind: &CheckKind, reading: &Reading) -> Option<Evidence> {
    let Reading::Counts { candidate, .. } = reading else {
        return None;
    };
    // There is no new version: all is of the one which will be the old one.
    Some(Evidence {
        baseline_bad: candidate.bad,
        baseline_total: candidate.total,
        limit: allowed(kind).unwrap_or_default(),
        ..Evidence::default()
    })
}

/// The same in words.
fn words(kind: &CheckKind, evidence: Option<&Evidence>) -> String {
    let Some(counted) = evidence else {
        return "one value of the running version".to_owned();
    };
    let (what, bad) = match kind {
        CheckKind::HitRatio { .. } => ("lookups", "missed"),
        CheckKind::Latency { .. } => ("requests", "slower"),
        CheckKind::Ratio { .. } => ("samples", "were bad"),
        CheckKind::ErrorRate { .. } | CheckKind::Query { .. } => ("requests", "failed"),
    };
    let minutes = WINDOW.as_mins();
    format!(
        "{:.0} of {:.0} {what} of the running version {bad} in {minutes}m",
        counted.baseline_bad, counted.baseline_total
    )
}

/// One check's figure and limit, such as `p99 182ms (p99 <= 300ms)`.
fn figure(check: &PlannedCheck, said: &CheckStatus) -> String {
    let value = said.baseline.as_deref().unwrap_or(NO_FIGURE);
    format!("{} {value} ({})", figures::noun(&check.kind), said.threshold)
}

/// The checks of one verdict, each as `text` says.
fn those<'a>(
    checks: &'a [PlannedCheck],
    said: &'a [CheckStatus],
    verdict: Verdict,
    text: fn(&PlannedCheck, &CheckStatus) -> String,
) -> Option<String> {
    let pairs = checks.iter().zip(said).filter(|(_, said)| said.verdict == verdict);
    let texts: Vec<String> = pairs.map(|(check, said)| text(check, said)).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// The limits that the running version breaks, with figures, if it breaks any of these checks.
pub fn broken(checks: &[PlannedCheck], said: &[CheckStatus]) -> Option<String> {
    let broken = those(checks, said, Verdict::Fail, |check, said| {
        format!(
            "{}, {}",
            figure(check, said),
            words(&check.kind, said.evidence.as_ref())
        )
    })?;
    Some(format!(
        "the running version itself breaks {broken}: a release that is no better will be rolled back"
    ))
}

/// What was found, in one sentence with numbers.
pub fn sentence(checks: &[PlannedCheck], said: &[CheckStatus], again_at: Option<Timestamp>) -> String {
    if let Some(at) = again_at {
        let why = said.first().map(|check| check.message.as_str()).unwrap_or_default();
        let at = text::clock(at);
        return format!(
            "the metrics of the running version cannot be read yet ({why}); they are looked at again at {at}"
        );
    }
    let unread = those(checks, said, Verdict::NoData, |_, said| {
        let cause = said.cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
        format!("check {} has no data{cause}: {}", said.name, said.message)
    });
    let unread = unread.map(|unread| format!("{unread}; as long as that is so a release waits at its first weight"));
    let few = those(checks, said, Verdict::Wait, |_, said| {
        format!("check {}: {}", said.name, said.message)
    });
    let kept = those(checks, said, Verdict::Pass, figure).map(|kept| format!("the running version keeps {kept}"));
    let judged = said
        .iter()
        .filter(|said| matches!(said.verdict, Verdict::Pass | Verdict::Fail) && !said.message.is_empty());
    let relative: Vec<&str> = judged.map(|said| said.message.as_str()).collect();
    let relative = (!relative.is_empty()).then(|| relative.join("; "));
    let parts = [broken(checks, said), unread, few, kept, relative];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
