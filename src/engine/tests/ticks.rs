//! When a tick is asked, and of which moment.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{spec, world::World};

/// The world in which the first tick of a step has just been asked, and the moment of which it was.
fn at_first_tick(checks: &Value, scrape: u64, lag: Option<u64>) -> (World, Timestamp) {
    let mut spec = spec();
    spec["checks"] = checks.clone();
    spec["steps"][0]["hold"] = json!("5m");
    let mut world = World::new(&spec);
    (world.scrape, world.lag) = (scrape, lag);
    let mut world = world.adopted();
    world.apply_version("v2");
    world.until("the first tick", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.judge.last_asked > Some(run.started_at))
    });
    let end = world.status.run.as_ref().unwrap().judge.last_asked.unwrap();
    (world, end)
}

/// The first tick of a step: when the step began, the moment of which the tick was asked, and when.
fn first_tick(checks: &Value, scrape: u64) -> (Timestamp, Timestamp, Timestamp) {
    let (world, end) = at_first_tick(checks, scrape, None);
    let run = world.status.run.as_ref().unwrap();
    (run.step_started_at.unwrap(), end, world.now)
}

const INTERVAL: SignedDuration = SignedDuration::from_secs(2);

fn query() -> Value {
    json!({"query": {"promql": "queue_length", "max": 1}})
}

#[test]
fn a_query_is_asked_as_soon_as_its_tick_ends() {
    let (since, end, asked) = first_tick(&json!([query()]), 1);
    assert_eq!(asked, end);
    assert!(end >= since + INTERVAL / 2 && end < since + INTERVAL * 3 / 2);
}

#[test]
fn counts_wait_for_the_scrape_that_follows() {
    for checks in [
        json!([{"errorRate": {"max": "1%"}}]),
        json!([{"errorRate": {"max": "1%"}}, query()]),
    ] {
        let (since, end, asked) = first_tick(&checks, 1);
        assert_eq!(asked, end + SignedDuration::from_secs(1), "{checks}");
        assert!(end >= since + INTERVAL / 2, "{checks}");
    }
}

#[test]
fn no_query_is_answered_with_a_sample_of_the_step_before() {
    let scrape = SignedDuration::from_secs(15);
    let (since, end, asked) = first_tick(&json!([query()]), 15);
    assert!(end >= since + scrape && end < since + scrape * 2, "{since} {end}");
    assert_eq!(asked, end);
}

#[test]
fn counters_are_subtracted_from_a_sample_of_this_step() {
    // The newest sample before a tick is up to one scrape old.
    let scrape = SignedDuration::from_secs(15);
    let (world, end) = at_first_tick(&json!([{"errorRate": {"max": "1%"}}]), 15, None);
    let confirmed = world.status.run.as_ref().unwrap().weight_confirmed_at.unwrap();
    assert!(end - scrape / 2 >= confirmed + scrape, "{confirmed} {end}");
    assert_eq!(world.now, end + scrape);
}

#[test]
fn late_samples_are_waited_for() {
    for (lag, waited) in [(Some(7), 7), (Some(1), 2), (None, 2)] {
        let (world, end) = at_first_tick(&json!([{"errorRate": {"max": "1%"}}]), 2, lag);
        assert_eq!(world.now, end + SignedDuration::from_secs(waited), "{lag:?}");
    }
    let (world, end) = at_first_tick(&json!([query()]), 1, Some(7));
    assert_eq!(
        world.now,
        end + SignedDuration::from_secs(7),
        "a query takes what has come"
    );
}
