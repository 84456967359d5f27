//! What people and pipelines ask of a simulated release: RolloutActions, each created at its time.

use jiff::Timestamp;

use super::spec::Asked;
use crate::{
    api::{action::RolloutActionSpec, moment::Moment as _},
    engine::contract::{action::Action, observed::ActionSeen},
    look::actions::sort,
};

/// Whoever creates RolloutActions.
pub struct People {
    /// Those that are still to come.
    to_come: Vec<ActionSeen>,
    /// Those that are there.
    created: Vec<ActionSeen>,
}

impl People {
    /// Those of the rollout whose version is applied at `start`.
    pub fn new(rollout: &str, asked: &[Asked], start: Timestamp) -> Self {
        let asked = asked.iter().enumerate();
        let mut to_come: Vec<ActionSeen> = asked
            .map(|(number, asked)| ActionSeen {
                name: format!("action-{}", number.saturating_add(1)),
                uid: format!("action-{}", number.saturating_add(1)),
                version: "1".to_owned(),
                spec: RolloutActionSpec {
                    rollout: rollout.to_owned(),
                    action: asked.action,
                    revision: None,
                    step: asked.step,
                    reason: asked.reason.clone(),
                },
                by: None,
                created: start.plus(asked.at.signed()),
                decided: None,
            })
            .collect();
        sort(&mut to_come);
        Self {
            to_come,
            created: Vec::new(),
        }
    }

    /// When the next one is created.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.to_come.first().map(|action| action.created)
    }

    /// Creates what is due.
    pub fn create(&mut self, now: Timestamp) {
        let due = self.to_come.iter().take_while(|action| action.created <= now).count();
        self.created.extend(self.to_come.drain(..due));
    }

    /// Those that are there, the oldest first.
    pub fn seen(&self) -> Vec<ActionSeen> {
        self.created.clone()
    }

    /// Takes an answer, or the removal of an answered one.
    pub fn take(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Answer { name, .. } => {
                for asked in self.created.iter_mut().filter(|asked| asked.name == *name) {
                    asked.decided = Some(now);
                }
            }
            Action::Forget { name } => self.created.retain(|asked| asked.name != *name),
            Action::AddFinalizer
            | Action::DropFinalizer
            | Action::Create { .. }
            | Action::Patch { .. }
            | Action::TakeTrafficOff { .. }
            | Action::Delete { .. } => {}
        }
    }
}
