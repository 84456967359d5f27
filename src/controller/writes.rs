//! Writes that failed: when each is tried again by itself, and what people are told of it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    context::{FIRST_DELAY, LONGEST_DELAY, delay_after, lock},
    error::Error,
};
use crate::engine::contract::{action::Action, kind::Kind, observed::Obstacle};

/// First delay after another hand was faster: the watch brings what it wrote in a moment.
const FIRST_DELAY_AFTER_CONFLICT: Duration = Duration::from_millis(50);
/// Longest delay of a change that takes users off a version.
const LONGEST_DELAY_OF_TRAFFIC: Duration = Duration::from_secs(5);
/// So many failures in a row, some 3 s of them, are told whatever they are: they do not pass by themselves.
const TOLD_AFTER: u32 = 5;
/// So many conflicts in a row without a newer version to be seen, some 50 s of them: a watch that lags is no news.
const CONFLICTS_TOLD_AFTER: u32 = 10;

/// What is written, of one rollout.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The rollout's status.
    Status,
    /// The rollout itself: our finalizer.
    Rollout,
    /// An object that the release needs.
    Object(Kind, String),
    /// A RolloutAction.
    Action(String),
    /// Events about it.
    Events,
}

impl fmt::Display for Target {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => to.write_str("the status"),
            Self::Rollout => to.write_str("the finalizer"),
            Self::Object(kind, name) => write!(to, "{kind} {name}"),
            Self::Action(name) => write!(to, "RolloutAction {name}"),
            Self::Events => to.write_str("Events"),
        }
    }
}

impl From<&Action> for Target {
    fn from(action: &Action) -> Self {
        match action {
            Action::AddFinalizer | Action::DropFinalizer => Self::Rollout,
            Action::Create { kind, object } => {
                let name = crate::kubernetes::json::text(object, "/metadata/name");
                Self::Object(*kind, name.to_owned())
            }
            Action::Patch { kind, name, .. }
            | Action::TakeTrafficOff { kind, name, .. }
            | Action::Delete { kind, name } => Self::Object(*kind, name.clone()),
            Action::Answer { name, .. } | Action::Forget { name } => Self::Action(name.clone()),
        }
    }
}

/// One try, and what would make the next one another thing.
pub struct Try<'a> {
    /// What is written.
    pub target: Target,
    /// What is changed in it; absent for a status, of which every one is another.
    pub action: Option<&'a Action>,
    /// Version of the object on which it rests, if that is known.
    pub version: Option<u64>,
}

struct Failed {
    target: Target,
    action: Option<Action>,
    version: Option<u64>,
    conflict: bool,
    failures: u32,
    delay: Duration,
    next: Instant,
    obstacle: Option<Obstacle>,
}

impl Failed {
    fn is_of(&self, one: &Try<'_>) -> bool {
        self.target == one.target && self.action.as_ref() == one.action
    }

    /// Another hand's write has been seen since, or something else is to be written.
    fn is_outdated(&self, one: &Try<'_>) -> bool {
        !self.is_of(one) || (self.conflict && self.version != one.version)
    }
}

/// Writes that failed and are still to be done, by UID of the rollout. Losing them costs one more try.
#[derive(Default)]
pub struct Writes(Mutex<HashMap<String, Vec<Failed>>>);

impl Writes {
    /// Whether this write is to be tried now.
    pub fn is_due(&self, uid: &str, one: &Try<'_>) -> bool {
        let all = lock(&self.0);
        let failed = all.get(uid).into_iter().flatten();
        let mut failed = failed.filter(|failed| failed.target == one.target);
        failed
            .next()
            .is_none_or(|failed| failed.is_outdated(one) || Instant::now() >= failed.next)
    }

