//! A rollout whose status cannot be read: nothing is decided, but what a person asks for, an Abort or the deletion, is carried out from
//! the objects alone.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    api::{
        CanaryRolloutSpec, CanaryRolloutStatus, Plan,
        action::Verb,
        status::{
            EndReason, Ending, Outcome,
            newer::{Remains, salvaged},
        },
    },
    engine::contract::observed::{Deletion, Observed},
};

/// The status by which everything goes back, if somebody asks for that. `seen` is what the objects tell without a status.
pub fn on_request(
    stored: &Value,
    spec: &CanaryRolloutSpec,
    seen: &Observed,
    now: Timestamp,
) -> Option<CanaryRolloutStatus> {
    let aborts = seen
        .actions
        .iter()
        .any(|action| action.decided.is_none() && action.spec.action == Verb::Abort);
    let (outcome, reason) = match seen.deletion {
        Deletion::Asked | Deletion::AtOnce | Deletion::Uninstall => (Outcome::Superseded, EndReason::Deleted),
        Deletion::No if aborts => (Outcome::RolledBack, EndReason::Aborted),
        Deletion::No => return None,
    };
    let plan = Plan::try_from(spec).ok()?;
    let (stable, candidate) = versions(stored, &plan, seen);
    let replica_set = seen.replica_sets.iter().find(|set| set.hash == candidate);
    let replica_set = replica_set.map(|set| set.name.clone()).unwrap_or_default();
    let message = "its status could not be read, so where the release stood is not known".to_owned();
    let ending = Ending {
        outcome,
        reason,
        message,
        at: now,
    };
    let remains = Remains {
        stable,
        candidate: (candidate, replica_set),
        plan: spec,
        ending,
    };
    salvaged(stored, remains)
}

/// The revision that serves and the one that is released: as the status says, as far as it can be read, or as the Services select.
fn versions(stored: &Value, plan: &Plan, seen: &Observed) -> (String, String) {
    let said = |place: &str| {
        stored
            .pointer(place)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let selected = |service: &str| seen.services.get(service).and_then(|service| service.hash());
    // The serving version has the most pods.
    let largest = seen
        .replica_sets
        .iter()
        .max_by_key(|set| set.ready)
        .map(|set| set.hash.as_str());
    let stable = said("/stableRevision")
        .or_else(|| selected(&plan.service))
        .or(largest)
        .unwrap_or_default();
    let others = seen.replica_sets.iter().filter(|set| set.hash != stable);
    let other = others.max_by_key(|set| set.ready).map(|set| set.hash.as_str());
    let candidate = said("/run/revision")
        .or_else(|| selected(&plan.canary_service))
        .or(other)
        .unwrap_or_default();
    (stable.to_owned(), candidate.to_owned())
}
