//! `Healthy=True` is said only while the users' Service has ready endpoints of a version that serves.

use std::time::Duration;

use tokio::time::Instant;
use warmfront::api::{CanaryRolloutStatus, status::Phase};

use super::{
    Witness,
    past::{Stretch, Trouble, after},
};
use crate::{
    apiserver::kinds::Kind,
    scenario::given::{CANDIDATE, NAME},
    world::{Object, text},
};

/// Longest that a status may say what was true before.
const TOLD: Duration = Duration::from_secs(4);

/// Longest that a refused write waits for its next try.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Since when users have not been served although it is said that they are.
#[derive(Default)]
pub(super) struct Unserved {
    since: Option<Instant>,
    told: bool,
}

fn says_healthy(status: &CanaryRolloutStatus) -> bool {
    let healthy = status.conditions.iter().find(|condition| condition.type_ == "Healthy");
    healthy.is_some_and(|healthy| healthy.status == "True")
}

impl Witness {
    /// Looks at what was true until now.
    pub(super) fn see_served(&mut self, now: Instant) {
        let wrong = self
            .statuses
            .get(NAME)
            .filter(|status| says_healthy(status))
            .and_then(|status| self.unserved(status));
        let Some(wrong) = wrong else {
            self.unserved = Unserved::default();
            return;
        };
        let since = *self.unserved.since.get_or_insert(now);
        let mut delays = self
            .past
            .of(|trouble| matches!(trouble, Trouble::Dead | Trouble::Blind | Trouble::Slow));
        let refused = self
            .past
            .of(|trouble| matches!(trouble, Trouble::Refused(Kind::CanaryRollout, _)));
        // It is tried again after as long as it has failed so far, or half a minute.
        let tried_again = |(from, until): Stretch| (from, until + until.duration_since(from).min(LONGEST_DELAY));
        delays.extend(refused.into_iter().map(tried_again));
        if now > after(since, TOLD, delays) && !self.unserved.told {
            self.unserved.told = true;
            self.violation(
                now,
                format!(
                    "Healthy=True has been said for {:?}, and {wrong}",
                    now.duration_since(since)
                ),
            );
        }
    }

    /// Why users are not served, if they are not.
    fn unserved(&self, status: &CanaryRolloutStatus) -> Option<String> {
        status.stable_revision.as_ref()?;
        let pair = self.specs.get(NAME).is_some_and(|spec| spec.workload.pair.is_some());
        let service = if pair && status.phase == Phase::Succeeded {
            CANDIDATE
        } else {
            NAME
        };
        let ready = self.ready_behind(service);
        if ready.is_empty() {
            return Some(format!("no pod behind Service {service} is ready"));
        }
        let serves = |pod: &&Object| pair || self.serves(status, text(pod, "/metadata/labels/pod-template-hash"));
        (!ready.iter().any(serves))
            .then(|| format!("behind Service {service} are only pods of a version that does not serve"))
    }

    /// Ready pods behind a Service, as its EndpointSlices have them.
    fn ready_behind(&self, service: &str) -> Vec<&Object> {
        let slices = self.objects.iter().filter(|(key, slice)| {
            key.0 == Kind::EndpointSlice && text(slice, "/metadata/labels/kubernetes.io~1service-name") == service
        });
        let endpoints = slices.filter_map(|(_, slice)| slice["endpoints"].as_array()).flatten();
        let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
        let pods = ready.filter_map(|endpoint| {
            let name = text(endpoint, "/targetRef/name");
            self.objects.iter().find(|(key, _)| key.0 == Kind::Pod && key.2 == name)
        });
        pods.map(|(_, pod)| pod).collect()
    }

    /// Whether users may have pods of this revision: one that is rejected, or still judged, they get by the route alone,
    /// unless Kubernetes rolls it out by itself.
    fn serves(&self, status: &CanaryRolloutStatus, hash: &str) -> bool {
        let rejected = status.rejected.iter().any(|rejected| rejected.revision == hash);
        let judged = status.phase.is_judged() && status.run.as_ref().is_some_and(|run| run.revision == hash);
        let native = self
            .objects
            .iter()
            .any(|(key, app)| key.0 == Kind::Deployment && app["spec"]["paused"] != true);
        native || !(rejected || judged)
    }
}
