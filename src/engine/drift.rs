//! Edits of routes and Services by other hands while a release runs.

use jiff::SignedDuration;

use super::{Draft, facts::Facts, holds, notice::Reason, observed::Route};
use crate::{
    api::{
        Percent,
        plan::step_number,
        status::{DriftSeen, Growing, Intent, PauseReason, Phase},
    },
    router::RouteId,
};

/// One hand that undoes ours so often …
const CONTESTED: usize = 3;
/// … within so long keeps an object for itself, where routes are concerned.
const CONTESTED_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// Edits that are remembered.
const REMEMBERED: usize = 12;

/// Deals with a route that does not carry the confirmed weight. Returns whether the pass ends here.
///
/// A raised weight is put back at once (the world that the status asks for has not changed). A lowered
/// one stays until the next pass, as any rise: whoever lowers a canary by hand has a reason.
pub(super) fn seen(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let Some(weight) = next.status.run.as_ref().map(|run| run.weight) else {
        return false;
    };
    let drifted = facts.found_routes().find(|(_, route)| !route.state.carries(weight));
    let Some((id, route)) = drifted else { return false };
    let live = route.state.away_from(weight);
    let edit = of_route(facts, id, route);
    let told = next
        .status
        .drift
        .last
        .as_ref()
        .is_some_and(|last| last.object == edit.object && last.generation >= route.generation);
    let manager = by(&edit);
    if live > weight {
        if !told {
            next.tell(
                Reason::RouteDrift,
                format!("{id}: canary weight {live} put back to {weight}{manager}"),
            );
            next.status.drift.corrected += 1;
            next.forget_evidence(facts);
            if remember(next, edit.clone()) {
                contest_route(facts, &edit, next);
            }
        }
        return true;
    }
    next.tell(
        Reason::RouteDrift,
        format!("{id}: canary weight lowered {weight} → {live}{manager}; it stays there until the checks pass"),
    );
    if remember(next, edit.clone()) {
        contest_route(facts, &edit, next);
        return true;
    }
    next.forget_evidence(facts);
    let steps = &facts.plan.steps;
    let at = steps.iter().rposition(|step| step.weight <= live);
    if live == Percent::ZERO {
        // Nothing can pass without traffic: the release begins again at its first weight.
        begin_again(facts, next);
        return true;
    }
    next.change(|run| {
        run.weight = live;
        run.step = step_number(at);
        run.growing = None;
        run.step_started_at = Some(facts.now);
    });
    true
}

/// Before the first weight: our entry, which the data plane had accepted, is gone again. Returns whether somebody contests it.
pub(super) fn entry_removed(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let removed = facts.found_routes().find(|(_, route)| !route.state.entry_stands());
    let Some((id, route)) = removed else { return false };
    let edit = of_route(facts, id, route);
    next.tell(
        Reason::RouteDrift,
        format!(
            "{id}: the canary's entry at 0% was removed{}; it is put in again",
            by(&edit)
        ),
    );
    let contested = remember(next, edit.clone());
    if contested {
        contest_route(facts, &edit, next);
    }
    contested
}

/// A weight that is being written and does not come to stand, because another hand undoes it each time.
///
/// Every write of ours and every one of theirs is one generation. Returns whether the route is contested.
pub(super) fn undone(facts: &Facts<'_>, intent: &Intent, next: &mut Draft) -> bool {
    let writes = 2 * i64::try_from(CONTESTED).unwrap_or(i64::MAX);
    let fought = facts.found_routes().find(|(id, route)| {
        let since = intent.generations.get(&id.key()).copied().unwrap_or(route.generation);
        let stands = route.state.entry_stands() && route.state.carries(intent.weight);
        !stands && route.generation >= since + writes
    });
    let Some((id, route)) = fought else { return false };
    let edit = of_route(facts, id, route);
    remember(next, edit.clone());
    contest_route(facts, &edit, next);
    true
}

