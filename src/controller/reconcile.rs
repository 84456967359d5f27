//! One pass over one rollout: look, decide, and then store, act and tell as `act` does.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt, api::DynamicObject, runtime::controller::Action as Requeue};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::{
    Context, PASS_TIMEOUT,
    act::{Basis, Deeds, act},
    context::Slot,
    error::Error,
    events, gather, hold,
    logged::{self, Took},
    named::Named,
    persist,
    recent::Look,
};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus},
    engine::{
        self,
        contract::{Identity, Needs, in_force::InForce, observed::Deletion},
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
        Ok(Passed { failed: None, .. }) => "ok",
        Ok(Passed {
            failed: Some(error), ..
        })
        | Err(error) => error.category(),
    };
    context.metrics.reconciled(outcome, took.all);
    let failed_before = result.is_ok() && context.backoff.reset(&*seen);
    logged::ended(&context, &seen, &result, took, failed_before);
    match result {
        // Another writer was faster. The watch brings what it wrote in a moment.
        Err(Error::Conflict { .. }) => Ok(Requeue::requeue(Duration::from_millis(50))),
        other => other.map(|passed| passed.next),
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

/// One pass. If a tick or a dry run is due and it `may_ask`, it asks for that; `store` becomes the time for which that, and then a slot,
/// was waited for. If somebody asks for something meanwhile it begins again and does not ask.
async fn pass(
    seen: &Named,
    context: &Context,
    slot: Slot<'_>,
    may_ask: bool,
    store: &mut Duration,
) -> Result<Passed, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let Some(mut look) = look(context, &namespace, &name)? else {
        return Ok(Passed::await_change());
    };
    let id = Identity {
        namespace,
        name,
        uid: look.rollout.uid().unwrap_or_default(),
        generation: look.rollout.metadata.generation.unwrap_or_default(),
    };
    let status = known(context, &look.rollout, look.stored.as_ref());
    remember(context, &id, &mut look).await;
    let needs = engine::needs(&id, &look.in_force, &status, &look.seen, context.now());
    let mut slot = Some(slot);
    if (needs.measure.is_some() || needs.drained.is_some() || needs.probe) && may_ask {
        // What does not answer keeps no other rollout waiting.
        drop(slot.take());
        let asked = Instant::now();
        let answered = ask(context, &id, &needs, &mut look).await;
        slot = context.slot().await;
        *store = asked.elapsed();
        if !answered {
            // The tick is asked for again later.
            return match slot {
                Some(slot) => Box::pin(pass(seen, context, slot, false, store)).await,
                None => Ok(Passed::await_change()),
            };
        }
    }
    gather::look_closer(context, &id.namespace, &needs, &mut look.seen).await;
    Ok(conclude(context, &id, look, &status, slot).await)
}

/// The newest status: the stored one, or one in memory that rests on it.
fn known(
    context: &Context,
    rollout: &DynamicObject,
    stored: Option<&Arc<CanaryRolloutStatus>>,
) -> Arc<CanaryRolloutStatus> {
    let newest = context.drafts.newest(rollout, stored);
    newest.or_else(|| stored.cloned()).unwrap_or_default()
}

/// What came of a pass.
struct Passed {
    /// When the next one is due.
    next: Requeue,
    /// The first write that failed. What does not need it was done.
    failed: Option<Error>,
}

impl Passed {
    /// Nothing is to be done before something changes.
    fn await_change() -> Self {
        Self {
            next: Requeue::await_change(),
            failed: None,
        }
    }
}

/// The second half of a pass: decides, acts and says when the next pass is due.
async fn conclude(
    context: &Context,
    id: &Identity,
    mut look: Look,
    known: &CanaryRolloutStatus,
    slot: Option<Slot<'_>>,
) -> Passed {
    let now = context.now();
    let measured = look.seen.measured.is_some() || look.seen.drained.is_some();
    let spec = look.spec.as_ref().map_err(String::as_str);
    let decision = engine::settle(id, spec, &look.in_force, known, &mut look.seen, now);
    let (actions, wake) = (decision.actions.len(), decision.wake);
    let next = Arc::new(decision.status);
    let deeds = Deeds {
        due: persist::due(context, &look.rollout, look.stored.as_ref(), &next),
        actions: decision.actions,
        calls: decision.calls,
        wake,
    };
    let basis = Basis {
        id,
        known,
        measured: decision.measured,
    };
    let acts = deeds.are_some() || events::due(&next, look.seen.told, now).next().is_some();
    let span = if acts {
        logged::span(&id.namespace, &id.name, &next)
    } else {
        Span::none()
    };
    let left = act(context, &mut look, basis, &next, deeds).instrument(span).await;
    drop(slot);
    let again = left.again;
    let what = format_args!("measured: {measured}, actions: {actions}, now: {now}, wake: {wake:?}, again: {again:?}");
    logged::passed(&id.namespace, &id.name, &next, what);
    if next.is_active() && !left.unstored {
        context.recent.keep(look);
    }
    let now = context.now();
    let next = match wake.into_iter().chain(again).min() {
        Some(at) => Requeue::requeue(at.duration_since(now).try_into().unwrap_or_default()),
        None => Requeue::await_change(),
    };
    Passed {
        next,
        failed: left.failed,
    }
}

/// Asks the metrics store for a tick, or the API server whether it holds changed templates. Returns whether that is known before
/// somebody asked for something: an abort must not wait.
async fn ask(context: &Context, id: &Identity, needs: &Needs, look: &mut Look) -> bool {
    let asking = async {
        gather::measure(context, look.source.as_ref(), needs, &mut look.seen).await;
        gather::look_for_requests(context, look.source.as_ref(), needs, &mut look.seen).await;
        if needs.probe {
            hold::probe(context, id, &mut look.seen).await;
        }
    };
    tokio::select! {
        () = asking => true,
        () = disturbed(context, &id.namespace, &id.name) => false,
    }
}

/// Adds to a look what this process alone knows, or what must be asked anew in every pass.
async fn remember(context: &Context, id: &Identity, look: &mut Look) {
    let world = &mut look.seen;
    world.obstacles = context.writes.obstacles(&id.uid);
    world.stored_events = look.stored.as_ref().map_or(0, |stored| stored.events.emitted);
    world.not_stored = context.not_stored();
    world.replies = context.calls.replies(&id.uid);
    world.told = context.told.last(&id.uid);
    world.probed = context.holds.of(&id.uid, &world.policy);
    if world.deletion == Deletion::Asked && gather::namespace_is_going(context, &id.namespace).await {
        world.deletion = Deletion::AtOnce;
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
    let stored = stored.map(Arc::new);
    let status = known(context, &rollout, stored.as_ref());
    let in_force = InForce::new(spec.as_ref().map_err(String::as_str), &status);
    let shared = in_force.spec().filter(|known| spec.as_ref() == Ok(*known));
    let spec = shared.cloned().map_or(spec, Ok);
    let seen = gather::observe(context, &rollout, in_force.plan(), &status);
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
        stored,
        seen,
        stamp,
    }))
}
