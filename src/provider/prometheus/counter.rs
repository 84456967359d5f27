//! What a counter counted in a window, from its raw samples.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Series;

/// Earliest sample of a target's `up`, by `job` and `instance`, in seconds.
pub type Targets = BTreeMap<(String, String), f64>;

/// The time that is counted, and what is known of targets: it tells a counter that has just begun from one that was not scraped.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub start: Timestamp,
    pub end: Timestamp,
    pub run_started: Timestamp,
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
/// from 0. A series without a sample before the start counts from 0 if its pod came with the run
/// (`of_run`) or its target was scraped before (the first error makes its series); otherwise nothing
/// is known about when it counted, and it counts nothing.
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
        None if of_run && *first_at >= seconds(window.run_started) => 0.0,
        None if scraped_before(series, window, start, unknown) => 0.0,
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

fn scraped_before(series: &Series, window: &Window<'_>, start: f64, unknown: &mut BTreeSet<(String, String)>) -> bool {
    let key = (series.label("job").to_owned(), series.label("instance").to_owned());
    let Some(targets) = window.targets else {
        unknown.insert(key);
        return false;
    };
    targets.get(&key).is_some_and(|since| *since <= start)
}
