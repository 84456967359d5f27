//! What people read of versions that have lost their traffic: why their pods and the canary Service are still there.

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        status::{Draining, Kept, NO_FIGURE},
    },
    engine::{
        facts::{Facts, quiet, text::clock},
        judge::drains,
    },
};

/// What is still there between releases, and until when, after a semicolon; the old version that stands by is told of
/// elsewhere.
pub fn message(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
    let draining = status.draining.iter().map(|draining| drains(facts, draining));
    let kept = status.kept.iter().filter_map(|kept| stays(facts, status, kept));
    draining.chain(kept).fold(String::new(), |all, text| all + "; " + &text)
}

fn drains(facts: &Facts<'_>, draining: &Draining) -> String {
    let what = match (
        draining.holds_service(),
        draining.holds_pods() && facts.mode.keeps_pods(),
    ) {
        (true, true) => format!("Service {} and its pods stay", facts.plan.canary_service),
        (true, false) => format!("the entry of Service {} stays", facts.plan.canary_service),
        (false, _) => "its pods stay".to_owned(),
    };
    let since = clock(draining.since);
    let revision = &draining.revision;
    let latest = clock(drains::latest(facts, draining));
    let counted = draining.last_seen.filter(|last| Some(*last) == draining.asked);
    let now = counted.map_or_else(
        || format!("at {} if none is seen", clock(drains::left_at(facts, draining))),
        |last| format!("{} until {}", draining.requests, clock(last)),
    );
    format!(
        "{what} until no request reaches revision {revision}, which lost its traffic at {since}: {now}; at the latest at {latest}"
    )
}

/// Why pods that are only kept to be looked at are still there.
fn stays(facts: &Facts<'_>, status: &CanaryRolloutStatus, kept: &Kept) -> Option<String> {
    let set = facts.replica_set(&kept.revision).filter(|set| set.total > 0)?;
    if quiet::pods_in_use(status, &kept.revision) {
        return None;
    }
    if kept.until <= facts.now {
        let stable = facts.serving(status)?;
        let wanted = facts.size_for(Percent::FULL);
        return Some(format!(
            "{} pods of revision {} stay until stable revision {} is whole: {}/{wanted} Available",
            set.total,
            kept.revision,
            status.stable_revision.as_deref().unwrap_or(NO_FIGURE),
            stable.available
        ));
    }
    (!kept.standby).then(|| {
        format!(
            "{} pods of revision {} stay until {}",
            set.total,
            kept.revision,
            clock(kept.until)
        )
    })
}