    /// It failed.
    pub fn failed(&self, uid: &str, one: &Try<'_>, error: &Error) {
        let conflict = matches!(error, Error::Conflict { .. });
        let mut all = lock(&self.0);
        let known = all.entry(uid.to_owned()).or_default();
        let at = known.iter().position(|failed| failed.target == one.target);
        let before = at.map(|at| known.swap_remove(at));
        let failures = before
            .filter(|failed| !failed.is_outdated(one))
            .map_or(0, |failed| failed.failures);
        let first = if conflict {
            FIRST_DELAY_AFTER_CONFLICT
        } else {
            FIRST_DELAY
        };
        let longest = match one.action {
            Some(Action::TakeTrafficOff { .. }) => LONGEST_DELAY_OF_TRAFFIC,
            _ => LONGEST_DELAY,
        };
        let delay = delay_after(failures, first, longest);
        let object = match &one.target {
            Target::Object(kind, name) => Some((*kind, name.clone())),
            Target::Status | Target::Rollout | Target::Action(_) | Target::Events => None,
        };
        let told_after = if conflict { CONFLICTS_TOLD_AFTER } else { TOLD_AFTER };
        let told = error.is_refusal() || failures + 1 >= told_after;
        known.push(Failed {
            target: one.target.clone(),
            action: one.action.cloned(),
            version: one.version,
            conflict,
            failures: failures + 1,
            delay,
            next: Instant::now().checked_add(delay).unwrap_or_else(Instant::now),
            obstacle: told.then(|| error.obstacle(object)),
        });
    }

    /// It succeeded. Returns whether it had failed before.
    pub fn worked(&self, uid: &str, target: &Target) -> bool {
        self.retain(uid, |failed| failed.target != *target)
    }

    /// Of objects only these are still to be written: whatever else was refused is no longer asked for.
    pub fn still_asked_for(&self, uid: &str, targets: &BTreeSet<Target>) {
        let other = |target: &Target| matches!(target, Target::Status | Target::Events);
        self.retain(uid, |failed| other(&failed.target) || targets.contains(&failed.target));
    }

    /// Keeps some; returns whether others were there.
    fn retain(&self, uid: &str, keep: impl Fn(&Failed) -> bool) -> bool {
        let mut all = lock(&self.0);
        let Some(failed) = all.get_mut(uid) else { return false };
        let before = failed.len();
        failed.retain(keep);
        let fewer = failed.len() < before;
        if failed.is_empty() {
            all.remove(uid);
        }
        fewer
    }

    /// Whether another hand was faster the last time.
    pub fn is_conflict(&self, uid: &str, target: &Target) -> bool {
        let all = lock(&self.0);
        let failed = all.get(uid).into_iter().flatten();
        failed
            .into_iter()
            .any(|failed| failed.target == *target && failed.conflict)
    }

    /// After which time the next of them is tried again. One that could be tried, and was not because it needs another one,
    /// is looked at after its own delay.
    pub fn next(&self, uid: &str) -> Option<Duration> {
        let (all, now) = (lock(&self.0), Instant::now());
        let left = |failed: &Failed| match failed.next.saturating_duration_since(now) {
            Duration::ZERO => failed.delay,
            left => left,
        };
        all.get(uid)?.iter().map(left).min()
    }

    /// What people have to know of: writes that are refused for a reason that does not pass by itself.
    pub fn obstacles(&self, uid: &str) -> Vec<Obstacle> {
        let all = lock(&self.0);
        let mut failed: Vec<&Failed> = all.get(uid).into_iter().flatten().collect();
        failed.retain(|failed| !matches!(failed.target, Target::Status | Target::Events));
        failed.sort_by(|one, other| one.target.cmp(&other.target));
        failed
            .into_iter()
            .filter_map(|failed| failed.obstacle.clone())
            .collect()
    }

    /// Why the status cannot be stored, once that is to be told.
    pub fn unstored(&self, uid: &str) -> Option<Obstacle> {
        let all = lock(&self.0);
        let mut status = all.get(uid)?.iter().filter(|failed| failed.target == Target::Status);
        status.next()?.obstacle.clone()
    }

