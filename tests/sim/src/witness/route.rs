//! The route: intent before action, shares within their step, and when the gateway confirmed which share.

use std::time::Duration;

use tokio::time::Instant;
use warmfront::{
    api::Percent,
    router::{Target, gateway_api},
};

use super::Witness;
use crate::{
    apiserver::store::Change,
    scenario::given::{CANDIDATE, NAME},
    world::number,
};

/// What was seen of the route.
#[derive(Default)]
pub(super) struct Seen {
    /// The share that the gateway accepted last, and when.
    pub accepted: Option<(u32, Instant)>,
    /// Shares that it had accepted before in this step, and for how long: another hand may come between.
    pub before: Vec<(u32, Duration)>,
    generation: i64,
}

/// The new version's share in a route, in hundredths of a percent.
pub fn share(route: &serde_json::Value) -> u32 {
    let of = |canary: &str| {
        let target = Target {
            stable: NAME.to_owned(),
            canary: canary.to_owned(),
            ..Target::default()
        };
        gateway_api::read(route, &target)
            .ok()
            .and_then(|state| state.canary)
            .map_or(0, Percent::hundredths)
    };
    of(&format!("{NAME}-canary")).max(of(CANDIDATE))
}

impl Witness {
    pub(super) fn see_route(&mut self, change: &Change) {
        let Some(new) = &change.new else {
            self.note(change.at, "the route is gone");
            self.route = Seen::default();
            return;
        };
        let at = change.at;
        let (now, before) = (share(new), change.old.as_ref().map_or(0, |old| share(old)));
        let accepted = number(new, "/status/parents/0/conditions/0/observedGeneration", 0);
        if accepted > self.route.generation && accepted == number(new, "/metadata/generation", 0) {
            self.route.generation = accepted;
            if self.route.accepted.is_none_or(|(share, _)| share != now) {
                let last = self.route.accepted.replace((now, at));
                let last = last.map(|(share, since)| (share, at.duration_since(since)));
                self.route.before.extend(last);
            }
            self.note(
                at,
                format!("gateway accepts generation {accepted}: canary {}", percent(now)),
            );
        }
        if change.old.as_ref().is_some_and(|old| old["spec"] == new["spec"]) {
            return;
        }
        if now != before || change.old.is_none() {
            self.note(
                at,
                format!(
                    "route: canary {} → {} (by {})",
                    percent(before),
                    percent(now),
                    change.by
                ),
            );
            self.shares.push(now);
        }
        if change.by != "warmfront" {
            self.meddled = Some(at);
            return;
        }
        let Some(run) = self.statuses.values().find_map(|status| status.run.clone()) else {
            return;
        };
        let intent = run.intent.as_ref().map(|intent| intent.weight.hundredths());
        let allowed = run.weight.hundredths().max(intent.unwrap_or_default());
        if now > before && (now > allowed || run.ended_at.is_some() || run.ending.is_some()) {
            self.violation(
                at,
                format!(
                    "the route was raised to {} although the status asks for {}",
                    percent(now),
                    percent(allowed)
                ),
            );
        }
    }
}

/// Hundredths of a percent as people write them.
pub fn percent(hundredths: u32) -> String {
    Percent::from_hundredths(hundredths).map_or_else(|_| format!("{hundredths}/100%"), |percent| percent.to_string())
}
