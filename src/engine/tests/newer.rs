//! Statuses that a newer version has written: they are read, nothing rises on what cannot be read, and all goes back.

use serde::Deserialize;

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

#[test]
fn a_weight_that_was_aimed_at_in_an_unknown_phase_is_not_written() {
    for confirmed in [0, 2_500] {
        let mut world = at_25(&spec());
        left(&mut world, |stored| {
            stored["phase"] = json!("Levitating");
            stored["run"]["weight"] = json!(if confirmed == 0 { "0%" } else { "25%" });
            stored["run"]["intent"] = json!({"weight": "100%", "at": world_now()});
            stored["run"]["step"] = json!(3);
        });
        world.pass_unchecked();
        world.pass_unchecked();
        assert_eq!(world.share(), confirmed, "{:?}", world.status.message);
        let run = world.status.run.as_ref().unwrap();
        let stands = if confirmed == 0 {
            (Phase::Preparing, 0)
        } else {
            (Phase::Shifting, 2)
        };
        assert_eq!((world.status.phase, run.step), stands);
        world.until_phase(Phase::Succeeded);
    }
}

#[test]
fn an_unknown_phase_without_a_release_is_what_users_have() {
    let mut world = World::new(&spec()).adopted();
    left(&mut world, |stored| stored["phase"] = json!("Levitating"));
    world.settle();
    assert_eq!((world.status.phase, &world.status.run), (Phase::Idle, &None));
}

#[test]
fn a_spec_with_unknown_fields_is_refused_with_their_paths() {
    let read = |change: fn(&mut Value)| {
        let mut newer = spec();
        change(&mut newer);
        CanaryRolloutSpec::read(&newer).unwrap_err()
    };
    let why = read(|spec| {
        spec["later"] = json!({"placement": "Shared"});
        spec["traffic"]["gatewayAPI"]["mirror"] = json!(true);
    });
    assert!(
        why.contains("spec.traffic.gatewayAPI.mirror") && why.contains("spec.later"),
        "{why}"
    );
    let why = read(|spec| spec["checks"][0]["errorRate"]["maxDecrease"] = json!("1%"));
    assert!(why.contains("spec.checks[0].errorRate.maxDecrease:"), "{why}");
    let why = read(|spec| spec["bake"] = json!("soon"));
    assert!(
        why.starts_with("spec.bake cannot be read: `soon` is not a duration"),
        "{why}"
    );
    let why = read(|spec| spec["checks"][0] = json!({"latency": {"quantile": "p0", "max": "1s"}}));
    assert!(
        why.starts_with("spec.checks[0].latency.quantile cannot be read: `p0` is not a quantile"),
        "{why}"
    );
}

/// A release whose plan has fields, checks, gates and notifiers that this version does not know.
fn with_a_newer_plan() -> World {
    let mut world = at_25(&spec());
    left(&mut world, |stored| {
        let plan = &mut stored["run"]["plan"];
        plan["later"] = json!({"placement": "Shared"});
        let known = plan["checks"][0].clone();
        let odd = json!({"name": "odd", "query": {"promql": "1", "max": 1}, "onBreach": "StepBack"});
        plan["checks"] = json!([{"name": "stale", "ratio": {"bad": "a", "total": "b"}}, known, odd]);
        plan["gates"] = json!([{"before": "Warming", "webhook": {"url": "http://gate"}}]);
        plan["notify"] = json!([{"name": "n", "webhook": {"url": "http://chat"}, "events": ["Levitated"]}]);
        plan["windows"] = json!([{"days": ["Someday"], "from": "09:00", "to": "16:00"}]);
    });
    world
}

/// A pass of a version that cannot read the spec either.
fn pass(world: &mut World) {
    let id = crate::engine::contract::Identity {
        namespace: "shop".into(),
        name: "catalog".into(),
        uid: "u".into(),
        generation: 1,
    };
    let in_force = InForce::new(Err("unknown field"), &world.status);
    world.pass_of(&id, &in_force);
    world.now += SignedDuration::from_secs(1);
}

#[test]
fn a_plan_with_unknown_parts_holds_the_weight_and_is_taken_back_by_request() {
    let mut world = with_a_newer_plan();
    let plan = InForce::new(Err("unknown field"), &world.status);
    let plan = plan.plan().expect("the release's own plan stays in force");
    assert_eq!(
        (plan.steps.len(), plan.checks.len()),
        (3, 1),
        "the known check judges on"
    );
    assert!(plan.gates.is_empty() && plan.notifiers.is_empty() && plan.windows.is_empty());
    for _ in 0..120 {
        pass(&mut world);
    }
    let run = world.status.run.as_ref().unwrap();
    assert_eq!(
        (run.weight, &run.intent),
        (Percent::from_hundredths(2_500).unwrap(), &None)
    );
    assert_eq!(condition(&world, "Accepted"), ("False", "InvalidSpec"));
    world.ask(Verb::Abort);
    pass(&mut world);
    assert_eq!((world.status.phase, world.share()), (Phase::RollingBack, 0));
}

#[test]
fn a_plan_with_unknown_parts_is_judged_by_what_is_known() {
    let mut world = with_a_newer_plan();
    world.bad = 0.5;
    for _ in 0..60 {
        pass(&mut world);
    }
    assert_eq!((world.status.phase, world.share()), (Phase::RolledBack, 0));
    assert_eq!(world.status.history[0].reason, EndReason::ErrorRateAboveMax);
}

/// A release at 25% whose status has this where something else should be, and what the controller makes of it.
fn unreadable(place: &str, value: &Value, ask: impl FnOnce(&mut World)) -> (World, Option<CanaryRolloutStatus>) {
    let mut world = at_25(&spec());
    let mut stored = json!(world.status);
    *stored.pointer_mut(place).unwrap() = value.clone();
    assert!(CanaryRolloutStatus::deserialize(&stored).is_err(), "{place}");
    ask(&mut world);
    world.status = CanaryRolloutStatus::default();
    let plan = world.plan();
    let seen = world.look_by(Some(&plan));
    let status = crate::engine::salvage::on_request(&stored, &world.spec, &seen, world.now);
    (world, status)
}

#[test]
fn a_status_that_cannot_be_read_holds_and_goes_back_on_request_from_the_objects_alone() {
    let whole = json!({"number": "many"});
    for (place, value) in [
        ("/run/plan", json!(5)),
        ("/run", whole),
        ("/stableRevision", json!(7)),
        ("/originals", json!(7)),
    ] {
        assert_eq!(unreadable(place, &value, |_| ()).1, None, "{place}: nobody has asked");
        let (mut world, status) = unreadable(place, &value, |world| world.ask(Verb::Abort));
        world.status = status.unwrap();
        world.until(&format!("the way back in spite of {place}"), |world| {
            world.status.phase == Phase::RolledBack
        });
        world.until("the entry to go", |world| world.canary_share().is_none());
        assert_eq!(world.status.history[0].reason, EndReason::Aborted, "{place}");
        world.until("the Service to be as it was", |world| {
            world.get(Kind::Service, "catalog")["spec"]["selector"] == json!({"app": "catalog"})
        });

        let (mut world, status) = unreadable(place, &value, |world| world.deletion = Deletion::Asked);
        world.status = status.unwrap();
        world.until("the end", |world| !world.finalizer);
        assert_eq!(world.canary_share(), None, "{place}");
    }
}
