//! What the shell tells the engine and is told: observations, needs, actions, calls. No policy.

pub mod action;
pub mod call;
pub mod durable;
pub mod in_force;
pub mod kind;
pub mod observed;
pub mod unstored;

use jiff::Timestamp;

use crate::{
    api::{CanaryRolloutStatus, status::Needed},
    engine::contract::{action::Ordered, call::Call, observed::Measured},
    provider::Question,
};

/// Identity of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID; spreads the ticks of many rollouts over time.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
}

/// What has to be looked at before [`decide`](super::decide), beyond the objects that are watched anyway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// A tick is due: what to ask of the plan's MetricSource.
    pub measure: Option<Question>,
    /// Requests to a version that has lost its traffic are looked for, in the same MetricSource.
    pub drained: Option<DrainQuestion>,
    /// The metrics of the running version are looked at, in the same MetricSource.
    pub inspect: Option<InspectionQuestion>,
    /// Pods of this ReplicaSet are late: find out why.
    pub trouble_of: Option<String>,
    /// Find out by a dry run whether the API server holds a changed template.
    pub probe: bool,
    /// ConfigMaps whose contents must be compared.
    pub configs: Vec<String>,
    /// RolloutActions that must be read anew: no answer is in vain, and none is carried out twice because a watch lags.
    pub actions: Vec<String>,
}

/// Whether requests still reach a version that has lost its traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainQuestion {
    /// The version, a `pod-template-hash`.
    pub revision: String,
    /// What its requests need.
    pub needs: Needed,
    /// What to ask: the candidate in it is that version.
    pub question: Question,
}

/// What the metrics of the running version say, before any of its successors is judged by the same.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectionQuestion {
    /// The version, a `pod-template-hash`.
    pub revision: String,
    /// Digest of the checks and the MetricSource that are in force.
    pub basis: String,
    /// What to ask: both sides in it are that version.
    pub question: Question,
}

/// What follows from one look at the world.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What is to be stored, before anything moves.
    pub status: CanaryRolloutStatus,
    /// What is to be done, in this order; each is what still differs from what the status asks for.
    pub actions: Vec<Ordered>,
    /// What is to be sent to other systems, once the status is stored; the answers come with a later observation.
    pub calls: Vec<Call>,
    /// When to look again although nothing has changed.
    pub wake: Option<Timestamp>,
    /// The answers of the metrics store that it rests on.
    pub measured: Option<Measured>,
}
