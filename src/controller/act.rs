//! The second half of a pass: stores what was decided, carries it out, tells it. A write that fails holds up only what needs it.

use crate::api::moment::Moment as _;
use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{
    Context, REQUEST_TIMEOUT, apply,
    error::Error,
    events, logged,
    persist::{self, Due},
    recent::Look,
    shelf::version,
    writes::{Target, Try},
};
use crate::{
    api::CanaryRolloutStatus,
    engine::{
        self,
        contract::{
            Identity,
            action::{Action, Ordered, Part},
            call::Call,
            observed::Measured,
        },
    },
};

/// What a pass has to do besides telling Events.
pub(super) struct Deeds {
    pub due: Due,
    pub actions: Vec<Ordered>,
    pub calls: Vec<Call>,
    /// When there will be a pass anyway.
    pub wake: Option<Timestamp>,
}

impl Deeds {
    pub(super) fn are_some(&self) -> bool {
        matches!(self.due, Due::Now { .. }) || !self.actions.is_empty() || !self.calls.is_empty()
    }
}

/// What a pass rested on.
pub(super) struct Basis<'a> {
    pub id: &'a Identity,
    /// The status that was decided on: the stored one, or a newer one that is in memory alone.
    pub known: &'a CanaryRolloutStatus,
    /// What the metrics store has answered in this pass.
    pub measured: Option<Measured>,
}

/// What is left of a pass.
pub(super) struct Left {
    /// When to come again for it.
    pub again: Option<Timestamp>,
    /// The stored status differs from the one in memory in more than figures.
    pub unstored: bool,
    /// The first write that failed.
    pub failed: Option<Error>,
}

/// Stores the status, carries out the actions, begins the calls and tells the Events, in this order.
pub(super) async fn act(
    context: &Context,
    look: &mut Look,
    basis: Basis<'_>,
    next: &Arc<CanaryRolloutStatus>,
    deeds: Deeds,
) -> Left {
    let (uid, writes) = (&basis.id.uid, deeds.are_some());
    let (mut failed, mut again) = (None, Vec::new());
    let mut actions = deeds.actions;
    let unstored = match store(context, look, next, &deeds.due, deeds.wake).await {
        Stored::Yes(at) => {
            again.extend(at);
            false
        }
        Stored::No(error) => {
            failed = error;
            let only_figures = matches!(deeds.due, Due::Now { only_figures: true });
            if only_figures {
                context
                    .drafts
                    .keep(&look.rollout, look.stored.clone(), next.clone(), context.now());
            } else {
                actions = without_status(context, look, basis.id, actions);
                keep_in_memory(context, look, &basis, next);
            }
            !only_figures
        }
    };
    failed = failed.or(carry_out(context, look, uid, &actions).await);
    let untold = if unstored {
        tell_without_status(context, look).await
    } else {
        context.calls.begin(&context.client, &look.rollout, &deeds.calls);
        events::announce(context, &look.rollout, next).await
    };
    let retry = context.writes.next(uid);
    if writes && failed.is_none() && retry.is_none() {
        logged::answered(context);
    }
    let retry = retry.and_then(|delay| SignedDuration::try_from(delay).ok());
    again.extend(untold.into_iter().chain(retry.map(|delay| context.now().plus(delay))));
    Left {
        again: again.into_iter().min(),
        unstored,
        failed,
    }
}

/// Whether the status is stored as far as it has to be.
enum Stored {
    /// It is; there must be a pass at this time to store figures.
    Yes(Option<Timestamp>),
    /// It is not: that failed now, or is not to be tried again yet.
    No(Option<Error>),
}

async fn store(
    context: &Context,
    look: &mut Look,
    next: &Arc<CanaryRolloutStatus>,
    due: &Due,
    wake: Option<Timestamp>,
) -> Stored {
    let uid = look.rollout.uid().unwrap_or_default();
    let attempt = Try {
        target: Target::Status,
        action: None,
        version: Some(version(&look.rollout)),
    };
    let is_now = matches!(due, Due::Now { .. });
    if is_now && !context.writes.is_due(&uid, &attempt) {
        return Stored::No(None);
    }
    let what = || "storing the status".to_owned();
    let request = persist::persist(context, &mut look.rollout, &mut look.stored, next, due, wake);
    match in_time(what, request).await {
        Ok(again) => {
            if is_now {
                worked(context, look, &attempt);
            } else {
                // What could not be stored is no longer asked for.
                context.writes.worked(&uid, &Target::Status);
            }
            Stored::Yes(again)
        }
        Err(error) => {
            failed(context, look, &attempt, &error);
            Stored::No(Some(error))
        }
    }
}

