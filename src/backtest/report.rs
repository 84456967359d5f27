//! What is told of releases in the past: sums, and what stands behind them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    file::Subject,
    replay::Tick,
    run::{Begun, Judged, Schedule},
};
use crate::{
    api::{Percent, moment::Moment as _, status::Verdict},
    simulate::{
        going::{Course, Told, Waited},
        spec::End,
    },
};

/// What a release has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
pub enum Outcome {
    /// The new version is the stable one.
    Promoted,
    /// The old version has all traffic again.
    RolledBack,
    /// It waits, for a person or until something is over.
    Paused,
    /// It still goes on after the longest time.
    Running,
    /// It still went on when the data ended.
    CutOff,
}

/// A release of the running version by itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When it was begun.
    pub begun: Timestamp,
    /// What it has come to.
    pub outcome: Outcome,
    /// When that was.
    pub ended: Timestamp,
    /// Seconds from one to the other.
    pub seconds: f64,
    /// Why it ended or is paused.
    pub reason: Option<String>,
    /// The greatest share of the requests that the new version got.
    pub greatest_weight: f64,
    /// The sentence of the status.
    pub message: String,
    /// Events, in seconds after it was begun.
    pub events: Vec<Told>,
    /// What was waited for, besides more requests.
    pub waited: Vec<Waited>,
}

/// All releases of the running version.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    /// Namespace and name of the CanaryRollout.
    pub rollout: String,
    /// When the first release is begun.
    pub from: Timestamp,
    /// When the data end.
    pub to: Timestamp,
    /// Time between two releases.
    pub every: String,
    /// Where chance begins.
    pub seed: u64,
    /// Parts of the spec that were left out.
    pub left_out: Vec<&'static str>,
    /// How many came to what.
    pub counts: BTreeMap<String, usize>,
    /// Each of them.
    pub releases: Vec<Entry>,
}

/// A release of two versions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Once {
    /// Namespace and name of the CanaryRollout.
    pub rollout: String,
    /// When it is begun.
    pub from: Timestamp,
    /// When the data end.
    pub to: Timestamp,
    /// The new version's share of the requests.
    pub weight: f64,
    /// Parts of the spec that were left out.
    pub left_out: Vec<&'static str>,
    /// What would have come of it: with nothing against it, it is judged until the data end.
    pub outcome: Outcome,
    /// When.
    pub ended: Timestamp,
    /// Why it ended or is paused.
    pub reason: Option<String>,
    /// The sentence of the status.
    pub message: String,
    /// When the weight would first have risen.
    pub rises: Option<Timestamp>,
    /// Events, in seconds after it was begun.
    pub events: Vec<Told>,
    /// What was waited for, besides more requests.
    pub waited: Vec<Waited>,
    /// What the judge said of each tick.
    pub ticks: Vec<Tick>,
}

fn outcome(end: End) -> Outcome {
    match end {
        End::Promoted => Outcome::Promoted,
        End::RolledBack => Outcome::RolledBack,
        End::Paused => Outcome::Paused,
        End::Running => Outcome::Running,
    }
}

fn reason<S>(course: &Course<S>) -> Option<String> {
    let ended = course.reason.map(|reason| reason.to_string());
    ended.or(course.paused_for.map(|reason| reason.to_string()))
}

fn ended(begun: Timestamp, took: f64) -> Timestamp {
    begun.plus(SignedDuration::try_from_secs_f64(took).unwrap_or_default())
}

fn name(subject: &Subject) -> String {
    format!("{}/{}", subject.rollout.namespace, subject.rollout.name)
}

impl Entry {
    fn of(begun: Begun) -> Self {
        let Begun { at, course, cut_off } = begun;
        Self {
            begun: at,
            outcome: if cut_off { Outcome::CutOff } else { outcome(course.end) },
            ended: ended(at, course.took),
            seconds: course.took,
            reason: reason(&course),
            greatest_weight: course.greatest,
            message: course.message,
            events: course.events,
            waited: course.waited,
        }
    }
}

impl Again {
    /// Of these releases.
    pub fn new(subject: &Subject, schedule: &Schedule, releases: Vec<Begun>) -> Self {
        let releases: Vec<Entry> = releases.into_iter().map(Entry::of).collect();
        let mut counts = BTreeMap::new();
        for entry in &releases {
            let count: &mut usize = counts.entry(entry.outcome.to_string()).or_default();
            *count = count.saturating_add(1);
        }
        Self {
            rollout: name(subject),
            from: schedule.from,
            to: schedule.to,
            every: schedule.every.to_string(),
            seed: schedule.seed,
            left_out: subject.left_out.clone(),
            counts,
            releases,
        }
    }

    /// Those that came to this.
    pub fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Entry> {
        self.releases.iter().filter(move |entry| entry.outcome == outcome)
    }

    /// What was waited for: in how many releases, and where it was first.
    pub fn waits(&self) -> BTreeMap<&str, (usize, Timestamp, &str)> {
        let mut waits = BTreeMap::new();
        for entry in &self.releases {
            let mut causes: Vec<&str> = Vec::new();
            for waited in &entry.waited {
                if causes.contains(&waited.cause.as_str()) {
                    continue;
                }
                causes.push(&waited.cause);
                let at = ended(entry.begun, waited.at);
                let (count, ..) = waits
                    .entry(waited.cause.as_str())
                    .or_insert((0_usize, at, waited.message.as_str()));
                *count = count.saturating_add(1);
            }
        }
        waits
    }
}

impl Once {
    /// Of this release.
    pub fn new(subject: &Subject, (from, to): (Timestamp, Timestamp), judged: Judged) -> Self {
        let Judged { weight, course } = judged;
        let reason = reason(&course);
        let risen = course.series.iter().find(|tick| tick.step > 1);
        Self {
            rollout: name(subject),
            from,
            to,
            weight: weight.fraction(),
            left_out: subject.left_out.clone(),
            outcome: outcome(course.end),
            ended: ended(from, course.took),
            reason,
            message: course.message,
            rises: risen.map(|tick| tick.time),
            events: course.events,
            waited: course.waited,
            ticks: course.series,
        }
    }

    /// The new version's share of the requests.
    pub fn weight(&self) -> Percent {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
        let hundredths = (self.weight * 10_000.0).round() as u32;
        Percent::from_hundredths(hundredths).unwrap_or_default()
    }

    /// Moments at which a check says something else than before: its verdict and cause in words, and its sentence.
    pub fn changes(&self) -> Vec<(Timestamp, &str, String, &str)> {
        let mut last: BTreeMap<&str, String> = BTreeMap::new();
        let mut changes = Vec::new();
        for tick in &self.ticks {
            for check in &tick.checks {
                let cause = check.cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
                let says = format!("{}{cause}", verdict(check.verdict));
                if last.get(check.name.as_str()) != Some(&says) {
                    changes.push((tick.time, check.name.as_str(), says.clone(), check.message.as_str()));
                    last.insert(&check.name, says);
                }
            }
        }
        changes
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "keeps its limit",
        Verdict::Fail => "breaks its limit",
        Verdict::Wait => "waits",
        Verdict::NoData => "has no data",
        Verdict::Unknown => "unknown",
    }
}
