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
    events, fetch, gather, hold,
    logged::{self, Took},
    named::Named,
    panics::{self, Work},
    persist,
    pressing::pressing,
    recent::Look,
    refused,
};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus, Plan, condition::Refusal},
    engine::{
        self,
        contract::{Identity, Needs, in_force::InForce, observed::Deletion},
    },
    look::{Known, keys},
};

/// Runs one pass over a rollout, measures it and logs how it ended.
pub async fn reconcile(seen: Arc<Named>, context: Arc<Context>) -> Result<Requeue, Error> {
    // None is given once the process was told to stop.
    let namespace = seen.namespace().unwrap_or_default();
    let Some(slot) = context.slot(&namespace).await else {
        return Ok(Requeue::await_change());
    };
    let started = Instant::now();
    let mut took = Took::default();
    // Boxed only now: the future of a pass is large, and many may be waiting for a slot.
    let pass = Box::pin(pass(&seen, &context, slot, true, &mut took.store));
    // One object never stops another one, whatever is wrong with it.
    let result = match panics::caught(Work::Pass, pass).await {
        Ok(ended) => ended,
        Err(panicked) => Err(Error::Panicked(panicked)),
    };
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
    if let Err(error) = &result {
        show(&context, &seen, error).await;
    }
    match result {
        // Another writer was faster. The watch brings what it wrote in a moment.
        Err(Error::Conflict { .. }) => Ok(Requeue::requeue(Duration::from_millis(50))),
        other => other.map(|passed| passed.next),
    }
}

/// Shows people why nothing is decided, where the pass itself cannot.
async fn show(context: &Context, seen: &Named, error: &Error) {
    let (reason, why) = match error {
        Error::Panicked(panicked) => {
            // What only this process knows of the rollout may be what made it panic.
            context.drafts.forget(&seen.uid().unwrap_or_default());
            let why = format!(
                "a fault of Warmfront keeps it from deciding anything for this rollout ({panicked}); other rollouts go on, and it is tried again at least every 30 s. Please report it, with the backtrace in the controller's log"
            );
            (Refusal::InternalError, why)
        }
        Error::Status { source, .. } => {
            let why = format!(
                "the status cannot be read, so nothing is decided and the weight stays as it is: {source}. If a newer version has written it, run that one again; an Abort, or the deletion of this CanaryRollout, takes the new version out of the routes"
            );
            (Refusal::StatusUnreadable, why)
        }
        Error::Unreadable { why, .. } => {
            let why = format!(
                "this CanaryRollout cannot be read, so nothing is decided and the weight stays as it is: {why}. Mend it; to delete it as it is, take the new version out of the routes and then its finalizer away"
            );
            (Refusal::ObjectUnreadable, why)
        }
        Error::Persist(_)
        | Error::Apply { .. }
        | Error::Conflict { .. }
        | Error::NoAnswer { .. }
        | Error::Timeout(_) => return,
    };
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let shown = refused::show(context, &namespace, &name, reason, &why);
    if let Err(panicked) = panics::caught(Work::Pass, shown).await {
        // The copy of the rollout itself is what cannot be read.
        tracing::debug!(namespace, rollout = name, error = %panicked, "Accepted=False/{reason} could not be stored");
    }
}

/// One pass. If a tick or a dry run is due and it `may_ask`, it asks for that; `store` becomes the time for which that, and then a slot,
/// was waited for. If something is to be done meanwhile that needs no answer it begins again and does not ask. What is waited for has
/// limits of its own, so that no answer is lost for a wait: only what is done with it is given up after a while.
async fn pass(
    seen: &Named,
    context: &Context,
    slot: Slot,
    may_ask: bool,
    store: &mut Duration,
) -> Result<Passed, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let Some(mut look) = look_at_all(context, &namespace, &name).await? else {
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
    let asks_store = needs.measure.is_some() || needs.drained.is_some() || needs.inspect.is_some();
    if (asks_store || needs.probe) && may_ask {
        // What does not answer keeps no other rollout waiting.
        drop(slot.take());
        let asked = Instant::now();
        let answered = ask(context, &id, &needs, &mut look).await;
        slot = context.slot(&id.namespace).await;
        *store = asked.elapsed();
        if !answered {
            // The tick is asked for again later.
            return match slot {
                Some(slot) => Box::pin(pass(seen, context, slot, false, store)).await,
                None => Ok(Passed::await_change()),
            };
        }
    }
    let rest = async {
        gather::look_closer(context, &id, &needs, &mut look.seen).await;
        conclude(context, &id, look, &status, slot).await
    };
    let rest = tokio::time::timeout(PASS_TIMEOUT, rest).await;
    rest.map_err(|_| Error::Timeout(PASS_TIMEOUT))
}

/// The newest status: the stored one, or one in memory that rests on it.
pub(super) fn known(
    context: &Context,
    rollout: &DynamicObject,
    stored: Option<&Arc<CanaryRolloutStatus>>,
) -> Arc<CanaryRolloutStatus> {
    let newest = context.drafts.newest(rollout, stored);
    newest.or_else(|| stored.cloned()).unwrap_or_default()
}

