//! When a tick is asked, and of which moment.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{spec, world::World};

/// The first tick of a step: when the step's samples began to count, the moment of which it was asked, and when.
fn first_tick(checks: &Value, scrape: u64) -> (Timestamp, Timestamp, Timestamp) {
    let mut spec = spec();
    spec["checks"] = checks.clone();
    spec["steps"][0]["hold"] = json!("5m");
    let mut world = World::new(&spec);
    world.scrape = scrape;
    let mut world = world.adopted();
    world.apply_version("v2");
    world.until("the first tick", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.judge.last_asked.is_some())
    });
    let run = world.status.run.as_ref().unwrap();
    (run.step_started_at.unwrap(), run.judge.last_asked.unwrap(), world.now)
}

const INTERVAL: SignedDuration = SignedDuration::from_secs(2);

fn query() -> Value {
    json!({"query": {"promql": "queue_length", "max": 1}})
}

#[test]
fn a_query_is_asked_as_soon_as_its_tick_ends() {
    let (since, end, asked) = first_tick(&json!([query()]), 1);
    assert_eq!(asked, end);
    assert!(end >= since + INTERVAL && end < since + INTERVAL * 2);
}

#[test]
fn counts_wait_for_the_scrape_that_follows() {
    for checks in [
        json!([{"errorRate": {"max": "1%"}}]),
        json!([{"errorRate": {"max": "1%"}}, query()]),
    ] {
        let (since, end, asked) = first_tick(&checks, 1);
        assert_eq!(asked, end + SignedDuration::from_secs(1), "{checks}");
        assert!(end >= since + INTERVAL, "{checks}");
    }
}

#[test]
fn no_query_is_answered_with_a_sample_of_the_step_before() {
    let scrape = SignedDuration::from_secs(15);
    let (since, end, asked) = first_tick(&json!([query()]), 15);
    assert!(
        end >= since + scrape && end < since + scrape + INTERVAL,
        "{since} {end}"
    );
    assert_eq!(asked, end);
    let (since, end, _) = first_tick(&json!([{"errorRate": {"max": "1%"}}]), 15);
    assert!(end < since + scrape, "counters are subtracted sample by sample");
}
