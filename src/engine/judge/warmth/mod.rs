//! Whether a cache is warm, cold or broken, from how its hit ratio grows with the lookups that it has answered.
//!
//! A healthy cache gains with every doubling of its lookups, 2 to 10 points or a fifth of what is there; one that gains less
//! than a point and less than a tenth is dead. No curve is fitted.

use serde::{Deserialize, Serialize};

use super::{
    checks::smoothed,
    recent::Recent,
    rounding::{Number, counted, number, round3, round6},
    tick::{ALL, BaselineCache, Cache, CheckKind, Count, Placement, PodCache},
    wilson,
};

/// What is remembered of the new version's cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Warmth {
    /// Misses of lookups in the last ticks of this step.
    recent: Recent,
    /// Lookups and hits by how many lookups a cache had answered, in quarter octaves, rising.
    table: Vec<Bin>,
    /// Data ticks in the table.
    ticks: u32,
    /// Lookups that the oldest cache has answered.
    #[serde(serialize_with = "number")]
    pub lookups: f64,
    /// The hit ratio has reached its target.
    pub is_warm: bool,
    /// Share of misses of the last few ticks in which there were enough lookups.
    #[serde(skip_serializing_if = "Option::is_none")]
    misses: Option<f64>,
}

/// Lookups and hits of caches that had answered about as many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(i32, f64, f64)", into = "(i32, Number, Number)")]
struct Bin {
    place: i32,
    lookups: f64,
    hits: f64,
}

impl From<(i32, f64, f64)> for Bin {
    fn from((place, lookups, hits): (i32, f64, f64)) -> Self {
        Self { place, lookups, hits }
    }
}

impl From<Bin> for (i32, Number, Number) {
    fn from(bin: Bin) -> Self {
        (bin.place, Number(bin.lookups), Number(bin.hits))
    }
}

/// What the hit ratio is measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// It is warm from here on.
    pub target: f64,
    /// A healthy cold cache is above this; depends on the weight.
    pub floor: f64,
}

/// What the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The hit ratio has reached its target.
    Warm,
    /// It has stopped rising far below.
    Broken,
    /// It is below, which is no fault.
    Cold,
    /// There are too few lookups.
    Unknown,
}

/// Blocks of ticks of the step that the hit ratio is made of.
const WINDOW: usize = 10;
/// Blocks of ticks of the step that say how cold it is now.
const NOW: usize = 2;
/// Blocks of ticks of which no single one may say that it is broken.
const STEADY: usize = 4;
/// So many lookups say how cold it is now.
const ENOUGH_NOW: f64 = 50.0;
/// So many bins are kept.
const BINS: i32 = 8;
/// Bins to an octave.
const TO_AN_OCTAVE: i32 = 4;
/// Without a limit in the spec: so far below the old version's ratio it is warm.
pub const USUAL_DROP: f64 = 0.10;
/// So far below the target it is no longer warm.
const LOST: f64 = 0.03;
/// So many lookups say something about the ratio …
const SOME: f64 = 10.0;
/// … and so many enough.
const ENOUGH: f64 = 20.0;
/// A cache that has answered so many lookups can be told dead.
const GROWN: f64 = 10_000.0;
/// After so many ticks in the table.
const TICKS: u32 = 8;

impl Expected {
    /// Of a `hitRatio` check, from the old version's lookups before the release. Nothing while that is not known well enough
    /// and the limit depends on it.
    pub fn of(kind: &CheckKind, cache: &Cache, before: Count, weight: f64) -> Option<Self> {
        let CheckKind::HitRatio { min, max_drop } = kind else {
            return None;
        };
        let known = match cache.baseline {
            BaselineCache::Absent => Some(0.0),
            BaselineCache::Present => (before.total >= super::checks::KNOWN).then(|| 1.0 - before.share()),
        };
        let relative = match max_drop {
            Some(drop) => Some(known? - drop),
            None if min.is_none() => Some(known? - USUAL_DROP),
            None => None,
        };
        let target = [*min, relative].into_iter().flatten().fold(0.0, f64::max).min(1.0);
        let reachable = match (cache.baseline, known) {
            (BaselineCache::Present, Some(known)) => target.min(known),
            _ => target,
        };
        let mut floor = 0.95 * reachable * (0.6 + 0.8 * weight).min(1.0);
        if cache.ttl.is_some() && weight < ALL {
            floor /= 2.0;
        }
        Some(Self {
            target: round6(target),
            floor: round6(floor),
        })
    }
}

/// The last octave of the table and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    last: Count,
    before: Count,
}

impl Growth {
    /// Hit ratio of the last octave.
    pub fn ratio(self) -> f64 {
        hits(self.last)
    }

    /// What a doubling of the lookups adds.
    pub fn gain(self) -> f64 {
        hits(self.last) - hits(self.before)
    }

    /// The greatest gain that goes with the counts.
    fn greatest_gain(self) -> f64 {
        let variance = |count: Count| hits(count) * (1.0 - hits(count)) / count.total;
        self.gain() + wilson::Z * (variance(self.last) + variance(self.before)).sqrt()
    }

    /// Practically nothing is ever found, or the ratio has stopped rising.
    fn is_flat(self) -> bool {
        let found = self.last.total - self.last.bad;
        let found_before = self.before.total - self.before.bad;
        let nothing = greatest_ratio(self.last) < 0.0015;
        let told = self.last.total > 0.0 && self.before.total > 0.0 && found + found_before >= 200.0;
        nothing || told && self.greatest_gain() < (0.1 * self.ratio()).min(0.01)
    }
}

