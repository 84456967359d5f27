//! What people are told, how often, and what history keeps.

use jiff::SignedDuration;
use serde_json::json;

use super::{condition, spec, world, world::World};
use crate::api::{action::Verb, status::Phase};

#[test]
fn a_long_pause_is_called_to_mind_after_an_hour_and_then_daily() {
    let mut spec = spec();
    spec["steps"] = json!([{"weight": 5, "hold": "10s", "approval": true}, {"weight": 100}]);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("the approval", |world| condition(world, "Paused").1 == "Approval");
    let paused = |world: &World| world.told.iter().filter(|reason| *reason == "Paused").count();
    assert_eq!(paused(&world), 1);
    let mut wait = |hours: i64, reminders: usize| {
        world.now += SignedDuration::from_hours(hours);
        world.settle();
        assert_eq!(paused(&world), 1 + reminders, "after {hours} h more: {}", world.notes);
    };
    wait(0, 0);
    wait(1, 1);
    wait(23, 1);
    wait(1, 2);
    // A controller that was away for three days reminds once.
    wait(72, 3);
    wait(24, 4);
    assert!(
        world.notes.contains("still paused at 5%: Approval") && world.notes.contains("a Promote action lets it go on"),
        "{}",
        world.notes
    );
    world.ask(Verb::Promote);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn weights_rise_only_inside_of_a_window_and_ways_back_do_not_wait_for_one() {
    for bad in [0.0, 0.5] {
        let mut spec = spec();
        // It is 2027-01-15, 08:00 UTC.
        spec["windows"] = json!([{"from": "06:00", "to": "08:00"}]);
        let mut world = World::new(&spec).adopted();
        world.apply_version("v2");
        world.until("the window", |world| condition(world, "Paused").1 == "Window");
        assert_eq!((world.share(), world.status.phase), (0, Phase::Preparing));
        assert!(
            world
                .status
                .message
                .contains("weights rise from 2027-01-16T06:00:00Z on"),
            "{}",
            world.status.message
        );
        world.now = "2027-01-16T07:59:52Z".parse().unwrap();
        world.until("5%", |world| world.share() == 500);
        world.until("the window's end", |world| condition(world, "Paused").1 == "Window");
        assert_eq!(world.share(), 500);
        world.bad = bad;
        if bad == 0.0 {
            world.now += SignedDuration::from_hours(21);
        }
        world.until("the end", |world| !world.status.history.is_empty());
        let days = world
            .now
            .duration_since("2027-01-16T08:00:00Z".parse().unwrap())
            .as_hours();
        // Up from the next morning on, down at once.
        assert_eq!(
            (world.status.phase, days),
            if bad > 0.0 {
                (Phase::RolledBack, 0)
            } else {
                (Phase::Succeeded, 22)
            }
        );
    }
}

#[test]
fn what_comes_again_within_a_minute_is_counted_and_not_told() {
    let mut world = world();
    world.config = Some("a");
    world.apply_version("v2");
    world.until("5%", |world| world.share() == 500);
    let told = |world: &World| world.told.iter().filter(|reason| *reason == "ConfigChanged").count();
    for held in ["b", "c", "d"] {
        world.config = Some(held);
        world.now += SignedDuration::from_secs(5);
        world.settle();
    }
    assert_eq!(told(&world), 1);
    world.config = Some("e");
    world.now += SignedDuration::from_mins(1);
    world.settle();
    assert_eq!(told(&world), 2);
    assert!(
        world.notes.contains("(and 2 more since the last time)"),
        "{}",
        world.notes
    );
}

#[test]
fn history_keeps_the_worst_figures_of_a_run() {
    let mut world = world();
    world.apply_version("v2");
    world.bad = 0.008;
    world.until("5%", |world| world.share() == 500);
    world.until("25%", |world| world.share() == 2_500);
    world.bad = 0.001;
    world.until_phase(Phase::Succeeded);
    assert_eq!(json!(world.status.history[0].worst), json!({"error-rate": "0.80%"}));
}

#[test]
fn a_lost_old_version_is_told_once_whatever_is_waited_for() {
    let told = |world: &World| {
        world
            .told
            .iter()
            .filter(|reason| *reason == "StableUnavailable")
            .count()
    };
    let lose = |world: &mut World| {
        world.stable_ready = false;
        world.settle_unchecked();
    };
    // While pods of the new version are waited for, and it is back before they come.
    let mut world = world();
    world.ready = false;
    world.apply_version("v2");
    world.settle();
    lose(&mut world);
    assert_eq!(
        (world.status.phase, condition(&world, "Healthy").1, told(&world)),
        (Phase::Preparing, "StableUnavailable", 1)
    );
    world.now += SignedDuration::from_secs(5);
    world.settle();
    world.stable_ready = true;
    world.settle_unchecked();
    world.ready = true;
    world.until("5%", |world| world.share() == 500);
    assert_eq!(told(&world), 1);
    // While the gateway is waited for, a while later.
    world.now += SignedDuration::from_mins(2);
    world.until("25%", |world| world.share() == 2_500);
    world.until("its confirmation", |world| {
        world.status.run.as_ref().is_some_and(|run| run.intent.is_none())
    });
    world.accepts = false;
    world.until("100%", |world| {
        world.status.run.as_ref().is_some_and(|run| run.intent.is_some())
    });
    lose(&mut world);
    assert_eq!((condition(&world, "Healthy").1, told(&world)), ("StableUnavailable", 2));
}

#[test]
fn that_the_end_of_a_release_was_told_is_remembered_and_nothing_is_before() {
    let mut world = world();
    world.events_reach = 0;
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.status.events.delivered, 0, "nothing has reached anybody");
    let end = world
        .status
        .events
        .pending
        .iter()
        .find(|notice| notice.reason == "Promoted")
        .unwrap()
        .sequence;
    world.events_reach = end - 1;
    world.settle();
    assert_eq!(world.status.events.delivered, 0, "only ends are worth a write");
    world.events_reach = end;
    world.settle();
    assert_eq!(world.status.events.delivered, end);
    world.until("the old version to go", |world| world.status.events.emitted > end);
    world.events_reach = world.status.events.emitted;
    world.settle();
    assert_eq!(world.status.events.delivered, end);
}
