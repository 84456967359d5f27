//! Which Deployment a status speaks of, and the trace that it keeps of a release.

use super::*;
use crate::api::status::TracePoint;

fn generation(world: &World) -> i64 {
    world.get(Kind::Deployment, "catalog")["metadata"]["generation"]
        .as_i64()
        .unwrap()
}

/// Somebody applies a version; returns the generation that his request has made.
fn apply(world: &mut World, version: &str) -> i64 {
    world.apply_version(version);
    let made = generation(world) + 1;
    let deployment = world
        .objects
        .get_mut(&(Kind::Deployment, "catalog".to_owned()))
        .unwrap();
    deployment["metadata"]["generation"] = json!(made);
    made
}

fn speaks_of(world: &World, generation: i64) -> bool {
    world.status.observed_workload_generation >= Some(generation)
}

/// Passes, one by one, until the condition holds; after each a waiter looks at the status.
fn watched(world: &mut World, looks: impl Fn(&World), holds: impl Fn(&World) -> bool) {
    for _ in 0..2_000 {
        let (changed, decision) = world.pass();
        looks(world);
        if holds(world) {
            return;
        }
        if let (false, Some(wake)) = (changed, decision.wake) {
            world.now = wake;
        }
    }
    panic!("no end: {}", world.status.message);
}

#[test]
fn no_success_of_the_last_version_is_told_for_the_next_one() {
    let mut world = world();
    world.settle();
    assert_eq!(world.status.observed_workload_generation, Some(generation(&world)));
    for version in ["v2", "v3", "v2"] {
        let made = apply(&mut world, version);
        let before = world.status.stable_revision.clone();
        let looks = |world: &World| {
            let promoted = condition(world, "Promoted").0 == "True";
            let serves_still = world.status.stable_revision == before;
            assert!(!(speaks_of(world, made) && promoted && serves_still), "{version}");
        };
        watched(&mut world, looks, |world| {
            speaks_of(world, made) && condition(world, "Promoted").0 == "True"
        });
        world.settle();
        assert_eq!(
            world.status.observed_workload_generation,
            Some(generation(&world)),
            "what we write ourselves is seen at last"
        );
    }
}

#[test]
fn while_the_last_release_ends_nothing_is_said_of_the_next_one() {
    for (at, next) in [
        (Phase::Shifting, "v3"),
        (Phase::Baking, "v3"),
        (Phase::Promoting, "v3"),
        (Phase::Shifting, "v1"),
    ] {
        let mut world = world();
        world.apply_version("v2");
        watched(&mut world, |_| {}, |world| world.status.phase == at);
        let first = world.status.run.clone().unwrap();
        let made = apply(&mut world, next);
        let looks = |world: &World| {
            let run = world.status.run.as_ref().unwrap();
            let of_the_first = world.status.is_active() && run.number == first.number;
            assert!(!(of_the_first && speaks_of(world, made)), "{at} {next}");
        };
        watched(&mut world, looks, |world| {
            speaks_of(world, made) && condition(world, "Promoted").0 == "True"
        });
        let serves = world
            .sets()
            .into_iter()
            .find(|set| Some(&set.hash) == world.status.stable_revision.as_ref());
        assert!(
            world.get(Kind::Deployment, "catalog")["spec"]["template"]
                .to_string()
                .contains(next)
        );
        assert!(serves.is_some_and(|set| world.look().deployment.unwrap().template == set.template));
    }
}

#[test]
fn a_deployment_that_was_made_again_is_another_one() {
    let mut world = world();
    world.settle();
    let deployment = world
        .objects
        .get(&(Kind::Deployment, "catalog".to_owned()))
        .cloned()
        .unwrap();
    world.objects.remove(&(Kind::Deployment, "catalog".to_owned()));
    world.settle_unchecked();
    assert_eq!(world.status.observed_workload_generation, None);
    assert_eq!(world.status.observed_workload_uid, None);
    world
        .objects
        .insert((Kind::Deployment, "catalog".to_owned()), deployment);
    world.settle();
    assert_eq!(world.status.observed_workload_generation, Some(generation(&world)));
}

fn traced(world: &World) -> Vec<u32> {
    let mut weights: Vec<u32> = points(world).iter().map(|point| point.w.hundredths()).collect();
    weights.dedup();
    weights
}

fn points(world: &World) -> Vec<TracePoint> {
    world.status.run.as_ref().unwrap().trace.clone()
}

#[test]
fn a_release_leaves_a_trace_of_weights_and_figures() {
    let mut world = world();
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    assert_eq!(traced(&world), [500, 2_500, 10_000]);
    let figures = points(&world)
        .iter()
        .filter(|point| point.e == Some(0.0) && point.be.is_some())
        .count();
    assert!(figures > 3, "{:?}", points(&world));
    let first = points(&world);
    world.bad = 0.2;
    world.apply_version("v3");
    world.until_phase(Phase::RolledBack);
    assert_eq!(traced(&world), [500, 0], "it ends where traffic was back");
    assert!(points(&world).iter().any(|point| point.e == Some(20.0)));
    let kept = |world: &World| -> Vec<usize> { world.status.history.iter().map(|ended| ended.trace.len()).collect() };
    assert_eq!(kept(&world), [0, first.len()]);
    assert_eq!(world.status.history[1].trace, first);
    world.bad = 0.0;
    let second = points(&world).len();
    world.apply_version("v4");
    world.until_phase(Phase::Succeeded);
    assert_eq!(kept(&world), [0, second, 0], "of the last one and the one before");
}
