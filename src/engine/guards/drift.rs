//! Edits of routes and Services by other hands while a release runs.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use jiff::SignedDuration;

use crate::{
    api::{
        Percent,
        status::{DriftSeen, Intent, PauseReason},
    },
    engine::{
        contract::observed::{Deletion, Route},
        draft::{Draft, cursor::Narrowed, events::Reason},
        facts::{Facts, text},
        judge::memory::Reset,
    },
    router::RouteId,
};

/// This many edits of one object by one field manager contest it: of a Service within the whole run, of a route within
/// five minutes.
const CONTESTED: usize = 3;

/// Edits of a route count for this long.
const CONTESTED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Edits that are remembered.
const REMEMBERED: usize = 12;

/// Deals with a route that does not carry the confirmed weight: the pass ends with it.
///
/// A raised weight is put back at once (the world that the status asks for has not changed). A lowered
/// one stays until the next pass, as any rise: whoever lowers a canary by hand has a reason.
pub fn answer_route_edit(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let Some(weight) = next.run().map(|run| run.weight) else {
        return ControlFlow::Continue(());
    };
    let drifted = || facts.found_routes().filter(|(_, route)| !route.state.carries(weight));
    // Whoever changes anything in the rules takes our mark from them: with it they are our own, seen late or given up.
    let Some((id, route)) = drifted().find(|(_, route)| route.written_at.is_none()) else {
        return match drifted().next() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        };
    };
    let live = route.state.away_from(weight);
    let edit = of_route(facts, id, route);
    let manager = text::by(edit.by.as_deref());
    if live > weight {
        if !is_told(next, &edit) {
            next.tell(
                Reason::RouteDrift,
                format!("{id}: canary weight {live} put back to {weight}{manager}"),
            );
            count_corrected(next);
            next.forget(Reset::Evidence);
            let _ = contest_if_repeated(facts, &edit, next);
        }
        return ControlFlow::Break(());
    }
    next.tell(
        Reason::RouteDrift,
        format!("{id}: canary weight lowered {weight} → {live}{manager}; it stays there until the checks pass"),
    );
    contest_if_repeated(facts, &edit, next)?;
    next.stand_at(facts, live);
    ControlFlow::Break(())
}

/// Remembers routes as they are found, before anything of ours stands in them, and tells of an entry of the new version
/// that no release has put in: another hand's. The world that the status asks for has none, or gives it 0%.
pub fn watch_entries(facts: &Facts<'_>, next: &mut Draft) {
    let lets_go = facts.seen.deletion != Deletion::No;
    if lets_go || !next.status().taken_over() || facts.mode.is_over(next.status()) {
        return;
    }
    for (id, route) in facts.found_routes() {
        let known = next.status().originals.routes.get(&id.key());
        let state = &route.state;
        let foreign = if state.entry_may_stay {
            known.is_some_and(|known| !known.entered) && !state.carries(Percent::ZERO)
        } else {
            known.is_none_or(|known| !known.entered) && !state.entry_gone()
        };
        // Our own mark tells of a write that a late look shows again.
        if foreign && route.written_at.is_none() {
            let edit = of_route(facts, id, route);
            let share = state.canary.unwrap_or_default();
            let by = text::by(edit.by.as_deref());
            let service = &route.target.canary;
            let what = if next.status().is_active() {
                "it gets 0% until the release gives it a share"
            } else {
                "the route is put back as it was"
            };
            next.tell(
                Reason::RouteDrift,
                format!("{id}: another hand{by} gave Service {service} {share} of the requests; {what}"),
            );
            count_corrected(next);
            next.note_drift(edit);
        }
    }
    next.remember_routes(facts);
}

/// Before the first weight: our entry, which the data plane had accepted, is gone again. It is put in again, unless
/// somebody contests it, with which the pass ends.
pub fn tell_of_removed_entry(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let removed = facts.found_routes().find(|(_, route)| !route.state.entry_stands());
    let Some((id, route)) = removed else {
        return ControlFlow::Continue(());
    };
    let edit = of_route(facts, id, route);
    next.tell(
        Reason::RouteDrift,
        format!(
            "{id}: the canary's entry at 0% was removed{}; it is put in again",
            text::by(edit.by.as_deref())
        ),
    );
    contest_if_repeated(facts, &edit, next)
}

