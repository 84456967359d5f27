//! One release: the engine decides, the cluster obeys, time goes on to whatever comes next.

use std::sync::Arc;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    cluster::{Cluster, share},
    file::Subject,
    people::People,
    series::Series,
    spec::End,
    store::Store,
    told,
    world::{World, cache, params::Params},
};
use crate::{
    api::{
        CanaryRolloutSpec, CanaryRolloutStatus, Duration, Plan,
        moment::Moment as _,
        status::{Cause, EndReason, Outcome, PauseReason},
    },
    engine::{
        self,
        contract::{Decision, Identity, call::Reply, in_force::InForce, observed::Observed},
    },
};

/// The workload is taken over so long before the new version is applied.
const ADOPTED_BEFORE: SignedDuration = SignedDuration::from_mins(1);
/// The new version is applied on a Monday at 10:00, 2026-01-05T10:00:00Z.
const START: i64 = 1_767_607_200;
/// Most passes after which nothing may change any more without time going on.
const MOST_PASSES: usize = 500;
/// The world begins so many intervals of the checks before the release: the old version is looked back on.
const INTERVALS_BEFORE: u32 = 60;

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
pub struct Release {
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
    pub series: Series,
}

/// A release that goes on.
struct Going<'a> {
    spec: Arc<CanaryRolloutSpec>,
    id: Identity,
    start: Timestamp,
    now: Timestamp,
    slow: Duration,
    status: CanaryRolloutStatus,
    cluster: Cluster,
    replies: std::collections::BTreeMap<String, Reply>,
    people: People,
    world: World<'a>,
    series: Series,
    events: Vec<Told>,
    waited: Vec<Waited>,
    greatest: f64,
}

/// Releases the new version.
pub fn run(subject: &Subject) -> anyhow::Result<Release> {
    let params = told::params(subject)?;
    let mut going = Going::new(subject, &params);
    if !subject.plan.is_pair() {
        going.adopt()?;
    }
    going.series_until(going.start);
    going.now = going.start;
    going.cluster.apply_new_version();
    let end = going.start.plus(subject.simulation.duration.signed());
    let took = going.until(end, Going::is_over)?;
    if going.is_over() {
        // A moment more, so that its end can be seen.
        let more = SignedDuration::from_secs(60).max(took.checked_div(20).unwrap_or_default());
        going.until(going.now.plus(more), |_| false)?;
    }
    Ok(going.release(took))
}

impl<'a> Going<'a> {
    fn new(subject: &Subject, params: &'a Params) -> Self {
        let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
        let interval = subject.plan.interval.map_or(15, told::seconds).max(15);
        let before = interval.saturating_mul(INTERVALS_BEFORE).clamp(900, 86_400);
        let seed = subject.simulation.seed;
        Self {
            spec: Arc::new(subject.spec.clone()),
            id: Identity {
                namespace: subject.namespace.clone(),
                name: subject.name.clone(),
                uid: subject.name.clone(),
                generation: 1,
            },
            start,
            now: start.minus(ADOPTED_BEFORE),
            slow: told::slow(subject),
            status: CanaryRolloutStatus::default(),
            cluster: Cluster::new(subject),
            replies: std::collections::BTreeMap::new(),
            people: People::new(subject, start),
            world: World::new(params, cache::curve(params), seed, before),
            series: Series::new(before),
            events: Vec::new(),
            waited: Vec::new(),
            greatest: 0.0,
        }
    }

    /// Before the release: the workload is taken over.
    fn adopt(&mut self) -> anyhow::Result<()> {
        self.series_until(self.now);
        let start = self.start;
        self.until(start, |_| false)?;
        if !self.status.taken_over() {
            bail!("the CanaryRollout is not accepted: {}", self.status.message);
        }
        Ok(())
    }

    /// Lets time pass until `done`, or until `end`; how long after the start that is.
    fn until(&mut self, end: Timestamp, done: fn(&Self) -> bool) -> anyhow::Result<SignedDuration> {
        loop {
            self.people.create(self.now);
            let (wake, weight) = self.settle()?;
            self.world_at(weight);
            if done(self) || self.now >= end {
                return Ok(self.now.duration_since(self.start));
            }
            let soon = self.now.plus(SignedDuration::from_millis(1));
            let asked = self.people.next_at().unwrap_or(end);
            self.now = wake.map_or(end, |wake| wake.max(soon)).min(end).min(asked.max(soon));
            self.series_until(self.now);
        }
    }

    fn is_over(&self) -> bool {
        let run = self.status.run.as_ref();
        let asked = self.people.next_at().is_some();
        run.is_some_and(|run| run.outcome.is_some()) && self.status.phase.is_at_rest() && !asked
    }

    fn world_at(&mut self, weight: f64) {
        self.greatest = self.greatest.max(weight);
        if (self.world.weight() - weight).abs() > 1e-9 {
            self.world.set_weight(weight);
        }
    }

    /// The world goes on to the last whole second before `now`.
    fn series_until(&mut self, now: Timestamp) {
        let until = now.duration_since(self.start).as_secs();
        while self.world.t() < until {
            let weight = self.world.weight();
            let counted = self.world.tick();
            self.series.push(weight, &counted);
        }
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
    fn look(&self, in_force: &InForce) -> Observed {
        let plan: Option<&Plan> = in_force.plan();
        let mut seen = self.cluster.look(plan, &self.status);
        seen.replies.clone_from(&self.replies);
        seen.actions = self.people.seen();
        let needs = engine::needs(&self.id, in_force, &self.status, &seen, self.now);
        let store = Store {
            series: &self.series,
            start: self.start,
            revision: self.status.run.as_ref().map(|run| run.revision.as_str()),
            slow: self.slow,
            checks: plan.map(|plan| plan.checks.as_slice()).unwrap_or_default(),
        };
        seen.actions_read = needs.actions.into_iter().collect();
        seen.measured = needs.measure.map(|question| store.measure(&question));
        seen.drained = needs.drained.map(|asked| store.look_for_requests(&asked));
        seen.inspected = needs.inspect.map(|asked| store.inspect(&asked));
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

    fn release(self, took: SignedDuration) -> Release {
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
        Release {
            end,
            reason: run.and_then(|run| run.reason),
            paused_for,
            message: ended.unwrap_or_else(|| self.status.message.clone()),
            took: took.as_secs_f64(),
            seconds: self.now.duration_since(self.start).as_secs_f64(),
            greatest: self.greatest,
            events: self.events,
            waited: self.waited,
            series: self.series,
        }
    }
}

impl Release {
    /// Seconds that are to be shown.
    pub fn shown(&self) -> f64 {
        self.seconds.max(1.0)
    }
}
