//! One pass over one rollout: look, decide, store, act, tell — in this order.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject, runtime::controller::Action as Requeue};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Context, PASS_TIMEOUT, REQUEST_TIMEOUT, apply, context::Slot, error::Error, events, gather, named::Named,
    persist::persist, recent::Look,
};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus},
    engine::{
        self,
        contract::{
            Decision, Identity,
            action::Action,
            durable,
            in_force::InForce,
            observed::{Deletion, Observed},
        },
    },
};

/// Looks at a rollout and does what follows.
pub async fn reconcile(seen: Arc<Named>, context: Arc<Context>) -> Result<Requeue, Error> {
    // After the stop none begins any more.
    let Some(slot) = context.slot().await else {
        return Ok(Requeue::await_change());
    };
    let started = std::time::Instant::now();
    // Those that wait for a slot are many at times; only one that has it needs the room of a whole pass.
    let result = tokio::time::timeout(PASS_TIMEOUT, Box::pin(pass(&seen, &context, slot, true)))
        .await
        .unwrap_or(Err(Error::Timeout(PASS_TIMEOUT)));
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) => error.category(),
    };
    context.metrics.reconciled(outcome, started.elapsed());
    if result.is_ok() {
        context.backoff.reset(&*seen);
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
    let state = || {
        (
            context.caches.rollouts.version(namespace, name),
            context.caches.actions.stamp(namespace),
        )
    };
    let before = state();
    while state() == before {
        tokio::time::sleep(UNDISTURBED).await;
    }
}

/// Whoever `may_ask` asks the metrics store, if a tick is due.
async fn pass(seen: &Named, context: &Context, slot: Slot<'_>, may_ask: bool) -> Result<Requeue, Error> {
    let namespace = seen.namespace().unwrap_or_default();
    let name = seen.name_any();
    let Some(mut look) = look(context, &namespace, &name)? else {
        return Ok(Requeue::await_change());
    };
    let Look {
        rollout,
        spec,
        in_force,
        source,
        stored,
        seen: world,
        ..
    } = &mut look;
    let id = Identity {
        namespace,
        name,
        uid: rollout.uid().unwrap_or_default(),
        generation: rollout.metadata.generation.unwrap_or_default(),
    };
    let namespace = &id.namespace;
    let status = context
        .drafts
        .newest(rollout)
        .or_else(|| stored.clone())
        .unwrap_or_default();
    world.obstacle = context.obstacles.get(rollout);
    world.not_stored = context.not_stored();
    world.replies = context.calls.replies(&id.uid);
    world.told = context.told.last(&id.uid);
    if world.deletion == Deletion::Asked && gather::namespace_is_going(context, namespace).await {
        world.deletion = Deletion::AtOnce;
    }
    let needs = engine::needs(&id, in_force, &status, world, context.now());
    let mut slot = Some(slot);
    if needs.measure.is_some() && may_ask {
        // A store that does not answer keeps neither other rollouts waiting nor an abort of this one.
        drop(slot.take());
        let answered = tokio::select! {
            () = gather::measure(context, source.as_ref(), &needs, world) => true,
            () = disturbed(context, namespace, &id.name) => false,
        };
        slot = context.slot().await;
        if !answered {
            // The tick is asked for again later.
            let Some(slot) = slot else {
                return Ok(Requeue::await_change());
            };
            return Box::pin(pass(seen, context, slot, false)).await;
        }
    }
    gather::look_closer(context, namespace, &needs, world).await;

    let now = context.now();
    let mut decision = engine::decide(&id, in_force, &status, world, now);
    // What was asked for this pass alone is not known in the next one.
    let answers = (
        world.measured.take(),
        world.trouble.take(),
        std::mem::take(&mut world.config_digests),
    );
    if decision.actions.is_empty() && durable::says_more(&status, &decision.status) {
        // The tick was taken in; the rest is still so.
        (_, world.trouble, world.config_digests) = answers;
        decision = settle(&id, spec.as_ref(), world, decision, now);
        (world.trouble, world.config_digests) = (None, BTreeMap::new());
    }
    let Decision {
        status: next,
        actions,
        calls,
        wake,
    } = decision;
    let next = Arc::new(next);
    let persisted = in_time(persist(context, rollout, stored, &next, wake)).await;
    for action in &actions {
        // An intent that could not be stored moves nothing; only a fall to 0 goes ahead.
        if persisted.is_err() && !matches!(action, Action::TakeTrafficOff { .. }) {
            continue;
        }
        let done = in_time(apply::apply(context, rollout, &world.versions, action)).await;
        if let Some(obstacle) = done.as_ref().err().and_then(Error::obstacle) {
            context.obstacles.set(seen, Some(obstacle));
        }
        done?;
    }
    context.obstacles.set(seen, None);
    let stale = persisted?;
    context.calls.begin(&context.client, rollout, &calls);
    let untold = events::announce(context, rollout, &next).await;
    drop(slot);
    tracing::debug!(rollout = id.name, namespace, asked = needs.measure.is_some(), actions = actions.len(), %now, wake = ?wake, stale = ?stale, "pass");
    if next.is_active() {
        context.recent.keep(look);
    }
    let now = context.now();
    Ok(match wake.into_iter().chain(stale).chain(untold).min() {
        Some(at) => Requeue::requeue(at.duration_since(now).try_into().unwrap_or_default()),
        None => Requeue::await_change(),
    })
}

