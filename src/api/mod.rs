//! The custom resources that users write and read, and all names of ours that other programs rely on.
//!
//! Here are only types and their validation; [`crate::engine`] decides what follows from a field.

pub mod action;
pub mod cache;
pub mod check;
pub mod condition;
pub mod duration;
mod limits;
pub mod metric_source;
pub mod moment;
pub mod percent;
pub mod plan;
pub mod rollout;
pub mod status;
pub mod traffic;
pub mod webhook;
pub mod window;

pub use action::{RolloutAction, RolloutActionSpec, RolloutActionStatus};
pub use duration::Duration;
pub use metric_source::{MetricSource, MetricSourceSpec};
pub use percent::Percent;
pub use plan::Plan;
pub use rollout::{CanaryRollout, CanaryRolloutSpec};
pub use status::CanaryRolloutStatus;

/// The API group of our kinds.
pub const GROUP: &str = "warmfront.dev";
/// Their version; there is only one.
pub const VERSION: &str = "v1alpha1";
/// Field manager of our writes: the name that `metadata.managedFields` has for us.
pub const FIELD_MANAGER: &str = "warmfront";
/// Finalizer of a CanaryRollout: it is deleted only when traffic, Deployment and Services are as they were.
pub const FINALIZER: &str = "warmfront.dev/release";
/// Annotation on a CanaryRollout. With the value `force` a deletion goes through although something could not be put back.
pub const RELEASE_ANNOTATION: &str = "warmfront.dev/release";
/// Label of every object that Warmfront created, or took out of a Deployment's hands. Its value is the name of the CanaryRollout.
pub const ROLLOUT_LABEL: &str = "warmfront.dev/rollout";
/// Label by which Kubernetes tells the pods of a Deployment's ReplicaSets apart. Its value is what we call a revision.
pub const HASH_LABEL: &str = "pod-template-hash";
/// Annotation in which the Deployment controller numbers the ReplicaSets of a Deployment.
pub const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";
