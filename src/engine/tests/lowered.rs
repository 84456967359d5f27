//! Weights that another hand lowers: the release stands there, as at any other step.

use super::*;

fn lower(world: &mut World, canary: i64) {
    let backends = json!([
        {"name": "catalog", "port": 80, "weight": 100 - canary},
        {"name": "catalog-canary", "port": 80, "weight": canary},
    ]);
    world.edit_route(backends, "kubectl-edit");
    world.settle_unchecked();
}

fn step(world: &World) -> i32 {
    world.status.run.as_ref().map_or(0, |run| run.step)
}

#[test]
fn a_weight_that_is_lowered_while_baking_is_a_step_again() {
    let mut world = world();
    world.apply_version("v2");
    world.until_phase(Phase::Baking);
    lower(&mut world, 25);
    assert_eq!(
        (world.status.phase, step(&world), world.share()),
        (Phase::Shifting, 2, 2_500)
    );
    let since = world.now;
    world.until("100% again", |world| at(world, 10_000));
    assert!(
        world.now.duration_since(since) >= SignedDuration::from_secs(10),
        "the step has its hold"
    );
    world.until_phase(Phase::Baking);
    world.until_phase(Phase::Succeeded);
    let baked = world.told.iter().filter(|reason| *reason == "BakeStarted").count();
    assert_eq!(baked, 2, "{:?}", world.told);
}

#[test]
fn a_hold_that_was_waived_is_waived_at_no_lower_step() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.answers = false;
    world.ask(Verb::Promote);
    world.settle();
    let run = world.status.run.as_mut().unwrap();
    assert!(run.hold_waived);
    run.approved = true;
    run.paused_total = crate::api::Duration::from_secs(300);
    lower(&mut world, 5);
    let run = world.status.run.as_ref().unwrap();
    assert!(!run.approved && run.paused_total == crate::api::Duration::ZERO);
    world.answers = true;
    let since = world.now;
    world.until("25% again", |world| at(world, 2_500));
    assert!(
        world.now.duration_since(since) >= SignedDuration::from_secs(10),
        "the step has its hold"
    );
}

#[test]
fn steps_that_were_dropped_are_taken_again_from_a_lower_weight() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.answers = false;
    world.ask(Verb::PromoteFully);
    world.settle();
    lower(&mut world, 5);
    world.answers = true;
    world.until("the next weight", |world| {
        world.status.run.as_ref().unwrap().weight.hundredths() > 500
    });
    assert_eq!(world.share(), 2_500);
}
