//! One release in a made-up world.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    cluster::Scene,
    file::Subject,
    going::{Course, Going, Metrics, Readings},
    series::Series,
    store::Store,
    told,
    world::{World, cache, params::Params},
};
use crate::{
    api::{Duration, moment::Moment as _, plan::PlannedCheck},
    provider::Question,
};

/// The new version is applied on a Monday at 10:00, 2026-01-05T10:00:00Z.
const START: i64 = 1_767_607_200;
/// The world begins so many intervals of the checks before the release: the old version is looked back on.
const INTERVALS_BEFORE: u32 = 60;

/// What became of a release in a made-up world.
pub type Release = Course<Series>;

/// A world, and what was counted in it.
struct MadeUp<'a> {
    world: World<'a>,
    series: Series,
    start: Timestamp,
    slow: Duration,
    checks: &'a [PlannedCheck],
}

impl MadeUp<'_> {
    fn store<'s>(&'s self, revision: Option<&'s str>) -> Store<'s> {
        Store {
            series: &self.series,
            start: self.start,
            revision,
            slow: self.slow,
            checks: self.checks,
        }
    }
}

impl Metrics for MadeUp<'_> {
    fn set_weight(&mut self, weight: f64) {
        if (self.world.weight() - weight).abs() > 1e-9 {
            self.world.set_weight(weight);
        }
    }

    /// The world goes on to the last whole second before.
    fn go_on_until(&mut self, now: Timestamp) {
        let until = now.duration_since(self.start).as_secs();
        while self.world.t() < until {
            let weight = self.world.weight();
            let counted = self.world.tick();
            self.series.push(weight, &counted);
        }
    }

    fn readings(&mut self, question: &Question, revision: Option<&str>) -> Readings {
        self.store(revision).readings(question)
    }

    fn requests(&mut self, question: &Question, revision: Option<&str>) -> f64 {
        self.store(revision).requests(question)
    }
}

/// Releases the new version.
pub fn run(subject: &Subject) -> anyhow::Result<Release> {
    let params = told::params(subject)?;
    let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
    let simulation = &subject.simulation;
    let scene = Scene {
        namespace: &subject.namespace,
        name: &subject.name,
        spec: &subject.spec,
        plan: &subject.plan,
        pods: simulation.traffic.pods,
        // A gateway's metrics, which count what the weight speaks of.
        source: json!({
            "prometheus": {"url": "http://simulated"},
            "preset": "envoy",
            "scrapeInterval": simulation.scrape_interval,
        }),
        actions: &simulation.actions,
        start,
    };
    let mut going = Going::begin(&scene, made_up(subject, &params, start))?;
    let took = going.until(start.plus(simulation.duration.signed()), Going::is_over)?;
    if going.is_over() {
        // A moment more, so that its end can be seen.
        let more = SignedDuration::from_secs(60).max(took.checked_div(20).unwrap_or_default());
        going.go_on_for(more)?;
    }
    Ok(going.course(took).counted(|world| world.series))
}

fn made_up<'a>(subject: &'a Subject, params: &'a Params, start: Timestamp) -> MadeUp<'a> {
    let interval = subject.plan.interval.map_or(15, told::seconds).max(15);
    let before = interval.saturating_mul(INTERVALS_BEFORE).clamp(900, 86_400);
    MadeUp {
        world: World::new(params, cache::curve(params), subject.simulation.seed, before),
        series: Series::new(before),
        start,
        slow: told::slow(subject),
        checks: &subject.plan.checks,
    }
}

impl Release {
    /// Seconds that are to be shown.
    pub fn shown(&self) -> f64 {
        self.seconds.max(1.0)
    }
}
