//! A pair between releases: it is taken over, followed, and a release is begun when one is due.

use crate::{
    engine::{
        draft::{Draft, cursor::Beginning, events::Reason, originals::Serving},
        facts::Facts,
        guards::drift,
    },
    router::RouteId,
};

use super::reading::{baseline_name, candidate_has_all, candidate_serves, current, departed};

/// Takes the routes over, and begins a release of the candidate once one is due.
pub fn rest(facts: &Facts<'_>, next: &mut Draft) {
    if !next.status().taken_over() {
        adopt(facts, next);
        return;
    }
    if candidate_serves(next.status()) {
        watch_promoted(facts, next);
        return;
    }
    follow_baseline(facts, next);
    let Some(candidate) = facts
        .seen
        .deployment
        .as_ref()
        .filter(|candidate| candidate.replicas > 0)
    else {
        return;
    };
    let Some(set) = current(facts, candidate) else { return };
    if facts.refusal.is_none() && facts.seen.finalizer && facts.mode.rejection(facts, next.status()).is_none() {
        let (from, to) = (baseline_name(facts), &facts.plan.deployment);
        let beginning = Beginning {
            revision: set.hash.clone(),
            replica_set: set.name.clone(),
            stable_revision: next.status().stable_revision.clone().unwrap_or_default(),
            recovery: facts.stable(next.status()).ready() == 0,
            what: format!("; all of it from Deployment {from} to Deployment {to}, both of which stay as they are"),
        };
        next.begin(facts, beginning);
    }
}

/// Takes over the routes: from the baseline, once it is rolled out, or as a promotion has left them.
fn adopt(facts: &Facts<'_>, next: &mut Draft) {
    let (Some(baseline), Some(candidate), None) = (&facts.seen.baseline, &facts.seen.deployment, &facts.refusal) else {
        return;
    };
    let promoted = candidate_has_all(facts);
    let serving = if promoted { candidate } else { baseline };
    let Some(set) = current(facts, serving).filter(|_| promoted || serving.complete()) else {
        return;
    };
    next.take_over(&set.hash, if promoted { Serving::Candidate } else { Serving::Stable });
    next.remember_routes(facts);
    let routes: Vec<String> = facts
        .plan
        .routes
        .iter()
        .map(|route| RouteId::from(route).to_string())
        .collect();
    next.tell(
        Reason::Adopted,
        format!(
            "took over the weights of {}: Deployment {} has all traffic (revision {}); Deployments {} and {} and their Services stay as they are",
            routes.join(", "),
            serving.name,
            set.hash,
            baseline.name,
            candidate.name
        ),
    );
}

/// Between releases the baseline is whatever its owner has rolled out.
fn follow_baseline(facts: &Facts<'_>, next: &mut Draft) {
    let Some(baseline) = facts.seen.baseline.as_ref().filter(|baseline| baseline.complete()) else {
        return;
    };
    if let Some(set) = current(facts, baseline) {
        next.follow(&set.hash);
    }
}

/// A baseline that was changed while a release runs, and is whole again: the release goes on.
///
/// Void is what was compared with the old baseline, and what was normal for it.
pub fn follow_changed_baseline(facts: &Facts<'_>, next: &mut Draft) {
    let Some(baseline) = facts.seen.baseline.as_ref().filter(|baseline| baseline.complete()) else {
        return;
    };
    let Some(set) = current(facts, baseline).filter(|set| Some(&set.hash) != next.status().stable_revision.as_ref())
    else {
        return;
    };
    let old = next.follow(&set.hash).unwrap_or_default();
    next.tell(
        Reason::BaselineChanged,
        format!("Deployment {} was changed: {old} → {}; it is whole again, and the hold and the evidence of this step begin anew", baseline.name, set.hash),
    );
    next.know_baseline_anew();
}

/// After a promotion all traffic is the candidate's: what changes now is told, and no more.
fn watch_promoted(facts: &Facts<'_>, next: &mut Draft) {
    let changed = facts
        .seen
        .deployment
        .as_ref()
        .and_then(|candidate| Some((candidate, current(facts, candidate)?)));
    if let Some((candidate, set)) = changed.filter(|(_, set)| Some(&set.hash) != next.status().stable_revision.as_ref())
    {
        let old = next.follow(&set.hash).unwrap_or_default();
        next.tell(
            Reason::CandidateChanged,
            format!("Deployment {} was changed: {old} → {}; it has all traffic, so the change reaches everyone without any step", candidate.name, set.hash),
        );
    }
    let Some((id, route)) = departed(facts) else { return };
    let edit = drift::of_route(facts, id, route);
    let told = drift::is_told(next, &edit);
    if let Some(what) = facts.mode.departure(facts, next.status()).filter(|_| !told) {
        next.tell(Reason::RouteDrift, what);
        next.note_drift(edit);
    }
}
