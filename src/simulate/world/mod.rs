//! A world in which a version is released: what is counted in each tick at the weight that was set.
//!
//! [`params`] says what happens; [`cache`] and [`curve`] what a cache hits, [`chance`] what is drawn. It knows no judge:
//! `make judge` runs thousands of releases in it, and [`simulate`](super) one.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts of a simulation are far below 2^52 and not negative"
)]

pub mod cache;
pub mod chance;
pub mod curve;
pub mod params;

use std::sync::Arc;

use crate::engine::judge::tick::PodCache;
use cache::{Cache, Pods};
use chance::Chance;
use curve::Curve;
use params::{Params, Placement, Start};

/// How long a request takes, in seconds, as far as it is in flight.
const TAKES: f64 = 0.05;

/// How long one that hangs is in flight, in seconds.
const HANGS: f64 = 30.0;

/// The world of one release.
pub struct World<'a> {
    params: &'a Params,
    seed: u64,
    /// Ticks of the old version alone, before tick 0.
    before: i64,
    t: i64,
    weight: f64,
    step: u64,
    step_since: i64,
    cache: Cache,
    incident: (i64, i64),
    outage: (i64, i64),
}

/// What happened in a tick.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Of the new version.
    pub candidate: Side,
    /// Of the old version.
    pub baseline: Side,
    /// With `PerPod` the new version's caches one by one.
    pub pods: Vec<PodCache>,
    /// Queries per second of the database.
    pub load: f64,
    /// Requests in flight of both sides.
    pub in_flight: (f64, f64),
    /// So much of the new version's counts is left where its counters were reset.
    pub factor: f64,
    /// The metrics of this tick are lost.
    pub lost: bool,
    /// The database was asked for more than it can carry.
    pub overloaded: bool,
}

/// Counts of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// All.
    pub requests: u64,
    /// Lookups that the cache could not answer; each request looks one thing up.
    pub misses: u64,
    /// Those that failed.
    pub errors: u64,
    /// Those that took longer than the limit.
    pub slow: u64,
    /// Answers that were compared with the database.
    pub sampled: u64,
    /// Those of them that were stale.
    pub stale: u64,
}

/// Noise and faults of a tick, before anything of it is counted.
struct Weather {
    base: f64,
    baseline_base: f64,
    burst: f64,
    own_burst: f64,
    incident: bool,
    share: f64,
    lost: bool,
    reset: bool,
}

impl<'a> World<'a> {
    /// A world before its first tick, which comes so many ticks before tick 0. `curve` is that of the same parameters.
    pub fn new(params: &'a Params, curve: Option<Arc<Curve>>, seed: u64, before: u32) -> Self {
        let before = i64::from(before);
        let mut chance = Chance::new(seed, 0);
        let incident = params.incident.map_or((0, 0), |incident| {
            let start = match incident.start {
                Start::At(tick) => tick,
                Start::Between(from, to) => chance.between(from, to),
            };
            span(start, incident.ticks)
        });
        let outage = params
            .outage
            .map_or((0, 0), |ticks| span(chance.between(20, 99), ticks));
        Self {
            params,
            seed,
            before,
            t: before.saturating_neg(),
            weight: 0.0,
            step: 0,
            step_since: before.saturating_neg(),
            cache: Cache::new(params, curve),
            incident,
            outage,
        }
    }

    /// The tick that comes next.
    pub fn t(&self) -> i64 {
        self.t
    }

    /// The new version's share of the requests.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// How often the weight was set.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// From the next tick on the new version gets this share.
    pub fn set_weight(&mut self, weight: f64) {
        self.cache.weigh(self.weight, weight);
        self.weight = weight;
        self.step += 1;
        self.step_since = self.t;
    }

