//! How Kubernetes' Deployment controller treats ReplicaSets that are taken from it and given to it.
//!
//! One table of cases for any API server: the fake one is held to it here, a real one by the tests on
//! the test cluster. What the product does to ReplicaSets is done with the product's own patches.

mod cases;
mod seen;
mod stage;

pub use cases::CASES;
pub use stage::Stage;

/// One case: what is done to a Deployment of four pods of v2 whose history has v1, and what follows.
pub struct Case {
    /// What it shows.
    pub title: &'static str,
    /// What is done and seen, in order.
    pub steps: &'static [Step],
}

/// What is done, or seen to come about and to stay.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// `spec.paused` is set.
    Pause,
    /// It is removed.
    Unpause,
    /// Another version is written into the template.
    Template(&'static str),
    /// `spec.replicas` is set.
    Scale(i64),
    /// The version's ReplicaSet is taken out of the Deployment's hands.
    Take(&'static str),
    /// It is given back.
    Give(&'static str),
    /// It is given as the newest in the history.
    GiveAsNewest(&'static str),
    /// A ReplicaSet of the version is made, held from birth.
    Hold(&'static str, u32),
    /// A held ReplicaSet gets a size.
    Resize(&'static str, u32),
    /// The Service is narrowed to a version.
    Narrow(&'static str),
    /// The Service is widened.
    Widen,
    /// The names of all pods are remembered.
    RememberPods,
    /// Wanted and ready pods of each version's ReplicaSet, those of both owners together.
    Sizes(&'static [(&'static str, i64)]),
    /// Versions whose ReplicaSets the Deployment owns.
    Owns(&'static [&'static str]),
    /// Versions behind the Service.
    Serves(&'static [&'static str]),
    /// Pods of this version are those remembered.
    SamePods(&'static str),
    /// The Deployment reports its rollout complete (or not).
    Complete(bool),
    /// Number of each version in the history.
    Numbers(&'static [(&'static str, i64)]),
}
