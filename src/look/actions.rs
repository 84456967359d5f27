//! RolloutActions of a rollout.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Known, Namespace, name_of};
use crate::{
    api::action::{RolloutActionSpec, RolloutActionStatus},
    engine::contract::observed::ActionSeen,
    kubernetes::{json::text, managed_fields::first_manager},
};

/// Those that can be read, the oldest first.
pub(super) fn of_rollout(namespace: Namespace<'_>, rollout: &str) -> Vec<ActionSeen> {
    let objects = namespace.about(Known::RolloutAction, rollout);
    let mut actions: Vec<ActionSeen> = objects.iter().filter_map(read).collect();
    sort(&mut actions);
    actions
}

/// The oldest first.
pub fn sort(actions: &mut [ActionSeen]) {
    actions.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
}

/// One RolloutAction, if it can be read.
pub fn read(action: &Value) -> Option<ActionSeen> {
    let spec = RolloutActionSpec::deserialize(action.get("spec")?).ok()?;
    let status = action
        .get("status")
        .and_then(|status| RolloutActionStatus::deserialize(status).ok())
        .unwrap_or_default();
    let created = text(action, "/metadata/creationTimestamp").parse();
    let created = created.unwrap_or(Timestamp::UNIX_EPOCH);
    Some(ActionSeen {
        name: name_of(action),
        uid: text(action, "/metadata/uid").to_owned(),
        version: text(action, "/metadata/resourceVersion").to_owned(),
        spec,
        by: first_manager(action),
        created,
        decided: status.phase.map(|_| status.at.unwrap_or(created)),
    })
}
