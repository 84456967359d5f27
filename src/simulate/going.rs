//! A release that goes on: the engine decides, the cluster obeys, time goes on to whatever comes next.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    cluster::{Cluster, Scene, share},
    people::People,
    spec::End,
};
use crate::{
    api::{
        CanaryRolloutSpec, CanaryRolloutStatus, Plan,
        moment::Moment as _,
        status::{Cause, EndReason, Outcome, PauseReason},
    },
    engine::{
        self,
        contract::{
            Decision, Identity,
            call::Reply,
            in_force::InForce,
            observed::{Drained, Inspected, Measured, Observed},
        },
    },
    provider::{Question, Reading},
};

/// The workload is taken over so long before the new version is applied.
pub const ADOPTED_BEFORE: SignedDuration = SignedDuration::from_mins(1);
/// Most passes after which nothing may change any more without time going on.
const MOST_PASSES: usize = 500;

/// One answer of a metrics store for each quantity, or why there is none.
pub type Readings = Vec<Result<Reading, (Cause, String)>>;

/// Who answers for the metrics store.
pub trait Metrics {
    /// From now on the new version gets this share of the requests.
    fn set_weight(&mut self, weight: f64);

    /// Time goes on until then.
    fn go_on_until(&mut self, now: Timestamp);

    /// Answers a question; `revision` is the one that is released, once it is known.
    fn readings(&mut self, question: &Question, revision: Option<&str>) -> Readings;

    /// Requests that still reached a version that has lost its traffic.
    fn requests(&mut self, question: &Question, revision: Option<&str>) -> f64;

    /// What came of the answers of a tick, which ended at this moment.
    fn judged(&mut self, _end: Timestamp, _status: &CanaryRolloutStatus) {}
}

/// Fewer requests than are needed is how every step begins, and where there are few, some ticks have none.
fn is_worth_telling(cause: Cause) -> bool {
    !matches!(cause, Cause::FewSamples | Cause::NoTraffic)
}

/// An Event, as `kubectl describe` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// Seconds after the new version was applied.
    pub at: f64,
    /// One word for programs.
    pub reason: String,
    /// Somebody should look.
    pub warning: bool,
    /// A sentence for people.
    pub note: String,
}

/// What the status said when a check began to wait for something that is not only more requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Waited {
    /// Seconds after the new version was applied.
    pub at: f64,
    /// One word for programs.
    pub cause: String,
    /// The status' sentence.
    pub message: String,
}

/// What became of a release.
#[derive(Clone, Debug)]
pub struct Course<S> {
    /// What it has come to.
    pub end: End,
    /// Why it ended, if it has.
    pub reason: Option<EndReason>,
    /// Why it is paused, if it is.
    pub paused_for: Option<PauseReason>,
    /// The sentence of the status.
    pub message: String,
    /// Seconds until it ended; all of them if it has not.
    pub took: f64,
    /// All seconds that were simulated from the moment the version was applied.
    pub seconds: f64,
    /// The greatest share of the requests that the new version got.
    pub greatest: f64,
    /// What was told.
    pub events: Vec<Told>,
    /// What was waited for.
    pub waited: Vec<Waited>,
    /// What was counted.
    pub series: S,
}

/// A release that goes on.
pub struct Going<M> {
    spec: Arc<CanaryRolloutSpec>,
    id: Identity,
    start: Timestamp,
    now: Timestamp,
    status: CanaryRolloutStatus,
    cluster: Cluster,
    replies: BTreeMap<String, Reply>,
    people: People,
    metrics: M,
    events: Vec<Told>,
    waited: Vec<Waited>,
    greatest: f64,
}

impl<M: Metrics> Going<M> {
    /// Before the release: the workload is taken over, of a pair there is nothing to take over. Then the new version is applied.
    pub fn begin(scene: &Scene<'_>, metrics: M) -> anyhow::Result<Self> {
        let mut going = Self::new(scene, metrics);
        if !scene.plan.is_pair() {
            going.adopt()?;
        }
        going.metrics.go_on_until(going.start);
        going.now = going.start;
        going.cluster.apply_new_version();
        Ok(going)
    }

