//! Who holds a changed template between releases, and when that is asked.

use super::*;
use crate::engine::contract::observed::{Policy, Probed};

fn unanswered(world: &World) -> Probed {
    Probed::Unanswered {
        since: world.now,
        why: "503".to_owned(),
    }
}

fn not_held(world: &World, why: &str) -> Probed {
    Probed::DoesNotHold {
        since: world.now,
        why: why.to_owned(),
    }
}

fn paused(world: &World) -> bool {
    world.get(Kind::Deployment, "catalog")["spec"]["paused"] == true
}

fn held(probed: Option<Probed>) -> World {
    let mut world = World::new(&spec());
    world.hold = (Policy::Standing("1".to_owned()), probed);
    world
}

#[test]
fn a_policy_that_was_not_asked_yet_leaves_everything_as_it_is() {
    let mut world = held(None);
    let decision = world.settle();
    assert_eq!(world.status.stable_revision, None);
    assert!(decision.wake.is_some(), "it is asked again");
    world.hold.1 = Some(Probed::Holds);
    world.settle();
    assert!(world.status.stable_revision.is_some() && !paused(&world));
    let labels = &world.get(Kind::Deployment, "catalog")["metadata"]["labels"];
    assert_eq!(labels["warmfront.dev/rollout"], "catalog");
}

#[test]
fn a_policy_that_does_not_hold_is_as_none_and_says_why() {
    let mut world = held(None);
    world.hold.1 = Some(not_held(&world, "came back without"));
    world.settle();
    assert!(paused(&world));
    let accepted = world.status.conditions.iter().find(|one| one.type_ == "Accepted");
    assert!(accepted.unwrap().message.contains("came back without"));
}

#[test]
fn an_api_server_that_does_not_answer_for_a_while_is_not_trusted() {
    let mut world = held(Some(Probed::Holds));
    world.settle();
    assert!(!paused(&world));
    // As after a start of the controller.
    let silent = unanswered(&world);
    world.hold.1 = Some(silent);
    let began = world.now;
    world.settle();
    assert!(!paused(&world), "it held a moment ago");
    while world.now < began + SignedDuration::from_secs(30) {
        let wake = world.settle().wake.unwrap();
        assert!(wake > world.now, "time goes on");
        world.now = wake;
    }
    world.settle();
    assert!(paused(&world));
    assert!(world.told.iter().any(|reason| reason == "HoldLost"));
    world.hold.1 = Some(Probed::Holds);
    world.settle();
    assert!(!paused(&world));
    assert!(
        !world.told.iter().any(|reason| reason == "Unpaused"),
        "{:?}",
        world.told
    );
}

#[test]
fn it_is_asked_at_rest_only_and_once() {
    let asks = |world: &World| {
        let seen = world.look();
        assert!(matches!(seen.policy, Policy::Standing(_)));
        world.needs(&seen).probe
    };
    let mut world = held(None);
    assert!(asks(&world), "before it is taken over");
    world.hold.1 = Some(Probed::Holds);
    assert!(!asks(&world));
    world.settle();
    world.hold.1 = None;
    assert!(asks(&world), "after a start");
    world.hold.1 = Some(not_held(&world, ""));
    world.now += SignedDuration::from_secs(60);
    assert!(!asks(&world), "an answer is an answer");
    world.settle();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world.hold.1 = None;
    assert!(!asks(&world), "during a release the Deployment is paused");
}

#[test]
fn an_api_server_that_does_not_follow_a_new_policy_yet_is_asked_again() {
    let mut world = held(None);
    world.hold.1 = Some(not_held(&world, "came back without"));
    let mut wake = world.settle().wake.unwrap();
    assert!(paused(&world), "until it is known to hold");
    world.now = wake;
    assert!(world.needs(&world.look()).probe);
    world.hold.1 = Some(Probed::Holds);
    world.settle();
    assert!(!paused(&world) && world.told.iter().any(|reason| reason == "HoldGained"));
    // What it says for a minute is what it says.
    world.hold = (
        Policy::Standing("2".to_owned()),
        Some(not_held(&world, "came back without")),
    );
    let since = world.now;
    while world.needs(&world.look()).probe {
        wake = world.settle().wake.unwrap();
        assert!(wake > world.now, "time goes on");
        world.now = wake;
    }
    assert!(paused(&world));
    assert_eq!(world.now.duration_since(since).as_secs() / 60, 1, "{}", world.now);
}

#[test]
fn a_template_that_was_not_held_is_told_and_asked_about_again() {
    let mut world = held(Some(Probed::Holds));
    world.settle();
    // Nothing paused the Deployment.
    world.apply_version("v2");
    let seen = world.look();
    assert!(world.needs(&seen).probe);
    world.settle();
    assert!(world.told.iter().any(|reason| reason == "HoldLost"));
    assert!(world.status.run.is_none(), "Kubernetes rolls it out");
    assert!(!world.needs(&world.look()).probe, "once");
}

#[test]
fn pods_that_are_available_only_after_the_deadline_are_refused_with_both_numbers() {
    let mut spec = spec();
    spec["progressDeadline"] = json!("10m");
    for (seconds, refused) in [(600, false), (601, true)] {
        let mut world = World::new(&spec);
        let deployment = world
            .objects
            .get_mut(&(Kind::Deployment, "catalog".to_owned()))
            .unwrap();
        deployment["spec"]["minReadySeconds"] = json!(seconds);
        world.settle();
        assert_eq!(condition(&world, "Accepted").0 == "False", refused, "{seconds}");
        if refused {
            assert_eq!(condition(&world, "Accepted").1, "UnsupportedWorkload");
            let message = &world.status.message;
            assert!(message.contains("601") && message.contains("10m"), "{message}");
        }
    }
}

#[test]
fn a_deployment_that_is_found_paused_is_taken_over_as_it_stands() {
    let mut world = World::new(&spec());
    world.apply_version("v2");
    let deployment = world
        .objects
        .get_mut(&(Kind::Deployment, "catalog".to_owned()))
        .unwrap();
    deployment["spec"]["paused"] = json!(true);
    world.settle();
    assert_eq!(world.status.stable_revision.as_deref(), Some(STABLE));
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.weights, vec![500, 2_500, 10_000, 0]);
}

#[test]
fn a_deployment_that_is_found_paused_with_two_versions_is_left_alone() {
    let mut world = World::new(&spec());
    let key = (Kind::ReplicaSet, "catalog-old0".to_owned());
    world.objects.get_mut(&key).unwrap()["spec"]["replicas"] = json!(2);
    let deployment = world
        .objects
        .get_mut(&(Kind::Deployment, "catalog".to_owned()))
        .unwrap();
    deployment["spec"]["paused"] = json!(true);
    let before = world.objects.clone();
    world.pass_unchecked();
    assert_eq!(condition(&world, "Accepted"), ("False", "RolloutIncomplete"));
    assert_eq!(world.objects, before);
}
