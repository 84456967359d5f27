//! The kinds of objects that are changed.

use crate::{api::traffic::RouteKind, workload::autoscaler::AutoscalerKind};

/// A kind whose objects are changed.
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

impl Kind {
    /// Whether it says how many pods a Deployment has at least.
    pub fn is_autoscaler(self) -> bool {
        match self {
            Self::HorizontalPodAutoscaler | Self::ScaledObject => true,
            Self::Deployment | Self::ReplicaSet | Self::Service | Self::HttpRoute | Self::GrpcRoute => false,
        }
    }
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
