//! Notifications: what becomes of a release is told to other systems, at least once, and never holds anything up.

use crate::api::moment::Moment as _;
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
        notification.attempts = notification.attempts.saturating_add(1);
        notification.next_at = again_at(notification.attempts, facts.now);
        let over = facts.now >= notification.at.plus(GIVEN_UP_AFTER);
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
            "text": chat(&format!("{event}: {namespace}/{rollout}: {note}")),
            "kind": "Notification", "event": event, "at": at,
            "namespace": namespace, "rollout": rollout, "deployment": deployment,
            "run": run, "revision": revision, "stableRevision": from, "step": step, "weight": weight,
            "message": note, "attempt": notification.attempts.saturating_add(1), "idempotencyKey": key,
        });
        Some(Call {
            key,
            attempt: notification.attempts,
            webhook: notifier.webhook.clone(),
            body,
        })
    })
    .collect()
}

/// A text as chats show it. What objects say may stand in it, so nothing in it may be a link or call people: `&`, `<` and `>` are
/// escaped as Slack asks for, no `@` stands before a name, and it is one line.
fn chat(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            // A space of no width: people do not see it, chats find no name behind it.
            '@' => shown.push_str("@\u{200b}"),
            other if other.is_control() => shown.push(' '),
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_chats_calls_nobody_and_leads_nowhere() {
        assert_eq!(
            chat("<!channel> see <https://evil.example|the dashboard> & @here\nnow"),
            "&lt;!channel&gt; see &lt;https://evil.example|the dashboard&gt; &amp; @\u{200b}here now"
        );
        let plain = "Promoted: shop/catalog: revision 6c9f at 100% for 1h (p99 182ms)";
        assert_eq!(chat(plain), plain);
    }
}
