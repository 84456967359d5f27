//! What users write and read: the custom resources and every name that other programs rely on.
//!
//! Types and their validation only; what a field does is decided in [`crate::engine`].

pub mod action;
pub mod check;
pub mod condition;
pub mod duration;
pub mod metric_source;
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

/// API group of all kinds.
pub const GROUP: &str = "warmfront.dev";
/// The only version served.
pub const VERSION: &str = "v1alpha1";
/// Name under which the API server records our writes.
pub const FIELD_MANAGER: &str = "warmfront";
/// Keeps a deleted CanaryRollout until its traffic is back where it belongs.
pub const FINALIZER: &str = "warmfront.dev/release";
/// Annotation on a CanaryRollout; the value `force` drops the finalizer although something could not be put back.
pub const RELEASE_ANNOTATION: &str = "warmfront.dev/release";
/// Label of every object that Warmfront holds or made; its value is the rollout's name.
pub const ROLLOUT_LABEL: &str = "warmfront.dev/rollout";
/// Label by which Kubernetes tells the ReplicaSets of a Deployment apart; its value is our revision.
pub const HASH_LABEL: &str = "pod-template-hash";
/// Annotation in which the Deployment controller numbers its ReplicaSets.
pub const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";
