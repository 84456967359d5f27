//! What this controller does itself is never told as another hand's, and equal requests are one.

use super::*;
use crate::api::action::ActionPhase;

fn at(world: &World, hundredths: u32) -> bool {
    let run = world.status.run.as_ref();
    run.is_some_and(|run| run.weight.hundredths() == hundredths && run.intent.is_none())
}

/// A release whose second weight is written and not confirmed yet.
fn unconfirmed_at_25() -> World {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world.accepts = false;
    world.until("25% to be written", |world| {
        world.canary_share().unwrap().hundredths() == 2_500
    });
    world
}

fn nobody_else_was_told_of(world: &World) {
    assert!(
        !world.told.iter().any(|reason| reason == "RouteDrift"),
        "{}",
        world.notes
    );
    assert_eq!(world.status.drift.last, None);
}

#[test]
fn an_edit_of_anything_else_leaves_the_weight_that_is_being_confirmed() {
    let mut world = unconfirmed_at_25();
    for seconds in 50..54 {
        world.spec.keep_canary = Some(crate::api::Duration::from_secs(seconds));
        world.settle();
        assert_eq!(world.canary_share().unwrap().hundredths(), 2_500);
    }
    world.accepts = true;
    world.until_phase(Phase::Succeeded);
    nobody_else_was_told_of(&world);
    assert_eq!(world.weights, vec![500, 2_500, 10_000, 0]);
}

#[test]
fn a_weight_that_the_plan_no_longer_has_is_taken_back_and_not_told_as_drift() {
    let mut world = unconfirmed_at_25();
    let mut edited = spec();
    edited["steps"][1]["weight"] = json!(50);
    world.spec = serde_json::from_value(edited).unwrap();
    world.settle();
    assert_eq!(world.canary_share().unwrap().hundredths(), 500);
    world.accepts = true;
    world.until("50%", |world| at(world, 5_000));
    world.until_phase(Phase::Succeeded);
    nobody_else_was_told_of(&world);
}

#[test]
fn an_edit_of_anything_else_leaves_a_weight_between_two_steps() {
    let mut world = super::judged::cold(|_| {});
    world.until("a weight in between", |world| world.weights.len() > 1);
    let between = world.weights[1];
    assert!(between < 2_500);
    // While it is asked for, and once it is confirmed.
    world.spec.keep_canary = Some(crate::api::Duration::from_secs(50));
    world.settle();
    assert_eq!(world.share(), between);
    world.until("its confirmation", |world| at(world, between));
    world.spec.paused = true;
    world.settle();
    assert_eq!((world.share(), at(&world, between)), (between, true));
    world.spec.paused = false;
    // The step from which it came is gone.
    world.spec.steps.as_mut().unwrap()[0].weight = "4%".parse().unwrap();
    world.settle();
    assert_eq!(world.share(), 400);
}

#[test]
fn a_route_that_the_plan_names_since_is_no_drift() {
    let mut world = world();
    let mut second = world.get(Kind::HttpRoute, "catalog").clone();
    second["metadata"]["name"] = json!("second");
    let found = second["spec"].clone();
    world.objects.insert((Kind::HttpRoute, "second".to_owned()), second);
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    let mut edited = spec();
    edited["traffic"]["gatewayAPI"]["routes"] = json!([{"name": "catalog"}, {"name": "second"}]);
    world.spec = serde_json::from_value(edited).unwrap();
    world.settle_unchecked();
    assert!(
        world.told.iter().any(|reason| reason == "PlanChanged"),
        "{:?}",
        world.told
    );
    world.until_phase(Phase::Succeeded);
    nobody_else_was_told_of(&world);
    world.until("the routes as found", |world| {
        world.get(Kind::HttpRoute, "second")["spec"] == found
    });
}

#[test]
fn two_equal_promotes_at_once_are_one() {
    let mut spec = spec();
    spec["steps"][0] = json!({"weight": 5, "hold": "1h", "approval": true});
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    let both = |world: &mut World| {
        let before = world.status.actions.len();
        world.ask(Verb::Promote);
        world.ask(Verb::Promote);
        world.settle();
        let answers = &world.status.actions[before..];
        assert!(
            answers.len() == 2 && answers.iter().all(|answer| answer.phase == ActionPhase::Applied),
            "{answers:?}"
        );
    };
    both(&mut world);
    let run = world.status.run.as_ref().unwrap();
    assert!(run.hold_waived && !run.approved, "the hold alone");
    world.until("the approval", |world| {
        let run = world.status.run.as_ref();
        run.is_some_and(|run| run.paused_for == Some(PauseReason::Approval))
    });
    world.now += SignedDuration::from_secs(5);
    both(&mut world);
    world.until("25%", |world| at(world, 2_500));
    // A person's pause: it is lifted, and the hold stays.
    world.ask(Verb::Pause);
    world.settle();
    world.now += SignedDuration::from_secs(3);
    both(&mut world);
    let run = world.status.run.as_ref().unwrap();
    assert!(!run.user_pause && !run.hold_waived);
}