/// What goes ahead although the status cannot be stored: a fall to 0, and what the stored status asks for as well.
fn without_status(context: &Context, look: &Look, id: &Identity, mut actions: Vec<Ordered>) -> Vec<Ordered> {
    // If somebody else has stored another one, nobody knows what that asks for.
    let known = !context.writes.is_conflict(&id.uid, &Target::Status);
    let spec = look.spec.as_ref().map_err(String::as_str);
    let none = CanaryRolloutStatus::default();
    let stored = look.stored.as_deref().unwrap_or(&none);
    let asked = known.then(|| engine::asked_for(id, spec, stored, &look.seen, context.now()));
    actions.retain(|one| {
        let asked = asked.iter().flatten().any(|asked| asked.action == one.action);
        asked || matches!(one.action, Action::TakeTrafficOff { .. })
    });
    actions
}

/// What was judged, and the way back, is decided on in the next pass although it is not stored.
fn keep_in_memory(context: &Context, look: &Look, basis: &Basis<'_>, next: &Arc<CanaryRolloutStatus>) {
    let now = context.now();
    let kept = if engine::contract::unstored::may_be_kept(basis.known, next) {
        next.clone()
    } else {
        let measured = basis.measured.as_ref();
        Arc::new(engine::judged(
            basis.id,
            &look.in_force,
            basis.known,
            &look.seen,
            measured,
            now,
        ))
    };
    context.drafts.keep(&look.rollout, look.stored.clone(), kept, now);
}

/// Carries out each action whose needs are met, and returns the first failure.
async fn carry_out(context: &Context, look: &Look, uid: &str, actions: &[Ordered]) -> Option<Error> {
    let asked: BTreeSet<Target> = actions.iter().map(|one| Target::from(&one.action)).collect();
    context.writes.still_asked_for(uid, &asked);
    let (mut undone, mut first) = (BTreeSet::new(), None);
    let namespace = look.rollout.namespace().unwrap_or_default();
    for one in actions {
        let Some(attempt) = due(context, look, uid, one, &mut undone) else {
            continue;
        };
        let Ordered { part, action } = one;
        let request = apply::apply(context, &look.rollout, &look.seen.versions, action);
        match in_time(|| in_words(action, &namespace), request).await {
            Ok(()) => worked(context, look, &attempt),
            Err(error) => {
                failed(context, look, &attempt, &error);
                undone.insert(*part);
                first = first.or(Some(error));
            }
        }
    }
    first
}

/// The try of an action that is to be made now: its needs are met, and it was not refused a moment ago. If it is not, it is
/// noted among the undone ones.
fn due<'a>(
    context: &Context,
    look: &Look,
    uid: &str,
    one: &'a Ordered,
    undone: &mut BTreeSet<Part>,
) -> Option<Try<'a>> {
    let target = Target::from(&one.action);
    let seen = match &target {
        Target::Object(kind, name) => look.seen.versions.get(&(*kind, name.clone())).copied(),
        Target::Status | Target::Rollout | Target::Action(_) | Target::Events => Some(version(&look.rollout)),
    };
    let attempt = Try {
        target,
        action: Some(&one.action),
        version: seen,
    };
    let waits = one.part.needs().iter().any(|needed| undone.contains(needed));
    if waits || !context.writes.is_due(uid, &attempt) {
        undone.insert(one.part);
        return None;
    }
    Some(attempt)
}

/// Whether one of these actions would be tried now.
pub(super) fn any_is_due(context: &Context, look: &Look, uid: &str, actions: &[Ordered]) -> bool {
    let mut undone = BTreeSet::new();
    actions
        .iter()
        .any(|one| due(context, look, uid, one, &mut undone).is_some())
}

fn worked(context: &Context, look: &Look, attempt: &Try<'_>) {
    let uid = look.rollout.uid().unwrap_or_default();
    if context.writes.worked(&uid, &attempt.target) {
        logged::write_worked(context, &look.rollout, &attempt.target);
    }
}

fn failed(context: &Context, look: &Look, attempt: &Try<'_>, error: &Error) {
    let uid = look.rollout.uid().unwrap_or_default();
    context.writes.failed(&uid, attempt, error);
    logged::write_failed(context, &look.rollout, &attempt.target, error);
}

/// Events are numbered by the status: while that cannot be stored only those of the stored one are told, and that it cannot.
async fn tell_without_status(context: &Context, look: &Look) -> Option<Timestamp> {
    if let Some(obstacle) = context.writes.unstored(&look.rollout.uid().unwrap_or_default()) {
        events::tell_unstored(context, &look.rollout, &obstacle).await;
    }
    events::announce(context, &look.rollout, look.stored.as_ref()?).await
}

/// What an action tries, on what, in words.
fn in_words(action: &Action, namespace: &str) -> String {
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

/// One request that hangs must not hold a rollback for as long as a whole pass may take. `what` says what was tried.
pub(super) async fn in_time<T>(
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