    fn new(scene: &Scene<'_>, metrics: M) -> Self {
        Self {
            spec: Arc::new(scene.spec.clone()),
            id: Identity {
                namespace: scene.namespace.to_owned(),
                name: scene.name.to_owned(),
                uid: scene.name.to_owned(),
                generation: 1,
            },
            start: scene.start,
            now: scene.start.minus(ADOPTED_BEFORE),
            status: CanaryRolloutStatus::default(),
            cluster: Cluster::new(scene),
            replies: BTreeMap::new(),
            people: People::new(scene.name, scene.actions, scene.start),
            metrics,
            events: Vec::new(),
            waited: Vec::new(),
            greatest: 0.0,
        }
    }

    fn adopt(&mut self) -> anyhow::Result<()> {
        self.metrics.go_on_until(self.now);
        let start = self.start;
        self.until(start, |_| false)?;
        if !self.status.taken_over() {
            bail!("the CanaryRollout is not accepted: {}", self.status.message);
        }
        Ok(())
    }

    /// Lets time pass until `done`, or until `end`; how long after the start that is.
    pub fn until(&mut self, end: Timestamp, done: fn(&Self) -> bool) -> anyhow::Result<SignedDuration> {
        loop {
            self.people.create(self.now);
            let (wake, weight) = self.settle()?;
            self.greatest = self.greatest.max(weight);
            self.metrics.set_weight(weight);
            if done(self) || self.now >= end {
                return Ok(self.now.duration_since(self.start));
            }
            let soon = self.now.plus(SignedDuration::from_millis(1));
            let asked = self.people.next_at().unwrap_or(end);
            self.now = wake.map_or(end, |wake| wake.max(soon)).min(end).min(asked.max(soon));
            self.metrics.go_on_until(self.now);
        }
    }

    /// Lets so much more time pass, whatever happens.
    pub fn go_on_for(&mut self, more: SignedDuration) -> anyhow::Result<()> {
        self.until(self.now.plus(more), |_| false)?;
        Ok(())
    }

    /// The release has ended, what it leaves is in order, and nobody asks for anything more.
    pub fn is_over(&self) -> bool {
        let run = self.status.run.as_ref();
        let asked = self.people.next_at().is_some();
        run.is_some_and(|run| run.outcome.is_some()) && self.status.phase.is_at_rest() && !asked
    }

    /// Passes until nothing changes any more: when to look again, and the new version's share then.
    fn settle(&mut self) -> anyhow::Result<(Option<Timestamp>, f64)> {
        for _ in 0..MOST_PASSES {
            let in_force = InForce::new(Ok(&self.spec), &self.status);
            let mut seen = self.look(&in_force);
            let weight = share(&seen);
            let decision = engine::settle(&self.id, Ok(&self.spec), &in_force, &self.status, &mut seen, self.now);
            let wake = decision.wake;
            if !self.follow(decision)? {
                return Ok((wake, weight));
            }
        }
        bail!(
            "the release does not come to rest at {}: {} (this is a fault of Warmfront's: please report it with these files)",
            self.now,
            self.status.message
        )
    }

    /// What the engine is shown, with all that it asks for.
    fn look(&mut self, in_force: &InForce) -> Observed {
        let plan: Option<&Plan> = in_force.plan();
        let mut seen = self.cluster.look(plan, &self.status);
        seen.replies.clone_from(&self.replies);
        seen.actions = self.people.seen();
        let needs = engine::needs(&self.id, in_force, &self.status, &seen, self.now);
        let revision = self.status.run.as_ref().map(|run| run.revision.as_str());
        seen.actions_read = needs.actions.into_iter().collect();
        seen.measured = needs.measure.map(|question| Measured {
            start: question.start,
            end: question.end,
            readings: self.metrics.readings(&question, revision),
        });
        seen.drained = needs.drained.map(|asked| Drained {
            requests: Some(self.metrics.requests(&asked.question, revision)),
            revision: asked.revision,
            needs: asked.needs,
            end: asked.question.end,
        });
        seen.inspected = needs.inspect.map(|asked| Inspected {
            readings: self.metrics.readings(&asked.question, revision),
            revision: asked.revision,
            basis: asked.basis,
            scraped_twice: None,
        });
        seen
    }

