//! Versions that have lost their traffic: what requests may still reach is remembered until none does.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        Duration,
        status::{Draining, Needed},
    },
    engine::draft::Draft,
};

/// So exact is the time from which something drains that other hands keep open.
const STORED_EVERY: SignedDuration = SignedDuration::from_secs(5);

impl Draft {
    /// From now on no request should need this version. Its pods stay for `keep_for` once none does.
    pub(super) fn drain(&mut self, revision: &str, needs: Needed, keep_for: Duration) {
        self.status
            .draining
            .retain(|other| other.revision != revision || other.needs != needs);
        self.status.draining.push(Draining {
            revision: revision.to_owned(),
            needs,
            since: self.now,
            keep_for,
            asked: None,
            last_seen: None,
            requests: 0,
        });
    }

    /// This version gets traffic again.
    pub(super) fn drain_no_longer(&mut self, revision: &str) {
        self.status.draining.retain(|draining| draining.revision != revision);
    }

    /// The pods of this version are behind the user's Services again.
    pub(super) fn pods_serve_again(&mut self, revision: &str) {
        self.status
            .draining
            .retain(|draining| draining.revision != revision || draining.needs == Needed::Service);
    }

    /// Other hands had opened the way to all pods: whatever drains begins anew. While it stays open that is not stored with each
    /// look.
    pub fn drain_anew(&mut self) {
        let now = self.now;
        let old = |draining: &&mut Draining| draining.holds_pods() && now >= draining.since.plus(STORED_EVERY);
        for draining in self.status.draining.iter_mut().filter(old) {
            draining.since = now;
            draining.asked = None;
            draining.last_seen = None;
        }
    }

    /// A window of metrics that ended at `end` was asked for. Absent `requests` could not be read.
    pub fn note_requests(&mut self, revision: &str, needs: Needed, end: Timestamp, requests: Option<i64>) {
        let of = |draining: &&mut Draining| draining.revision == revision && draining.needs == needs;
        if let Some(draining) = self.status.draining.iter_mut().find(of) {
            draining.asked = Some(end);
            if let Some(requests) = requests.filter(|requests| *requests > 0) {
                draining.last_seen = Some(end);
                draining.requests = requests;
            }
        }
    }

    /// No request needs this version any more: the time for which its pods are kept counts from now.
    pub fn drained(&mut self, done: &Draining) {
        self.status
            .draining
            .retain(|draining| draining.revision != done.revision || draining.needs != done.needs);
        if done.holds_pods() {
            let until = self.now.plus(done.keep_for.signed());
            let kept = self.status.kept.iter_mut();
            kept.filter(|kept| kept.revision == done.revision)
                .for_each(|kept| kept.until = until);
        }
    }
}
