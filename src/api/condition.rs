//! Conditions of a CanaryRollout: their types, their reasons, and how they change.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Types of the conditions in a CanaryRollout's status, in the order in which they are listed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
pub enum ConditionType {
    /// True if the spec is valid and everything that it names exists and can be used.
    Accepted,
    /// True while a release is under way and nothing pauses it.
    Progressing,
    /// True while a release is paused; the reason is a PauseReason.
    Paused,
    /// True if the version that the status says serves users has pods that can.
    Healthy,
    /// True if the workload's newest revision serves all users.
    Promoted,
    /// True if the workload's newest revision was rolled back and is not started again by itself.
    RolledBack,
}

/// Why a CanaryRollout is not accepted: the reason of its condition Accepted=False.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
pub enum Refusal {
    /// The spec is not valid; the message names the field.
    InvalidSpec,
    /// An object that the rollout needs, or the rollout itself, is there and cannot be read; the message names the object and the field.
    ObjectUnreadable,
    /// The Deployment does not exist.
    TargetNotFound,
    /// The Deployment cannot be released in steps: its strategy is Recreate, or its selector is more than matchLabels.
    UnsupportedWorkload,
    /// The Deployment is paused in the middle of a rollout by Kubernetes itself.
    RolloutIncomplete,
    /// The Service does not exist.
    ServiceNotFound,
    /// The Service cannot be limited to one version's pods, or selects pods of other workloads.
    UnsupportedService,
    /// A Service with the name of the canary Service exists and was not created by this rollout.
    CanaryServiceConflict,
    /// The route does not exist, or none of its rules has the Service as a backend.
    RouteNotFound,
    /// Several rules of a route have the Service as a backend, and the spec does not say which are meant.
    AmbiguousRule,
    /// The MetricSource does not exist.
    MetricSourceNotFound,
    /// The MetricSource is not valid; the message names the field.
    MetricSourceInvalid,
    /// An older CanaryRollout names the same Deployment.
    TargetConflict,
    /// Another field manager sets `spec.paused: false` on the Deployment, which Warmfront must pause.
    PauseContested,
    /// The installed CustomResourceDefinition lacks fields that this controller writes: it is older than the controller.
    CRDOutdated,
    /// The API server refuses a request that the controller must make, usually for want of RBAC rules.
    NotPermitted,
    /// An older CanaryRollout sets weights in the same rule of a route.
    RouteConflict,
    /// The route cannot express what the spec asks for, such as more rules than it may have.
    UnsupportedFeature,
    /// The controller has a fault that this rollout brings out; its log has the details. Nothing is decided for this rollout until a pass succeeds.
    InternalError,
    /// The status cannot be read: a newer version, or a hand, has written it. Nothing is decided, and only an Abort or a deletion is carried out.
    StatusUnreadable,
}

/// Adds or replaces one condition. Its transition time is `now` if its status (True or False) changes, and stays otherwise.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: ConditionType,
    status: bool,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let type_: &'static str = kind.into();
    let status = if status { "True" } else { "False" };
    let found = conditions.iter().position(|condition| condition.type_ == type_);
    let last_transition_time = match found {
        // A time before any that Kubernetes takes could not be stored again.
        Some(index)
            if conditions[index].status == status
                && conditions[index].last_transition_time.0 >= Timestamp::UNIX_EPOCH =>
        {
            conditions[index].last_transition_time.clone()
        }
        _ => Time(now),
    };
    let condition = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time,
    };
    match found {
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
}