    /// One tick later.
    pub fn tick(&mut self) -> Counted {
        let params = self.params;
        let seconds = params.tick;
        let mut chance = Chance::new(self.seed, self.t.saturating_add(self.before) as u64 + 1);
        let weather = self.weather(&mut chance);
        let rate = self.rate();

        let mut candidate = Side {
            requests: chance.poisson(rate * weather.share * seconds),
            ..Side::default()
        };
        let mut baseline = Side {
            requests: chance.poisson(rate * (1.0 - weather.share) * seconds),
            ..Side::default()
        };
        let faulty = self.t >= i64::from(params.onset);
        let hang = if faulty { params.hang } else { 0.0 };
        if hang > 0.0 {
            candidate.requests -= chance.binomial(candidate.requests, hang);
        }
        let pods = self.look_up(&mut candidate, rate, &mut chance);
        let baseline_hit = cache::evicted(params, self.t, 1.0 - params.mb);
        baseline.misses = chance.binomial(baseline.requests, 1.0 - baseline_hit);

        let load = self.load(candidate.misses, baseline.misses);
        let rho = self.busy(load);
        self.fail(&mut candidate, &mut baseline, &weather, rho, &mut chance);
        self.slow_down(&mut candidate, &mut baseline, &weather, rho, &mut chance);
        let stale = if faulty { params.stale } else { params.stale_usual };
        for (side, share) in [(&mut candidate, stale), (&mut baseline, params.stale_usual)] {
            side.sampled = chance.binomial(side.requests, params.sampled);
            side.stale = chance.binomial(side.sampled, share);
        }
        self.cache.pass(candidate.requests as f64, seconds);
        self.t = self.t.saturating_add(1);
        Counted {
            candidate,
            baseline,
            pods,
            load,
            in_flight: (
                rate * weather.share * (TAKES + hang * HANGS),
                rate * (1.0 - weather.share) * TAKES,
            ),
            factor: if weather.reset { 0.75 } else { 1.0 },
            lost: weather.lost,
            overloaded: rho > 1.0,
        }
    }

    /// How much of what the database can carry it is asked for.
    fn busy(&self, load: f64) -> f64 {
        let params = self.params;
        let is_down = params
            .down
            .is_some_and(|(from, ticks)| within(self.t, span(from, ticks)));
        if is_down {
            f64::INFINITY
        } else if params.rate < 1.0 {
            0.0
        } else {
            load / params.capacity
        }
    }

    fn weather(&self, chance: &mut Chance) -> Weather {
        let params = self.params;
        let drawn = |mean, chance: &mut Chance| params.conc.map_or(mean, |conc| chance.beta(mean, conc));
        let base = drawn(params.be, chance);
        let baseline_base = params.baseline_errors.map_or(base, |mean| drawn(mean, chance));
        let burst = if chance.happens(params.bp) { params.bx } else { 1.0 };
        let own_burst = if chance.happens(params.cbp) { params.cbx } else { 0.0 };
        let lost = chance.happens(params.lost) || within(self.t, self.outage);
        let reset = chance.happens(0.03) && params.resets;
        let share = match params.split {
            Some(c) if self.weight > 0.0 && self.weight < 1.0 => chance.beta(self.weight, c),
            _ => self.weight,
        };
        Weather {
            base,
            baseline_base,
            burst,
            own_burst,
            incident: within(self.t, self.incident),
            share,
            lost,
            reset,
        }
    }

    /// Requests per second of both sides.
    fn rate(&self) -> f64 {
        let day = self.params.diurnal.map_or(0.0, |factor| factor - 1.0);
        self.params.rate * (1.0 + day * (self.t as f64 / 720.0).clamp(0.0, 1.0))
    }

