//! One pass over one rollout: look, decide, store, act, tell — in this order.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{Api, ResourceExt, api::DynamicObject, runtime::controller::Action as Requeue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, PASS_TIMEOUT, REQUEST_TIMEOUT, apply, context::Slot, error::Error, events, gather, recent::Look, shelf::Snapshot};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus, FIELD_MANAGER},
    engine::{self, Action, Decision, Identity, observed::Deletion},
};

/// Looks at a rollout and does what follows.
pub async fn reconcile(seen: Arc<DynamicObject>, context: Arc<Context>) -> Result<Requeue, Error> {
    // After the stop none begins any more.
    let Some(slot) = context.slot().await else { return Ok(Requeue::await_change()) };
    let started = std::time::Instant::now();
    // Those that wait for a slot are many at times; only one that has it needs the room of a whole pass.
    let result = tokio::time::timeout(PASS_TIMEOUT, Box::pin(pass(&seen, &context, slot, true))).await.unwrap_or(Err(Error::Timeout(PASS_TIMEOUT)));
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

/// Transitions that are taken in one pass because nothing is to be done between them.
const MOST_AT_ONCE: usize = 4;

/// How long a metrics store may keep a pass waiting before somebody's request goes first.
const UNDISTURBED: std::time::Duration = std::time::Duration::from_millis(500);

/// Waits until this rollout is edited or deleted, or a RolloutAction comes to its namespace.
async fn disturbed(context: &Context, namespace: &str, name: &str) {
    let state = || (context.caches.rollouts.version(namespace, name), context.caches.actions.stamp(namespace));
    let before = state();
    while state() == before {
        tokio::time::sleep(UNDISTURBED).await;
    }
}

/// Whoever `may_ask` asks the metrics store, if a tick is due.
async fn pass(seen: &DynamicObject, context: &Context, slot: Slot<'_>, may_ask: bool) -> Result<Requeue, Error> {
    let namespace = seen.namespace().unwrap_or_default();
    let name = seen.name_any();
    let Some(look) = look(context, &namespace, &name)? else {
        return Ok(Requeue::await_change());
    };
    let Look { rollout, spec, stored, seen: mut world, .. } = look;
    let id = Identity { namespace, name, uid: rollout.uid().unwrap_or_default(), generation: rollout.metadata.generation.unwrap_or_default() };
    let namespace = &id.namespace;
    let status = context.drafts.newest(&rollout).or_else(|| stored.clone()).unwrap_or_default();
    world.obstacle = context.obstacles.get(&rollout);
    world.not_stored = context.not_stored();
    world.replies = context.calls.replies(&id.uid);
    world.told = context.told.last(&id.uid);
    if world.deletion == Deletion::Asked && gather::namespace_is_going(context, namespace).await {
        world.deletion = Deletion::AtOnce;
    }
    let needs = engine::needs(&id, spec.as_ref(), &status, &world, context.now());
    let mut slot = Some(slot);
    if needs.measure.is_some() && may_ask {
        // A store that does not answer keeps neither other rollouts waiting nor an abort of this one.
        drop(slot.take());
        let answered = tokio::select! {
            () = gather::measure(context, &needs, &mut world) => true,
            () = disturbed(context, namespace, &id.name) => false,
        };
        slot = context.slot().await;
        if !answered {
            // The tick is asked for again later.
            let Some(slot) = slot else { return Ok(Requeue::await_change()) };
            return Box::pin(pass(seen, context, slot, false)).await;
        }
    }
    gather::look_closer(context, namespace, &needs, &mut world).await;

    let now = context.now();
    let mut decision = engine::decide(&id, spec.as_ref(), &status, &world, now);
    // What follows from the new status alone need not wait until that is stored.
    for _ in 1..MOST_AT_ONCE {
        if !decision.actions.is_empty() || !engine::says_more(&status, &decision.status) {
            break;
        }
        world.measured = None;
        let next = engine::decide(&id, spec.as_ref(), &decision.status, &world, now);
        let settled = next.status == decision.status;
        let wake = decision.wake.into_iter().chain(next.wake).min();
        decision = Decision { wake, ..next };
        if settled {
            break;
        }
    }
    let persisted = in_time(persist(context, &rollout, stored.as_ref(), &decision)).await;
    let actions: Vec<&Action> = match &persisted {
        Ok(_) => decision.actions.iter().collect(),
        // An intent that could not be stored moves nothing; only a fall to 0 goes ahead.
        Err(_) => decision.actions.iter().filter(|action| matches!(action, Action::Patch { to_zero: true, .. })).collect(),
    };
    for action in &actions {
        let done = in_time(apply::apply(context, &rollout, &world.versions, action)).await;
        if let Some(obstacle) = done.as_ref().err().and_then(Error::obstacle) {
            context.obstacles.set(seen, Some(obstacle));
        }
        done?;
    }
    context.obstacles.set(seen, None);
    let stale = persisted?;
    context.calls.begin(&context.client, &rollout, &decision.calls);
    let untold = events::announce(context, &rollout, &decision.status).await;
    drop(slot);
    let now = context.now();
    Ok(match decision.wake.into_iter().chain(stale).chain(untold).min() {
        Some(at) => Requeue::requeue(at.duration_since(now).try_into().unwrap_or_default()),
        None => Requeue::await_change(),
    })
}

/// What is known of the rollout and the world; nothing if the rollout is gone.
fn look(context: &Context, namespace: &str, name: &str) -> Result<Option<Look>, Error> {
    let rollouts = &context.caches.rollouts;
    let stamp = context.caches.stamp(namespace);
    // The watch may lag behind what the last pass stored; the cache has that.
    let Some(newest) = rollouts.version(namespace, name) else { return Ok(None) };
    if let Some(look) = context.recent.get(namespace, name, newest, &stamp) {
        return Ok(Some(look));
    }
    let Some(rollout) = rollouts.get(Some(namespace), name) else { return Ok(None) };
    let spec = rollout.data.get("spec").and_then(|spec| CanaryRolloutSpec::deserialize(spec).ok());
    let stored = rollout.data.get("status").map(CanaryRolloutStatus::deserialize).transpose();
    let stored = stored.map_err(|source| Error::Status { object: format!("{namespace}/{name}"), source })?;
    let none = CanaryRolloutStatus::default();
    let seen = gather::observe(context, &rollout, spec.as_ref(), stored.as_ref().unwrap_or(&none));
    let metadata = DynamicObject { types: rollout.types.clone(), metadata: rollout.metadata.clone(), data: Value::Null };
    let look = Look { rollout: metadata, spec, stored, seen, stamp };
    if look.stored.as_ref().is_some_and(engine::is_active) {
        context.recent.keep(look.clone());
    } else {
        context.recent.forget(&rollout);
    }
    Ok(Some(look))
}

/// One request that hangs must not hold a rollback for as long as a whole pass may take.
async fn in_time<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(REQUEST_TIMEOUT, request).await.unwrap_or(Err(Error::Timeout(REQUEST_TIMEOUT)))
}

