//! Which RolloutActions a pass takes: Abort first, a few at a time, and none a second time. Where too many are open the rest is rejected.
//!
//! An action was carried out if its own status says so, or if the rollout's status has its answer. That answer is kept until the
//! action has it, so that it is carried out once however many there are. Caches may be older than that: an action is read anew
//! before it is taken.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{CanaryRolloutStatus, action::Verb, moment::Moment as _, status::HandledAction},
    engine::{
        contract::{action::FORGET_AFTER, observed::ActionSeen},
        draft::REMEMBERED_ACTIONS,
        facts::Facts,
    },
};

/// Open actions beyond so many are rejected, and answered ones are removed, the oldest first; no pass does more of either.
pub const MOST: usize = 100;

/// An answer stays at least as long: whoever asked may read it.
const READABLE_FOR: SignedDuration = SignedDuration::from_mins(1);

/// An Event that is not told after this time holds nothing up.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// What could not be done now is looked at again after this time.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// Those that have no answer.
fn open<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a ActionSeen> {
    facts.seen.actions.iter().filter(|action| action.decided.is_none())
}

/// Those whose answer the status has not either, in the order in which they are taken.
fn waiting<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Vec<&'a ActionSeen> {
    let has_answer = |action: &ActionSeen| status.actions.iter().any(|handled| handled.uid == action.uid);
    let mut open: Vec<_> = open(facts).filter(|action| !has_answer(action)).collect();
    open.sort_by_key(|action| (action.spec.action != Verb::Abort, action.created));
    open
}

/// The action has its answer, or is gone: what the status knows of it is no longer needed.
pub fn is_told(facts: &Facts<'_>, handled: &HandledAction) -> bool {
    let mut all = facts.seen.actions.iter();
    match all.find(|action| action.uid == handled.uid) {
        Some(action) => action.decided.is_some(),
        // The cache may not know it yet.
        None => handled.name.is_empty() || facts.seen.actions_read.contains(&handled.name),
    }
}

/// For so many more the status can keep the answers.
fn room(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> usize {
    let needed = status.actions.iter().filter(|handled| !is_told(facts, handled));
    REMEMBERED_ACTIONS.saturating_sub(needed.count())
}

/// Events of earlier answers wait to be told, so many that with more of them some would be forgotten. If they cannot be told at
/// all, nothing waits for them for long.
fn are_untold(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> bool {
    let pending = status.events.pending.iter();
    let untold = pending.filter(|notice| notice.sequence > facts.seen.told && facts.now < notice.at.plus(TOLD_WITHIN));
    untold.count() >= REMEMBERED_ACTIONS
}

/// Those that are taken next. While there are too many that is an Abort, or nothing.
fn next<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Vec<&'a ActionSeen> {
    let crowded = open(facts).count() > MOST || are_untold(facts, status);
    let waiting = waiting(facts, status).into_iter();
    let due = waiting.filter(|action| !crowded || action.spec.action == Verb::Abort);
    due.take(REMEMBERED_ACTIONS).collect()
}

/// Names of those that are read anew: the ones that are taken next, and the ones that the status could forget if they are gone.
pub fn unread(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<String> {
    let next = next(facts, status);
    let is_seen = |handled: &HandledAction| facts.seen.actions.iter().any(|action| action.uid == handled.uid);
    let gone = status.actions.iter().filter(|handled| !is_seen(handled));
    let gone = gone.filter(|_| room(facts, status) < next.len());
    let names = next.iter().map(|action| &action.name);
    let names = names.chain(gone.map(|handled| &handled.name));
    names.filter(|name| !name.is_empty()).cloned().collect()
}

/// Those that are carried out, or answered with why they are not.
pub fn taken<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus) -> Vec<&'a ActionSeen> {
    let next = next(facts, status).into_iter();
    let read = next.filter(|action| facts.seen.actions_read.contains(&action.name));
    read.take(room(facts, status)).collect()
}

/// Those that are rejected because there are too many: also those count that only lack their answer.
pub fn surplus<'a>(facts: &Facts<'a>, status: &CanaryRolloutStatus) -> impl Iterator<Item = &'a ActionSeen> {
    let waiting = waiting(facts, status);
    let stay = MOST.saturating_sub(open(facts).count().saturating_sub(waiting.len()));
    waiting.into_iter().skip(stay).take(MOST)
}

/// Those that have their answer, the oldest answer first, with its time.
fn answered<'a>(facts: &Facts<'a>) -> Vec<(Timestamp, &'a ActionSeen)> {
    let all = facts.seen.actions.iter();
    let mut answered: Vec<_> = all.filter_map(|action| Some((action.decided?, action))).collect();
    answered.sort_by(|(at, one), (other_at, other)| (at, &one.name).cmp(&(other_at, &other.name)));
    answered
}

/// When each that has its answer is removed, the first one first.
fn removals<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (Timestamp, &'a ActionSeen)> {
    let answered = answered(facts);
    let surplus = answered.len().saturating_sub(MOST);
    answered.into_iter().enumerate().map(move |(index, (at, action))| {
        let stays = if index < surplus { READABLE_FOR } else { FORGET_AFTER };
        (at.plus(stays), action)
    })
}

/// Those whose answer was there for long enough.
pub fn outlived<'a>(facts: &Facts<'a>) -> Vec<&'a ActionSeen> {
    let due = removals(facts).filter(|(at, _)| *at <= facts.now);
    due.map(|(_, action)| action).take(MOST).collect()
}

/// When there is something to do with actions although nothing has changed.
pub fn moments(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Timestamp> {
    let again = Some(facts.now.plus(AGAIN_AFTER));
    let left_over = !waiting(facts, status).is_empty() || outlived(facts).len() == MOST;
    let later = removals(facts).map(|(at, _)| at).find(|at| *at > facts.now);
    again.filter(|_| left_over).into_iter().chain(later).collect()
}
