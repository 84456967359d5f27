//! What a version that has lost its traffic leaves behind stays until no request reaches it.

use super::*;

const CANARY_SERVICE: &str = "catalog-canary";

/// Pods that are wanted of the release's version.
fn pods(world: &World) -> u32 {
    let revision = &world.status.run.as_ref().unwrap().revision;
    let sets = world.sets();
    sets.iter()
        .find(|set| set.hash == *revision)
        .map_or(0, |set| set.replicas)
}

fn has_service(world: &World) -> bool {
    world.objects.contains_key(&(Kind::Service, CANARY_SERVICE.to_owned()))
}

fn pass_seconds(world: &mut World, seconds: i64, check: impl Fn(&World)) {
    for _ in 0..seconds {
        world.settle();
        check(world);
        world.now += SignedDuration::from_secs(1);
    }
}

fn aborted_at_25() -> World {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.ask(Verb::Abort);
    world.until_phase(Phase::RolledBack);
    world
}

#[test]
fn nothing_goes_while_requests_are_counted_and_keep_canary_counts_from_the_last_one() {
    let mut world = aborted_at_25();
    world.lagging = 5.0;
    pass_seconds(&mut world, 100, |world| assert!(pods(world) == 1 && has_service(world)));
    assert!(
        world.status.message.contains("until no request reaches revision"),
        "{}",
        world.status.message
    );
    world.lagging = 0.0;
    let quiet = world.now;
    world.until("the canary Service goes", |world| !has_service(world));
    world.until("the pods go", |world| pods(world) == 0);
    let stayed = world.now.duration_since(quiet);
    assert!(stayed >= SignedDuration::from_secs(60), "{stayed}");
    assert!(!world.told.contains(&"RequestsContinue".to_owned()));
}

#[test]
fn requests_that_never_end_are_told_and_hold_nothing_for_ever() {
    let mut world = aborted_at_25();
    world.lagging = 5.0;
    let start = world.now;
    world.until("the wait ends", |world| !has_service(world));
    assert!(world.told.contains(&"RequestsContinue".to_owned()));
    assert!(world.now.duration_since(start) >= SignedDuration::from_mins(10));
    world.until("the pods go", |world| pods(world) == 0);
}

#[test]
fn where_nothing_can_be_measured_everything_stays_for_a_minute() {
    let mut world = aborted_at_25();
    world.answers = false;
    pass_seconds(&mut world, 59, |world| assert!(pods(world) == 1 && has_service(world)));
    pass_seconds(&mut world, 3, |_| ());
    assert!(!has_service(&world), "{}", world.status.message);
}

#[test]
fn a_store_that_fails_for_a_moment_is_no_proof_that_requests_have_ended() {
    let mut world = aborted_at_25();
    world.lagging = 5.0;
    pass_seconds(&mut world, 90, |_| ());
    world.answers = false;
    pass_seconds(&mut world, 50, |world| assert!(pods(world) == 1 && has_service(world)));
}

#[test]
fn a_release_that_no_proxy_has_heard_of_leaves_at_once() {
    let mut world = world();
    world.ready = false;
    world.apply_version("v2");
    world.until_phase(Phase::Preparing);
    world.ask(Verb::Abort);
    world.until_phase(Phase::RolledBack);
    assert!(world.status.draining.is_empty(), "{:?}", world.status.draining);
    world.settle();
    assert!(!has_service(&world));
}

#[test]
fn the_next_release_gets_the_service_only_when_the_last_one_is_quiet() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    let old = world.status.run.as_ref().unwrap().revision.clone();
    world.lagging = 5.0;
    world.apply_version("v3");
    pass_seconds(&mut world, 700, |world| {
        let selector = &world.get(Kind::Service, CANARY_SERVICE)["spec"]["selector"];
        let waited = world.told.contains(&"RequestsContinue".to_owned());
        assert!(waited || selector["pod-template-hash"] == old.as_str(), "{selector}");
    });
    world.until_phase(Phase::Succeeded);
    assert_eq!(
        world.status.history[0].reason,
        EndReason::Promoted,
        "a wait of ours is nobody's fault"
    );
}

#[test]
fn a_deletion_before_users_have_the_new_version_turns_back() {
    let mut world = world();
    world.apply_version("v2");
    world.until_phase(Phase::Baking);
    world.status.phase = Phase::Promoting;
    world.deletion = Deletion::Asked;
    world.pass_unchecked();
    assert_eq!(world.status.phase, Phase::RollingBack);
    assert_eq!(world.share(), 0);
    world.until("it is let go", |world| !world.finalizer);
    assert_eq!(world.status.stable_revision.as_deref(), Some(STABLE));
}

#[test]
fn a_way_back_is_incomplete_from_its_first_moment() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.accepts = false;
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!(condition(&world, "Healthy"), ("False", "RollbackIncomplete"));
    world.accepts = true;
    world.settle();
    assert_eq!(condition(&world, "Healthy"), ("True", "Serving"));
}
