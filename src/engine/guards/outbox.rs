//! Notifications: what becomes of a release is told to other systems, at least once, and never holds anything up.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::json;

use crate::{
    api::{CanaryRolloutStatus, status::Notification},
    engine::{
        contract::call::{Call, again_at, times},
        draft::{Draft, events::Reason},
        facts::Facts,
    },
};

/// After this long a notification is given up; an Event says so.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(1);

fn key(facts: &Facts<'_>, notification: &Notification) -> String {
    format!("{}.{}.{}", facts.id.uid, notification.sequence, notification.to)
}

/// Takes in what was answered. What was accepted, or tried for too long, leaves the outbox.
pub fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    let mut given_up = Vec::new();
    let known = |name: &str| facts.plan.notifiers.iter().any(|notifier| notifier.name == name);
    next.outbox_mut().retain_mut(|notification| {
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

/// What is to be sent now: to each notifier one at a time, in the order in which things happened.
pub fn calls(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Call> {
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
