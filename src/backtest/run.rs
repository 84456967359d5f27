//! Lets releases go through the past: one after the other with the running version as its own canary, or one of two versions that
//! ran side by side.

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    file::Subject,
    past::Past,
    replay::{Replay, Tick, Versions},
};
use crate::{
    api::{CanaryRolloutSpec, Duration, Percent, Plan, moment::Moment as _, rollout::Step},
    provider::{Counts, Reading},
    simulate::{
        cluster::Scene,
        going::{Course, Going, Metrics},
        world::chance::Chance,
    },
};

/// Pods of a side: how many there were is not asked, and nothing is judged by it.
const PODS: u32 = 4;
/// More releases are not begun.
pub const MOST_RELEASES: usize = 5_000;

/// They are begun no closer to each other.
const SHORTEST_EVERY: Duration = Duration::from_mins(1);

/// When releases are begun with the running version as its own canary.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// When the first is.
    pub from: Timestamp,
    /// When the data end.
    pub to: Timestamp,
    /// Time from one to the next.
    pub every: Duration,
    /// Longest time of one.
    pub longest: Duration,
    /// Where chance begins.
    pub seed: u64,
}

/// A release that was begun in the past.
#[derive(Clone, Debug)]
pub struct Begun {
    /// When.
    pub at: Timestamp,
    /// What became of it.
    pub course: Course<()>,
    /// It still went on when the data ended, before its longest time was over.
    pub cut_off: bool,
}

/// A release of two versions.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The new version's share of the requests.
    pub weight: Percent,
    /// What became of it, and of each tick what was said.
    pub course: Course<Vec<Tick>>,
}

impl Schedule {
    /// When releases are begun.
    pub fn begins(&self) -> anyhow::Result<Vec<Timestamp>> {
        if self.every < SHORTEST_EVERY {
            bail!("--every {} is too short: write 1m or more", self.every);
        }
        let mut begins = Vec::new();
        let mut at = self.from;
        while at < self.to {
            if begins.len() >= MOST_RELEASES {
                bail!(
                    "--every {} is too often for the time from {} to {}: at most {MOST_RELEASES} releases are begun",
                    self.every,
                    self.from,
                    self.to
                );
            }
            begins.push(at);
            at = at.plus(self.every.signed());
        }
        Ok(begins)
    }
}

fn begin<'a>(
    subject: &Subject,
    spec: &CanaryRolloutSpec,
    plan: &Plan,
    at: Timestamp,
    metrics: Replay<'a>,
) -> anyhow::Result<Going<Replay<'a>>> {
    let source: Value = serde_json::to_value(&subject.source).context("writing the MetricSource")?;
    let scene = Scene {
        namespace: &subject.rollout.namespace,
        name: &subject.rollout.name,
        spec,
        plan,
        pods: PODS,
        source,
        actions: &[],
        start: at,
    };
    Going::begin(&scene, metrics)
}

/// Begins a release of the running version again and again.
pub fn again(subject: &Subject, past: &Past, schedule: &Schedule) -> anyhow::Result<Vec<Begun>> {
    let mut all = Vec::new();
    for (number, at) in schedule.begins()?.into_iter().enumerate() {
        let chance = Chance::new(schedule.seed, u64::try_from(number).unwrap_or(u64::MAX));
        let replay = Replay::new(past, Versions::One(chance));
        let (spec, plan) = (&subject.rollout.spec, &subject.rollout.plan);
        let mut going = begin(subject, spec, plan, at, replay)?;
        let end = at.plus(schedule.longest.signed());
        let took = until_over(&mut going, end.min(schedule.to))?;
        all.push(Begun {
            at,
            cut_off: end > schedule.to && !going.is_over(),
            course: going.course(took).counted(drop),
        });
    }
    Ok(all)
}

fn until_over<M: Metrics>(going: &mut Going<M>, end: Timestamp) -> anyhow::Result<SignedDuration> {
    going.until(end, Going::is_over)
}

/// Judges two versions that ran side by side, as a release at the weight that the new one had: for its first hold, and then on, so
/// that everything is judged until the end.
pub fn once(
    subject: &Subject,
    past: &Past,
    stated: Option<Percent>,
    (from, to): (Timestamp, Timestamp),
) -> anyhow::Result<Judged> {
    let weight = match stated {
        Some(weight) => weight,
        None => share(past, subject.rollout.plan.checks.len(), (from, to))?,
    };
    if weight == Percent::ZERO || weight == Percent::FULL {
        bail!(
            "the new version's share of the requests is {weight}: name a time in which both versions had some, or state --weight"
        );
    }
    let mut spec = subject.rollout.spec.clone();
    let hold = subject.rollout.plan.steps.first().map(|step| step.hold);
    let rest = Duration::from_secs(u64::try_from(to.duration_since(from).as_secs()).unwrap_or_default());
    let step = |weight, hold| Step {
        weight,
        hold,
        approval: false,
    };
    spec.ramp = None;
    spec.steps = Some(vec![
        step(weight, hold),
        step(weight, Some(rest)),
        step(Percent::FULL, None),
    ]);
    let plan = Plan::try_from(&spec)?;
    let mut going = begin(subject, &spec, &plan, from, Replay::new(past, Versions::Two))?;
    let took = until_over(&mut going, to)?;
    Ok(Judged {
        weight,
        course: going.course(took).counted(Replay::into_ticks),
    })
}

/// The new version's share of what was counted of both, to a hundredth of a percent.
fn share(past: &Past, checks: usize, (from, to): (Timestamp, Timestamp)) -> anyhow::Result<Percent> {
    let counted = (0..checks).find_map(|check| match past.answer(check, from, to) {
        Ok(Reading::Counts {
            candidate,
            baseline: Some(baseline),
            ..
        }) => Some((candidate, baseline)),
        Ok(Reading::Counts { .. } | Reading::Scalar { .. }) | Err(_) => None,
    });
    let Some((new, old)) = counted.filter(|(new, old): &(Counts, Counts)| new.total + old.total > 0.0) else {
        bail!(
            "no requests of both versions were counted, so the share of the new one is not known: state it by --weight"
        );
    };
    let hundredths = (new.total / (new.total + old.total) * 10_000.0).round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
    let hundredths = hundredths as u32;
    Percent::from_hundredths(hundredths).context("the share of the new version")
}
