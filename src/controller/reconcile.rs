//! One pass over one rollout: look, decide, store, act, tell — in this order.

use std::sync::Arc;

use kube::{Api, ResourceExt, api::DynamicObject, runtime::controller::Action as Requeue};
use serde_json::json;

use super::{Context, PASS_TIMEOUT, apply, error::Error, events, gather};
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
    let status: CanaryRolloutStatus = match rollout.data.get("status") {
        Some(status) => serde_json::from_value(status.clone()).map_err(|source| Error::Status { object: format!("{namespace}/{name}"), source })?,
        None => CanaryRolloutStatus::default(),
    };
    let mut world = gather::observe(context, &rollout, spec.as_ref(), &status);
    if world.deletion == Deletion::Asked && gather::namespace_is_going(context, &namespace).await {
        world.deletion = Deletion::AtOnce;
    }
    let needs = engine::needs(&id, spec.as_ref(), &status, &world, context.now());
    gather::look_closer(context, &namespace, &needs, &mut world).await;

    let decision = engine::decide(&id, spec.as_ref(), &status, &world, context.now());
    let stored = persist(context, &rollout, &status, &decision).await;
    let actions: Vec<&Action> = match &stored {
        Ok(()) => decision.actions.iter().collect(),
        // An intent that could not be stored moves nothing; only a fall to 0 goes ahead.
        Err(_) => decision.actions.iter().filter(|action| matches!(action, Action::Patch { to_zero: true, .. })).collect(),
    };
    for action in &actions {
        apply::apply(context, &rollout, action).await?;
    }
    stored?;
    events::announce(context, &rollout, &decision.status).await;
    let now = context.now();
    Ok(match decision.wake {
        Some(at) => Requeue::requeue(at.duration_since(now).try_into().unwrap_or_default()),
        None => Requeue::await_change(),
    })
}

/// Stores the status if it changed, guarded by the version that was read.
async fn persist(context: &Context, rollout: &DynamicObject, before: &CanaryRolloutStatus, decision: &Decision) -> Result<(), Error> {
    if *before == decision.status && rollout.data.get("status").is_some() {
        return Ok(());
    }
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &rollout.namespace().unwrap_or_default(), context.caches.rollouts.resource());
    let mut next = rollout.clone();
    next.data["status"] = json!(decision.status);
    let params = kube::api::PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
    match api.replace_status(&rollout.name_any(), &params, &next).await {
        Ok(stored) => {
            context.caches.rollouts.wrote(stored);
            Ok(())
        }
        Err(error) if super::error::is_stale(&error) => Err(Error::Conflict { action: "storing the status".to_owned() }),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(Error::Conflict { action: "storing the status".to_owned() }),
        Err(error) => Err(Error::Persist(error)),
    }
}