/// What follows from a new status alone need not wait until that is stored.
fn settle(
    id: &Identity,
    spec: Option<&Arc<CanaryRolloutSpec>>,
    world: &Observed,
    first: Decision,
    now: Timestamp,
) -> Decision {
    let mut decision = first;
    for _ in 1..MOST_AT_ONCE {
        let in_force = InForce::new(spec, &decision.status);
        let next = engine::decide(id, &in_force, &decision.status, world, now);
        let settled = next.status == decision.status;
        let says_more = durable::says_more(&decision.status, &next.status);
        let wake = decision.wake.into_iter().chain(next.wake).min();
        decision = Decision { wake, ..next };
        if settled || !decision.actions.is_empty() || !says_more {
            break;
        }
    }
    decision
}

/// What is known of the rollout and the world; nothing if the rollout is gone.
fn look(context: &Context, namespace: &str, name: &str) -> Result<Option<Look>, Error> {
    let rollouts = &context.caches.rollouts;
    let stamp = context.caches.stamp(namespace);
    // The watch may lag behind what the last pass stored; the look has that.
    let Some(newest) = rollouts.version(namespace, name) else {
        return Ok(None);
    };
    if let Some(look) = context.recent.take(namespace, name, newest, &stamp) {
        return Ok(Some(look));
    }
    if rollouts.is_behind(namespace, name) {
        // The watch tells of it in a moment.
        return Err(Error::Conflict {
            action: format!("looking at {namespace}/{name}"),
        });
    }
    let Some(rollout) = rollouts.get(Some(namespace), name) else {
        return Ok(None);
    };
    let spec = rollout
        .data
        .get("spec")
        .and_then(|spec| CanaryRolloutSpec::read(spec).ok())
        .map(Arc::new);
    let stored = rollout
        .data
        .get("status")
        .map(CanaryRolloutStatus::deserialize)
        .transpose();
    let stored = stored.map_err(|source| Error::Status {
        object: format!("{namespace}/{name}"),
        source,
    })?;
    let none = CanaryRolloutStatus::default();
    let status = stored.as_ref().unwrap_or(&none);
    let in_force = InForce::new(spec.as_ref(), status);
    let spec = in_force
        .spec()
        .filter(|known| spec.as_ref() == Some(*known))
        .cloned()
        .or(spec);
    let seen = gather::observe(context, &rollout, in_force.plan(), status);
    let source = in_force
        .plan()
        .and_then(|plan| crate::look::source(&*context.caches, &plan.source));
    let metadata = DynamicObject {
        types: rollout.types.clone(),
        metadata: rollout.metadata.clone(),
        data: Value::Null,
    };
    Ok(Some(Look {
        rollout: metadata,
        spec,
        in_force,
        source,
        stored: stored.map(Arc::new),
        seen,
        stamp,
    }))
}

/// One request that hangs must not hold a rollback for as long as a whole pass may take.
async fn in_time<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .unwrap_or(Err(Error::Timeout(REQUEST_TIMEOUT)))
}
