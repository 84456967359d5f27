//! One pass over one rollout: look, decide, store, act, tell — in this order.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject, runtime::controller::Action as Requeue};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::{
    Context, PASS_TIMEOUT, REQUEST_TIMEOUT, apply,
    context::Slot,
    error::Error,
    events, gather,
    logged::{self, Took},
    named::Named,
    persist::{self, Due},
    recent::Look,
};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus},
    engine::{
        self,
        contract::{Identity, Needs, action::Action, call::Call, in_force::InForce, observed::Deletion},
    },
};

/// Runs one pass over a rollout, measures it and logs how it ended.
pub async fn reconcile(seen: Arc<Named>, context: Arc<Context>) -> Result<Requeue, Error> {
    // None is given once the process was told to stop.
    let Some(slot) = context.slot().await else {
        return Ok(Requeue::await_change());
    };
    let started = Instant::now();
    let mut took = Took::default();
    // Boxed only now: the future of a pass is large, and many may be waiting for a slot.
    let pass = Box::pin(pass(&seen, &context, slot, true, &mut took.store));
    let result = tokio::time::timeout(PASS_TIMEOUT, pass)
        .await
        .unwrap_or(Err(Error::Timeout(PASS_TIMEOUT)));
    took.all = started.elapsed();
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) => error.category(),
    };
    context.metrics.reconciled(outcome, took.all);
    let failed_before = result.is_ok() && context.backoff.reset(&*seen);
    logged::ended(&context, &seen, &result, took, failed_before);
    match result {
        // Another writer was faster. The watch brings what it wrote in a moment.
        Err(Error::Conflict { .. }) => Ok(Requeue::requeue(Duration::from_millis(50))),
        other => other,
    }
}

/// How often a pass that waits for a metrics store looks whether somebody has asked for something: every 500 ms.
const UNDISTURBED: Duration = Duration::from_millis(500);

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

/// One pass. If a tick is due and it `may_ask`, it asks the metrics store; `store` becomes the time for which that, and then a slot,
/// was waited for. If somebody asks for something meanwhile it begins again and does not ask.
async fn pass(
    seen: &Named,
    context: &Context,
    slot: Slot<'_>,
    may_ask: bool,
    store: &mut Duration,
) -> Result<Requeue, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let Some(mut look) = look(context, &namespace, &name)? else {
        return Ok(Requeue::await_change());
    };
    let id = Identity {
        namespace,
        name,
        uid: look.rollout.uid().unwrap_or_default(),
        generation: look.rollout.metadata.generation.unwrap_or_default(),
    };
    let status = context
        .drafts
        .newest(&look.rollout)
        .or_else(|| look.stored.clone())
        .unwrap_or_default();
    remember(context, &id, &mut look).await;
    let needs = engine::needs(&id, &look.in_force, &status, &look.seen, context.now());
    let mut slot = Some(slot);
    if (needs.measure.is_some() || needs.drained.is_some()) && may_ask {
        // A store that does not answer keeps no other rollout waiting.
        drop(slot.take());
        let asked = Instant::now();
        let answered = ask_store(context, &id, &needs, &mut look).await;
        slot = context.slot().await;
        *store = asked.elapsed();
        if !answered {
            // The tick is asked for again later.
            return match slot {
                Some(slot) => Box::pin(pass(seen, context, slot, false, store)).await,
                None => Ok(Requeue::await_change()),
            };
        }
    }
    gather::look_closer(context, &id.namespace, &needs, &mut look.seen).await;
    conclude(context, seen, &id, look, &status, slot).await
}

/// The second half of a pass: decides, acts and says when the next pass is due.
async fn conclude(
    context: &Context,
    seen: &Named,
    id: &Identity,
    mut look: Look,
    status: &CanaryRolloutStatus,
    slot: Option<Slot<'_>>,
) -> Result<Requeue, Error> {
    let now = context.now();
    let measured = look.seen.measured.is_some() || look.seen.drained.is_some();
    let spec = look.spec.as_ref().map_err(String::as_str);
    let decision = engine::settle(id, spec, &look.in_force, status, &mut look.seen, now);
    let (actions, wake) = (decision.actions.len(), decision.wake);
    let next = Arc::new(decision.status);
    let deeds = Deeds {
        due: persist::due(context, &look.rollout, look.stored.as_ref(), &next),
        actions: decision.actions,
        calls: decision.calls,
    };
    let acts = deeds.are_some() || events::due(&next, look.seen.told, now).next().is_some();
    let span = if acts {
        logged::span(&id.namespace, &id.name, &next)
    } else {
        Span::none()
    };
    let again = act(context, seen, &mut look, &next, deeds, wake)
        .instrument(span)
        .await?;
    drop(slot);
    let what = format_args!("measured: {measured}, actions: {actions}, now: {now}, wake: {wake:?}, again: {again:?}");
    logged::passed(&id.namespace, &id.name, &next, what);
    if next.is_active() {
        context.recent.keep(look);
    }
    let now = context.now();
    Ok(match wake.into_iter().chain(again).min() {
        Some(at) => Requeue::requeue(at.duration_since(now).try_into().unwrap_or_default()),
        None => Requeue::await_change(),
    })
}

