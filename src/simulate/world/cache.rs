//! What the new version's cache hits in a tick.

use std::sync::Arc;

use super::{
    curve::Curve,
    params::{Params, Placement},
};

/// The new version's cache, or those of its pods.
pub struct Cache {
    curve: Option<Arc<Curve>>,
    /// Of what is hit with all the traffic, with `ttl`.
    greatest: f64,
    /// Lookups so far.
    seen: f64,
    /// With `PerPod`: pods that came with the same raise.
    groups: Vec<Pods>,
}

/// Pods that came with one raise.
#[derive(Clone, Copy, Debug)]
pub struct Pods {
    /// Share of all requests that they get.
    pub share: f64,
    /// How long they have been there, in seconds.
    pub age: f64,
}

/// The keys of a cache that begins empty, made once for all runs of a scenario.
pub fn curve(params: &Params) -> Option<Arc<Curve>> {
    params.cold.map(|(keys, s)| Arc::new(Curve::new(keys, s)))
}

impl Cache {
    /// An empty one. `curve` is that of the same parameters.
    pub fn new(params: &Params, curve: Option<Arc<Curve>>) -> Self {
        let greatest = match (&curve, params.ttl) {
            (Some(curve), Some(ttl)) => curve.hits_with_ttl(f64::INFINITY, params.rate * ttl),
            _ => 1.0,
        };
        Self {
            curve,
            greatest,
            seen: 0.0,
            groups: Vec::new(),
        }
    }

    /// Another weight: pods come, or the newest go.
    pub fn weigh(&mut self, from: f64, to: f64) {
        if to > from {
            self.groups.push(Pods {
                share: to - from,
                age: 0.0,
            });
            return;
        }
        let mut surplus = from - to;
        while surplus > 1e-9
            && let Some(mut newest) = self.groups.pop()
        {
            if newest.share > surplus + 1e-9 {
                newest.share -= surplus;
                self.groups.push(newest);
                return;
            }
            surplus -= newest.share;
        }
    }

    /// Pods that serve, with `PerPod`.
    pub fn pods(&self) -> &[Pods] {
        &self.groups
    }

    /// A tick is over in which so many were looked up.
    pub fn pass(&mut self, lookups: f64, seconds: f64) {
        self.seen += lookups;
        for group in &mut self.groups {
            group.age += seconds;
        }
    }

    /// Probability of a hit at tick `t` and `weight` with `rate` requests per second of both sides; with `PerPod` that of
    /// pods of this `age`.
    pub fn hit(&self, params: &Params, t: i64, weight: f64, rate: f64, age: Option<f64>) -> f64 {
        let warm = 1.0 - params.mb;
        let mut hit = match (&self.curve, params.flat, params.by_weight) {
            (_, Some(flat), _) => flat,
            (_, _, Some(by_weight)) => linear(&by_weight, weight),
            (Some(curve), ..) => warm * self.filled(curve, params, weight, rate, age),
            _ => warm,
        };
        if let Some((from, at_most)) = params.drop_at
            && weight >= from - 1e-9
        {
            hit = hit.min(at_most);
        }
        if let Some((from, depth, fades)) = params.echo
            && t >= i64::from(from)
        {
            hit -= depth * (-(t.saturating_sub(i64::from(from)) as f64) * params.tick / fades).exp();
        }
        evicted(params, t, hit)
    }

    fn filled(&self, curve: &Curve, params: &Params, weight: f64, rate: f64, age: Option<f64>) -> f64 {
        let seen = match (params.placement, params.pod_rps, age) {
            (Placement::PerPod, Some(rps), Some(age)) => age * rps,
            _ => self.seen,
        };
        match params.ttl {
            Some(ttl) => curve.hits_with_ttl(seen, rate * weight * ttl) / self.greatest,
            None => curve.hits(seen),
        }
    }
}

/// What is left of a hit probability of either side when a cache that both share loses entries.
pub fn evicted(params: &Params, t: i64, hit: f64) -> f64 {
    let hit = hit.clamp(0.0, 1.0);
    match params.evict {
        Some(at_most) if t >= i64::from(params.onset) => hit.min(at_most),
        _ => hit,
    }
}

