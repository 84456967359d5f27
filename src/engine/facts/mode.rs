//! What depends on how the two versions are run: as one Deployment's ReplicaSets, or as a pair of Deployments.
//!
//! Everything else, from the steps to the way back, is one release and does not know which it is: it asks.

use crate::{
    api::{
        CanaryRolloutStatus, Percent, Plan,
        condition::Refusal,
        status::{Phase, Rejected, Run},
    },
    engine::facts::Facts,
    workload::replica_set::ReplicaSet,
};

/// How the two versions are run, as far as it can be read off one look.
pub trait Mode {
    /// Why nothing new is begun, as far as Deployments and Services are concerned.
    fn unfit(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<(Refusal, String)>;
    /// No further release will ever begin, so nothing that one would need is asked for.
    fn is_over(&self, status: &CanaryRolloutStatus) -> bool;
    /// Pods of a version without traffic are Warmfront's to keep for a while, and to remove.
    fn keeps_pods(&self) -> bool;
    /// The user's Services are narrowed to one version while a release runs.
    fn narrows_services(&self) -> bool;
    /// A changed template is held back until a release of it may begin.
    fn holds_templates(&self) -> bool;
    /// The entry of the new version may be the user's, and stays in the routes when the rollout goes.
    fn leaves_entry(&self) -> bool;
    /// Whose the new version's pods are, where they are not Warmfront's: such as `Deployment catalog`.
    fn whose_pods(&self, facts: &Facts<'_>) -> Option<String>;
    /// Where a rollout is of which no release is known: what users have tells.
    fn phase_without_run(&self, facts: &Facts<'_>) -> Phase;
    /// How the owner gets out by hand, whatever becomes of this controller.
    fn way_out(&self, plan: &Plan) -> String;

    /// The new version's pods.
    fn candidate<'a>(&self, facts: &Facts<'a>, run: &Run) -> Side<'a>;
    /// The pods that users have when no release runs.
    fn stable<'a>(&self, facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Side<'a>;
    /// The pods of all versions that may serve users at this moment: of two while one takes over from the other.
    fn serving<'a>(&self, facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Side<'a> {
        self.stable(facts, status)
    }
    /// By which name metrics know the workload of the new version.
    fn candidate_workload(&self, facts: &Facts<'_>, run: &Run) -> String;
    /// By which name they know that of the old version.
    fn stable_workload(&self, facts: &Facts<'_>, stable: &Side<'_>) -> String;
    /// Pods that the new version needs before the first request, of which it is to get `weight`.
    fn to_begin(&self, facts: &Facts<'_>, weight: Percent) -> u32;
    /// Why the new version may not begin although it has these pods.
    fn unfinished(&self, facts: &Facts<'_>) -> Option<String>;
    /// What of the version that serves is waited for before the weight rises, although it has ready pods.
    fn unsettled(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String>;

    /// The rejection that stands against what would be released next.
    fn rejection<'s>(&self, facts: &Facts<'_>, status: &'s CanaryRolloutStatus) -> Option<&'s Rejected>;
    /// A promotion that has begun is always finished.
    fn finishes_forward(&self) -> bool;
    /// The old version has all its pods still, and gets everything back by a change of the route and of the Services.
    fn is_reversible(&self, facts: &Facts<'_>, run: &Run) -> bool;
    /// The new version, or the old one where a promotion is undone, is what users have for good: says how.
    fn has_taken_over(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> Option<String>;
    /// Revision of the old version, if a promotion can still be undone.
    fn standby(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String>;

    /// Whether what the spec asks for is what users have, and one word for it; an active release aside.
    fn promoted(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str);
    /// Whether phase and conditions are about the template that the Deployment has now, and not about one before it.
    fn speaks_of_newest(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool;
    /// Generation of a pair's baseline, if what is said is about the template that it has now.
    fn baseline_generation(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<i64>;
    /// What happens while the new version, or the old one, takes over.
    fn promoting_message(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus, run: &Run) -> String;
    /// What is so between releases.
    fn rest_message(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String;
    /// What another hand has made of the end of the last release, if that is something to be told.
    fn departure(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Option<String>;
}

/// One version's pods, whoever runs them.
#[derive(Clone, Debug, Default)]
pub struct Side<'a> {
    /// The ReplicaSets that have them.
    pub sets: Vec<&'a ReplicaSet>,
    /// The Service through which requests reach them.
    pub service: &'a str,
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