/// Asks the metrics store for a tick. Returns whether it has answered before somebody asked for something: an abort must not wait.
async fn ask_store(context: &Context, id: &Identity, needs: &Needs, look: &mut Look) -> bool {
    let ask = async {
        gather::measure(context, look.source.as_ref(), needs, &mut look.seen).await;
        gather::look_for_requests(context, look.source.as_ref(), needs, &mut look.seen).await;
    };
    tokio::select! {
        () = ask => true,
        () = disturbed(context, &id.namespace, &id.name) => false,
    }
}

/// Adds to a look what this process alone knows, or what must be asked anew in every pass.
async fn remember(context: &Context, id: &Identity, look: &mut Look) {
    let world = &mut look.seen;
    world.obstacle = context.obstacles.get(&look.rollout);
    world.not_stored = context.not_stored();
    world.replies = context.calls.replies(&id.uid);
    world.told = context.told.last(&id.uid);
    if world.deletion == Deletion::Asked && gather::namespace_is_going(context, &id.namespace).await {
        world.deletion = Deletion::AtOnce;
    }
}

/// What a pass has to do besides telling Events.
struct Deeds {
    due: Due,
    actions: Vec<Action>,
    calls: Vec<Call>,
}

impl Deeds {
    fn are_some(&self) -> bool {
        matches!(self.due, Due::Now { .. }) || !self.actions.is_empty() || !self.calls.is_empty()
    }
}

/// Stores the status, carries out the actions, begins the calls and tells the Events, in this order. Returns when to come again
/// for what is left of it; `wake` is when there will be a pass anyway.
async fn act(
    context: &Context,
    seen: &Named,
    look: &mut Look,
    next: &Arc<CanaryRolloutStatus>,
    deeds: Deeds,
    wake: Option<Timestamp>,
) -> Result<Option<Timestamp>, Error> {
    let writes = deeds.are_some();
    let Look {
        rollout,
        stored,
        seen: world,
        ..
    } = look;
    let storing = || "storing the status".to_owned();
    let persisted = in_time(
        storing,
        persist::persist(context, rollout, stored, next, deeds.due, wake),
    )
    .await;
    for action in &deeds.actions {
        // An intent that could not be stored moves nothing; only a fall to 0 goes ahead.
        if persisted.is_err() && !matches!(action, Action::TakeTrafficOff { .. }) {
            continue;
        }
        let what = || attempt(action, &rollout.namespace().unwrap_or_default());
        let done = in_time(what, apply::apply(context, rollout, &world.versions, action)).await;
        if let Some(obstacle) = done.as_ref().err().and_then(Error::obstacle) {
            context.obstacles.set(seen, Some(obstacle));
        }
        done?;
    }
    context.obstacles.set(seen, None);
    let stale = persisted?;
    if writes {
        logged::answered(context);
    }
    context.calls.begin(&context.client, rollout, &deeds.calls);
    let untold = events::announce(context, rollout, next).await;
    Ok(stale.into_iter().chain(untold).min())
}

/// What an action tries, on what, in words.
fn attempt(action: &Action, namespace: &str) -> String {
    match action {
        Action::AddFinalizer => "adding the finalizer".to_owned(),
        Action::DropFinalizer => "dropping the finalizer".to_owned(),
        Action::Create { kind, .. } => format!("creating {kind} in {namespace}"),
        Action::Patch { kind, name, .. } | Action::TakeTrafficOff { kind, name, .. } => {
            format!("changing {kind} {namespace}/{name}")
        }
        Action::Delete { kind, name } => format!("deleting {kind} {namespace}/{name}"),
        Action::Answer { name, .. } => format!("answering RolloutAction {namespace}/{name}"),
        Action::Forget { name } => format!("removing RolloutAction {namespace}/{name}"),
    }
}

/// What is known of the rollout and the world; nothing if the rollout is gone.
fn look(context: &Context, namespace: &str, name: &str) -> Result<Option<Look>, Error> {
    let rollouts = &context.caches.rollouts;
    let stamp = context.caches.stamp(namespace);
    // What the last pass stored is in the look that it kept, also while the watch has yet to tell of it.
    let Some(newest) = rollouts.version(namespace, name) else {
        return Ok(None);
    };
    if let Some(look) = context.recent.take(namespace, name, newest, &stamp) {
        return Ok(Some(look));
    }
    if rollouts.is_behind(namespace, name) {
        // A write of ours is newer than this copy. The watch brings it in a moment.
        return Err(Error::Conflict {
            action: format!("looking at {namespace}/{name}"),
        });
    }
    let Some(rollout) = rollouts.get(Some(namespace), name) else {
        return Ok(None);
    };
    let spec = CanaryRolloutSpec::read(&rollout.data["spec"]).map(Arc::new);
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
    let in_force = InForce::new(spec.as_ref().map_err(String::as_str), status);
    let shared = in_force.spec().filter(|known| spec.as_ref() == Ok(*known));
    let spec = shared.cloned().map_or(spec, Ok);
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

/// One request that hangs must not hold a rollback for as long as a whole pass may take. `what` says what was tried.
async fn in_time<T>(
    what: impl FnOnce() -> String,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let no_answer = |_| Error::NoAnswer {
        action: what(),
        after: REQUEST_TIMEOUT,
    };
    tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .map_err(no_answer)?
}
