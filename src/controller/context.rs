//! What every pass shares: the client, the caches, the clock and the provider.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kube::{Client, Resource, ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    caches::Readiness, calls::Calls, hold::Holds, kinds::Caches, leadership::Leadership, logged, metrics::Metrics,
    recent::Recent, writes::Writes,
};
use crate::{
    api::{CanaryRolloutStatus, FINALIZER},
    fair::{Permit, Permits},
    kubernetes::json::text,
    log::outage::{Outage, Outages},
    provider::Provider,
};

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Passes that may run at once, each of which is short, for everything it reads is in memory, …
const SLOTS: usize = 16;
/// … and of one namespace: writes of one that hang leave slots for all others.
const SLOTS_OF_ONE: usize = 8;

/// The right to run a pass. Dropping it gives it back.
pub type Slot = Permit;

/// Shared by all passes.
pub struct Context {
    /// Talks to the API server; what would change something it sends only while this process leads.
    pub client: Client,
    /// Whether this process leads: without that no pass begins.
    pub leadership: Leadership,
    /// What the watches have seen.
    pub caches: Arc<Caches>,
    /// Asks metrics stores.
    pub provider: Box<dyn Provider>,
    /// Calls to other systems.
    pub calls: Calls,
    /// Tells the time.
    pub clock: Clock,
    /// What this process tells about itself.
    pub metrics: Metrics,
    /// Whether all watches are in sync.
    pub readiness: Readiness,
    /// Delays after passes that did not come to their end.
    pub backoff: Backoff,
    /// Events that this process has told.
    pub told: Told,
    /// Whether the API server fails, for the log.
    pub api_server: Mutex<Outage>,
    /// Rollouts whose passes or Events fail for reasons of their own, by UID, for the log.
    pub failing: Mutex<Outages>,
    /// Writes that failed, and when each is tried again.
    pub writes: Writes,
    /// The field of the last stored status that came back without it.
    pub not_stored: Mutex<Option<String>>,
    /// Statuses that were decided and not stored: only figures in them are new, or the API server does not take them.
    pub drafts: Drafts,
    /// What dry runs have told of the API server's policy.
    pub holds: Holds,
    /// What the last passes read.
    pub recent: Recent,
    /// Every workload is given back: Warmfront is being uninstalled.
    pub uninstalls: bool,
    slots: Permits,
}

impl Context {
    /// Remembers nothing yet.
    pub fn new(
        client: Client,
        leadership: Leadership,
        caches: Arc<Caches>,
        provider: Box<dyn Provider>,
        calls: Calls,
        clock: Clock,
    ) -> Self {
        Self {
            client,
            leadership,
            caches,
            provider,
            calls,
            clock,
            metrics: Metrics::default(),
            readiness: Readiness::default(),
            backoff: Backoff::default(),
            told: Told::default(),
            api_server: Mutex::new(Outage::new(logged::SETTLED_AFTER)),
            failing: Mutex::new(Outages::new(Duration::ZERO)),
            writes: Writes::default(),
            not_stored: Mutex::default(),
            drafts: Drafts::default(),
            holds: Holds::default(),
            recent: Recent::default(),
            uninstalls: false,
            slots: Permits::new(SLOTS, SLOTS_OF_ONE),
        }
    }

    /// The same, for a process that gives every workload back.
    #[must_use]
    pub fn to_uninstall(self) -> Self {
        Self {
            uninstalls: true,
            ..self
        }
    }

    /// Forgets the rollouts that are gone. One without our finalizer goes without a pass.
    pub fn forget_gone(&self) {
        let known = self.caches.rollouts.names().state();
        let uids = known.iter().map(|rollout| uid(&**rollout)).collect();
        self.backoff.keep_only(&uids);
        self.told.keep_only(&uids);
        self.writes.keep_only(&uids);
        self.drafts.keep_only(&uids);
        self.calls.keep_only(&uids);
        self.holds.keep_only(&uids);
        lock(&self.failing).keep_only(&uids);
        self.recent
            .keep_only(&self.caches.rollouts.places().into_iter().collect());
    }

