//! The baseline changes or breaks under a release: that holds it, and is no reason to go back.

use super::*;

#[test]
fn a_changed_baseline_holds_until_it_is_whole_and_the_step_begins_anew() {
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    world.now += SignedDuration::from_secs(9);
    apps(&mut world).baseline.change("v2");
    apps(&mut world).baseline.roll(1);
    for _ in 0..30 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(world.share(), 2_500, "no rise and no fall");
    assert!(
        message(&world)
            .contains("waiting for Deployment plain to be whole after its change (1/4 up to date, 4/4 Available)"),
        "{}",
        message(&world)
    );
    apps(&mut world).baseline.roll(4);
    world.settle();
    assert_eq!(
        world.status.run.as_ref().unwrap().step_started_at,
        Some(world.now),
        "its hold and evidence begin anew"
    );
    assert_eq!(world.status.stable_revision.as_deref(), Some("plainv2"));
    assert_eq!(
        world.told.iter().filter(|reason| *reason == "BaselineChanged").count(),
        1,
        "{:?}",
        world.told
    );
    // Changed and changed back: its pods are of two versions, although the template is the one that was known.
    apps(&mut world).baseline.change("v3");
    apps(&mut world).baseline.roll(1);
    world.settle();
    apps(&mut world).baseline.change("v2");
    apps(&mut world).baseline.roll(3);
    for _ in 0..30 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(world.share(), 2_500, "no rise and no fall");
    apps(&mut world).baseline.roll(4);
    world.until_phase(Phase::Succeeded);
    world.ask(Verb::Abort);
    world.until_phase(Phase::RolledBack);
    assert_eq!(
        world.status.stable_revision.as_deref(),
        Some("plainv2"),
        "back to the one that stands there"
    );
}

#[test]
fn a_broken_baseline_holds_and_is_no_reason_to_go_back() {
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).baseline.ready = 0;
    for _ in 0..100 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(
        (world.share(), condition(&world, "Healthy")),
        (2_500, ("False", "StableUnavailable"))
    );
    apps(&mut world).baseline.exists = false;
    for _ in 0..100 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(
        (world.share(), condition(&world, "Accepted")),
        (2_500, ("False", "TargetNotFound")),
        "traffic is not sent to nobody"
    );
    apps(&mut world).baseline.exists = true;
    apps(&mut world).baseline.ready = 4;
    world.until_phase(Phase::Succeeded);
}

#[test]
fn what_was_normal_for_the_baseline_is_not_for_the_one_that_comes_after_it() {
    let mut spec = pair_spec();
    spec["cache"] = json!({"placement": "Shared"});
    spec["steps"][1]["hold"] = json!("1m");
    let mut world = pair();
    world.spec = serde_json::from_value(spec).unwrap();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).baseline.change("v2");
    apps(&mut world).baseline.roll(4);
    world.baseline_bad = 0.3;
    world.until_phase(Phase::Succeeded);
    assert!(
        world.told.iter().any(|reason| reason == "BaselineChanged"),
        "{:?}",
        world.told
    );
}
