//! What a counter counted in a window, from its raw samples.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Series;

/// Scrapes of targets by `job` and `instance`: when, and whether they succeeded; oldest first.
pub type Targets = BTreeMap<(String, String), Vec<(f64, bool)>>;

/// The time that is counted, and what is known of targets: it tells a counter that has just begun from one that was not scraped.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    /// Samples before this moment are in no reply.
    pub shown_from: Timestamp,
    pub start: Timestamp,
    pub end: Timestamp,
    pub run_started: Timestamp,
    /// Seconds between two samples.
    pub scrape: f64,
    pub targets: Option<&'a Targets>,
}

/// Seconds since the epoch, as Prometheus writes them.
#[allow(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit 53 bits")]
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// Increase of one series over the window.
///
/// Counts from the newest sample at or before the start; a counter that falls was reset and counts
/// from 0. A series without a sample before the start counts from 0 if it is known to be new; otherwise
/// nobody knows when it counted, and its first sample counts nothing.
pub(super) fn delta(
    series: &Series,
    window: &Window<'_>,
    of_run: bool,
    unknown: &mut BTreeSet<(String, String)>,
) -> f64 {
    let (start, end) = (seconds(window.start), seconds(window.end));
    let samples: Vec<(f64, f64)> = series.samples.iter().copied().filter(|(at, _)| *at <= end).collect();
    let Some((first_at, _)) = samples.first() else {
        return 0.0;
    };
    let before = samples.iter().rposition(|(at, _)| *at <= start);
    let mut last = match before {
        Some(index) => samples[index].1,
        None if is_new(series, *first_at, window, of_run, unknown) => 0.0,
        None => samples[0].1,
    };
    let from = before.map_or(0, |index| index + 1);
    let mut sum = 0.0;
    for (_, value) in &samples[from..] {
        sum += if *value >= last { value - last } else { *value };
        last = *value;
    }
    sum
}

/// Whether a series did not exist before its first sample in a reply.
///
/// Its target's `up` tells: if the scrape before succeeded it had no such series, which is new then, as that of the first error
/// is; after scrapes that failed, or were not made, it may have counted before the gap. Pods of the run count from 0 unless they
/// were reached before.
fn is_new(
    series: &Series,
    first_at: f64,
    window: &Window<'_>,
    of_run: bool,
    unknown: &mut BTreeSet<(String, String)>,
) -> bool {
    let came_with_the_run = of_run && first_at >= seconds(window.run_started);
    if came_with_the_run && window.run_started >= window.shown_from {
        return true; // The reply has all samples of the run: none is hidden.
    }
    let key = (series.label("job").to_owned(), series.label("instance").to_owned());
    let Some(targets) = window.targets else {
        unknown.insert(key);
        return false;
    };
    let scrapes = targets.get(&key).map(Vec::as_slice).unwrap_or_default();
    // Another replica of Prometheus may have reached the pod a moment before: that is the same scrape.
    let scrape_before = first_at - 0.9 * window.scrape;
    let earlier = &scrapes[..scrapes.partition_point(|(at, _)| *at < scrape_before)];
    match earlier.last() {
        None => came_with_the_run,
        Some((at, true)) => *at >= seconds(window.shown_from),
        Some((_, false)) => came_with_the_run && !earlier.iter().any(|(_, reached)| *reached),
    }
}

/// Joins a series that goes on under other labels with what it was before: a scrape configuration has added or taken away a
/// label, or renamed the target. What it counted before is not counted again.
pub(super) fn joined(series: Vec<Series>, pod_label: &str) -> Vec<Series> {
    let mut of_pod = BTreeMap::<(String, String), Vec<Series>>::new();
    for one in series {
        let key = (one.label("__name__").to_owned(), one.label(pod_label).to_owned());
        of_pod.entry(key).or_default().push(one);
    }
    of_pod.into_values().flat_map(joined_of_pod).collect()
}

fn joined_of_pod(mut series: Vec<Series>) -> Vec<Series> {
    series.sort_by(|one, other| first_at(one).total_cmp(&first_at(other)));
    let mut joined: Vec<Series> = Vec::with_capacity(series.len());
    for later in series {
        let went_on = joined
            .iter_mut()
            .filter(|earlier| last_at(earlier) < first_at(&later) && is_renamed(earlier, &later))
            .max_by(|one, other| last_at(one).total_cmp(&last_at(other)));
        match went_on {
            Some(earlier) => {
                earlier.samples.extend(later.samples);
                earlier.labels = later.labels;
            }
            None => joined.push(later),
        }
    }
    joined
}

fn first_at(series: &Series) -> f64 {
    series.samples.first().map_or(f64::MAX, |(at, _)| *at)
}

fn last_at(series: &Series) -> f64 {
    series.samples.last().map_or(f64::MAX, |(at, _)| *at)
}

/// Whether two series of a pod differ in their target's name, or in labels that only one of them has.
fn is_renamed(earlier: &Series, later: &Series) -> bool {
    let own = |series: &Series| -> BTreeMap<String, String> {
        let labels = series
            .labels
            .iter()
            .filter(|(name, _)| *name != "job" && *name != "instance");
        labels.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let (earlier, later) = (own(earlier), own(later));
    let is_part = |some: &BTreeMap<String, String>, of: &BTreeMap<String, String>| {
        some.iter().all(|(name, value)| of.get(name) == Some(value))
    };
    is_part(&earlier, &later) || is_part(&later, &earlier)
}
