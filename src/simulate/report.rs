//! A release in figures: rows of equal length, and the bands of a picture.

use serde::Serialize;

use super::{
    file::Subject,
    going::{Told, Waited},
    release::Release,
    series::{Totals, Whose},
    spec::End,
    store::{is_simulated, latency, slower},
    told,
};
use crate::api::{
    Duration,
    plan::{CheckKind, PlannedCheck},
};

/// What is shown where no latency check says otherwise.
const QUANTILE: f64 = 0.99;

/// What was seen of one version in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Requests per second.
    pub requests_per_second: f64,
    /// Share of hits.
    pub hit_ratio: Option<f64>,
    /// Share of requests that failed.
    pub error_rate: Option<f64>,
    /// Time to answer in seconds, at the quantile of the first latency check.
    pub latency: Option<f64>,
    /// Share of requests above the limit of that check.
    pub slow: Option<f64>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its end in seconds after the new version was applied.
    pub time: f64,
    /// The new version's share of the requests, at its end.
    pub weight: f64,
    /// Of the new version.
    pub new: Figures,
    /// Of the old version.
    pub old: Figures,
    /// Queries per second of the database.
    pub database_load: f64,
    /// Share of the time in which it was asked for more than it can carry.
    pub overloaded: f64,
}

/// A release for programs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary<'a> {
    /// Namespace and name of the CanaryRollout.
    pub rollout: String,
    /// What the release has come to.
    pub outcome: End,
    /// Why it ended, if it has.
    pub reason: Option<String>,
    /// Why it is paused, if it is.
    pub paused_for: Option<String>,
    /// The sentence of the status.
    pub message: &'a str,
    /// Seconds until it ended; all of them if it has not.
    pub seconds: f64,
    /// The greatest share of the requests that the new version got.
    pub greatest_weight: f64,
    /// What was told.
    pub events: &'a [Told],
    /// What was waited for, besides more requests.
    pub waited: &'a [Waited],
    /// What was seen.
    pub rows: Vec<Row>,
}

/// What is shown of a release.
pub struct Report<'a> {
    /// What is released, and where.
    pub subject: &'a Subject,
    /// What became of it.
    pub release: &'a Release,
    slow: Duration,
    /// Limit in seconds and quantile.
    latency: Option<(f64, f64)>,
}

impl<'a> Report<'a> {
    /// Of this release.
    pub fn new(subject: &'a Subject, release: &'a Release) -> Self {
        let latencies = subject.plan.checks.iter().filter_map(|check| match &check.kind {
            CheckKind::Latency { quantile, max } => Some((max.as_secs_f64(), quantile.fraction())),
            CheckKind::ErrorRate { .. }
            | CheckKind::HitRatio { .. }
            | CheckKind::Ratio { .. }
            | CheckKind::Query { .. } => None,
        });
        Self {
            subject,
            release,
            slow: told::slow(subject),
            latency: latencies.into_iter().next(),
        }
    }

    /// The quantile of the latency that is shown.
    pub fn quantile(&self) -> f64 {
        self.latency.map_or(QUANTILE, |(_, quantile)| quantile)
    }

    fn figures(&self, counted: Totals, seconds: f64) -> Figures {
        let limit = self.latency.map_or(self.slow.as_secs_f64(), |(limit, _)| limit);
        Figures {
            requests_per_second: rounded(counted.requests / seconds),
            hit_ratio: counted.hits().map(rounded),
            error_rate: counted.share(counted.errors).map(rounded),
            latency: None,
            slow: counted.share(slower(counted, self.slow, limit)).map(rounded),
        }
    }

