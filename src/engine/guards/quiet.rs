//! When no request reaches a version any more that has lost its traffic: only then does its Service go, or a pod.

use crate::api::moment::Moment as _;
use crate::{
    api::{
        Percent,
        status::{Draining, Phase},
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
        judge::drains::{self, DRAIN},
    },
};

/// Less is the rounding of an interpolated count.
const ONE_REQUEST: f64 = 0.5;

/// Takes in what was counted, and ends what is over.
pub fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    if is_reached_again(facts, next) {
        next.drain_anew();
    }
    if let Some(seen) = &facts.seen.drained {
        #[allow(clippy::cast_possible_truncation, reason = "a count of requests, for people")]
        let requests = seen.requests.map(|requests| {
            if requests < ONE_REQUEST {
                0
            } else {
                requests.ceil() as i64
            }
        });
        next.note_requests(&seen.revision, seen.needs, seen.end, requests);
    }
    if facts.native_rollout(next.status()) {
        // Users' Services are wide and reach all pods.
        return;
    }
    for draining in next.status().draining.clone() {
        if is_quiet(facts, &draining) || facts.now >= drains::left_at(facts, &draining) {
            end(facts, &draining, next);
        }
    }
}

/// A hand gives the canary Service a share before the release does, and what drains may still be behind it.
fn is_reached_again(facts: &Facts<'_>, next: &Draft) -> bool {
    let entitled = next
        .run()
        .is_none_or(|run| run.intent.is_some() || run.weight > Percent::ZERO);
    !entitled
        && facts
            .found_routes()
            .any(|(_, route)| !route.state.carries(Percent::ZERO))
}

/// A whole window of metrics has counted none, and those that were in flight have had their time.
fn is_quiet(facts: &Facts<'_>, draining: &Draining) -> bool {
    let drained = draining.last_seen.unwrap_or(draining.since).plus(DRAIN.signed());
    facts.seen.drained.as_ref().is_some_and(|seen| {
        facts.now >= drained
            && seen.revision == draining.revision
            && seen.needs == draining.needs
            && seen.requests.is_some_and(|requests| requests < ONE_REQUEST)
    })
}

fn end(facts: &Facts<'_>, draining: &Draining, next: &mut Draft) {
    let still = draining
        .last_seen
        .filter(|last| Some(*last) == draining.asked && !is_quiet(facts, draining));
    if still.is_some() {
        let seconds = facts.now.duration_since(draining.since).as_secs();
        next.tell(
            Reason::RequestsContinue,
            format!(
                "revision {} lost its traffic {seconds}s ago, and {} requests still reached it in the last window of metrics: it is waited for no longer. Look for direct callers of its pods or of Service {}, for probes or monitors that the metrics count as requests, or for a gateway that does not program its proxies",
                draining.revision, draining.requests, facts.plan.canary_service
            ),
        );
    }
    next.drained(draining);
    let waits = next.run().is_some_and(|run| run.revision != draining.revision);
    if draining.holds_service() && waits && next.status().phase == Phase::Preparing {
        // Only now do the new version's pods come behind the Service.
        next.restart_growing();
    }
}
