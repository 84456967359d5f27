//! The world that a status asks for, as far as Warmfront has a say in it.

use std::collections::BTreeMap;

use crate::router::Want;

/// What is asked of each object; `None` leaves it as it is.
#[allow(clippy::option_option, reason = "left alone, absent and present are three things")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// `spec.paused` of the Deployment.
    pub pause: Option<bool>,
    /// Our label on the Deployment.
    pub label: Option<Label>,
    /// Version to which the user's Services are narrowed; inner `None` is wide.
    pub selector: Option<Option<String>>,
    /// Version of the canary Service; inner `None` is absent.
    pub canary_service: Option<Option<String>>,
    /// What every route says.
    pub route: Option<Want>,
    /// Testers reach the new version.
    pub testers: bool,
    /// By name.
    pub sets: BTreeMap<String, SetWant>,
    /// A ReplicaSet to be made for the new version.
    pub create: Option<NewSet>,
}

/// Our label on the Deployment, by which the API server knows whose templates it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// It is there.
    On,
    /// It is not.
    Off,
}

/// What is asked of one ReplicaSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetWant {
    /// In whose hands it is.
    pub hands: Option<Hands>,
    /// Its size.
    pub replicas: Option<u32>,
    /// It becomes the newest in the Deployment's history.
    pub newest: bool,
    /// It goes once it has no pods.
    pub delete: bool,
}

impl SetWant {
    /// In our hands; without a number it keeps its size.
    pub fn held(replicas: impl Into<Option<u32>>) -> Self {
        Self {
            hands: Some(Hands::Ours),
            replicas: replicas.into(),
            ..Self::default()
        }
    }

    /// In the Deployment's hands, which has the say over its size.
    pub fn given() -> Self {
        Self {
            hands: Some(Hands::Deployments),
            ..Self::default()
        }
    }
}

/// Who decides over a ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hands {
    /// It is held.
    Ours,
    /// The Deployment owns it.
    Deployments,
}

/// A ReplicaSet to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSet {
    /// Its name.
    pub name: String,
    /// Its `pod-template-hash`.
    pub revision: String,
    /// Its first size.
    pub replicas: u32,
}