    /// What was seen from one moment to another.
    fn row(&self, from: f64, to: f64) -> Row {
        let series = &self.release.series;
        let seconds = series.seconds(from, to);
        let count = u32::try_from(seconds.len().max(1)).map_or(1.0, f64::from);
        // A quantile of few requests says little: it is that of a minute, as `kubectl get` shows it.
        let minute = |whose| {
            latency(
                series.between(whose, from.min(to - 60.0), to),
                self.slow,
                self.quantile(),
            )
        };
        let of = |whose| {
            let counted = series.between(whose, from, to);
            Figures {
                latency: counted.share(0.0).and(minute(whose)).map(rounded),
                ..self.figures(counted, to - from)
            }
        };
        Row {
            time: rounded(to),
            weight: rounded(seconds.last().map_or(0.0, |second| second.weight)),
            new: of(Whose::New),
            old: of(Whose::Old),
            database_load: rounded(seconds.iter().map(|second| second.load).sum::<f64>() / count),
            overloaded: rounded(
                seconds
                    .iter()
                    .filter(|second| second.overloaded)
                    .map(|_| 1.0)
                    .sum::<f64>()
                    / count,
            ),
        }
    }

    /// So many rows of equal length.
    pub fn columns(&self, count: u32) -> Vec<Row> {
        let length = self.release.shown() / f64::from(count.max(1));
        (0..count)
            .map(|number| self.row(f64::from(number) * length, f64::from(number.saturating_add(1)) * length))
            .collect()
    }

    /// Rows as long as a tick of the checks.
    pub fn rows(&self) -> Vec<Row> {
        let length = self.subject.plan.interval.map_or(15.0, Duration::as_secs_f64).max(1.0);
        let mut rows = Vec::new();
        let mut from = 0.0;
        while from + length <= self.release.shown() {
            rows.push(self.row(from, from + length));
            from += length;
        }
        rows
    }

    /// For programs.
    pub fn summary(&self) -> Summary<'_> {
        let release = self.release;
        Summary {
            rollout: format!("{}/{}", self.subject.namespace, self.subject.name),
            outcome: release.end,
            reason: release.reason.map(|reason| reason.to_string()),
            paused_for: release.paused_for.map(|reason| reason.to_string()),
            message: &release.message,
            seconds: rounded(release.took),
            greatest_weight: rounded(release.greatest),
            events: &release.events,
            waited: &release.waited,
            rows: self.rows(),
        }
    }

    /// Names of checks that are not simulated.
    pub fn taken_for_good(&self) -> Vec<&str> {
        let is_unknown = |check: &&PlannedCheck| match &check.kind {
            CheckKind::Query { .. } => true,
            CheckKind::Ratio { bad, total, .. } => !is_simulated(bad, total),
            CheckKind::ErrorRate { .. } | CheckKind::Latency { .. } | CheckKind::HitRatio { .. } => false,
        };
        let checks = self.subject.plan.checks.iter().filter(is_unknown);
        checks.map(|check| check.name.as_str()).collect()
    }

    /// In one sentence: what has become of it.
    pub fn end(&self) -> String {
        let release = self.release;
        let took = clock(release.took);
        let greatest = share(release.greatest);
        match (release.end, release.reason, release.paused_for) {
            (End::Promoted, ..) => format!("promoted after {took}"),
            (End::RolledBack, Some(reason), _) => {
                format!("rolled back after {took} ({reason}), with {greatest} of the requests at most")
            }
            (End::Paused, _, Some(reason)) => {
                format!("paused when the {took} were over ({reason}), with {greatest} of the requests at most")
            }
            (End::RolledBack | End::Paused | End::Running, ..) => {
                format!("still going on when the {took} were over, with {greatest} of the requests at most")
            }
        }
    }
}

/// A number with as many digits as anybody needs.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// A share for people.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    if (percent - percent.round()).abs() < 0.005 || percent >= 10.0 {
        format!("{percent:.0}%")
    } else {
        format!("{percent:.1}%")
    }
}

/// A time for people, such as `1h02m`, `4m05s` or `12s`.
pub fn clock(seconds: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, a week at most"
    )]
    let all = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (all / 3_600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds:02}s"),
        _ => format!("{hours}h{minutes:02}m"),
    }
}

