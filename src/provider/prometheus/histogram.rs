//! Latency from classic histograms: how many requests were slower than a limit, and which quantile that makes.

use super::super::NoData;
use crate::api::status::Cause;

/// A limit between two edges is interpolated only if they are at most this far apart.
const WIDEST_GAP: f64 = 2.5;

/// Requests by upper edge in seconds, cumulative.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// Adds up the buckets of all series; edges are compared as numbers (`1` is `1.0`). `unit` edges make a second.
    pub fn collect<'a>(counts: impl Iterator<Item = (&'a str, f64)>, unit: f64) -> Result<Self, NoData> {
        let mut edges: Vec<(f64, f64)> = Vec::new();
        for (edge, count) in counts {
            let upper: f64 = match edge {
                "+Inf" => f64::INFINITY,
                other => {
                    other.parse::<f64>().map_err(|_| NoData {
                        cause: Cause::BadReply,
                        message: "a bucket's edge is not a number".to_owned(),
                    })? / unit
                }
            };
            match edges.iter_mut().find(|(known, _)| known.total_cmp(&upper).is_eq()) {
                Some((_, sum)) => *sum += count,
                None => edges.push((upper, count)),
            }
        }
        edges.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Scrapes are not atomic: a larger bucket may lag behind a smaller one.
        let mut most = 0.0_f64;
        for (_, count) in &mut edges {
            most = most.max(*count);
            *count = most;
        }
        Ok(Self(edges))
    }

    /// All requests.
    pub fn total(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// Requests slower than `limit` seconds: exact at an edge, interpolated between two near ones.
    pub fn slower_than(&self, limit: f64) -> Result<f64, NoData> {
        let same = |edge: f64| (edge - limit).abs() <= limit * 1e-9;
        if let Some((_, faster)) = self.0.iter().find(|(edge, _)| same(*edge)) {
            return Ok(self.total() - faster);
        }
        let upper = self
            .0
            .iter()
            .position(|(edge, _)| *edge > limit)
            .filter(|index| *index > 0);
        let measurable = upper
            .map(|index| (self.0[index - 1], self.0[index]))
            .filter(|((lower, _), (upper, _))| upper / lower <= WIDEST_GAP);
        let Some(((lower, below), (upper, above))) = measurable else {
            let message = format!("no histogram edge is near the limit of {limit}s: give the histogram an edge there");
            return Err(NoData {
                cause: Cause::ThresholdNotMeasurable,
                message,
            });
        };
        let faster = below + (above - below) * (limit - lower) / (upper - lower);
        Ok(self.total() - faster)
    }

    /// The time that the given share of requests did not exceed, interpolated as Prometheus does it.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.total();
        if rank <= 0.0 {
            return None;
        }
        let index = self.0.iter().position(|(_, count)| *count >= rank)?;
        let (lower, below) = index.checked_sub(1).map_or((0.0, 0.0), |before| self.0[before]);
        let (upper, above) = self.0[index];
        if upper.is_infinite() {
            return Some(lower);
        }
        Some(lower + (upper - lower) * (rank - below) / (above - below))
    }
}
