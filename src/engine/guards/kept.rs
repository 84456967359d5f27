//! Pods of ended releases: they go when their time is over, at rest and during the next release alike.

use crate::engine::{
    draft::{Draft, events::Reason},
    facts::{Facts, quiet},
};

/// Removes what was kept and whose time is over. While a release lacks the room that such pods hold, it is over at once.
pub fn expire(facts: &Facts<'_>, next: &mut Draft) {
    if !facts.mode.keeps_pods() {
        next.drop_kept(|_| true);
        return;
    }
    let status = next.status().clone();
    let running = status.run.as_ref().filter(|_| status.phase.is_moving());
    let crowded = running.filter(|run| quiet::room_awaited(facts, &status, run));
    if crowded.is_some() {
        next.keep_no_longer(facts.now);
    }
    let gone = next.drop_kept(|kept| quiet::may_go(facts, &status, kept));
    let mut went = 0;
    for kept in gone {
        let pods = facts.replica_set(&kept.revision).map_or(0, |set| set.total);
        let why = match (crowded, kept.standby) {
            (Some(run), _) => format!("release {} needs their room", run.number),
            (None, true) => "the old version is no longer kept".to_owned(),
            (None, false) => "it was kept to be looked at, and that time is over".to_owned(),
        };
        if pods > 0 {
            next.tell(
                Reason::ScaledDown,
                format!("revision {}: {pods} pods go; {why}", kept.revision),
            );
            went += pods;
        }
    }
    if went > 0 && crowded.is_some() {
        // Only now can the new version's pods be made.
        next.restart_growing();
    }
}
