//! The candidate changes, does not become whole, or loses its pods.

use super::*;

#[test]
fn a_changed_candidate_is_a_newer_revision_even_before_kubernetes_has_begun() {
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).candidate.change("v2");
    world.settle();
    assert_eq!(
        (world.share(), world.status.phase),
        (0, Phase::Idle),
        "nobody has judged it"
    );
    assert_eq!(world.status.history[0].reason, EndReason::NewerRevision);
    assert!(
        message(&world).contains("waiting for Kubernetes to roll out Deployment cached"),
        "{}",
        message(&world)
    );
    apps(&mut world).candidate.roll(3);
    world.settle();
    assert!(
        message(&world).contains("waiting for Deployment cached: 3/4 pods Available"),
        "{}",
        message(&world)
    );
    apps(&mut world).candidate.roll(4);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.weights, [500, 2_500, 0, 500, 2_500, 10_000]);
    assert_eq!(world.status.stable_revision.as_deref(), Some("cachedv2"));
}

#[test]
fn while_baking_a_changed_candidate_is_not_promoted_unseen() {
    let mut world = pair();
    world.until("the bake", |world| {
        world.status.phase == Phase::Baking && world.status.checks.iter().all(|check| check.value.is_some())
    });
    apps(&mut world).candidate.change("v2");
    world.settle();
    assert_eq!(
        (world.share(), world.status.history[0].reason.into()),
        (0, "NewerRevision")
    );
}

#[test]
fn a_candidate_that_does_not_become_whole_ends_at_its_deadline() {
    let mut world = pair();
    apps(&mut world).candidate.ready = 3;
    world.until_phase(Phase::RolledBack);
    assert_eq!(
        (condition(&world, "RolledBack").1, world.weights.len()),
        ("NotReady", 0)
    );
    // Neither does one with pods of an older template.
    let mut world = pair();
    apps(&mut world).candidate.rolled.insert(0, "v0");
    apps(&mut world).candidate.old = 1;
    world.settle();
    assert!(
        message(&world).contains("waiting for Deployment cached: 4/4 pods Available for 5%; its own rollout is not over (4/4 up to date, 5/4 Available)"),
        "{}",
        message(&world)
    );
    assert!(message(&world).contains("; rolls back at "), "{}", message(&world));
    // At 0 replicas nothing begins.
    let mut world = pair();
    apps(&mut world).candidate.replicas = 0;
    apps(&mut world).candidate.ready = 0;
    world.settle();
    assert!(
        world.status.run.is_none() && message(&world).contains("at 0 no release starts"),
        "{}",
        message(&world)
    );
}

#[test]
fn lost_pods_of_the_candidate_take_its_weight_along_and_the_third_time_end_it() {
    let mut world = pair();
    for time in 1..=3 {
        world.until("25%", |world| at(world, 2_500));
        // One of four carries 25%.
        apps(&mut world).candidate.ready = 1;
        world.settle();
        assert_eq!(world.share(), 2_500);
        apps(&mut world).candidate.ready = 0;
        world.settle_unchecked();
        assert_eq!(world.share(), 0, "time {time}");
        apps(&mut world).candidate.ready = 4;
    }
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CapacityLost");
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).candidate.exists = false;
    apps(&mut world).candidate.ready = 0;
    world.settle_unchecked();
    assert_eq!(world.share(), 0);
    world.until_phase(Phase::Idle);
    assert_eq!(world.status.history[0].reason, EndReason::TargetNotFound);
}

#[test]
fn what_serves_is_told_of_a_changed_candidate_once_it_is_rolled_out() {
    let mut world = pair();
    world.until_phase(Phase::Succeeded);
    world.settle();
    assert_eq!(world.status.observed_workload_generation, Some(1));
    assert_eq!(world.status.observed_baseline_generation, Some(1));
    apps(&mut world).candidate.change("v2");
    world.settle();
    assert_eq!(world.status.observed_workload_generation, Some(1), "nobody has v2 yet");
    apps(&mut world).candidate.roll(3);
    world.settle();
    assert_eq!(world.status.observed_workload_generation, Some(1), "not all have it");
    apps(&mut world).candidate.roll(4);
    apps(&mut world).candidate.old = 0;
    world.settle();
    assert_eq!(world.status.observed_workload_generation, Some(2));
    assert_eq!(condition(&world, "Promoted").0, "True");
}

#[test]
fn a_changed_baseline_is_spoken_of_once_it_is_whole() {
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).baseline.change("v2");
    apps(&mut world).baseline.roll(3);
    world.settle();
    assert_eq!(world.status.observed_baseline_generation, Some(1));
    apps(&mut world).baseline.roll(4);
    apps(&mut world).baseline.old = 0;
    world.settle();
    assert_eq!(world.status.observed_baseline_generation, Some(2));
}