    /// Keeps the status and does what was decided; whether there was anything to do. A status alone leads nowhere: that was decided
    /// with it, and the next wake.
    fn follow(&mut self, decision: Decision) -> anyhow::Result<bool> {
        let has_to_act = !decision.actions.is_empty() || !decision.calls.is_empty();
        let last = self.status.events.emitted;
        let new = decision.status.events.pending.iter();
        for notice in new.filter(|notice| notice.sequence > last) {
            self.events.push(Told {
                at: notice.at.duration_since(self.start).as_secs_f64(),
                reason: notice.reason.clone(),
                warning: notice.warning,
                note: notice.note.clone(),
            });
        }
        self.note_waits(&decision.status);
        if let Some(measured) = &decision.measured {
            self.metrics.judged(measured.end, &decision.status);
        }
        self.status = decision.status;
        for one in &decision.actions {
            self.cluster.carry_out(&one.action, self.now)?;
            self.people.take(&one.action, self.now);
        }
        for call in decision.calls {
            let yes = Reply {
                attempt: call.attempt,
                answer: Ok(200),
            };
            self.replies.insert(call.key, yes);
        }
        Ok(has_to_act)
    }

    /// What a check waits for now, once for each confirmed weight.
    fn note_waits(&mut self, next: &CanaryRolloutStatus) {
        if !next.phase.is_judged() {
            return;
        }
        let at = self.now.duration_since(self.start).as_secs_f64();
        let confirmed = next.run.as_ref().and_then(|run| run.weight_confirmed_at);
        let since = confirmed.map_or(0.0, |confirmed| confirmed.duration_since(self.start).as_secs_f64());
        let causes = next.checks.iter().filter_map(|check| check.cause);
        for cause in causes.filter(|cause| is_worth_telling(*cause)) {
            let cause = cause.to_string();
            let mut noted = self.waited.iter();
            if !noted.any(|waited| waited.cause == cause && waited.at >= since) {
                self.waited.push(Waited {
                    at,
                    cause,
                    message: next.message.clone(),
                });
            }
        }
    }

    /// What became of it.
    pub fn course(self, took: SignedDuration) -> Course<M> {
        let run = self.status.run.as_ref();
        let paused_for = run.filter(|run| run.outcome.is_none()).and_then(|run| run.paused_for);
        let end = match (run.and_then(|run| run.outcome), paused_for) {
            (Some(Outcome::Promoted), _) => End::Promoted,
            (Some(Outcome::RolledBack | Outcome::Superseded | Outcome::Unknown), _) => End::RolledBack,
            (None, Some(_)) => End::Paused,
            (None, None) => End::Running,
        };
        let history = self.status.history.first();
        let ended = history
            .map(|entry| entry.message.clone())
            .filter(|message| !message.is_empty());
        Course {
            end,
            reason: run.and_then(|run| run.reason),
            paused_for,
            message: ended.unwrap_or_else(|| self.status.message.clone()),
            took: took.as_secs_f64(),
            seconds: self.now.duration_since(self.start).as_secs_f64(),
            greatest: self.greatest,
            events: self.events,
            waited: self.waited,
            series: self.metrics,
        }
    }
}

impl<S> Course<S> {
    /// The same with something else in place of what was counted.
    pub fn counted<T>(self, of: impl FnOnce(S) -> T) -> Course<T> {
        Course {
            end: self.end,
            reason: self.reason,
            paused_for: self.paused_for,
            message: self.message,
            took: self.took,
            seconds: self.seconds,
            greatest: self.greatest,
            events: self.events,
            waited: self.waited,
            series: of(self.series),
        }
    }
}
