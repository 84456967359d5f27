//! Rules for testers: when they stand, whom they reach, and that they leave with the weight.

use super::*;
use crate::{api::status::PauseReason, engine::contract::action::Action};

#[test]
fn testers_come_after_the_entry_and_leave_with_the_weight() {
    let mut world = with_three_routes(&with_testers()).adopted();
    assert_eq!(world.tester_rules(), 0);
    world.apply_version("v2");
    world.until("testers", |world| world.tester_rules() == 2);
    assert!(world.share() <= 500, "not after the first weight");
    let entered = world.status.run.as_ref().unwrap().entered_at.unwrap();
    assert!(
        world.now >= entered + world.plan().settle.signed(),
        "after every proxy knows the backend: {entered}, {}",
        world.now
    );
    world.until("25%", |world| at(world, 2_500));
    assert_eq!(world.tester_rules(), 2);
    // Pods are lost: both leave; they come back with the pods.
    world.ready = false;
    world.settle_unchecked();
    assert_eq!((world.tester_rules(), world.share()), (0, 0));
    world.ready = true;
    world.until("testers again", |world| world.tester_rules() == 2);
    world.until("25% again", |world| at(world, 2_500));
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!((world.tester_rules(), world.share()), (0, 0));
    world.until("rest", |world| world.canary_share().is_none());
    world.apply_version("v3");
    world.until("testers of the next one", |world| world.tester_rules() == 2);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.tester_rules(), 0);
}

#[test]
fn the_patch_that_takes_the_weight_takes_the_testers_too() {
    let mut world = with_three_routes(&with_testers()).adopted();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.ask(Verb::Abort);
    let (_, decision) = world.pass();
    let routes: Vec<_> = decision
        .actions
        .iter()
        .filter_map(|one| match &one.action {
            // It goes ahead although the status could not be stored.
            Action::TakeTrafficOff { patch, .. } => Some(patch),
            _ => None,
        })
        .collect();
    assert_eq!(routes.len(), 2, "one write per route");
    for patch in routes {
        let paths: Vec<&str> = patch
            .iter()
            .filter(|operation| !matches!(operation, json_patch::PatchOperation::Test(_)))
            .map(|operation| operation.path().as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "/spec/rules/0/backendRefs/0/weight",
                "/spec/rules/0/backendRefs/1/weight",
                "/spec/rules/1"
            ]
        );
    }
}

#[test]
fn testers_reach_a_version_that_a_person_holds_at_0() {
    let mut world = with_three_routes(&with_testers()).adopted();
    world.spec.paused = true;
    world.apply_version("v2");
    world.until("testers", |world| world.tester_rules() == 2);
    world.now += SignedDuration::from_hours(2);
    world.settle();
    assert_eq!(world.status.run.as_ref().unwrap().paused_for, Some(PauseReason::User));
    assert_eq!(
        (world.share(), world.tester_rules(), world.weights.len()),
        (0, 2, 0),
        "and nobody else"
    );
    assert!(
        world.status.message.ends_with("lets it go on; in the route at 0%"),
        "{}",
        world.status.message
    );
    world.ready = false;
    world.settle();
    assert_eq!(world.tester_rules(), 0, "never a Service without pods");
    world.now += SignedDuration::from_hours(2);
    world.settle();
    assert_eq!(
        world.status.phase,
        Phase::Preparing,
        "no deadline runs while a person holds it"
    );
    world.ready = true;
    world.settle();
    assert_eq!(world.tester_rules(), 2);
    world.ready = false;
    world.spec.paused = false;
    world.settle();
    assert_eq!(world.status.phase, Phase::Preparing, "it begins when he lets go");
    world.ready = true;
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_match_that_tests_the_header_itself_is_told_when_the_release_starts() {
    let mut world = with_three_routes(&with_testers());
    let grpc = world.objects.get_mut(&(Kind::GrpcRoute, "catalog".to_owned())).unwrap();
    grpc["spec"]["rules"][0]["matches"][0]["headers"] = json!([{"name": "x-canary", "value": "7"}]);
    let mut world = world.adopted();
    world.apply_version("v2");
    world.until("testers", |world| world.tester_rules() == 1);
    assert!(
        world
            .notes
            .contains("; GRPCRoute catalog: match 1 of rule 1 tests header X-Canary itself"),
        "{}",
        world.notes
    );
}
