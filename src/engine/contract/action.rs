//! What the engine asks of the world: changes of single objects, each safe to repeat.

use jiff::SignedDuration;
use serde_json::Value;

use crate::{api::action::ActionPhase, engine::contract::kind::Kind, kubernetes::patch::Patch};

/// One change. The shell guards every patch with the resourceVersion of the object that was observed.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Puts our finalizer on the CanaryRollout.
    AddFinalizer,
    /// Takes our finalizer off the CanaryRollout.
    DropFinalizer,
    /// Creates an object; one of that name that stands already is left alone.
    Create {
        /// Its kind.
        kind: Kind,
        /// The whole object.
        object: Box<Value>,
    },
    /// Changes an object by JSON Patch.
    Patch {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// The operations.
        patch: Patch,
    },
    /// Changes a route by JSON Patch so that the new version has no traffic. It goes ahead even if the status could not
    /// be stored.
    TakeTrafficOff {
        /// Kind of the route.
        kind: Kind,
        /// Its name.
        name: String,
        /// The operations.
        patch: Patch,
    },
    /// Deletes an object; one that is gone already is fine.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// Writes into a RolloutAction's status how it ended.
    Answer {
        /// Its name.
        name: String,
        /// How it ended.
        phase: ActionPhase,
        /// One word for programs.
        reason: String,
        /// A sentence for people.
        message: String,
    },
    /// Removes a RolloutAction that was decided long ago.
    Forget {
        /// Its name.
        name: String,
    },
}

/// A RolloutAction is removed this long after it was answered.
pub const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);