/// A line of a picture: a figure of both versions over the time.
pub struct Band {
    /// What it is.
    pub name: String,
    /// What stands at its top; 0 stands at its bottom.
    pub top: f64,
    /// How its numbers are written.
    pub unit: Unit,
    /// Of the new version, one for each column.
    pub new: Vec<Option<f64>>,
    /// Of the old version.
    pub old: Vec<Option<f64>>,
    /// The limit of its check.
    pub limit: Option<f64>,
    /// That limit in words.
    pub limit_says: String,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As percentages.
    Share,
    /// As times.
    Seconds,
    /// As they are.
    Count,
}

impl Unit {
    /// A number for people.
    pub fn says(self, number: f64) -> String {
        match self {
            Self::Share => share(number),
            Self::Seconds if number < 1.0 => format!("{:.0}ms", number * 1_000.0),
            Self::Seconds => format!("{number:.1}s"),
            Self::Count => format!("{number:.0}"),
        }
    }
}

impl Report<'_> {
    /// The bands of a picture with so many columns.
    pub fn bands(&self, count: u32) -> Vec<Band> {
        let rows = self.columns(count);
        let all = |value: fn(&Row) -> Option<f64>| rows.iter().map(value).collect::<Vec<_>>();
        let limit =
            |of: fn(&CheckKind) -> Option<f64>| self.subject.plan.checks.iter().find_map(|check| of(&check.kind));
        let errors = limit(|kind| match kind {
            CheckKind::ErrorRate { max, .. } => max.map(crate::api::Percent::fraction),
            CheckKind::Latency { .. }
            | CheckKind::HitRatio { .. }
            | CheckKind::Ratio { .. }
            | CheckKind::Query { .. } => None,
        });
        let hits = limit(|kind| match kind {
            CheckKind::HitRatio { min, .. } => min.map(crate::api::Percent::fraction),
            CheckKind::Latency { .. }
            | CheckKind::ErrorRate { .. }
            | CheckKind::Ratio { .. }
            | CheckKind::Query { .. } => None,
        });
        let quantile = share(self.quantile()).replace('%', "");
        let capacity = self.subject.simulation.database.queries_per_second;
        let mut bands = vec![
            Band::new("weight", Unit::Share, all(|row| Some(row.weight)), Vec::new(), None),
            Band::new(
                "hit ratio",
                Unit::Share,
                all(|row| row.new.hit_ratio),
                all(|row| row.old.hit_ratio),
                hits,
            ),
            Band::new(
                "errors",
                Unit::Share,
                all(|row| row.new.error_rate),
                all(|row| row.old.error_rate),
                errors,
            ),
            Band::new(
                &format!("p{quantile}"),
                Unit::Seconds,
                all(|row| row.new.latency),
                all(|row| row.old.latency),
                self.latency.map(|(limit, _)| limit),
            ),
            Band::new(
                "database queries/s",
                Unit::Count,
                all(|row| Some(row.database_load)),
                Vec::new(),
                capacity,
            ),
        ];
        for (band, top) in bands.iter_mut().zip([Some(1.0), Some(1.0), None, None, None]) {
            band.top = top.unwrap_or(band.top);
        }
        bands
    }
}

impl Band {
    fn new(name: &str, unit: Unit, new: Vec<Option<f64>>, old: Vec<Option<f64>>, limit: Option<f64>) -> Self {
        let all = new.iter().chain(&old).flatten().copied();
        let most = all.chain(limit.map(|limit| limit * 1.25)).fold(0.0, f64::max);
        let sign = if name == "hit ratio" { "at least" } else { "at most" };
        Self {
            name: name.to_owned(),
            // Room above the highest point.
            top: if most > 0.0 { most * 1.05 } else { 1.0 },
            unit,
            new,
            old,
            limit,
            limit_says: limit.map_or_else(String::new, |limit| format!("{sign} {}", unit.says(limit))),
        }
    }

    /// The last figure of either version.
    pub fn least_and_most(&self) -> Option<(f64, f64)> {
        let all = || self.new.iter().flatten().copied();
        let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        (least <= most).then_some((least, most))
    }
}
