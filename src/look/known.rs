//! Kinds of objects that a look may ask for.

use crate::engine::contract::kind::Kind;

/// A kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the kinds' own names")]
pub enum Known {
    CanaryRollout,
    RolloutAction,
    MetricSource,
    Deployment,
    ReplicaSet,
    Service,
    EndpointSlice,
    HorizontalPodAutoscaler,
    ScaledObject,
    ConfigMap,
    HttpRoute,
    GrpcRoute,
    Gateway,
    GatewayClass,
    HoldPolicy,
    HoldBinding,
    HoldPolicyBeta,
    HoldBindingBeta,
}

impl From<Kind> for Known {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Deployment => Self::Deployment,
            Kind::ReplicaSet => Self::ReplicaSet,
            Kind::Service => Self::Service,
            Kind::HorizontalPodAutoscaler => Self::HorizontalPodAutoscaler,
            Kind::ScaledObject => Self::ScaledObject,
            Kind::HttpRoute => Self::HttpRoute,
            Kind::GrpcRoute => Self::GrpcRoute,
        }
    }
}
