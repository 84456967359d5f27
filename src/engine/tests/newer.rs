//! Statuses that a newer version has written: nothing is lost, nothing rises on what cannot be read, and all goes back.

use super::*;
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus, Percent, status::Verdict},
    engine::contract::in_force::InForce,
};

/// The status as a newer version has left it, which has changed these fields.
fn left(world: &mut World, change: impl FnOnce(&mut Value)) {
    let mut stored = json!(world.status);
    change(&mut stored);
    world.status = serde_json::from_value(stored).unwrap();
}

fn at_25(spec: &Value) -> World {
    let mut world = World::new(spec).adopted();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world
}

#[test]
fn words_that_are_not_known_are_read_as_such() {
    let mut world = at_25(&spec());
    left(&mut world, |stored| {
        stored["phase"] = json!("Levitating");
        stored["run"]["pausedFor"] = json!("FullMoon");
        stored["run"]["gates"] = json!([{"name": "g", "step": 1, "state": "Ajar", "since": world_now()}]);
        stored["run"]["ending"] =
            json!({"outcome": "Evaporated", "reason": "Heat", "message": "too hot", "at": world_now()});
        stored["checks"][0]["verdict"] = json!("perhaps");
        stored["checks"][0]["cause"] = json!("Fog");
        stored["history"] = json!([{"run": 1, "revision": "a", "outcome": "Evaporated", "reason": "Heat",
            "from": world_now(), "to": world_now()}]);
        stored["actions"] = json!([{"uid": "a", "phase": "Pondered", "reason": "Hm", "message": ""}]);
        stored["outbox"] = json!([{"sequence": 1, "to": "slack", "event": "Levitated", "note": "", "at": world_now(),
            "run": 1, "revision": "a", "from": "b", "step": 1, "weight": "5%", "nextAt": world_now()}]);
        stored["later"] = json!({"unheard": "of"});
    });
    let run = world.status.run.as_ref().unwrap();
    assert_eq!(
        (world.status.phase, run.paused_for),
        (Phase::Unknown, Some(PauseReason::Unknown))
    );
    assert_eq!(run.ending.as_ref().map(|ending| ending.outcome), Some(Outcome::Unknown));
    assert_eq!(world.status.history[0].reason, EndReason::Unknown);
    assert_eq!(world.status.checks[0].verdict, Verdict::Unknown);
    assert_eq!(
        world.status.outbox[0].event, "Levitated",
        "what is to be told stays as it was written"
    );
}

fn world_now() -> &'static str {
    "2027-01-15T08:00:00Z"
}

#[test]
fn a_release_in_an_unknown_phase_goes_on_from_its_weight_with_new_evidence() {
    let mut world = at_25(&spec());
    left(&mut world, |stored| stored["phase"] = json!("Levitating"));
    let since = world.now;
    world.settle();
    assert_eq!((world.status.phase, world.share()), (Phase::Shifting, 2_500));
    world.until("100%", |world| at(world, 10_000));
    assert!(
        world.now.duration_since(since) >= SignedDuration::from_secs(10),
        "the step has its hold"
    );
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_release_in_an_unknown_phase_is_aborted_and_taken_back_when_it_is_bad() {
    for bad in [0.0, 0.5] {
        let mut world = at_25(&spec());
        left(&mut world, |stored| stored["phase"] = json!("Levitating"));
        if bad == 0.0 {
            world.ask(Verb::Abort);
        }
        world.bad = bad;
        world.until_phase(Phase::RolledBack);
        assert_eq!(world.share(), 0);
    }
}

#[test]
fn a_pause_for_an_unknown_reason_holds_until_a_person_ends_it() {
    let mut world = at_25(&spec());
    left(&mut world, |stored| {
        stored["run"]["pausedFor"] = json!("FullMoon");
        stored["run"]["pausedAt"] = json!(world_now());
    });
    for _ in 0..120 {
        world.settle();
        world.now += SignedDuration::from_secs(1);
    }
    assert_eq!(world.share(), 2_500);
    assert_eq!(condition(&world, "Paused"), ("True", "Unknown"));
    world.ask(Verb::Resume);
    world.until_phase(Phase::Succeeded);
}

/// An older version's view of a spec and a plan of which it does not know everything.
#[test]
fn a_plan_with_unknown_fields_and_checks_holds_the_weight_and_everything_can_be_taken_back() {
    let mut world = at_25(&spec());
    left(&mut world, |stored| {
        stored["run"]["plan"]["cache"] = json!({"placement": "Shared"});
        stored["run"]["plan"]["checks"] = json!([{"name": "stale", "ratio": {"bad": "a", "total": "b"}}]);
    });
    let written = json!(world.status.run.as_ref().unwrap().plan.as_ref());
    let read = |spec: Value| CanaryRolloutSpec::read(&spec);
    assert!(read(written).is_ok(), "what is not known was left out");
    let mut newer = spec();
    newer["cache"] = json!({"placement": "Shared"});
    newer["traffic"]["gatewayAPI"]["mirror"] = json!(true);
    let why = read(newer).unwrap_err();
    assert!(
        why.contains("spec.traffic.gatewayAPI.mirror") && why.contains("spec.cache"),
        "{why}"
    );

    let in_force = InForce::new(Err("unknown field"), &world.status);
    let plan = in_force.plan().expect("the release's own plan stays in force");
    assert_eq!((plan.steps.len(), plan.checks.len()), (3, 0));
    let decide = |status: &CanaryRolloutStatus, world: &World| {
        let id = crate::engine::contract::Identity {
            namespace: "shop".into(),
            name: "catalog".into(),
            uid: "u".into(),
            generation: 1,
        };
        crate::engine::decide(
            &id,
            &InForce::new(Err("unknown field"), status),
            status,
            &world.look(),
            world.now,
        )
        .status
    };
    for _ in 0..120 {
        world.status = decide(&world.status, &world);
        world.now += SignedDuration::from_secs(1);
    }
    let run = world.status.run.as_ref().unwrap();
    assert_eq!(
        (run.weight, &run.intent),
        (Percent::from_hundredths(2_500).unwrap(), &None)
    );
    assert_eq!(condition(&world, "Accepted"), ("False", "InvalidSpec"));
    world.ask(Verb::Abort);
    assert_eq!(decide(&world.status, &world).phase, Phase::RollingBack);
}
