//! What ends a running release from outside: deletion, a revert, a newer revision, an unpaused Deployment.

use super::{Draft, ending, exchange, facts::Facts, gates, notice::Reason, observed::Deletion, shifting};
use crate::api::status::{Outcome, Phase};

/// Notes since when the Deployment, once taken over, is missing.
pub(super) fn note_target(facts: &Facts<'_>, next: &mut Draft) {
    let missing = facts.seen.deployment.is_none() && facts.seen.deletion == Deletion::No && next.status.originals.paused.is_some();
    let since = next.status.target_missing_since.unwrap_or(facts.now);
    next.status.target_missing_since = missing.then_some(since);
}

/// What was held for a Deployment that does not come back is about to go.
pub(super) fn tell_of_orphans(facts: &Facts<'_>, next: &mut Draft) {
    let held: Vec<_> = facts.seen.replica_sets.iter().filter(|set| set.held() && set.replicas > 0).collect();
    if held.is_empty() || next.active() || !facts.target_given_up(&next.status) {
        return;
    }
    let sets: Vec<String> = held.iter().map(|set| format!("{} ({} pods)", set.name, set.replicas)).collect();
    let (deployment, deadline) = (&facts.plan.deployment, facts.plan.progress_deadline);
    next.tell(Reason::ScaledDown, format!("Deployment {deployment} did not come back within {deadline}: {} go", sets.join(", ")));
}

/// Ends the run if something outside asks for it. Returns whether it did.
pub(super) fn interrupt(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let phase = next.status.phase;
    // An exchange is finished forward, and a way back has no turning.
    if matches!(phase, Phase::Promoting | Phase::RollingBack) {
        return false;
    }
    if facts.seen.deletion != Deletion::No {
        ending::go_back(next, Outcome::Superseded, "Deleted", "the CanaryRollout was deleted");
        return true;
    }
    if facts.target_given_up(&next.status) {
        let message = format!("Deployment {} did not come back within {}", facts.plan.deployment, facts.plan.progress_deadline);
        ending::go_back(next, Outcome::Superseded, "TargetNotFound", &message);
        return true;
    }
    let (Some(deployment), Some(run)) = (&facts.seen.deployment, next.status.run.clone()) else { return false };
    if !deployment.paused {
        let by = deployment.other_manager.as_deref().map(|manager| format!(" (manager {manager})")).unwrap_or_default();
        next.tell(Reason::Unpaused, format!("Deployment {} was unpaused by another hand{by}: Kubernetes rolls it out", deployment.name));
        ending::go_back(next, Outcome::Superseded, "Unpaused", &format!("the Deployment was unpaused by hand{by}"));
        return true;
    }
    if facts.serving(&next.status).is_some_and(|serving| facts.wants(serving)) {
        let message = format!("the template of stable revision {} was applied again", run.from);
        ending::go_back(next, Outcome::RolledBack, "Reverted", &message);
        return true;
    }
    let newer = match facts.canary(&run) {
        Some(canary) => !facts.wants(canary),
        None => !run.replica_set.ends_with(&run.revision) || !is_template_of(facts, &run.revision),
    };
    if !newer {
        return false;
    }
    if phase == Phase::Baking && shifting::all_pass(facts.plan, &next.status.checks) && !gates::left_to_ask(facts, &run) {
        // It has passed everything: promote it now, or whoever releases daily never gets through a long bake.
        exchange::begin(next);
        return true;
    }
    ending::go_back(next, Outcome::Superseded, "NewerRevision", "a newer template was applied");
    true
}

/// Whether a revision of ours, whose ReplicaSet does not exist yet, was made from the Deployment's template.
fn is_template_of(facts: &Facts<'_>, revision: &str) -> bool {
    /// Names taken by other templates are rare; each makes one more attempt.
    const ATTEMPTS: u32 = 8;
    let Some(deployment) = &facts.seen.deployment else { return true };
    (0..ATTEMPTS).any(|attempt| crate::workload::replica_set::revision_of(&deployment.template, attempt) == revision)
}
