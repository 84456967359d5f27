//! How a release ends: traffic goes back or the new version is kept, the run is closed, the end is remembered.

use crate::{
    api::{
        Duration, Percent,
        status::{EndReason, Ending, HistoryEntry, Needed, Outcome, Phase, Rejected, Run},
    },
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
        judge::drains::DRAIN,
    },
};

/// Rejected revisions of a pair's candidate that are remembered.
const REJECTED: usize = 20;
/// Ended runs that are remembered.
const HISTORY: usize = 10;

impl Draft {
    /// Begins the way back. `message` says why, with the numbers.
    pub fn go_back(&mut self, reason: EndReason, message: &str) {
        let weight = self.run().map_or(Percent::ZERO, |run| run.weight);
        let ending = self.ending(reason, message);
        self.status.phase = Phase::RollingBack;
        self.change(|run| {
            run.ending = Some(ending);
            run.growing = None;
            run.intent = None;
            run.paused_for = None;
            run.paused_at = None;
            run.user_pause = false;
        });
        self.tell(
            Reason::RollbackStarted,
            format!("{reason}: {message}; weight {weight} → 0%"),
        );
    }

    /// Undoes a promotion: the pods of `revision`, which still stand by, serve again.
    pub fn undo(&mut self, revision: &str, reason: EndReason, message: &str) {
        let ending = self.ending(reason, message);
        self.status.phase = Phase::RollingBack;
        self.pods_serve_again(revision);
        self.change(|run| {
            run.undoing = Some(revision.to_owned());
            run.abort = None;
            run.outcome = None;
            run.reason = None;
            run.ended_at = None;
            run.ending = Some(ending);
        });
        self.tell(
            Reason::RollbackStarted,
            format!("{reason}: {message}; the promotion is undone, revision {revision} serves again"),
        );
    }

    /// An abort was asked for while the exchange is under way: it is carried out when that is done.
    pub fn abort_later(&mut self, why: &str) {
        self.change(|run| run.abort = Some(why.to_owned()));
    }

    /// A rejected revision may be started again.
    pub fn forgive(&mut self, revision: &str) {
        self.status.rejected.retain(|rejected| rejected.revision != revision);
    }

    /// Traffic is where it belongs: the run ends as it was decided. `done` says what was confirmed.
    pub fn close(&mut self, facts: &Facts<'_>, run: &Run, done: &str) {
        if was_routed(facts, run) {
            self.close_as(facts, run, done, Some(Needed::ServiceAndPods));
        } else {
            self.close_as(facts, run, done, None);
        }
    }

    /// The same, where requests of proxies that lag need what `needed` says.
    fn close_as(&mut self, facts: &Facts<'_>, run: &Run, done: &str, needed: Option<Needed>) {
        let ending = run
            .ending
            .clone()
            .unwrap_or_else(|| self.ending(EndReason::Aborted, "the reason was not recorded"));
        let took = facts.now.duration_since(ending.at).as_millis();
        self.change(|run| {
            run.weight = Percent::ZERO;
            run.weight_confirmed_at = Some(facts.now);
        });
        let (phase, told, kept_for) = match ending.outcome {
            Outcome::RolledBack | Outcome::Unknown => (Phase::RolledBack, Reason::RolledBack, facts.plan.keep_canary),
            Outcome::Promoted | Outcome::Superseded => (Phase::Idle, Reason::Superseded, Duration::ZERO),
        };
        self.status.phase = phase;
        // One that its owner has only taken back may be started again.
        if phase == Phase::RolledBack && ending.reason != EndReason::Reverted {
            self.forgive(&run.revision);
            self.status.rejected.push(Rejected {
                revision: run.revision.clone(),
                reason: ending.reason,
                message: ending.message.clone(),
                at: facts.now,
            });
        }
        if facts.mode.keeps_pods() {
            self.keep(&run.revision, kept_for.max(DRAIN));
        } else {
            // Without a ReplicaSet of ours that goes with it, a rejection would stay for ever.
            let surplus = self.status.rejected.len().saturating_sub(REJECTED);
            self.status.rejected.drain(..surplus);
        }
        if let Some(needed) = needed {
            self.drain(&run.revision, needed, kept_for);
        }
        let text = format!(
            "{}: {}; {done} {took}ms after the decision",
            ending.reason, ending.message
        );
        self.tell(told, text);
        self.end(ending.outcome, ending.reason, &ending.message);
    }

