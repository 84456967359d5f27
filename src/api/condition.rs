//! Conditions of a CanaryRollout: their types, their reasons, and how they change.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Types of conditions, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
pub enum ConditionType {
    /// The spec is valid and everything that it names exists.
    Accepted,
    /// A release is moving.
    Progressing,
    /// A release is held.
    Paused,
    /// Users are served as the status says.
    Healthy,
    /// The spec's revision is what users have.
    Promoted,
    /// The spec's revision was taken back.
    RolledBack,
}

/// Why a rollout is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
pub enum Refusal {
    /// The spec contradicts itself.
    InvalidSpec,
    /// The Deployment does not exist.
    TargetNotFound,
    /// The Deployment is of a kind that cannot be released in steps.
    UnsupportedWorkload,
    /// The Deployment has more than one active ReplicaSet.
    RolloutIncomplete,
    /// The Service does not exist.
    ServiceNotFound,
    /// The Service cannot be narrowed, or has pods of something else.
    UnsupportedService,
    /// The name of the canary Service is taken.
    CanaryServiceConflict,
    /// The route does not exist or has no rule for the Service.
    RouteNotFound,
    /// Several rules have the Service as a backend.
    AmbiguousRule,
    /// The MetricSource does not exist.
    MetricSourceNotFound,
    /// An elder rollout names the same Deployment.
    TargetConflict,
    /// Another manager holds `spec.paused: false` of the Deployment.
    PauseContested,
    /// The installed definition lacks fields that this controller writes.
    CRDOutdated,
    /// The API server does not let the controller do what it must.
    NotPermitted,
    /// An elder rollout sets the weights of the same rule of a route.
    RouteConflict,
    /// What is asked goes beyond what the route can express.
    UnsupportedFeature,
}

/// Sets one condition; its transition time changes only with its status.
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
        Some(index) if conditions[index].status == status => conditions[index].last_transition_time.clone(),
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
