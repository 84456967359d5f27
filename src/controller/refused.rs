//! Tells people in a rollout's status why nothing is decided for it, where the status itself cannot be read or made.

use kube::{
    Resource,
    api::{DynamicObject, Patch, PatchParams},
    core::Request,
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Context, REQUEST_TIMEOUT};
use crate::api::{
    FIELD_MANAGER,
    condition::{ConditionType, Refusal},
};

/// Longest text that is stored, in characters.
const LONGEST: usize = 1_024;

/// Stores the condition `Accepted=False` with this reason, and nothing else: the rest of the status stays as it is, to the byte.
/// One that cannot be stored is in the log, and is tried again with the next pass that fails.
pub(super) async fn show(context: &Context, namespace: &str, name: &str, reason: Refusal, message: &str) {
    let cache = &context.caches.rollouts;
    let rest = cache.rest_of(namespace, name).map(|(rest, _)| rest);
    let Some(rollout) = rest.or_else(|| cache.get(Some(namespace), name)) else {
        return;
    };
    let message: String = message.chars().take(LONGEST).collect();
    let Some(patch) = patch(&rollout, reason, &message, context.now()) else {
        return;
    };
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let path = DynamicObject::url_path(cache.resource(), Some(namespace));
    let request = Request::new(path).patch_subresource("status", name, &params, &Patch::Merge(patch));
    let Ok(request) = request else {
        return;
    };
    // The answer is the object that cannot be read.
    let stored = context.client.request::<IgnoredAny>(request);
    match timeout(REQUEST_TIMEOUT, stored).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(namespace, rollout = name, %error, "Accepted=False/{reason} could not be stored");
        }
        Err(_) => tracing::debug!(
            namespace,
            rollout = name,
            "Accepted=False/{reason} could not be stored in {REQUEST_TIMEOUT:?}"
        ),
    }
}

/// The change that says so; nothing if it is said already. Reads as little as it can: something of this object is not as it should be.
fn patch(rollout: &DynamicObject, reason: Refusal, message: &str, now: jiff::Timestamp) -> Option<Value> {
    let (metadata, kind) = (&rollout.metadata, ConditionType::Accepted.to_string());
    // Of one whose conditions cannot be read either every write must be the same, or each would ask for the next pass.
    let now = if rollout.data.is_null() {
        jiff::Timestamp::UNIX_EPOCH
    } else {
        now
    };
    let status = rollout.data.get("status");
    let known = status.and_then(|status| status.get("conditions")?.as_array());
    let mut conditions: Vec<Value> = known
        .into_iter()
        .flatten()
        .filter(|one| one.is_object())
        .cloned()
        .collect();
    let found = conditions.iter().position(|one| one["type"] == *kind);
    let before = found.map(|at| conditions.remove(at)).unwrap_or_default();
    let same = before["reason"] == reason.to_string() && before["observedGeneration"] == json!(metadata.generation);
    // The place of a panic may differ from pass to pass, and each write would ask for the next pass.
    if same && (reason == Refusal::InternalError || before["message"] == message) {
        return None;
    }
    let since = (before["status"] == "False").then(|| before["lastTransitionTime"].clone());
    let since = since.filter(Value::is_string).unwrap_or_else(|| json!(now.to_string()));
    let condition = json!({"type": kind, "status": "False", "reason": reason.to_string(), "message": message,
        "observedGeneration": metadata.generation, "lastTransitionTime": since});
    conditions.insert(found.unwrap_or_default(), condition);
    let mut guard = json!({"resourceVersion": metadata.resource_version});
    if let Some(uid) = &metadata.uid {
        guard["uid"] = json!(uid);
    }
    Some(json!({"metadata": guard, "status": {"conditions": conditions}}))
}

#[cfg(test)]
mod tests;