fn hits(count: Count) -> f64 {
    if count.total > 0.0 { 1.0 - count.share() } else { 0.0 }
}

fn greatest_ratio(misses: Count) -> f64 {
    wilson::upper(hits_of(misses))
}

fn hits_of(misses: Count) -> Count {
    Count {
        bad: round3(misses.total - misses.bad),
        total: misses.total,
    }
}

/// The bin of a cache that has answered so many lookups.
fn bin(lookups: f64) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "below 200: inputs are at most a billion")]
    let place = (f64::from(TO_AN_OCTAVE) * lookups.max(1.0).log2()).floor() as i32;
    place
}

impl Warmth {
    /// Adds a tick's misses of lookups; with a cache in each pod also what each of them answered.
    pub fn add(&mut self, misses: Count, pods: &[PodCache], placement: Option<Placement>, tick: u64) {
        self.recent.add(misses, tick, WINDOW);
        let now = self.recent.newest(NOW);
        if now.total >= ENOUGH_NOW {
            self.misses = Some(round6(smoothed(now)));
        }
        if placement == Some(Placement::PerPod) {
            for pod in pods {
                let lookups = counted(pod.lookups);
                let hits = counted(pod.hits).min(lookups);
                self.add_cache(counted(pod.before), lookups, hits);
            }
        } else {
            self.add_cache(self.lookups, misses.total, round3(misses.total - misses.bad));
        }
        self.ticks = self.ticks.saturating_add(1);
        let least = bin(self.lookups).saturating_sub(BINS);
        self.table.retain(|bin| bin.place > least);
    }

    fn add_cache(&mut self, before: f64, lookups: f64, hits: f64) {
        if lookups > 0.0 {
            let place = bin(before + lookups / 2.0);
            let at = self.table.partition_point(|bin| bin.place < place);
            match self.table.get_mut(at) {
                Some(bin) if bin.place == place => {
                    bin.lookups = round3(bin.lookups + lookups);
                    bin.hits = round3(bin.hits + hits);
                }
                _ => self.table.insert(at, Bin { place, lookups, hits }),
            }
        }
        self.lookups = counted(self.lookups.max(before + lookups));
    }

    /// Misses of lookups in the last ticks of this step.
    pub fn window(&self) -> Count {
        self.recent.sum()
    }

    /// Share of misses now; everything misses at first.
    pub fn misses(&self) -> f64 {
        self.misses.unwrap_or(1.0)
    }

    /// How the ratio grows.
    pub fn growth(&self) -> Growth {
        let top = bin(self.lookups);
        let octave = |first: i32, last: i32| {
            let bins = self.table.iter().filter(|bin| (first..=last).contains(&bin.place));
            bins.fold(Count::default(), |sum, bin| {
                sum.plus(Count {
                    bad: bin.lookups - bin.hits,
                    total: bin.lookups,
                })
            })
        };
        let first = top.saturating_sub(TO_AN_OCTAVE - 1);
        Growth {
            last: octave(first, top),
            before: octave(first.saturating_sub(TO_AN_OCTAVE), first.saturating_sub(1)),
        }
    }

    /// The ratio has stopped rising.
    pub fn is_dead(&self) -> bool {
        self.is_grown() && self.ticks >= TICKS && self.growth().is_flat()
    }

    fn is_grown(&self) -> bool {
        self.lookups >= GROWN
    }

    /// What the cache is after this tick.
    pub fn judge(&mut self, expected: Expected, placement: Option<Placement>) -> State {
        let misses = self.window();
        let found = hits_of(misses);
        let enough = misses.total >= ENOUGH;
        if self.is_warm && enough && hits(misses) < expected.target - LOST {
            // A cache that fell is judged from here: what it holds is no longer what it had.
            self.is_warm = false;
            self.begin_growth();
            if placement != Some(Placement::PerPod) {
                self.lookups = 0.0;
            }
        }
        self.is_warm |= enough && wilson::lower(found) >= expected.target;
        if self.is_warm {
            State::Warm
        } else if self.is_dead()
            && enough
            && wilson::upper(found) < expected.floor
            && self.is_steadily_below(expected.floor)
            && greatest_ratio(self.growth().last) < expected.floor
        {
            State::Broken
        } else if misses.total >= SOME {
            State::Cold
        } else {
            State::Unknown
        }
    }

    /// Whether it is below without the tick that has the most lookups, which may be a strange one.
    fn is_steadily_below(&self, floor: f64) -> bool {
        let rest = self.recent.without_the_greatest(STEADY);
        rest.total > 0.0 && hits(rest) < floor
    }

    /// Whether a bake may end: warm, or as good as a healthy cold cache, or still rising after many lookups.
    pub fn may_end(&self, expected: Expected) -> bool {
        let misses = self.window();
        self.is_warm || misses.total >= ENOUGH && hits(misses) >= expected.floor || self.is_grown() && !self.is_dead()
    }

    /// Seconds until the target is reached at so many lookups a second; nothing when that is more than a day away.
    pub fn seconds_to(&self, target: f64, lookups_per_second: f64) -> Option<f64> {
        let growth = self.growth();
        let doublings = (target - growth.ratio()) / growth.gain().max(0.001);
        let lookups = self.lookups * (doublings.clamp(0.0, 64.0).exp2() - 1.0);
        let seconds = lookups / lookups_per_second;
        (seconds.is_finite() && seconds <= 86_400.0).then_some(seconds)
    }

    /// How it grows is measured anew from here on.
    pub fn begin_growth(&mut self) {
        self.table.clear();
        self.ticks = 0;
    }

    /// Another weight: the ratio is measured anew; how it grows is not.
    pub fn begin_step(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests;