fn linear(by_weight: &[f64; 6], weight: f64) -> f64 {
    let at = [0.05, 0.10, 0.25, 0.50, 0.75, 1.0];
    for (ends, hits) in at.windows(2).zip(by_weight.windows(2)) {
        if weight <= ends[1] {
            let part = ((weight - ends[0]) / (ends[1] - ends[0])).max(0.0);
            return hits[0] + part * (hits[1] - hits[0]);
        }
    }
    by_weight[5]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(is: f64, should: f64) {
        assert!((is - should).abs() < 1e-3, "{is} is not {should}");
    }

    fn hit(params: &Params, t: i64, weight: f64) -> f64 {
        Cache::new(params, curve(params)).hit(params, t, weight, params.rate, None)
    }

    #[test]
    fn a_cold_cache_fills_with_its_lookups() {
        let params = Params {
            cold: Some((1e4, 1.0)),
            ..Params::default()
        };
        let mut cache = Cache::new(&params, curve(&params));
        near(cache.hit(&params, 0, 0.05, 1000.0, None), 0.0);
        cache.pass(1e9, 15.0);
        near(cache.hit(&params, 0, 0.05, 1000.0, None), 0.95);
    }

    #[test]
    fn with_a_ttl_all_the_traffic_is_needed_to_be_warm() {
        let params = Params {
            cold: Some((1e4, 1.0)),
            ttl: Some(60.0),
            rate: 100.0,
            ..Params::default()
        };
        let mut cache = Cache::new(&params, curve(&params));
        cache.pass(1e9, 15.0);
        near(cache.hit(&params, 0, 1.0, 100.0, None), 0.95);
        assert!(cache.hit(&params, 0, 0.05, 100.0, None) < 0.65);
    }

    #[test]
    fn raises_bring_pods_and_steps_back_take_the_newest() {
        let params = Params {
            cold: Some((1e4, 1.0)),
            placement: Placement::PerPod,
            pod_rps: Some(50.0),
            ..Params::default()
        };
        let mut cache = Cache::new(&params, curve(&params));
        cache.weigh(0.0, 0.05);
        cache.pass(0.0, 150.0);
        cache.weigh(0.05, 0.25);
        cache.pass(0.0, 15.0);
        let [old, new] = cache.pods() else {
            panic!("two raises, two groups")
        };
        near(old.age, 165.0);
        near(new.share, 0.20);
        let hit = |age| cache.hit(&params, 0, 0.25, 1000.0, Some(age));
        near(hit(165.0), 0.95 * Curve::new(1e4, 1.0).hits(8250.0));
        assert!(hit(165.0) > hit(15.0));
        cache.weigh(0.25, 0.04);
        assert_eq!(cache.pods().len(), 1);
        near(cache.pods()[0].share, 0.04);
    }

    #[test]
    fn faults_of_a_cache() {
        let by_weight = Params {
            by_weight: Some([0.5, 0.6, 0.7, 0.8, 0.9, 0.95]),
            ..Params::default()
        };
        near(hit(&by_weight, 0, 0.02), 0.5);
        near(hit(&by_weight, 0, 0.175), 0.65);
        near(hit(&by_weight, 0, 1.0), 0.95);
        let drop_at = Params {
            drop_at: Some((0.25, 0.3)),
            ..Params::default()
        };
        near(hit(&drop_at, 0, 0.10), 0.95);
        near(hit(&drop_at, 0, 0.25), 0.3);
        let echo = Params {
            echo: Some((140, 0.35, 600.0)),
            ..Params::default()
        };
        near(hit(&echo, 139, 1.0), 0.95);
        near(hit(&echo, 140, 1.0), 0.60);
        near(hit(&echo, 180, 1.0), 0.95 - 0.35 * (-1_f64).exp());
        let evict = Params {
            evict: Some(0.4),
            onset: 8,
            ..Params::default()
        };
        near(hit(&evict, 7, 0.05), 0.95);
        near(hit(&evict, 8, 0.05), 0.4);
    }
}
