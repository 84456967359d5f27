//! How a look at the metrics of the running version enters the status, and what people are told of it.

use crate::{
    api::status::{Cause, CheckStatus, Inspection, Phase, Verdict},
    engine::{
        contract::observed::Inspected,
        draft::{Draft, events::Reason},
        facts::Facts,
        judge::inspection,
    },
};

/// Takes in what was found. Nothing of it refuses or holds a release: a version that mends what is broken must be releasable.
pub fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    let Some(seen) = &facts.seen.inspected else { return };
    let same = seen.basis == inspection::basis(facts);
    if !same || next.status().stable_revision.as_ref() != Some(&seen.revision) {
        return; // Checks, source or version changed between asking and answering.
    }
    let none = Err((Cause::BadReply, "the metrics store has not answered this".to_owned()));
    let readings = seen.readings.iter().chain(std::iter::repeat(&none));
    let checks: Vec<CheckStatus> = facts
        .plan
        .checks
        .iter()
        .zip(readings)
        .map(|(check, reading)| inspection::evaluate(check, reading, facts.now))
        .collect();
    let found = found(facts, next, seen, &checks);
    tell(facts, next, &found, &checks);
    next.note_inspection(found, checks);
}

fn found(facts: &Facts<'_>, next: &Draft, seen: &Inspected, checks: &[CheckStatus]) -> Inspection {
    let earlier = earlier(next, seen);
    let tries = earlier.map_or(0, |earlier| earlier.unread).saturating_add(1);
    let again_at = inspection::again_at(checks, tries, facts.now);
    let fails = |name: &String| {
        checks
            .iter()
            .any(|check| check.name == *name && check.verdict == Verdict::Fail)
    };
    // What was told stays told, also where a later look could not read it.
    let told = |name: &String| earlier.is_some_and(|earlier| earlier.broken.contains(name));
    let twice = earlier
        .filter(|_| again_at.is_some())
        .map(|earlier| earlier.scraped_twice.clone());
    let names = checks.iter().map(|check| &check.name);
    Inspection {
        at: facts.now,
        revision: seen.revision.clone(),
        basis: seen.basis.clone(),
        run: next
            .run()
            .filter(|_| next.status().phase == Phase::Preparing)
            .map_or(0, |run| run.number),
        unread: if again_at.is_some() { tries } else { 0 },
        again_at,
        broken: names.filter(|name| fails(name) || told(name)).cloned().collect(),
        scraped_twice: seen.scraped_twice.clone().or(twice).unwrap_or_default(),
        message: inspection::sentence(&facts.plan.checks, checks, again_at),
    }
}

/// The look before, if it was at the same version with the same checks and source.
fn earlier<'a>(next: &'a Draft, seen: &Inspected) -> Option<&'a Inspection> {
    let earlier = next.status().inspection.as_ref();
    earlier.filter(|earlier| earlier.basis == seen.basis && earlier.revision == seen.revision)
}

/// Tells of each limit that the running version breaks, and of a pod that is scraped twice, unless the look before has found it.
fn tell(facts: &Facts<'_>, next: &mut Draft, found: &Inspection, checks: &[CheckStatus]) {
    let earlier = next.status().inspection.as_ref();
    let earlier = earlier.filter(|earlier| earlier.basis == found.basis && earlier.revision == found.revision);
    let told = |name: &String| earlier.is_some_and(|earlier| earlier.broken.contains(name));
    let is_news = found.broken.iter().any(|name| !told(name));
    let twice_is_news =
        !found.scraped_twice.is_empty() && earlier.is_none_or(|earlier| earlier.scraped_twice.is_empty());
    if let Some(broken) = inspection::broken(&facts.plan.checks, checks).filter(|_| is_news) {
        next.tell(Reason::StableBreaksLimit, broken);
    }
    if twice_is_news {
        next.tell(Reason::ScrapedTwice, found.scraped_twice.clone());
    }
}
