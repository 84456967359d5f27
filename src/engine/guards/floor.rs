//! The autoscaler's minimum: raised while a release runs, as found at its end.

use crate::{
    api::{CanaryRolloutStatus, status::Floor},
    engine::{
        contract::action::Action,
        draft::{Draft, events::Reason},
        facts::{Facts, text},
    },
    workload::autoscaler::Autoscaler,
};

/// A minimum that is lowered by another hand is raised again so often; then the release goes on without.
const RESTORED: i32 = 3;

/// Most minima that are raised for one Deployment.
const MOST: usize = 8;

/// Remembers minima as found when a release begins, and what other hands do to them while it runs.
pub fn note(facts: &Facts<'_>, next: &mut Draft) {
    let active = next.status().is_active();
    let replicas = facts
        .seen
        .deployment
        .as_ref()
        .map(|deployment| i64::from(deployment.replicas));
    for scaler in &facts.seen.autoscalers {
        let key = scaler.key();
        let room = next.floors_mut().len() < MOST;
        let known = next.floors_mut().get_mut(&key);
        match (known, replicas) {
            (None, Some(replicas)) if active && room && scaler.min < replicas.min(scaler.max) => {
                // No minimum may be above its maximum.
                let raised = replicas.min(scaler.max);
                let floor = Floor {
                    found: scaler.min,
                    left_out: scaler.min_left_out,
                    raised,
                    stands: false,
                    restored: 0,
                };
                next.floors_mut().insert(key, floor);
            }
            (Some(floor), _) if active => {
                let lowered = floor.stands && scaler.min < floor.raised;
                floor.stands = scaler.min >= floor.raised;
                if lowered {
                    floor.restored = floor.restored.saturating_add(1);
                    let text = lowered_text(scaler, floor);
                    next.tell(Reason::ScaleFloorDrift, text);
                }
            }
            // As found again, or changed by another hand since: either way it is not ours any more.
            (Some(floor), _) if scaler.min != floor.raised || floor.restored > RESTORED => {
                next.floors_mut().remove(&key);
            }
            (None | Some(_), _) => {}
        }
    }
    if !active {
        next.floors_mut()
            .retain(|key, _| facts.seen.autoscalers.iter().any(|scaler| scaler.key() == *key));
    }
}

/// What people are told of a minimum that another hand has lowered.
fn lowered_text(scaler: &Autoscaler, floor: &Floor) -> String {
    let by = text::by(scaler.other_manager.as_deref());
    let then = if floor.restored > RESTORED {
        "it is left so, and the release goes on"
    } else {
        "raised again"
    };
    format!(
        "{} {}: {} {} → {}{by}; {then}",
        scaler.kind,
        scaler.name,
        scaler.kind.minimum(),
        floor.raised,
        scaler.min
    )
}

/// Raises minima, or puts them back.
pub fn actions(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Action> {
    let active = status.is_active();
    let due = |(key, floor): (&String, &Floor)| {
        let scaler = facts.seen.autoscalers.iter().find(|scaler| scaler.key() == *key)?;
        let raise = active && floor.restored <= RESTORED && scaler.min < floor.raised;
        let put_back = !active && scaler.min == floor.raised;
        if !raise && !put_back {
            return None;
        }
        let wanted = if raise {
            Some(floor.raised)
        } else {
            (!floor.left_out).then_some(floor.found)
        };
        Some(Action::Patch {
            kind: scaler.kind.into(),
            name: scaler.name.clone(),
            patch: scaler.with_minimum(wanted),
        })
    };
    status.originals.floors.iter().filter_map(due).collect()
}