/// Stores the status if it says something new, guarded by the version that was read. Newer figures alone
/// wait until the stored ones are old: returns when that is.
async fn persist(context: &Context, rollout: &DynamicObject, before: Option<&CanaryRolloutStatus>, decision: &Decision) -> Result<Option<Timestamp>, Error> {
    let now = context.now();
    if let Some(before) = before {
        if *before == decision.status {
            context.drafts.settled(rollout);
            return Ok(None);
        }
        let wait = engine::may_wait(before, &decision.status);
        let due = context.drafts.stored_at(rollout, now) + wait;
        // A tick that comes just before stores what it found: no pass is needed for that alone.
        if now < due - wait / 20 {
            context.drafts.keep(rollout, decision.status.clone(), now);
            return Ok(Some(due));
        }
    }
    let conflict = || Error::Conflict { action: "storing the status".to_owned() };
    let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
    let cache = &context.caches.rollouts;
    let mut next = cache.get(Some(&namespace), &name).map(Snapshot::into_object).ok_or_else(conflict)?;
    if next.metadata.resource_version != rollout.metadata.resource_version {
        return Err(conflict());
    }
    next.data["status"] = json!(decision.status);
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, cache.resource());
    let params = kube::api::PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
    match api.replace_status(&name, &params, &next).await {
        Ok(stored) => {
            context.compare_stored(&next.data["status"], &stored.data["status"]);
            let only_figures = before.is_some_and(|before| !engine::says_more(before, &decision.status));
            if let Some(status) = CanaryRolloutStatus::deserialize(&stored.data["status"]).ok().filter(|_| only_figures) {
                context.recent.restored(rollout, stored.metadata.clone(), status);
            }
            // What follows from it was decided above, or follows from the actions.
            cache.wrote_finally(stored);
            context.drafts.stored(rollout, now);
            Ok(None)
        }
        Err(error) if super::error::is_stale(&error) => Err(conflict()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(conflict()),
        Err(error) => Err(Error::Persist(error)),
    }
}