    /// Rollouts that were not let go yet, with what they say.
    pub fn not_let_go(&self) -> Vec<String> {
        let rollouts = &self.caches.rollouts;
        let places = rollouts.places().into_iter();
        let held = places.filter_map(|(namespace, name)| {
            let rollout = rollouts.get(Some(&namespace), &name)?;
            let ours = rollout.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
            let says = text(&rollout.data, "/status/message").to_owned();
            ours.then(|| format!("{namespace}/{name}: {says}"))
        });
        held.collect()
    }

    /// Waits until a pass over a rollout of this namespace may run; nothing after [`Context::begin_no_more`].
    pub async fn slot(&self, namespace: &str) -> Option<Slot> {
        self.slots.acquire(namespace).await
    }

    /// Lets no pass begin any more: those that wait for a slot get none.
    pub fn begin_no_more(&self) {
        self.slots.close();
    }

    /// The time, to the millisecond: what is stored in a status reads back as the same moment.
    pub fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// The field that the installed definition made the API server leave out, if it did so last time.
    pub fn not_stored(&self) -> Option<String> {
        lock(&self.not_stored).clone()
    }

    /// Compares a status as it was sent with what came back.
    pub fn compare_stored(&self, sent: &Value, stored: &Value) {
        *lock(&self.not_stored) = left_out(sent, stored);
    }
}

