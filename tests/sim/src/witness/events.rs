//! Events: each that a status promises is told once, under its own name.

use super::Witness;
use crate::{apiserver::store::Change, world::text};

/// Name of the RolloutAction whose answer an Event tells.
fn answered(message: &str) -> Option<&str> {
    let (_, name) = message.split_once(" by RolloutAction ")?;
    name.split([' ', ':']).next()
}

impl Witness {
    pub(super) fn see_event(&mut self, change: &Change) {
        let Some(event) = &change.new else { return };
        let (reason, message) = (text(event, "/reason").to_owned(), text(event, "/message").to_owned());
        self.note(change.at, format!("event {reason}: {message}"));
        // Each RolloutAction is carried out once.
        if let Some(action) = answered(&message).filter(|action| !self.answered.insert((*action).to_owned())) {
            self.violation(
                change.at,
                format!("RolloutAction {action} was carried out twice: {message}"),
            );
        }
        if let Some((before, _)) = self.told.insert(change.key.2.clone(), (reason.clone(), message)) {
            self.violation(
                change.at,
                format!("Event {} was told twice: {before}, {reason}", change.key.2),
            );
        }
    }

    /// Events that were promised and never told, or told with another text.
    pub fn lost_events(&self) -> Vec<String> {
        let told = |rollout: &str, sequence: i64| self.told.get(&format!("{rollout}-{sequence}"));
        let mut lost = Vec::new();
        for ((rollout, sequence), promised) in &self.promised {
            match told(rollout, *sequence) {
                None => lost.push(format!(
                    "Event {sequence} of {rollout} was never told: {}: {}",
                    promised.0, promised.1
                )),
                Some(told) if told != promised => lost.push(format!(
                    "Event {sequence} of {rollout} was told as {told:?} instead of {promised:?}"
                )),
                Some(_) => {}
            }
        }
        lost
    }

    /// Reasons of all Events told, in order of their numbers.
    pub fn reasons(&self) -> Vec<String> {
        self.promised.values().map(|(reason, _)| reason.clone()).collect()
    }
}
