//! Numbers as people read them: shares, times, limits.

use crate::{
    api::{
        plan::{CheckKind, PlannedCheck},
        status::{Cause, Figures, NO_FIGURE, TracePoint, trace},
    },
    provider::Reading,
};

/// A share as a percentage.
fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$}%", share * 100.0)
}

/// A time in seconds, in the unit that suits it.
fn time(seconds: f64) -> String {
    if seconds >= 10.0 {
        format!("{seconds:.0}s")
    } else if seconds >= 1.0 {
        format!("{seconds:.1}s")
    } else if seconds >= 0.01 {
        format!("{:.0}ms", seconds * 1_000.0)
    } else {
        format!("{:.1}ms", seconds * 1_000.0)
    }
}

/// A check's limit, such as `>= 80%`.
pub fn threshold(kind: &CheckKind) -> String {
    match kind {
        CheckKind::ErrorRate { max, max_increase } => {
            let increase = max_increase.map(|by| format!("old version's + {by}"));
            let limits: Vec<String> = max.map(|max| max.to_string()).into_iter().chain(increase).collect();
            format!("<= {}", limits.join(" and "))
        }
        CheckKind::Latency { quantile, max } => format!("{quantile} <= {max}"),
        CheckKind::HitRatio { min, max_drop } => {
            let drop = max_drop.map(|by| format!("old version's - {by}"));
            let limits: Vec<String> = min.map(|min| min.to_string()).into_iter().chain(drop).collect();
            if limits.is_empty() {
                ">= old version's - 10%".to_owned()
            } else {
                format!(">= {}", limits.join(" and "))
            }
        }
        CheckKind::Ratio { max, .. } => format!("<= {max}"),
        CheckKind::Query {
            max: Some(max),
            min: Some(min),
            ..
        } => format!("{min} to {max}"),
        CheckKind::Query { max: Some(max), .. } => format!("<= {max}"),
        CheckKind::Query { min: Some(min), .. } => format!(">= {min}"),
        CheckKind::Query { .. } => NO_FIGURE.to_owned(),
    }
}

fn figure(kind: &CheckKind, value: f64) -> String {
    match kind {
        CheckKind::ErrorRate { .. } | CheckKind::Ratio { .. } => percent(value, 2),
        CheckKind::HitRatio { .. } => percent(1.0 - value, 1),
        CheckKind::Latency { .. } => time(value),
        CheckKind::Query { .. } => format!("{value}"),
    }
}

/// The candidate's and the stable version's figure.
pub fn values(kind: &CheckKind, reading: &Reading) -> (Option<String>, Option<String>) {
    match reading {
        Reading::Scalar { candidate, baseline } => (
            Some(figure(kind, *candidate)),
            baseline.map(|value| figure(kind, value)),
        ),
        Reading::Counts {
            candidate_figure,
            baseline_figure,
            ..
        } => (
            candidate_figure.map(|value| figure(kind, value)),
            baseline_figure.map(|value| figure(kind, value)),
        ),
    }
}

/// How bad the candidate's figure is: the greater, the worse.
pub fn badness(kind: &CheckKind, reading: &Reading) -> Option<f64> {
    let badness = match (kind, reading) {
        (CheckKind::Query { max: None, .. }, Reading::Scalar { candidate, .. }) => Some(-candidate),
        (_, Reading::Scalar { candidate, .. }) => Some(*candidate),
        // Of lookups the figure is the share of misses: greater is worse here too.
        (_, Reading::Counts { candidate_figure, .. }) => *candidate_figure,
    };
    // NaN and infinities cannot be stored as JSON.
    badness.filter(|badness| badness.is_finite())
}

/// Puts a check's figures into the printed columns.
pub fn show(figures: &mut Figures, kind: &CheckKind, value: Option<&str>, baseline: Option<&str>) {
    let (own, other) = match kind {
        CheckKind::ErrorRate { .. } => (&mut figures.error_rate, &mut figures.baseline.error_rate),
        CheckKind::HitRatio { .. } => (&mut figures.hit_ratio, &mut figures.baseline.hit_ratio),
        CheckKind::Latency { .. } => (&mut figures.latency, &mut figures.baseline.latency),
        CheckKind::Ratio { .. } | CheckKind::Query { .. } => return,
    };
    value.unwrap_or(NO_FIGURE).clone_into(own);
    baseline.unwrap_or(NO_FIGURE).clone_into(other);
}

/// Puts the figures of a tick into a point of the release's trace: those that are printed in the columns.
pub fn trace(point: &mut TracePoint, checks: &[PlannedCheck], readings: &[Result<Reading, (Cause, String)>]) {
    for (check, reading) in checks.iter().zip(readings) {
        let Ok(Reading::Counts {
            candidate_figure,
            baseline_figure,
            ..
        }) = reading
        else {
            continue;
        };
        let both = |read: fn(f64) -> Option<f64>| (candidate_figure.and_then(read), baseline_figure.and_then(read));
        match check.kind {
            CheckKind::ErrorRate { .. } => (point.e, point.be) = both(trace::share),
            // Of lookups the figure is the share of misses.
            CheckKind::HitRatio { .. } => (point.h, point.bh) = both(|misses| trace::share(1.0 - misses)),
            CheckKind::Latency { .. } => (point.l, point.bl) = both(trace::milliseconds),
            CheckKind::Ratio { .. } | CheckKind::Query { .. } => {}
        }
    }
}

/// What a check measures, in words.
pub fn noun(kind: &CheckKind) -> String {
    match kind {
        CheckKind::ErrorRate { .. } => "errors".to_owned(),
        CheckKind::Latency { quantile, .. } => quantile.to_string(),
        CheckKind::HitRatio { .. } => "hit ratio".to_owned(),
        CheckKind::Ratio { bad, total, .. } => format!("{bad} of {total}"),
        CheckKind::Query { .. } => "value".to_owned(),
    }
}
