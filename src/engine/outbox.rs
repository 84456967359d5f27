//! Notifications: what becomes of a release is told to other systems, at least once, and never holds anything up.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::json;

use super::{
    Draft,
    call::{Call, again_at, times},
    facts::Facts,
    notice::Reason,
};
use crate::api::{
    CanaryRolloutStatus, Percent,
    status::Notification,
    webhook::{Notifier, Occasion},
};

/// After this long a notification is given up; an Event says so.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Most that wait at once; the oldest make room.
const MOST: usize = 32;

/// Something happened that notifiers are told of.
pub(super) fn put(draft: &mut Draft, occasion: Occasion, note: &str) {
    let frozen = draft.status.run.as_ref().map(|run| &*run.plan);
    let notifiers = draft
        .spec
        .as_deref()
        .or(frozen)
        .map(|spec| spec.notify.clone())
        .unwrap_or_default();
    let wanted = |notifier: &&Notifier| notifier.events.is_empty() || notifier.events.contains(&occasion);
    for notifier in notifiers.iter().filter(wanted) {
        let run = draft.status.run.as_ref();
        draft.status.outbox.push(Notification {
            sequence: draft.status.events.emitted,
            to: notifier.name.clone(),
            event: occasion,
            note: note.to_owned(),
            at: draft.now,
            run: run.map_or(0, |run| run.number),
            revision: run.map(|run| run.revision.clone()).unwrap_or_default(),
            from: run.map(|run| run.stable_revision.clone()).unwrap_or_default(),
            step: run.map_or(0, |run| run.step),
            weight: run.map_or(Percent::ZERO, |run| run.weight),
            attempts: 0,
            next_at: draft.now,
        });
    }
    let surplus = draft.status.outbox.len().saturating_sub(MOST);
    draft.status.outbox.drain(..surplus);
}

fn key(facts: &Facts<'_>, notification: &Notification) -> String {
    format!("{}.{}.{}", facts.id.uid, notification.sequence, notification.to)
}

/// Takes in what was answered; what was taken is done with.
pub(super) fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    let mut given_up = Vec::new();
    let known = |name: &str| facts.plan.notifiers.iter().any(|notifier| notifier.name == name);
    next.status.outbox.retain_mut(|notification| {
        if !known(&notification.to) {
            return false;
        }
        let Some(reply) = facts
            .seen
            .replies
            .get(&key(facts, notification))
            .filter(|reply| reply.attempt == notification.attempts)
        else {
            return true;
        };
        if reply.is_yes() {
            return false;
        }
        notification.attempts += 1;
        notification.next_at = again_at(notification.attempts, facts.now);
        let over = facts.now >= notification.at + GIVEN_UP_AFTER;
        if over {
            given_up.push(format!(
                "notifier {} could not be told of {}, tried {}, which is given up: {}",
                notification.to,
                notification.event,
                times(notification.attempts),
                reply.words()
            ));
        }
        !over
    });
    for note in given_up {
        next.tell(Reason::NotificationFailed, note);
    }
}

/// What is to be sent now: to each notifier one after the other, in the order in which things happened.
pub(super) fn calls(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Call> {
    let mut notifiers = BTreeSet::new();
    let oldest = status
        .outbox
        .iter()
        .filter(|notification| notifiers.insert(&notification.to));
    let due = oldest.filter(|notification| notification.next_at <= facts.now);
    due.filter_map(|notification| {
        let notifier = facts
            .plan
            .notifiers
            .iter()
            .find(|notifier| notifier.name == notification.to)?;
        let key = key(facts, notification);
        let Notification {
            event,
            note,
            at,
            run,
            revision,
            from,
            step,
            weight,
            ..
        } = notification;
        let (namespace, rollout, deployment) = (&facts.id.namespace, &facts.id.name, &facts.plan.deployment);
        let body = json!({
            // Chat systems show this field.
            "text": format!("{event}: {namespace}/{rollout}: {note}"),
            "kind": "Notification", "event": event, "at": at,
            "namespace": namespace, "rollout": rollout, "deployment": deployment,
            "run": run, "revision": revision, "stableRevision": from, "step": step, "weight": weight,
            "message": note, "attempt": notification.attempts + 1, "idempotencyKey": key,
        });
        Some(Call {
            key,
            attempt: notification.attempts,
            address: notifier.address.clone(),
            timeout: notifier.timeout,
            body,
        })
    })
    .collect()
}
