//! Notifications that are put into the outbox when something happens.

use crate::{
    api::{
        Percent,
        status::Notification,
        webhook::{Notifier, Occasion},
    },
    engine::draft::Draft,
};

/// Most that wait at once; the oldest make room.
const MOST: usize = 32;

/// Something happened that notifiers are told of.
pub fn put(draft: &mut Draft, occasion: Occasion, note: &str) {
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
            event: occasion.to_string(),
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
