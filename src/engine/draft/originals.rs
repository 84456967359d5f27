//! How shared objects were before Warmfront changed them, and versions that are kept for a while.

use crate::api::moment::Moment as _;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        CanaryRolloutStatus, Duration, Percent,
        status::{Kept, Phase, Rejected, RouteOriginal},
    },
    engine::{
        contract::observed::{Route, RouteSeen},
        draft::Draft,
        facts::Facts,
    },
    router::{Acceptance, RouteId, gateway_api},
    workload::deployment::Deployment,
};

/// What has to stay longer stays by so much more: that is not stored with each look.
const LONGER: SignedDuration = SignedDuration::from_secs(5);

impl Draft {
    /// Stores the weights as found, while nothing of ours stands in the routes.
    pub fn remember_routes(&mut self, facts: &Facts<'_>) {
        let introduced = self.introduced();
        for (id, route) in facts.found_routes().filter(|(_, route)| route.state.problem.is_none()) {
            let remembered = &mut self.status.originals.routes;
            if !is_as_found(route) {
                note_entry(remembered, id, route);
                continue;
            }
            let known = remembered.get(&id.key());
            let live = &route.state.weights;
            if known.is_some_and(|known| known.entered && gateway_api::left_behind(known, live)) {
                continue;
            }
            let found = RouteOriginal {
                entered: introduced,
                ..live.clone()
            };
            remembered.insert(id.key(), found);
        }
    }

    /// The new version stands in the routes, or is about to.
    fn introduced(&self) -> bool {
        let running = self.run().filter(|run| run.ended_at.is_none());
        running.is_some_and(|run| run.intent.is_some() || run.entered_at.is_some())
    }

    /// Forgets routes that the plan no longer names, once nothing of ours is left in them.
    pub fn forget_routes(&mut self, facts: &Facts<'_>) {
        self.status.originals.routes.retain(|key, _| {
            let Some(id) = RouteId::from_key(key) else { return false };
            facts.names(&id)
                || match facts.seen.routes.get(&id) {
                    Some(RouteSeen::Found(route)) => {
                        !route.state.entry_gone()
                            || route.written_at.is_some()
                            || matches!(route.acceptance, Acceptance::Waiting(_))
                    }
                    // Not looked at yet, or not readable now.
                    None | Some(RouteSeen::Unusable(_)) => true,
                    Some(RouteSeen::NotInstalled | RouteSeen::Missing) => false,
                }
        });
    }

    /// The workload is taken over with the revision that serves. Where the candidate of a pair serves already, nothing is
    /// left to be released.
    pub fn take_over(&mut self, revision: &str, serving: Serving) {
        self.status.stable_revision = Some(revision.to_owned());
        self.status.phase = match serving {
            Serving::Stable => Phase::Idle,
            Serving::Candidate => Phase::Succeeded,
        };
    }

    /// Whether somebody had paused the Deployment when it was taken over. A pause that is in nobody's name, or in ours, is
    /// one that an earlier rollout has left.
    pub fn note_original_pause(&mut self, deployment: &Deployment) {
        self.status.originals.paused = Some(deployment.paused && deployment.paused_by.is_some());
    }

    /// The Deployment was met before its first rollout was complete.
    pub fn note_first_deploy(&mut self) {
        self.status.originals.first_deploy = true;
    }

    /// Users have another revision without a release of ours. Returns the one that they had.
    pub fn follow(&mut self, revision: &str) -> Option<String> {
        self.status.stable_revision.replace(revision.to_owned())
    }

    /// What was given back while Warmfront was uninstalled is taken over as if the rollout had just been made: only what
    /// tells of the past stays.
    pub fn begin_anew_if_let_go(&mut self) {
        if !self.status.originals.released {
            return;
        }
        let CanaryRolloutStatus {
            history,
            events,
            actions,
            conditions,
            outbox,
            run,
            ..
        } = std::mem::take(&mut self.status);
        self.status = CanaryRolloutStatus {
            history,
            events,
            actions,
            conditions,
            outbox,
            // It gives the next one its number.
            run: run.filter(|run| run.ended_at.is_some()),
            ..CanaryRolloutStatus::default()
        };
    }

    /// After a deletion it is told once what stays behind.
    pub fn note_released(&mut self) {
        self.status.originals.released = true;
    }

    /// Keeps the pods of a version that lost its traffic, to be looked at.
    pub fn keep(&mut self, revision: &str, length: Duration) {
        self.put_aside(Kept {
            revision: revision.to_owned(),
            until: self.now.plus(length.signed()),
            standby: false,
        });
    }

    /// Keeps the pods of the old version at full size after a promotion: an Abort brings them back.
    pub fn keep_standing_by(&mut self, revision: &str, length: Duration) {
        self.put_aside(Kept {
            revision: revision.to_owned(),
            until: self.now.plus(length.signed()),
            standby: true,
        });
    }

    fn put_aside(&mut self, kept: Kept) {
        self.status.kept.retain(|other| other.revision != kept.revision);
        self.status.kept.push(kept);
    }

    /// Whatever is kept stays at least until `drained`.
    pub fn keep_longer(&mut self, drained: Timestamp) {
        let kept = self.status.kept.iter_mut();
        let short = kept.filter(|kept| kept.until < drained);
        short.for_each(|kept| kept.until = drained.plus(LONGER));
    }

    /// Whatever is kept goes at `latest`.
    pub fn keep_no_longer(&mut self, latest: Timestamp) {
        let kept = self.status.kept.iter_mut();
        kept.for_each(|kept| kept.until = kept.until.min(latest));
    }

    /// Forgets what was kept until now and `may_go`, and returns it.
    pub fn drop_kept(&mut self, may_go: impl Fn(&Kept) -> bool) -> Vec<Kept> {
        let now = self.now;
        let over = |kept: &mut Kept| kept.until <= now && may_go(kept);
        self.status.kept.extract_if(.., over).collect()
    }

    /// Forgets rejections that have served their purpose.
    pub fn forget_rejected(&mut self, outlived: impl Fn(&Rejected) -> bool) {
        self.status.rejected.retain(|rejected| !outlived(rejected));
    }
}

/// Nothing of ours stands in the route. Where the canary's entry may be the user's, our mark of ownership tells whether
/// the weights are.
fn is_as_found(route: &Route) -> bool {
    let state = &route.state;
    if state.entry_may_stay {
        state.canary.is_none() || (route.written_at.is_none() && state.carries(Percent::ZERO))
    } else {
        state.entry_gone()
    }
}

/// The canary's entry stands: what is remembered stays, whatever the weights are now.
fn note_entry(remembered: &mut BTreeMap<String, RouteOriginal>, id: &RouteId, route: &Route) {
    let state = &route.state;
    if !state.entry_may_stay {
        remembered.entry(id.key()).or_default().entered = true;
        return;
    }
    let Some(known) = remembered.get_mut(&id.key()) else {
        return;
    };
    known.entered = true;
    if (known.rules.len(), state.rules.len()) == (1, 1) {
        return;
    }
    // A rule that its owner has added since; the only one may as well have got another name.
    let found = state.rules.iter().filter(|rule| rule.routed).zip(&state.weights.rules);
    let untouched = found.filter(|(rule, _)| rule.parts.is_none_or(|(_, canary)| canary <= 0));
    let new: Vec<_> = untouched
        .map(|(_, found)| found)
        .filter(|found| known.rules.iter().all(|rule| rule.rule != found.rule))
        .cloned()
        .collect();
    known.rules.extend(new);
}

/// Which version users have when a workload is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// The one that a release starts from.
    Stable,
    /// The candidate of a pair, which was promoted before.
    Candidate,
}