    /// The promotion is undone: `revision` serves again, and what had followed the promoted one without a release is
    /// taken back with it.
    pub fn close_undone(&mut self, facts: &Facts<'_>, run: &Run, revision: &str) {
        let served = self.status.stable_revision.replace(revision.to_owned());
        self.status.kept.retain(|kept| kept.revision != revision);
        let done = format!("revision {revision} serves again");
        self.close_as(facts, run, &done, Some(Needed::Pods));
        let later = served.filter(|served| *served != run.revision && *served != revision);
        let rejected = self.status.rejected.last();
        let rejected = rejected.filter(|rejected| rejected.revision == run.revision).cloned();
        if let Some(later) = later.as_ref().filter(|_| facts.mode.keeps_pods()) {
            self.keep(later, facts.plan.keep_canary.max(DRAIN));
            self.drain(later, Needed::Pods, facts.plan.keep_canary);
        }
        let both = later.zip(rejected);
        let both = both.map(|(revision, rejected)| Rejected { revision, ..rejected });
        self.status.rejected.extend(both);
    }

    /// The new version has taken over for good; `how` says in which way. Returns the revision of the old one, whose pods stand by.
    pub fn succeed(&mut self, facts: &Facts<'_>, run: &Run, how: &str) -> Option<String> {
        let old = self.status.stable_revision.replace(run.revision.clone());
        let old = old.filter(|old| *old != run.revision);
        if let Some(old) = &old {
            self.keep_standing_by(old, facts.plan.keep_stable);
            if facts.mode.keeps_pods() {
                self.drain(old, Needed::Pods, facts.plan.keep_stable);
                self.drain(&run.revision, Needed::Service, Duration::ZERO);
            }
        }
        self.status.kept.retain(|kept| kept.revision != run.revision);
        self.status.phase = Phase::Succeeded;
        let duration = facts.now.duration_since(run.started_at).as_secs();
        let message = format!("{} → {} in {duration}s; {how}", run.stable_revision, run.revision);
        self.tell(Reason::Promoted, message.clone());
        self.end(Outcome::Promoted, EndReason::Promoted, &message);
        old
    }

    fn ending(&self, reason: EndReason, message: &str) -> Ending {
        Ending {
            outcome: reason.outcome(),
            reason,
            message: message.to_owned(),
            at: self.now,
        }
    }

    /// Closes the run and remembers it.
    fn end(&mut self, outcome: Outcome, reason: EndReason, message: &str) {
        let now = self.now;
        let Some(run) = &mut self.status.run else { return };
        run.outcome = Some(outcome);
        run.reason = Some(reason);
        run.ended_at = Some(now);
        run.ending = None;
        run.undoing = None;
        run.abort = None;
        run.paused_for = None;
        run.paused_at = None;
        let worst = run.judge.worst.iter();
        let entry = HistoryEntry {
            run: run.number,
            revision: run.revision.clone(),
            outcome,
            reason,
            message: message.to_owned(),
            from: run.started_at,
            to: now,
            worst: worst
                .map(|(check, worst)| (check.clone(), worst.value.clone()))
                .collect(),
            trace: Vec::new(),
        };
        self.status.history.insert(0, entry);
        self.status.history.truncate(HISTORY);
    }
}

/// A proxy may know the new version: its entry stands in a route, or stood there in this release.
fn was_routed(facts: &Facts<'_>, run: &Run) -> bool {
    run.entered_at.is_some()
        || run.weight_confirmed_at.is_some()
        || run.step > 0
        || run.capacity_lost > 0
        || facts.readable_routes().any(|(_, route)| !route.state.entry_gone())
}
