//! Latency from classic histograms: how many requests were slower than a limit, and which quantile that makes.

use std::collections::BTreeMap;

use super::{super::NoData, Series};
use crate::api::status::Cause;

/// A limit between two edges is interpolated only if they are at most this far apart.
const WIDEST_GAP: f64 = 2.5;

/// Requests by upper edge in seconds, cumulative. The last edge is infinite: it counts all requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// Of one histogram; edges are compared as numbers (`1` is `1.0`). `unit` edges make a second.
    pub fn collect<'a>(counts: impl Iterator<Item = (&'a str, f64)>, unit: f64) -> Result<Self, NoData> {
        let mut edges: Vec<(f64, f64)> = Vec::new();
        for (edge, count) in counts {
            let upper = edge
                .parse::<f64>()
                .ok()
                .filter(|edge| !edge.is_nan())
                .ok_or_else(|| NoData {
                    cause: Cause::BadReply,
                    message: "a bucket's edge is not a number".to_owned(),
                })?
                / unit;
            match edges.iter_mut().find(|(known, _)| known.total_cmp(&upper).is_eq()) {
                Some((_, sum)) => *sum += count,
                None => edges.push((upper, count)),
            }
        }
        edges.sort_by(|a, b| a.0.total_cmp(&b.0));
        if edges.last().is_none_or(|(edge, _)| edge.is_finite()) {
            return Err(NoData {
                cause: Cause::ThresholdNotMeasurable,
                message: "the histogram has no bucket le=\"+Inf\": requests slower than its last edge are not counted"
                    .to_owned(),
            });
        }
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

    /// Adds a histogram, at the edges that both have: between two edges nobody knows how many requests lie.
    fn add(&mut self, other: &Self) {
        let at = |edge: f64| other.0.iter().find(|(known, _)| known.total_cmp(&edge).is_eq());
        self.0 = self
            .0
            .iter()
            .filter_map(|(edge, count)| Some((*edge, count + at(*edge)?.1)))
            .collect();
    }
}

/// Histograms of one version: of its pods, and of the paths and statuses that they tell apart. Each may have edges of its own.
#[derive(Debug, Default)]
pub(super) struct Histograms(Vec<Buckets>);

impl Histograms {
    /// Reads the series of one metric; `unit` edges make a second.
    pub fn collect(series: &[&Series], unit: f64, delta: &mut dyn FnMut(&Series) -> f64) -> Result<Self, NoData> {
        let mut apart: BTreeMap<BTreeMap<&str, &str>, Vec<(&str, f64)>> = BTreeMap::new();
        for one in series {
            let labels = one.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let whose = labels.filter(|(name, _)| *name != "le").collect();
            apart.entry(whose).or_default().push((one.label("le"), delta(one)));
        }
        let each = apart
            .into_values()
            .map(|edges| Buckets::collect(edges.into_iter(), unit));
        each.collect::<Result<_, _>>().map(Self)
    }

    /// Adds histograms of another metric.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// All requests.
    pub fn total(&self) -> f64 {
        self.0.iter().map(Buckets::total).sum()
    }

    /// Requests slower than `limit` seconds; fails if one of the histograms that counted cannot tell.
    pub fn slower_than(&self, limit: f64) -> Result<f64, NoData> {
        let counted = self.0.iter().any(|one| one.total() > 0.0);
        self.0
            .iter()
            .filter(|one| !counted || one.total() > 0.0)
            .map(|one| one.slower_than(limit))
            .sum()
    }

    /// The time that the given share of requests did not exceed.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut counted = self.0.iter().filter(|one| one.total() > 0.0);
        let mut sum = counted.next()?.clone();
        counted.for_each(|one| sum.add(one));
        sum.quantile(share)
    }
}