/// A weight that is being written and does not come to stand, because another hand undoes it each time, is given up:
/// the pass ends with it. Every write of ours and every one of theirs is one generation.
pub fn contest_if_undone(facts: &Facts<'_>, intent: &Intent, next: &mut Draft) -> ControlFlow<()> {
    let writes = i64::try_from(CONTESTED).unwrap_or(i64::MAX).saturating_mul(2);
    let fought = facts.found_routes().find(|(id, route)| {
        let since = intent.generations.get(&id.key()).copied().unwrap_or(route.generation);
        let stands = route.state.entry_stands() && route.state.carries(intent.weight);
        !stands && route.generation >= since.saturating_add(writes)
    });
    let Some((id, route)) = fought else {
        return ControlFlow::Continue(());
    };
    let edit = of_route(facts, id, route);
    remember(facts, next, edit.clone());
    contest_route(facts, &edit, next);
    ControlFlow::Break(())
}

/// The user's Services, once narrowed to the old version, stay so; a hand that widens them time and again holds the release.
pub fn keep_services_narrow(facts: &Facts<'_>, next: &mut Draft) {
    if !facts.mode.narrows_services() {
        return;
    }
    let stable = facts.narrow_to(next.status());
    let wide: Vec<_> = facts
        .narrowed_services()
        .filter(|service| service.hash() != stable.as_deref())
        .collect();
    let was_narrow = next.run().is_some_and(|run| run.narrowed);
    next.note_narrowed(if wide.is_empty() && stable.is_some() {
        Narrowed::Yes
    } else {
        Narrowed::No
    });
    let held = next.run().and_then(|run| run.paused_for);
    let paused = held == Some(PauseReason::ServiceContested);
    let Some(service) = wide.first().filter(|_| was_narrow && !paused) else {
        return;
    };
    let edit = DriftSeen {
        object: format!("Service/{}", service.name),
        at: facts.now,
        generation: 0,
        by: service.other_manager.clone(),
    };
    let manager = text::by(edit.by.as_deref());
    next.tell(
        Reason::RouteDrift,
        format!(
            "Service {}: its selector was widened to both versions; narrowed again{manager}",
            service.name
        ),
    );
    if remember(facts, next, edit) >= CONTESTED {
        let detail = format!(
            "Service {}{manager}: let it ignore /spec/selector/pod-template-hash (Argo CD: ignoreDifferences with jsonPointers; Flux: kustomize.toolkit.fluxcd.io/ssa: IfNotPresent or a patch that drops the selector)",
            service.name
        );
        next.hold(PauseReason::ServiceContested, &detail);
    }
}

/// The edit is the last one that was told, or an earlier one of the same object.
pub fn is_told(next: &Draft, edit: &DriftSeen) -> bool {
    let last = next.status().drift.last.as_ref();
    last.is_some_and(|last| last.object == edit.object && last.generation >= edit.generation)
}

/// What the newest other hand has made of a route.
pub fn of_route(facts: &Facts<'_>, id: &RouteId, route: &Route) -> DriftSeen {
    DriftSeen {
        object: id.key(),
        at: facts.now,
        generation: route.generation,
        by: route.other_manager.clone(),
    }
}

/// One more edit was put back.
fn count_corrected(next: &mut Draft) {
    let drift = next.drift_mut();
    drift.corrected = drift.corrected.saturating_add(1);
}

/// Remembers an edit. Returns how many the same hand has made of the same object.
fn remember(facts: &Facts<'_>, next: &mut Draft, edit: DriftSeen) -> usize {
    let drift = next.drift_mut();
    let oldest = facts.now.minus(CONTESTED_WITHIN);
    // A Service is fought over for as long as the run lasts, a route for some minutes.
    drift
        .recent
        .retain(|other| other.at >= oldest || other.object.starts_with("Service/"));
    drift.recent.push(edit.clone());
    let surplus = drift.recent.len().saturating_sub(REMEMBERED);
    drift.recent.drain(..surplus);
    let recent = drift.recent.iter();
    let same = recent.filter(|other| other.object == edit.object && other.by == edit.by);
    let same = same.count();
    drift.last = Some(edit);
    same
}

/// Remembers an edit of a route; a hand that has made too many contests it, and the pass ends.
fn contest_if_repeated(facts: &Facts<'_>, edit: &DriftSeen, next: &mut Draft) -> ControlFlow<()> {
    if remember(facts, next, edit.clone()) < CONTESTED {
        return ControlFlow::Continue(());
    }
    contest_route(facts, edit, next);
    ControlFlow::Break(())
}

/// Two writers would move users to and fro and keep both versions' caches cold: the weight goes to 0, and nothing is
/// written until a person asks for Resume.
fn contest_route(facts: &Facts<'_>, edit: &DriftSeen, next: &mut Draft) {
    let text = format!(
        "{}{} undoes our weights: canary weight 0% and no further writes. Let it ignore the weights and backends of this rule, then ask for a Resume action",
        edit.object,
        text::by(edit.by.as_deref())
    );
    next.tell(Reason::RouteContested, text.clone());
    next.start_over(facts);
    next.hold(PauseReason::RouteContested, &text);
}
