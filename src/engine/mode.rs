//! What depends on how the two versions are run: as one Deployment's ReplicaSets, or as a pair of Deployments.
//!
//! Everything else, from the steps to the way back, is one release and does not know which it is.

use super::{Draft, desired::Desired, facts::Facts, one_deployment::OneDeployment, pair::Pair};
use crate::{
    api::{
        CanaryRolloutStatus, Percent, Plan,
        condition::Refusal,
        status::{Rejected, Run},
    },
    workload::replica_set::ReplicaSet,
};

/// How the two versions are run.
pub(super) trait Mode {
    /// Why nothing new is begun, as far as Deployments and Services are concerned.
    fn unfit(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Refusal, String)>;
    /// No further release will ever begin, so nothing that one would need is asked for.
    fn is_over(&self, status: &CanaryRolloutStatus) -> bool;
    /// Pods are Warmfront's to make, to keep and to remove.
    fn scales(&self) -> bool;

    /// The new version's pods.
    fn candidate<'a>(&self, facts: &Facts<'a>, run: &Run) -> Side<'a>;
    /// The pods that users have when no release runs.
    fn stable<'a>(&self, facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Side<'a>;
    /// Pods that the new version needs before the first request, of which it is to get `weight`.
    fn to_begin(&self, facts: &Facts<'_>, weight: Percent) -> u32;
    /// Why the new version may not begin although it has these pods.
    fn unfinished(&self, facts: &Facts<'_>) -> Option<String>;
    /// What of the version that serves is waited for before the weight rises, although it has ready pods.
    fn unsettled(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String>;

    /// Between releases: takes the workload over, and begins a release that is due.
    fn rest(&self, facts: &Facts<'_>, accepted: bool, next: &mut Draft);
    /// The rejection that stands against what would be released next.
    fn rejection<'s>(&self, facts: &Facts<'_>, status: &'s CanaryRolloutStatus) -> Option<&'s Rejected>;
    /// Ends the run if another hand has changed what is released. Returns whether it did.
    fn overtaken(&self, facts: &Facts<'_>, run: &Run, next: &mut Draft) -> bool;
    /// A promotion that has begun is always finished.
    fn finishes_forward(&self) -> bool;
    /// The new version, or the old one where a promotion is undone, is what users have for good: says how.
    fn taken_over(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Option<String>;
    /// Revision of the old version, if a promotion can still be undone.
    fn standby(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String>;
    /// The world that a status asks for.
    fn desired(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired;

    /// Tells what a deletion leaves behind.
    fn tell_release(&self, facts: &Facts<'_>, next: &mut Draft);
    /// Whether what the spec asks for is what users have, and one word for it; an active release aside.
    fn promoted(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str);
    /// What happens while the new version, or the old one, takes over.
    fn promoting_message(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> String;
    /// What is so between releases.
    fn rest_message(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String;
    /// What another hand has made of the end of the last release, if that is something to be told.
    fn departure(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String>;
}

/// The one that a plan asks for.
pub(super) fn of(plan: &Plan) -> &'static dyn Mode {
    if plan.baseline.is_some() { &Pair } else { &OneDeployment }
}

/// One version's pods, whoever runs them.
#[derive(Clone, Debug, Default)]
pub(super) struct Side<'a> {
    /// The ReplicaSets that have them.
    pub sets: Vec<&'a ReplicaSet>,
    /// How many there should be.
    pub wanted: u32,
}

impl Side<'_> {
    /// Pods that have been ready long enough.
    pub fn available(&self) -> u32 {
        self.sets.iter().map(|set| set.available).sum()
    }

    /// Pods that are ready.
    pub fn ready(&self) -> u32 {
        self.sets.iter().map(|set| set.ready).sum()
    }

    /// What the API says about pods that could not be created.
    pub fn failure(&self) -> Option<&str> {
        self.sets.iter().find_map(|set| set.failure.as_deref())
    }

    /// Names of its ReplicaSets.
    pub fn names(&self) -> Vec<String> {
        self.sets.iter().map(|set| set.name.clone()).collect()
    }
}
