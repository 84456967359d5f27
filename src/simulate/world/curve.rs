//! What a cache hits that has answered so many lookups, when some keys are asked for more often than others.

/// Keys that are asked for about as often as each other.
struct Group {
    /// Share of the lookups that ask for any of them.
    share: f64,
    /// Share of the lookups that ask for each.
    each: f64,
}

/// A cache whose `keys` are asked for with p_i ~ i^-s (Zipf's law).
pub struct Curve {
    groups: Vec<Group>,
}

/// Keys up to here stand alone; later ones are put together where they differ by at most a twentieth.
const ALONE: f64 = 32.0;

impl Curve {
    /// `keys` is at least 1; `s` is Zipf's exponent.
    pub fn new(keys: f64, s: f64) -> Self {
        // The sum of i^-s from a to b - 1 is the integral from a - 1/2 to b - 1/2 but for a term in a^-2: below 1e-4 from 32 on.
        let below = |x: f64| {
            if (s - 1.0).abs() < 1e-9 {
                x.ln()
            } else {
                x.powf(1.0 - s) / (1.0 - s)
            }
        };
        let keys = keys.round().max(1.0);
        let mut parts = Vec::new();
        let mut first = 1.0;
        while first <= keys {
            let next = if first < ALONE {
                first + 1.0
            } else {
                (first * 1.05).floor().min(keys + 1.0)
            };
            let weight = if first < ALONE {
                first.powf(-s)
            } else {
                below(next - 0.5) - below(first - 0.5)
            };
            parts.push((weight, next - first));
            first = next;
        }
        let all: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let groups = parts.iter().map(|(weight, keys)| Group {
            share: weight / all,
            each: weight / all / keys,
        });
        Self {
            groups: groups.collect(),
        }
    }

    /// Share of lookups that find their key after `u` lookups: sum p_i (1 - exp(-p_i u)).
    pub fn hits(&self, u: f64) -> f64 {
        let hit = |group: &Group| -group.share * (-group.each * u).exp_m1();
        self.groups.iter().map(hit).sum()
    }

    /// The same where an entry lives as long as it takes `per_ttl` lookups to come: a key is there for the share r/(1+r)
    /// of the time, r = p_i `per_ttl`.
    pub fn hits_with_ttl(&self, u: f64, per_ttl: f64) -> f64 {
        let hit = |group: &Group| {
            let r = group.each * per_ttl;
            group.share * (-(-group.each * u).exp_m1()).min(r / (1.0 + r))
        };
        self.groups.iter().map(hit).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_by_key(keys: u32, s: f64, hit: impl Fn(f64) -> f64) -> f64 {
        let all: f64 = (1..=keys).map(|i| f64::from(i).powf(-s)).sum();
        let share = |i| f64::from(i).powf(-s) / all;
        (1..=keys).map(|i| share(i) * hit(share(i))).sum()
    }

    #[test]
    fn groups_hit_what_their_keys_hit() {
        for (keys, s) in [
            (10_000, 1.0),
            (100_000, 1.0),
            (100_000, 0.5),
            (100_000, 1.25),
            (20, 0.8),
            (1, 1.0),
        ] {
            let curve = Curve::new(f64::from(keys), s);
            for u in [0.0, 10.0, 750.0, 11_250.0, 150_000.0, 1e7] {
                let exact = key_by_key(keys, s, |p| 1.0 - (-p * u).exp());
                assert!((curve.hits(u) - exact).abs() < 2e-4, "{keys} {s} {u}");
                let per_ttl = 3000.0;
                let exact = key_by_key(keys, s, |p| {
                    (1.0 - (-p * u).exp()).min(p * per_ttl / (1.0 + p * per_ttl))
                });
                assert!((curve.hits_with_ttl(u, per_ttl) - exact).abs() < 2e-4, "{keys} {s} {u}");
            }
        }
    }

    #[test]
    fn a_cache_fills_up() {
        let curve = Curve::new(1e6, 0.8);
        let hits: Vec<f64> = (0..40).map(|octave| curve.hits(2_f64.powi(octave))).collect();
        assert!(hits.is_sorted());
        assert!(hits[0] < 0.01 && hits[39] > 0.999);
    }
}