/// The first field of `sent` that `stored` lacks, as a path with dots.
fn left_out(sent: &Value, stored: &Value) -> Option<String> {
    match sent {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| match stored.get(key) {
            // The API server leaves nulls out.
            None => (!value.is_null()).then(|| key.clone()),
            Some(stored) => left_out(value, stored).map(|path| format!("{key}.{path}")),
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| left_out(item, &stored[index]).map(|path| format!("{index}.{path}"))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// First delay after a failure.
pub(super) const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay after many failures.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Delay after one more failure than these: each doubles it.
pub(super) fn delay_after(failures: u32, first: Duration, longest: Duration) -> Duration {
    first
        .saturating_mul(2_u32.saturating_pow(failures.min(16)))
        .min(longest)
}

/// What the mutexes here guard are only hints: one that a panic left half-written is still usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn uid(object: &impl Resource) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

/// Delays that double with every failure of the same object.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// Delay after one more failure.
    pub fn next(&self, object: &impl Resource) -> Duration {
        let mut failures = lock(&self.0);
        let count = failures.entry(uid(object)).or_default();
        let delay = delay_after(*count, FIRST_DELAY, LONGEST_DELAY);
        *count += 1;
        delay
    }

    /// All others are gone.
    fn keep_only(&self, uids: &HashSet<String>) {
        lock(&self.0).retain(|uid, _| uids.contains(uid));
    }

    /// A pass came to its end. Returns whether the one before it had failed.
    pub fn reset(&self, object: &impl Resource) -> bool {
        lock(&self.0).remove(&uid(object)).is_some()
    }
}

/// A status that is newer than the stored one.
#[derive(Clone)]
struct Unstored {
    /// Version of the object on which it rests.
    base: Option<String>,
    /// The stored status on which it rests.
    rests_on: Option<Arc<CanaryRolloutStatus>>,
    status: Option<Arc<CanaryRolloutStatus>>,
    /// When the status was last stored, or first seen.
    stored: Timestamp,
}

/// Statuses that were decided and not stored, by UID of the rollout. If they are lost, their ticks are asked for again.
#[derive(Default)]
pub struct Drafts(Mutex<HashMap<String, Unstored>>);

impl Drafts {
    /// The newest status that rests on this version of the object, or on the same stored status: an edit of anything else
    /// takes nothing away of what was judged.
    pub fn newest(
        &self,
        object: &DynamicObject,
        stored: Option<&Arc<CanaryRolloutStatus>>,
    ) -> Option<Arc<CanaryRolloutStatus>> {
        let drafts = lock(&self.0);
        let unstored = drafts.get(&uid(object))?;
        let status = unstored.status.clone()?;
        let holds = unstored.base == object.metadata.resource_version || unstored.rests_on.as_ref() == stored;
        holds.then_some(status)
    }
    /// When the status was last stored; `now` if this process has not seen that.
    pub fn stored_at(&self, object: &DynamicObject, now: Timestamp) -> Timestamp {
        lock(&self.0)
            .entry(uid(object))
            .or_insert(Unstored {
                base: None,
                rests_on: None,
                status: None,
                stored: now,
            })
            .stored
    }
    /// Keeps a status that rests on this version of the object and on this stored status.
    pub fn keep(
        &self,
        object: &DynamicObject,
        rests_on: Option<Arc<CanaryRolloutStatus>>,
        status: Arc<CanaryRolloutStatus>,
        now: Timestamp,
    ) {
        let stored = self.stored_at(object, now);
        lock(&self.0).insert(
            uid(object),
            Unstored {
                base: object.metadata.resource_version.clone(),
                rests_on,
                status: Some(status),
                stored,
            },
        );
    }
    /// The stored status is the newest one: forgets the kept one.
    pub fn settled(&self, object: &DynamicObject) {
        if let Some(unstored) = lock(&self.0).get_mut(&uid(object)) {
            unstored.status = None;
        }
    }
    /// The status was stored.
    pub fn stored(&self, object: &DynamicObject, now: Timestamp) {
        lock(&self.0).insert(
            uid(object),
            Unstored {
                base: None,
                rests_on: None,
                status: None,
                stored: now,
            },
        );
    }
    /// The rollout is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.0).remove(uid);
    }
    /// All others are gone.
    fn keep_only(&self, uids: &HashSet<String>) {
        lock(&self.0).retain(|uid, _| uids.contains(uid));
    }
}

/// Number of the last Event told, by UID of the rollout. Only saves requests: telling again is harmless.
#[derive(Default)]
pub struct Told {
    last: Mutex<HashMap<String, i64>>,
    /// Version of the rollout whose status could not be followed by another, as was told.
    unstored: Mutex<HashMap<String, String>>,
}

impl Told {
    /// Whether it was told that the status of this version of the rollout is the last one that could be stored.
    pub fn is_unstored_told(&self, object: &DynamicObject) -> bool {
        let version = object.metadata.resource_version.as_ref();
        version.is_none() || lock(&self.unstored).get(&uid(object)) == version
    }
    /// It was told.
    pub fn unstored_told(&self, object: &DynamicObject) {
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        lock(&self.unstored).insert(uid(object), version);
    }
    /// The last one told.
    pub fn last(&self, uid: &str) -> i64 {
        lock(&self.last).get(uid).copied().unwrap_or_default()
    }
    /// One more was told.
    pub fn advance(&self, uid: &str, sequence: i64) {
        lock(&self.last).insert(uid.to_owned(), sequence);
    }
    /// The rollout is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.unstored).remove(uid);
        lock(&self.last).remove(uid);
    }
    /// All others are gone.
    fn keep_only(&self, uids: &HashSet<String>) {
        lock(&self.unstored).retain(|uid, _| uids.contains(uid));
        lock(&self.last).retain(|uid, _| uids.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::tests::{api_server, caches, context_of, judged};

    #[tokio::test]
    async fn what_is_remembered_of_rollouts_that_are_gone_goes() {
        let (here, gone) = (judged("here"), judged("gone"));
        let context = context_of(api_server(Duration::ZERO).0, Arc::new(caches(vec![here.clone()])));
        for rollout in [&here, &gone] {
            context.backoff.next(rollout);
            context.told.advance(&uid(rollout), 3);
            lock(&context.failing).failed(&uid(rollout), tokio::time::Instant::now());
            context
                .drafts
                .keep(rollout, None, Arc::default(), Timestamp::UNIX_EPOCH);
        }
        context.forget_gone();
        for (rollout, stays) in [(&here, true), (&gone, false)] {
            assert_eq!(context.told.last(&uid(rollout)) == 3, stays);
            let past = lock(&context.failing).worked(&uid(rollout), tokio::time::Instant::now());
            assert_eq!(past.is_some(), stays);
            assert_eq!(context.drafts.newest(rollout, None).is_some(), stays);
            assert_eq!(context.backoff.reset(rollout), stays);
        }
    }

    #[test]
    fn a_field_that_was_cut_is_named() {
        let sent = json!({"phase": "Idle", "run": {"number": 1, "plan": {"steps": [{"weight": 5}]}}});
        assert_eq!(left_out(&sent, &sent), None);
        let stored = json!({"phase": "Idle", "run": {"number": 1, "plan": {"steps": [{}]}}});
        assert_eq!(left_out(&sent, &stored).as_deref(), Some("run.plan.steps.0.weight"));
    }
}
