//! Whether a deleted rollout has given back everything.

use crate::{
    api::CanaryRolloutStatus,
    engine::{
        contract::{
            action::{Ordered, Part},
            observed::Deletion,
        },
        facts::Facts,
        modes::safe::Safe,
    },
    router::Want,
};

/// A deleted rollout has given back everything.
pub fn released(facts: &Facts<'_>, status: &CanaryRolloutStatus, wanted: &Safe, actions: &[Ordered]) -> bool {
    let gone = facts.seen.deletion != Deletion::No;
    let untouched = !status.taken_over();
    let left = status.kept.is_empty() && status.draining.is_empty();
    let settled = !status.is_active() && left && status.originals.released;
    let held = facts.seen.replica_sets.iter().any(|set| set.held_by.is_some());
    let narrowed = wanted.selector.as_ref().is_some_and(Option::is_some);
    let routed = match wanted.route {
        // The shares stay as they stand.
        Some(Want::Left) => false,
        // The entry may be the user's: only after this the weights are as found.
        Some(Want::Drained) if facts.mode.leaves_entry() => true,
        Some(Want::Drained | Want::Absent | Want::Weight(_)) | None => !facts.entry_gone(),
    };
    let nothing_left = actions.iter().all(|one| one.part == Part::Answer);
    let floors = status.originals.floors.is_empty();
    let target_gone = facts.seen.deployment.is_none();
    gone && (untouched || (settled && nothing_left && floors && !routed && (target_gone || (!held && !narrowed))))
}