    /// Misses of the new version, and its pods' caches one by one.
    fn look_up(&self, candidate: &mut Side, rate: f64, chance: &mut Chance) -> Vec<PodCache> {
        let params = self.params;
        let (Placement::PerPod, Some(rps)) = (params.placement, params.pod_rps) else {
            let hit = self.cache.hit(params, self.t, self.weight, rate, None);
            candidate.misses = chance.binomial(candidate.requests, 1.0 - hit);
            return Vec::new();
        };
        let mut pods = Vec::new();
        let mut left = candidate.requests;
        let mut share_left: f64 = self.cache.pods().iter().map(|group| group.share).sum();
        for group in self.cache.pods() {
            let lookups = chance.binomial(left, group.share / share_left);
            left -= lookups;
            share_left -= group.share;
            let hit = self.cache.hit(params, self.t, self.weight, rate, Some(group.age));
            let misses = chance.binomial(lookups, 1.0 - hit);
            candidate.misses += misses;
            pods.extend(one_by_one(*group, rate, rps, lookups, misses));
        }
        pods
    }

    /// Queries per second of the database.
    fn load(&self, candidate_misses: u64, baseline_misses: u64) -> f64 {
        let params = self.params;
        let each = params
            .amp
            .filter(|(from, _)| self.weight >= from - 1e-9)
            .map_or(1.0, |(_, each)| each);
        let background = params
            .background
            .filter(|(from, to, _)| within(self.t, (i64::from(*from), i64::from(*to).saturating_add(1))))
            .map_or(0.0, |(.., load)| load);
        (candidate_misses as f64 * each + baseline_misses as f64) / params.tick + background
    }

    fn fail(&self, candidate: &mut Side, baseline: &mut Side, weather: &Weather, rho: f64, chance: &mut Chance) {
        let params = self.params;
        let faulty = self.t >= i64::from(params.onset);
        let both = params
            .incident
            .filter(|_| weather.incident)
            .map_or(0.0, |incident| incident.errors);
        let at_weight = params
            .err_at
            .filter(|(from, _)| self.weight >= from - 1e-9)
            .map_or(0.0, |(_, errors)| errors);
        let own = if faulty { params.err } else { 0.0 } + at_weight + weather.own_burst;
        let poison = if faulty { params.poison } else { 0.0 };
        let shed = (1.0 - 1.0 / rho.max(1.0)).max(0.0);
        for (side, base, more) in [
            (candidate, weather.base, own),
            (baseline, weather.baseline_base, poison),
        ] {
            let shed = chance.binomial(side.misses, shed);
            let rest = side.requests - shed;
            side.errors = shed + chance.binomial(rest, base * weather.burst + both + more);
        }
    }

    fn slow_down(&self, candidate: &mut Side, baseline: &mut Side, weather: &Weather, rho: f64, chance: &mut Chance) {
        let params = self.params;
        let faulty = self.t >= i64::from(params.onset);
        let both = params
            .incident
            .filter(|_| weather.incident)
            .map_or(0.0, |incident| incident.slow);
        let minutes = self.t.max(0) as f64 * params.tick / 60.0;
        let starting = self.step > 0 && self.t.saturating_sub(self.step_since) < 2;
        let own = if faulty { params.slow } else { 0.0 }
            + params.leak * minutes
            + if starting { params.startup } else { 0.0 };
        let miss = (params.slow_miss + 0.9 * ((rho - 0.8) / 0.4).max(0.0)).min(0.95);
        for (side, more) in [(candidate, own + both), (baseline, both)] {
            let hits = side.requests - side.misses;
            side.slow = chance.binomial(side.misses, miss + more) + chance.binomial(hits, 0.002 + more);
        }
    }
}

/// The pods of a group, each with its part of the group's lookups.
fn one_by_one(group: Pods, rate: f64, rps: f64, lookups: u64, misses: u64) -> impl Iterator<Item = PodCache> {
    let pods = (group.share * rate / rps).round().max(1.0);
    let each = PodCache {
        before: group.age * rps,
        lookups: lookups as f64 / pods,
        hits: (lookups - misses) as f64 / pods,
    };
    std::iter::repeat_n(each, pods as usize)
}

fn span(start: u32, ticks: u32) -> (i64, i64) {
    (i64::from(start), i64::from(start).saturating_add(i64::from(ticks)))
}

fn within(t: i64, (from, to): (i64, i64)) -> bool {
    t >= from && t < to
}