/// Looks, and looks again when what the rollout seeks and nobody sought before has been fetched.
pub(super) async fn look_at_all(context: &Context, namespace: &str, name: &str) -> Result<Option<Look>, Error> {
    let keys = match look(context, namespace, name)? {
        Looked::Gone => return Ok(None),
        Looked::At(look) => return Ok(Some(*look)),
        Looked::Without(keys) => keys,
    };
    fetch::missing(context, namespace, &keys).await?;
    match look(context, namespace, name)? {
        Looked::Gone => Ok(None),
        Looked::At(look) => Ok(Some(*look)),
        // It was edited meanwhile.
        Looked::Without(_) => Err(Error::Conflict {
            action: format!("looking at {namespace}/{name}"),
        }),
    }
}

/// What came of a look.
enum Looked {
    /// The rollout is gone.
    Gone,
    /// Everything was seen.
    At(Box<Look>),
    /// Not all that the rollout seeks by these keys is known to be here.
    Without(Vec<String>),
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
    slot: Option<Slot>,
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
/// something is to be done without it: neither an abort nor a way back waits for an answer.
async fn ask(context: &Context, id: &Identity, needs: &Needs, look: &mut Look) -> bool {
    let asking = async {
        gather::measure(context, look.source.as_ref(), needs, &mut look.seen).await;
        gather::look_for_requests(context, look.source.as_ref(), needs, &mut look.seen).await;
        gather::inspect(context, look.source.as_ref(), needs, &mut look.seen).await;
        if needs.probe {
            hold::probe(context, id, &mut look.seen).await;
        }
    };
    tokio::select! {
        () = asking => true,
        () = pressing(context, id) => false,
    }
}

/// Adds to a look what this process alone knows, or what must be asked anew in every pass.
pub(super) async fn remember(context: &Context, id: &Identity, look: &mut Look) {
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
    if world.deletion == Deletion::No && context.uninstalls {
        world.deletion = Deletion::Uninstall;
    }
}

/// The stored status, if there is one. Of one that cannot be read only what a person asks for is carried out.
fn stored(
    context: &Context,
    rollout: &DynamicObject,
    spec: Option<&CanaryRolloutSpec>,
) -> Result<Option<CanaryRolloutStatus>, Error> {
    let Some(raw) = rollout.data.get("status") else {
        return Ok(None);
    };
    CanaryRolloutStatus::deserialize(raw).map(Some).or_else(|source| {
        let plan = spec.and_then(|spec| Plan::try_from(spec).ok());
        let seen = gather::observe(context, rollout, plan.as_ref(), &CanaryRolloutStatus::default());
        let asked = spec.and_then(|spec| engine::salvage::on_request(raw, spec, &seen, context.now()));
        asked.map(Some).ok_or_else(|| Error::Status {
            object: format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.name_any()),
            source,
        })
    })
}

/// What is known of the rollout and the world; nothing if the rollout is gone.
fn look(context: &Context, namespace: &str, name: &str) -> Result<Looked, Error> {
    let rollouts = &context.caches.rollouts;
    if let Some((_, why)) = rollouts.rest_of(namespace, name) {
        // An older copy may be here. It is not what its owner asks for, nor where the release stands.
        let object = format!("{namespace}/{name}");
        return Err(Error::Unreadable { object, why });
    }
    let stamp = context.caches.stamp(namespace);
    // What the last pass stored is in the look that it kept, also while the watch has yet to tell of it.
    let Some(newest) = rollouts.version(namespace, name) else {
        return Ok(Looked::Gone);
    };
    if let Some(look) = context.recent.take(namespace, name, newest, &stamp) {
        return Ok(Looked::At(Box::new(look)));
    }
    if rollouts.is_behind(namespace, name) {
        // A write of ours is newer than this copy. The watch brings it in a moment.
        return Err(Error::Conflict {
            action: format!("looking at {namespace}/{name}"),
        });
    }
    let Some(rollout) = rollouts.get(Some(namespace), name) else {
        return Ok(Looked::Gone);
    };
    let keys = keys::of(Known::CanaryRollout)(&rollout.metadata, &rollout.data);
    if !context.caches.missing(namespace, &keys).is_empty() {
        return Ok(Looked::Without(keys));
    }
    let spec = CanaryRolloutSpec::read(&rollout.data["spec"]).map(Arc::new);
    let stored = stored(context, &rollout, spec.as_deref().ok())?.map(Arc::new);
    let status = known(context, &rollout, stored.as_ref());
    let in_force = InForce::new(spec.as_ref().map_err(String::as_str), &status);
    let shared = in_force.spec().filter(|known| spec.as_ref() == Ok(*known));
    let spec = shared.cloned().map_or(spec, Ok);
    let mut seen = gather::observe(context, &rollout, in_force.plan(), &status);
    seen.unreadable = context.caches.unreadable(namespace, &keys);
    let source = in_force
        .plan()
        .and_then(|plan| crate::look::source(&*context.caches, &plan.source)?.ok());
    let metadata = DynamicObject {
        types: rollout.types.clone(),
        metadata: rollout.metadata.clone(),
        data: Value::Null,
    };
    Ok(Looked::At(Box::new(Look {
        rollout: metadata,
        spec,
        in_force,
        source,
        stored,
        seen,
        stamp,
    })))
}