    /// The rollout is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.0).remove(uid);
    }

    /// All others are gone.
    pub fn keep_only(&self, uids: &HashSet<String>) {
        lock(&self.0).retain(|uid, _| uids.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use tokio::time::advance;

    use super::*;

    fn scale(replicas: u32) -> Action {
        Action::Patch {
            kind: Kind::ReplicaSet,
            name: "catalog-w".to_owned(),
            patch: crate::workload::replica_set::scale(replicas),
        }
    }

    fn tried(action: &Action, version: u64) -> Try<'_> {
        Try {
            target: action.into(),
            action: Some(action),
            version: Some(version),
        }
    }

    fn refused(code: u16) -> Error {
        let status = Status::failure("no", "no").with_code(code).boxed();
        Error::Apply {
            action: "changing ReplicaSet shop/catalog-w".to_owned(),
            source: kube::Error::Api(status),
        }
    }

    /// Delays after failures in a row, in milliseconds.
    async fn delays(writes: &Writes, action: &Action, failures: usize) -> Vec<u128> {
        let mut delays = Vec::new();
        for _ in 0..failures {
            assert!(writes.is_due("u", &tried(action, 1)));
            writes.failed("u", &tried(action, 1), &refused(422));
            assert!(!writes.is_due("u", &tried(action, 1)));
            let delay = writes.next("u").unwrap();
            delays.push(delay.as_millis());
            advance(delay).await;
        }
        delays
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_write_is_tried_again_by_itself_and_traffic_soonest() {
        let writes = Writes::default();
        let up = scale(4);
        let expected = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000];
        assert_eq!(delays(&writes, &up, 11).await, expected);
        let route = Action::TakeTrafficOff {
            kind: Kind::HttpRoute,
            name: "catalog".to_owned(),
            patch: Vec::new(),
        };
        assert!(
            writes.is_due("u", &tried(&route, 1)),
            "another object's write is not held up"
        );
        assert_eq!(delays(&Writes::default(), &route, 8).await.last(), Some(&5_000));
        writes.failed("u", &tried(&up, 1), &refused(422));
        assert!(
            writes.is_due("u", &tried(&scale(0), 1)),
            "something else is to be written"
        );
        assert!(writes.is_due("another", &tried(&up, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn another_hand_that_was_faster_is_waited_for_once() {
        let (writes, up) = (Writes::default(), scale(4));
        let faster = || Error::Conflict { action: String::new() };
        writes.failed("u", &tried(&up, 1), &faster());
        assert!(!writes.is_due("u", &tried(&up, 1)));
        assert!(writes.is_due("u", &tried(&up, 2)), "what it wrote has been seen");
        for _ in 1..CONFLICTS_TOLD_AFTER {
            assert!(writes.obstacles("u").is_empty());
            writes.failed("u", &tried(&up, 1), &faster());
        }
        assert_eq!(writes.obstacles("u").len(), 1, "what does not pass by itself is told");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_told_until_it_works_or_is_no_longer_asked_for() {
        let (writes, up) = (Writes::default(), scale(4));
        writes.failed("u", &tried(&up, 1), &refused(500));
        assert!(writes.obstacles("u").is_empty(), "it may work in a moment");
        writes.failed("u", &tried(&up, 1), &refused(403));
        let told = writes.obstacles("u");
        assert!(
            told[0].forbidden && told[0].message.starts_with("changing ReplicaSet shop/catalog-w: no"),
            "{told:?}"
        );
        writes.still_asked_for("u", &BTreeSet::from([Target::from(&up)]));
        assert_eq!(writes.obstacles("u").len(), 1);
        writes.still_asked_for("u", &BTreeSet::new());
        assert!(writes.obstacles("u").is_empty());
        writes.failed("u", &tried(&up, 1), &refused(403));
        assert!(writes.worked("u", &Target::from(&up)));
        assert_eq!((writes.obstacles("u").len(), writes.next("u")), (0, None));
    }
}
