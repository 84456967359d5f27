//! A revision is rejected for a reason of its own, never for what the world around it did to us.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use warmfront::api::{
    CanaryRolloutStatus,
    status::{EndReason, Rejected},
};

use super::{Witness, past::longest};
use crate::{
    apiserver::{kinds::Kind, store::wall},
    scenario::given::NAME,
    world::deployment,
};

/// Bad requests that a version has in percent, more than which is a cause of its own.
const BAD: f64 = 1.0;
/// Part of its time for which a gateway must have been silent if it is to be the cause.
const MOST: f64 = 0.5;
/// A version whose pods were taken away by hands so often was not given a chance.
const LOSSES: usize = 3;

impl Witness {
    /// Complains about what was rejected now without a cause of its own.
    pub(super) fn see_rejected(&mut self, before: &CanaryRolloutStatus, after: &CanaryRolloutStatus, at: Instant) {
        let new = after
            .rejected
            .iter()
            .filter(|rejected| !before.rejected.contains(rejected));
        let started = after.run.as_ref().map(|run| run.started_at);
        let wrong: Vec<String> = new
            .filter_map(|rejected| self.not_its_own(rejected, started?, at))
            .collect();
        for text in wrong {
            self.violation(at, text);
        }
    }

    /// Why what is said of a rejected revision is not its own fault, if it is not.
    fn not_its_own(&self, rejected: &Rejected, started: Timestamp, at: Instant) -> Option<String> {
        let tag = self.tags.get(&rejected.revision).map_or("", String::as_str);
        let from = self.moment(started);
        let was = |like: &dyn Fn(&crate::world::settings::Version) -> bool| self.past.was(tag, from, at, like);
        let own = match rejected.reason {
            // Persons and gates may refuse whatever they like.
            EndReason::Aborted | EndReason::GateRejected | EndReason::Reverted => true,
            EndReason::ErrorRateAboveMax | EndReason::ErrorRateAboveStable => was(&|version| version.errors > BAD),
            EndReason::LatencyAboveMax => was(&|version| version.slow > BAD),
            EndReason::HitRatioBelowMin | EndReason::HitRatioBelowStable => was(&|version| version.misses > BAD),
            EndReason::CheckFailed => was(&|version| version.value != 0.0 || version.stale > 0.0),
            EndReason::NotReady => was(&|version| version.never_ready.is_some()) || self.no_room_for_two(from, at),
            EndReason::RouteNotAccepted => {
                longest((from, at), &self.past.not_accepting()) > self.deadline().mul_f64(MOST)
            }
            EndReason::CapacityLost => self.losses(&rejected.revision, from, at) >= LOSSES,
            EndReason::Promoted
            | EndReason::Deleted
            | EndReason::TargetNotFound
            | EndReason::Unpaused
            | EndReason::NewerRevision
            // Nothing in these worlds is shared that a version could overload.
            | EndReason::StableRegressed
            | EndReason::OriginOverloaded
            | EndReason::Unknown => false,
        };
        (!own).then(|| {
            format!(
                "{tag} was rejected for {}: {}; it is not its own fault",
                rejected.reason, rejected.message
            )
        })
    }

    /// Simulated time of a moment in a status.
    fn moment(&self, at: Timestamp) -> Instant {
        let since = at.duration_since(wall(self.start, self.start));
        self.start + Duration::try_from(since).unwrap_or_default()
    }

    fn deadline(&self) -> Duration {
        let plan = self
            .specs
            .get(NAME)
            .and_then(|spec| warmfront::api::Plan::try_from(spec).ok());
        plan.map(|plan| plan.progress_deadline.into()).unwrap_or_default()
    }

    /// The quota never had room for two versions at full size, whatever we keep.
    fn no_room_for_two(&self, from: Instant, until: Instant) -> bool {
        let apps = self.objects.iter().filter(|(key, _)| key.0 == Kind::Deployment);
        let two: i64 = apps
            .map(|(_, app)| 2 * deployment::replicas(app))
            .max()
            .unwrap_or_default();
        self.past.between(from, until).any(|settings| {
            settings
                .quota
                .is_some_and(|quota| i64::try_from(quota).is_ok_and(|quota| quota < two))
        })
    }
}