/// The user's Services, once narrowed to the old version, stay so; a hand that widens them time and again holds the release.
pub(super) fn services(facts: &Facts<'_>, next: &mut Draft) {
    if !facts.mode().scales() {
        return;
    }
    let stable = next.status.stable_revision.clone();
    let wide: Vec<_> = facts
        .narrowed_services()
        .filter(|service| service.hash() != stable.as_deref())
        .collect();
    let was_narrow = next.status.run.as_ref().is_some_and(|run| run.narrowed);
    next.change(|run| run.narrowed = wide.is_empty());
    let paused = next
        .status
        .run
        .as_ref()
        .is_some_and(|run| run.paused_for == Some(PauseReason::ServiceContested));
    let Some(service) = wide.first().filter(|_| was_narrow && !paused) else {
        return;
    };
    let edit = DriftSeen {
        object: format!("Service/{}", service.name),
        at: facts.now,
        generation: 0,
        by: service.other_manager.clone(),
    };
    let manager = by(&edit);
    next.tell(
        Reason::RouteDrift,
        format!(
            "Service {}: its selector was widened to both versions; narrowed again{manager}",
            service.name
        ),
    );
    if remember(next, edit) {
        let detail = format!(
            "Service {}{manager}: let it ignore /spec/selector/pod-template-hash (Argo CD: ignoreDifferences with jsonPointers; Flux: kustomize.toolkit.fluxcd.io/ssa: IfNotPresent or a patch that drops the selector)",
            service.name
        );
        holds::pause(next, Some(PauseReason::ServiceContested), &detail);
    }
}

/// What the newest other hand has made of a route.
pub(super) fn of_route(facts: &Facts<'_>, id: &RouteId, route: &Route) -> DriftSeen {
    DriftSeen {
        object: id.key(),
        at: facts.now,
        generation: route.generation,
        by: route.other_manager.clone(),
    }
}

fn by(edit: &DriftSeen) -> String {
    edit.by
        .as_deref()
        .map(|manager| format!(" (manager {manager})"))
        .unwrap_or_default()
}

/// Remembers an edit; whether the same hand has made too many of the same object.
fn remember(next: &mut Draft, edit: DriftSeen) -> bool {
    let drift = &mut next.status.drift;
    let oldest = next.now - CONTESTED_WITHIN;
    // A Service is fought over for as long as the run lasts, a route for some minutes.
    drift
        .recent
        .retain(|other| other.at >= oldest || other.object.starts_with("Service/"));
    drift.recent.push(edit.clone());
    let surplus = drift.recent.len().saturating_sub(REMEMBERED);
    drift.recent.drain(..surplus);
    let same = drift
        .recent
        .iter()
        .filter(|other| other.object == edit.object && other.by == edit.by)
        .count();
    drift.last = Some(edit);
    same >= CONTESTED
}

/// A steady 0 beats a flapping cache: nothing is written any more until a person has settled who owns the route.
fn contest_route(facts: &Facts<'_>, edit: &DriftSeen, next: &mut Draft) {
    let text = format!(
        "{}{} undoes our weights: canary weight 0% and no further writes. Let it ignore the weights and backends of this rule, then ask for a Resume action",
        edit.object,
        by(edit)
    );
    next.tell(Reason::RouteContested, text.clone());
    begin_again(facts, next);
    holds::pause(next, Some(PauseReason::RouteContested), &text);
    next.forget_evidence(facts);
}

/// Back to before the first weight.
fn begin_again(facts: &Facts<'_>, next: &mut Draft) {
    let weight = facts.plan.steps[0].weight;
    next.status.phase = Phase::Preparing;
    next.change(|run| {
        run.weight = Percent::ZERO;
        run.step = 0;
        run.intent = None;
        run.entered_at = None;
        run.step_started_at = None;
        run.growing = Some(Growing {
            weight,
            since: facts.now,
        });
    });
}
