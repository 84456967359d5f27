//! What stood in Warmfront's way, and when: how much later it may be with what it owes its users.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    apiserver::kinds::Kind,
    world::{
        Settings,
        settings::{Mood, Version, seconds},
    },
};

/// A stretch of time.
pub type Stretch = (Instant, Instant);

/// Longer than any scenario.
const FOR_GOOD: Duration = Duration::from_hours(24);
/// A gateway that changed its mind looks at its routes again within this time.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

/// What kept Warmfront from doing what it does at once otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The process was dead, or had just been started and knew nothing yet.
    Dead,
    /// Its watches had broken off.
    Blind,
    /// Writes were answered only after seconds, and others wait for that.
    Slow,
    /// Writes of this kind were refused, be it all of them or those of the status.
    Refused(Kind, Part),
}

/// What of an object was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing of it.
    Whole,
    /// Its status.
    Status,
}

/// What is remembered of the world.
#[derive(Default)]
pub struct Past {
    troubles: Vec<(Stretch, Trouble)>,
    settings: Vec<(Instant, Settings)>,
}

impl Past {
    /// Something stands in the way for a while.
    pub fn trouble(&mut self, trouble: Trouble, from: Instant, length: Duration) {
        self.troubles.push(((from, from + length), trouble));
    }

    /// The world behaves like this from now on.
    pub fn behaves(&mut self, at: Instant, settings: &Settings) {
        self.settings.push((at, settings.clone()));
    }

    /// When `trouble` was in the way.
    pub(super) fn of(&self, trouble: impl Fn(Trouble) -> bool) -> Vec<Stretch> {
        let of = self.troubles.iter().filter(|(_, other)| trouble(*other));
        of.map(|(stretch, _)| *stretch).collect()
    }

    /// When the world behaved in this way.
    pub(super) fn while_it(&self, behaves: impl Fn(&Settings) -> bool) -> Vec<Stretch> {
        let ends = self.settings.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
        let all = self.settings.iter().zip(ends);
        all.filter(|((_, settings), _)| behaves(settings))
            .map(|((from, _), until)| (*from, until.unwrap_or(*from + FOR_GOOD)))
            .collect()
    }

    /// When the gateway accepted nothing.
    pub(super) fn not_accepting(&self) -> Vec<Stretch> {
        let all = self.while_it(|settings| settings.gateway.mood != Mood::Accepts);
        all.into_iter()
            .map(|(from, until)| (from, until + LOOKS_AGAIN))
            .collect()
    }

    /// How the world behaved at any time from a moment to another.
    pub(super) fn between(&self, from: Instant, until: Instant) -> impl Iterator<Item = &Settings> {
        let first = self.settings.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        let during = self.settings.iter().skip(first).take_while(move |(at, _)| *at <= until);
        during.map(|(_, settings)| settings)
    }

    /// Longest that a share in a route took to reach every proxy, from its write. Proxies that were late once may be so
    /// for longer than the world says.
    pub(super) fn routed_within(&self, until: Instant) -> Duration {
        let slowest = self
            .between(self.settings.first().map_or(until, |(at, _)| *at), until)
            .map(|settings| settings.gateway.slowest() + seconds(settings.endpoints_after));
        slowest.max().unwrap_or_default()
    }

    /// Longest that a pod took to become ready.
    pub(super) fn ready_within(&self, from: Instant, until: Instant) -> Duration {
        let all = self
            .between(from, until)
            .map(|settings| seconds(settings.pods_ready_after + settings.endpoints_after));
        all.max().unwrap_or_default()
    }

    /// Whether a version was like this at any time from a moment to another.
    pub(super) fn was(&self, tag: &str, from: Instant, until: Instant, like: impl Fn(&Version) -> bool) -> bool {
        self.between(from, until).any(|settings| like(&settings.version(tag)))
    }
}

/// The end of `length` from a moment on, what lies in `troubles` not counted.
pub(super) fn after(from: Instant, length: Duration, mut troubles: Vec<Stretch>) -> Instant {
    troubles.sort_unstable();
    let (mut at, mut left) = (from, length);
    for (begins, ends) in troubles {
        if ends <= at {
            continue;
        }
        let free = begins.saturating_duration_since(at);
        if free >= left {
            return at + left;
        }
        left -= free;
        at = ends;
    }
    at + left
}

/// Whether all of a stretch lies in `parts`, however they overlap; they may end `slack` too early.
pub(super) fn covered(stretch: Stretch, mut parts: Vec<Stretch>, slack: Duration) -> bool {
    parts.sort_unstable();
    let mut at = stretch.0;
    for (from, until) in parts {
        if from > at {
            return false;
        }
        at = at.max(until + slack);
        if at >= stretch.1 {
            return true;
        }
    }
    false
}

/// Of a stretch, the longest part that lies in `parts`.
pub(super) fn longest(stretch: Stretch, parts: &[Stretch]) -> Duration {
    let within = parts
        .iter()
        .map(|(from, until)| (*until.min(&stretch.1)).saturating_duration_since(*from.max(&stretch.0)));
    within.max().unwrap_or_default()
}
