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
        /// Its resourceVersion as it was seen: another one may have its answer.
        version: String,
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

/// An action in its place among those of one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// What it is for.
    pub part: Part,
    /// What is done.
    pub action: Action,
}

/// What an action is for. Those of one look are carried out in this order, each by itself: one that fails holds up only those
/// that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(strum::EnumIter))]
pub enum Part {
    /// Requests leave the new version.
    TrafficOff,
    /// Our finalizer.
    Finalizer,
    /// An autoscaler's minimum.
    Floor,
    /// The Deployment is paused.
    Pause,
    /// The Deployment gets our label, or loses it.
    Label,
    /// ReplicaSets leave the Deployment's hands.
    Take,
    /// Users' Services select one version, or both.
    Narrow,
    /// The Deployment is no longer paused.
    Unpause,
    /// The new version, or one that stands by, gets pods.
    MorePods,
    /// The canary Service is made.
    CanaryService,
    /// The canary Service selects other pods, or goes.
    OtherCanaryService,
    /// Requests go to the new version.
    TrafficUp,
    /// Fields of a route are no longer ours.
    Fields,
    /// ReplicaSets go into the Deployment's hands.
    Give,
    /// Pods go.
    FewerPods,
    /// ReplicaSets without pods go.
    Remove,
    /// RolloutActions are answered, or go.
    Answer,
}

impl Part {
    /// What must have been done before, if it is to be done at all: without it this would take pods from requests, or hand
    /// them to a Deployment that does something else with them.
    pub fn needs(self) -> &'static [Self] {
        match self {
            Self::TrafficOff
            | Self::Finalizer
            | Self::Floor
            | Self::Pause
            | Self::Label
            | Self::CanaryService
            | Self::Fields
            | Self::Remove
            | Self::Answer => &[],
            Self::Take | Self::Narrow => &[Self::Pause],
            Self::Unpause => &[Self::Narrow],
            Self::MorePods => &[Self::Pause, Self::Take, Self::Narrow],
            Self::OtherCanaryService => &[Self::TrafficOff],
            Self::TrafficUp => &[Self::CanaryService, Self::OtherCanaryService],
            Self::Give => &[Self::Pause, Self::Take],
            Self::FewerPods => &[Self::TrafficOff, Self::Narrow],
        }
    }
}

/// A request that nobody saw for so long is no longer what its author means. Abort never grows old.
pub const EXPIRES_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// A RolloutAction is removed this long after it was answered.
pub const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn what_a_part_needs_comes_before_it_and_traffic_goes_first() {
        for part in Part::iter() {
            assert!(part.needs().iter().all(|needed| *needed < part), "{part:?}");
            assert!(part >= Part::TrafficOff, "{part:?}");
        }
        assert_eq!(Part::TrafficOff.needs(), []);
    }
}
