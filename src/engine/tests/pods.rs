//! Pods that are lost, late or broken, of either version: what the weight does then.

use super::*;

#[test]
fn lost_pods_lower_the_weight_to_what_the_others_carry_and_the_third_time_end_it() {
    let mut spec = spec();
    spec["steps"] = json!([{"weight": 25, "hold": "10s"}, {"weight": 50, "hold": "10m"}, {"weight": 100}]);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("50%", |world| at(world, 5_000));
    world.lost = 1;
    world.settle_unchecked();
    assert_eq!(
        (world.share(), world.status.run.as_ref().unwrap().step),
        (2_500, 1),
        "one of two pods carries 25%"
    );
    world.lost = 0;
    world.until("50% again", |world| at(world, 5_000));
    world.lost = 2;
    world.settle_unchecked();
    assert_eq!(
        (world.share(), world.status.phase),
        (0, Phase::Preparing),
        "none carries nothing"
    );
    world.lost = 0;
    world.until("50% once more", |world| at(world, 5_000));
    world.lost = 2;
    world.settle_unchecked();
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CapacityLost");
}

#[test]
fn what_is_left_of_the_new_version_keeps_its_traffic_while_the_old_one_has_nobody() {
    let mut spec = spec();
    spec["steps"] = json!([{"weight": 25, "hold": "10s"}, {"weight": 50, "hold": "10m"}, {"weight": 100}]);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("50%", |world| at(world, 5_000));
    (world.lost, world.stable_ready) = (1, false);
    world.settle_unchecked();
    assert_eq!(
        (world.share(), condition(&world, "Healthy")),
        (5_000, ("False", "StableUnavailable"))
    );
    world.stable_ready = true;
    world.settle_unchecked();
    assert_eq!(world.share(), 2_500, "now somebody can take the rest");
    (world.lost, world.stable_ready) = (0, false);
    world.settle_unchecked();
    world.stable_ready = true;
    world.until("50% again", |world| at(world, 5_000));
    (world.lost, world.stable_ready) = (2, false);
    world.settle_unchecked();
    assert_eq!(world.share(), 0, "of two that have nobody the old one is the safer");
}

#[test]
fn a_broken_stable_version_holds_and_keeps_every_pod() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.stable_ready = false;
    for _ in 0..100 {
        world.now += SignedDuration::from_secs(10);
        world.settle_unchecked();
    }
    assert!(at(&world, 2_500), "no rise and no fall");
    assert_eq!(condition(&world, "Healthy"), ("False", "StableUnavailable"));
    let pods = |world: &World| world.sets().into_iter().map(|set| set.replicas).collect::<Vec<_>>();
    let before = pods(&world);
    world.ask(Verb::Abort);
    for _ in 0..100 {
        world.now += SignedDuration::from_secs(10);
        world.settle_unchecked();
    }
    assert_eq!((world.status.phase, world.share()), (Phase::RolledBack, 0));
    assert_eq!(pods(&world), before, "nothing goes before stable is whole");
    world.stable_ready = true;
    world.until("the canary's pods go", |world| pods(world) != before);
}

#[test]
fn pods_are_asked_what_keeps_them_only_once_they_are_late() {
    let mut world = world();
    world.ready = false;
    world.apply_version("v2");
    world.until_phase(Phase::Preparing);
    let asked = |world: &World| {
        let id = crate::engine::contract::Identity {
            namespace: "shop".into(),
            name: "catalog".into(),
            uid: "u".into(),
            generation: 1,
        };
        let in_force = crate::engine::contract::in_force::InForce::new(Ok(&world.spec.clone().into()), &world.status);
        crate::engine::needs(&id, &in_force, &world.status, &world.look(), world.now).trouble_of
    };
    let run = world.status.run.clone().unwrap();
    assert_eq!(asked(&world), None, "most are ready a moment later");
    world.until("the question", |world| asked(world).as_ref() == Some(&run.replica_set));
    assert_eq!(
        world.now.duration_since(run.growing.unwrap().since),
        SignedDuration::from_secs(3),
        "nobody but the clock wakes it"
    );
}
