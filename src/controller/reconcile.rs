//! One pass over one rollout: look, decide, store, act, tell — in this order.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{Api, ResourceExt, api::DynamicObject, runtime::controller::Action as Requeue};
use serde_json::json;

use super::{Context, PASS_TIMEOUT, REQUEST_TIMEOUT, apply, error::Error, events, gather};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus, FIELD_MANAGER},
    engine::{self, Action, Decision, Identity, observed::Deletion},
};

/// Looks at a rollout and does what follows.
pub async fn reconcile(seen: Arc<DynamicObject>, context: Arc<Context>) -> Result<Requeue, Error> {
    let started = std::time::Instant::now();
    let result = tokio::time::timeout(PASS_TIMEOUT, pass(&seen, &context)).await.unwrap_or(Err(Error::Timeout(PASS_TIMEOUT)));
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) => error.category(),
    };
    context.metrics.reconciled(outcome, started.elapsed());
    if result.is_ok() {
        context.backoff.reset(&seen);
    }
    match result {
        // Somebody was faster; the next look sees it.
        Err(Error::Conflict { action }) => {
            tracing::debug!(%action, "changed meanwhile");
            Ok(Requeue::requeue(std::time::Duration::from_millis(50)))
        }
        other => other,
    }
}

async fn pass(seen: &DynamicObject, context: &Context) -> Result<Requeue, Error> {
    let namespace = seen.namespace().unwrap_or_default();
    let name = seen.name_any();
    // The watch may lag behind what the last pass stored.
    let Some(rollout) = context.caches.rollouts.get(Some(&namespace), &name) else {
        return Ok(Requeue::await_change());
    };
    let id = Identity {
        namespace: namespace.clone(),
        name: name.clone(),
        uid: rollout.uid().unwrap_or_default(),
        generation: rollout.metadata.generation.unwrap_or_default(),
    };
    let spec: Option<CanaryRolloutSpec> = rollout.data.get("spec").and_then(|spec| serde_json::from_value(spec.clone()).ok());
    let stored: CanaryRolloutStatus = match rollout.data.get("status") {
        Some(status) => serde_json::from_value(status.clone()).map_err(|source| Error::Status { object: format!("{namespace}/{name}"), source })?,
        None => CanaryRolloutStatus::default(),
    };
    let status = context.drafts.newest(&rollout).unwrap_or_else(|| stored.clone());
    let mut world = gather::observe(context, &rollout, spec.as_ref(), &status);
    if world.deletion == Deletion::Asked && gather::namespace_is_going(context, &namespace).await {
        world.deletion = Deletion::AtOnce;
    }
    let needs = engine::needs(&id, spec.as_ref(), &status, &world, context.now());
    gather::look_closer(context, &namespace, &needs, &mut world).await;

    let decision = engine::decide(&id, spec.as_ref(), &status, &world, context.now());
    let persisted = in_time(persist(context, &rollout, &stored, &decision)).await;
    let actions: Vec<&Action> = match &persisted {
        Ok(_) => decision.actions.iter().collect(),
        // An intent that could not be stored moves nothing; only a fall to 0 goes ahead.
        Err(_) => decision.actions.iter().filter(|action| matches!(action, Action::Patch { to_zero: true, .. })).collect(),
    };
    for action in &actions {
        let done = in_time(apply::apply(context, &rollout, action)).await;
        if let Some(obstacle) = done.as_ref().err().and_then(Error::obstacle) {
            context.obstacles.set(seen, Some(obstacle));
        }
        done?;
    }
    context.obstacles.set(seen, None);
    let stale = persisted?;
    context.calls.begin(&context.client, &rollout, &decision.calls);
    events::announce(context, &rollout, &decision.status).await;
    let now = context.now();
    Ok(match decision.wake.into_iter().chain(stale).min() {
        Some(at) => Requeue::requeue(at.duration_since(now).try_into().unwrap_or_default()),
        None => Requeue::await_change(),
    })
}

/// One request that hangs must not hold a rollback for as long as a whole pass may take.
async fn in_time<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(REQUEST_TIMEOUT, request).await.unwrap_or(Err(Error::Timeout(REQUEST_TIMEOUT)))
}

/// Stores the status if it says something new, guarded by the version that was read. Newer figures alone
/// wait until the stored ones are old: returns when that is.
async fn persist(context: &Context, rollout: &DynamicObject, before: &CanaryRolloutStatus, decision: &Decision) -> Result<Option<Timestamp>, Error> {
    let now = context.now();
    if rollout.data.get("status").is_some() {
        if *before == decision.status {
            context.drafts.settled(rollout);
            return Ok(None);
        }
        let due = context.drafts.stored_at(rollout, now) + engine::FRESH_FOR;
        if now < due && !engine::must_be_stored(before, &decision.status) {
            context.drafts.keep(rollout, decision.status.clone(), now);
            return Ok(Some(due));
        }
    }
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &rollout.namespace().unwrap_or_default(), context.caches.rollouts.resource());
    let mut next = rollout.clone();
    next.data["status"] = json!(decision.status);
    let params = kube::api::PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
    match api.replace_status(&rollout.name_any(), &params, &next).await {
        Ok(stored) => {
            context.compare_stored(&next.data["status"], &stored.data["status"]);
            context.caches.rollouts.wrote(stored);
            context.drafts.stored(rollout, now);
            Ok(None)
        }
        Err(error) if super::error::is_stale(&error) => Err(Error::Conflict { action: "storing the status".to_owned() }),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(Error::Conflict { action: "storing the status".to_owned() }),
        Err(error) => Err(Error::Persist(error)),
    }
}
