//! What the engine asks of the world: changes of single objects, each safe to repeat.

use serde_json::Value;

use super::observed::Observed;
use crate::{
    api::{action::ActionPhase, traffic::RouteKind},
    workload::autoscaler::AutoscalerKind,
};

/// Kinds of objects that are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display)]
pub enum Kind {
    /// `apps/v1`.
    Deployment,
    /// `apps/v1`.
    ReplicaSet,
    /// `v1`.
    Service,
    /// `autoscaling/v2`.
    HorizontalPodAutoscaler,
    /// `keda.sh/v1alpha1`.
    ScaledObject,
    /// `gateway.networking.k8s.io/v1`.
    #[strum(serialize = "HTTPRoute")]
    HttpRoute,
    /// `gateway.networking.k8s.io/v1`.
    #[strum(serialize = "GRPCRoute")]
    GrpcRoute,
}

impl From<RouteKind> for Kind {
    fn from(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Http => Self::HttpRoute,
            RouteKind::Grpc => Self::GrpcRoute,
        }
    }
}

impl From<AutoscalerKind> for Kind {
    fn from(kind: AutoscalerKind) -> Self {
        match kind {
            AutoscalerKind::HorizontalPodAutoscaler => Self::HorizontalPodAutoscaler,
            AutoscalerKind::ScaledObject => Self::ScaledObject,
        }
    }
}

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
        patch: Vec<Value>,
        /// Takes all traffic off the new version: goes ahead even if the status could not be stored.
        to_zero: bool,
    },
    /// Deletes an object; one that is gone already is fine.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// Writes the end of a RolloutAction into its status.
    Answer {
        /// Its name.
        name: String,
        /// How it ended.
        phase: ActionPhase,
        /// One word.
        reason: String,
        /// For people.
        message: String,
    },
    /// Removes a RolloutAction that was decided long ago.
    Forget {
        /// Its name.
        name: String,
    },
}

/// Lets go of the CanaryRollout.
pub(super) fn drop_finalizer(seen: &Observed) -> Vec<Action> {
    if seen.finalizer {
        vec![Action::DropFinalizer]
    } else {
        Vec::new()
    }
}
