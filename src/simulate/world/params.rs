//! What happens in a world: parameters, which combine.

use serde::{Deserialize, Serialize};

/// All that can be said of a world. Shares are 0..1; times are ticks unless they say otherwise.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a parameter of its own in a file")]
pub struct Params {
    /// Length of a tick in seconds.
    #[serde(rename = "D")]
    pub tick: f64,
    /// Requests per second of both sides; each looks one thing up.
    #[serde(rename = "L")]
    pub rate: f64,
    /// What the database can carry, in queries per second. It is infinite where there is less than one request per second.
    #[serde(rename = "K")]
    pub capacity: f64,
    /// The judge is not told `K`, nor the database's load.
    pub no_capacity: bool,
    /// Share of lookups that miss in a warm cache.
    pub mb: f64,
    /// Share of requests that fail with nothing wrong.
    pub be: f64,
    /// The planned weights in percent.
    pub steps: Vec<f64>,
    /// How long each is held.
    pub hold: u32,
    /// How long all traffic stays on the new version before it is promoted.
    pub bake: u32,
    /// After so many ticks a run ends undecided.
    pub horizon: u32,
    /// Who shares a cache with whom.
    pub placement: Placement,
    /// The limit of the hit ratio; without it, ten points below the old version.
    pub hit_min: Option<f64>,

    /// The rate goes to so many times `L` within 720 ticks.
    pub diurnal: Option<f64>,
    /// The tick's weight is Beta(w c, (1-w) c).
    pub split: Option<f64>,

    /// The new version's cache begins empty: so many keys, asked for with p_i ~ i^-s.
    pub cold: Option<(f64, f64)>,
    /// How long an entry lives, in seconds.
    pub ttl: Option<f64>,
    /// With `PerPod`: requests per second of a pod.
    pub pod_rps: Option<f64>,
    /// With `PerPod`: the judge is told what the pods' caches did together, and not one by one.
    pub pods_together: bool,
    /// The new version hits so many, always.
    pub flat: Option<f64>,
    /// It hits so many at 5, 10, 25, 50, 75 and 100%, linear in between.
    pub by_weight: Option<[f64; 6]>,
    /// From a weight on it hits at most so many.
    pub drop_at: Option<(f64, f64)>,
    /// From a tick on it hits less by a depth that fades with a time constant in seconds.
    pub echo: Option<(u32, f64, f64)>,
    /// From the onset both sides hit at most so many.
    pub evict: Option<f64>,

    /// From a weight on each miss of the new version costs the database so many queries.
    pub amp: Option<(f64, f64)>,
    /// From a tick to another others ask the database for so many queries per second.
    pub background: Option<(u32, u32, f64)>,
    /// From a tick on, for so many ticks, the database answers nothing.
    pub down: Option<(u32, u32)>,
    /// Share of misses that are slow although the database is idle.
    pub slow_miss: f64,

    /// The share of failing requests of a tick is Beta(be c, (1-be) c).
    pub conc: Option<f64>,
    /// With this probability a tick has `bx` times as many errors, on both sides.
    pub bp: f64,
    /// See `bp`.
    pub bx: f64,
    /// With this probability a tick has `cbx` more errors, on the new version's side.
    pub cbp: f64,
    /// See `cbp`.
    pub cbx: f64,
    /// The old version's own share of failing requests.
    pub baseline_errors: Option<f64>,
    /// When faults begin.
    pub onset: u32,
    /// So many more of the new version's requests fail.
    pub err: f64,
    /// So many more of the old version's requests fail.
    pub poison: f64,
    /// From a weight on so many more of the new version's requests fail.
    pub err_at: Option<(f64, f64)>,
    /// Both sides fail for a while.
    pub incident: Option<Incident>,

    /// So many more of the new version's requests are slow.
    pub slow: f64,
    /// So many more of the new version's requests are slow with each minute.
    pub leak: f64,
    /// So many more of the new version's requests are slow in the first two ticks after a change of the weight.
    pub startup: f64,
    /// Share of the requests whose answers are compared with the database.
    pub sampled: f64,
    /// Share of stale answers among the new version's sampled ones, from the onset on.
    pub stale: f64,
    /// The same of the old version's, and of the new version's before.
    pub stale_usual: f64,

    /// So many ticks without any data.
    pub outage: Option<u32>,
    /// Each tick is without data with this probability.
    pub lost: f64,
    /// With probability .03 a tick has only three quarters of the new version's counts.
    pub resets: bool,
    /// So many of the new version's requests never end, and are in no count.
    pub hang: f64,
    /// The judge is told how many requests are in flight.
    pub in_flight: bool,
}

/// Who shares a cache with whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Placement {
    /// Both versions use the same one.
    #[default]
    Shared,
    /// Each version has its own.
    PerVersion,
    /// Each pod has its own.
    PerPod,
}

/// A trouble that both sides have.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Incident {
    /// So many more requests fail.
    pub errors: f64,
    /// So many more requests are slow.
    pub slow: f64,
    /// How long.
    pub ticks: u32,
    /// When it begins.
    pub start: Start,
}

/// When something begins.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Start {
    /// At this tick.
    At(u32),
    /// At any tick between these, both included, each as likely.
    Between(u32, u32),
}

impl Default for Incident {
    fn default() -> Self {
        Self {
            errors: 0.0,
            slow: 0.0,
            ticks: 20,
            start: Start::Between(20, 119),
        }
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            tick: 15.0,
            rate: 1000.0,
            capacity: 1000.0,
            no_capacity: false,
            mb: 0.05,
            be: 0.002,
            steps: vec![5.0, 10.0, 25.0, 50.0, 75.0, 100.0],
            hold: 20,
            bake: 20,
            horizon: 960,
            placement: Placement::Shared,
            hit_min: None,
            diurnal: None,
            split: None,
            cold: None,
            ttl: None,
            pod_rps: None,
            pods_together: false,
            flat: None,
            by_weight: None,
            drop_at: None,
            echo: None,
            evict: None,
            amp: None,
            background: None,
            down: None,
            slow_miss: 0.02,
            conc: None,
            bp: 0.0,
            bx: 1.0,
            cbp: 0.0,
            cbx: 0.0,
            baseline_errors: None,
            onset: 0,
            err: 0.0,
            poison: 0.0,
            err_at: None,
            incident: None,
            slow: 0.0,
            leak: 0.0,
            startup: 0.0,
            sampled: 0.005,
            stale: 1e-4,
            stale_usual: 1e-4,
            outage: None,
            lost: 0.0,
            resets: false,
            hang: 0.0,
            in_flight: false,
        }
    }
}

impl Params {
    /// How long an entry lives, as the judge is told it, in seconds.
    pub fn told_ttl(&self) -> Option<f64> {
        self.ttl.or(self.echo.map(|(tick, ..)| f64::from(tick) * self.tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_combine_with_what_is_not_said() {
        let text = r#"{"L": 5, "cold": [1e5, 1], "incident": {"errors": 0.2, "start": [102, 117]}}"#;
        let params: Params = serde_json::from_str(text).unwrap();
        assert_eq!(
            (params.rate, params.capacity, params.cold),
            (5.0, 1000.0, Some((1e5, 1.0)))
        );
        let incident = params.incident.unwrap();
        assert_eq!(incident.ticks, 20);
        assert!(matches!(incident.start, Start::Between(102, 117)));
    }
}
