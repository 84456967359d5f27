//! Edits of the route by other hands while a release runs.

use super::{Draft, facts::Facts, notice::Reason};
use crate::api::{
    Percent,
    status::{DriftSeen, Growing, Phase},
};

/// Deals with a route that does not carry the confirmed weight. Returns whether the pass ends here.
///
/// A raised weight is put back at once (the world that the status asks for has not changed). A lowered
/// one stays until the next pass, as any rise: whoever lowers a canary by hand has a reason.
pub(super) fn seen(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let Some(weight) = next.status.run.as_ref().map(|run| run.weight) else { return false };
    let drifted = facts.found_routes().find(|(_, route)| !route.state.carries(weight));
    let Some((id, route)) = drifted else { return false };
    let live = route.state.away_from(weight);
    let object = id.key();
    let by = route.other_manager.clone();
    let told = next.status.drift.last.as_ref().is_some_and(|last| last.object == object && last.generation >= route.generation);
    let manager = by.as_deref().map(|manager| format!(" (manager {manager})")).unwrap_or_default();
    if live > weight {
        if !told {
            next.status.drift.corrected += 1;
            next.status.drift.last = Some(DriftSeen { object, at: facts.now, generation: route.generation, by });
            next.tell(Reason::RouteDrift, format!("{id}: canary weight {live} put back to {weight}{manager}"));
            next.forget_evidence(facts);
        }
        return true;
    }
    next.status.drift.last = Some(DriftSeen { object, at: facts.now, generation: route.generation, by });
    next.tell(Reason::RouteDrift, format!("{id}: canary weight lowered {weight} → {live}{manager}; it stays there until the checks pass"));
    next.forget_evidence(facts);
    let steps = &facts.plan.steps;
    let at = steps.iter().rposition(|step| step.weight <= live);
    if live == Percent::ZERO {
        // Nothing can pass without traffic: the release begins again at its first weight.
        next.status.phase = Phase::Preparing;
    }
    next.change(|run| {
        run.weight = live;
        run.step = at.map_or(0, |index| i32::try_from(index + 1).unwrap_or(i32::MAX));
        run.growing = (live == Percent::ZERO).then(|| Growing { weight: steps[0].weight, since: facts.now });
        run.step_started_at = (live > Percent::ZERO).then_some(facts.now);
    });
    true
}
