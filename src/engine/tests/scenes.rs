//! Moments of releases, one for each phase and pause: where golden statuses and fuzzing begin.

use super::{pair_world::Apps, *};

/// A spec that asks for everything that there is.
pub fn rich() -> Value {
    let mut spec = spec();
    spec["checks"] = json!([
        {"errorRate": {"max": "1%", "maxIncrease": "0.5%"}},
        {"latency": {"quantile": "p99", "max": "300ms"}, "onBreach": "Pause"},
        {"hitRatio": {"min": "80%", "maxDrop": "5%"}},
        {"name": "queue", "query": {"promql": "sum(depth{namespace=\"{{namespace}}\"})", "max": 5.0, "min": 0.0}, "breaches": 2, "of": 4},
    ]);
    spec["traffic"]["testers"] = json!([{"header": "X-Canary", "equals": "1"}]);
    spec["traffic"]["settle"] = json!("2s");
    spec["traffic"]["canaryServiceMetadata"] = json!({"labels": {"team": "shop"}, "annotations": {"note": "canary"}});
    spec["cache"] = json!({"placement": "PerVersion", "ttl": "1h"});
    spec["windows"] = json!([{"days": ["Mon-Sun"], "from": "00:00", "to": "24:00", "timeZone": "Europe/Berlin"}]);
    spec["gates"] = json!([
        {"before": "Start", "webhook": {"url": "http://gate/start", "timeout": "5s"}, "deadline": "1m"},
        {"name": "each", "before": "Step", "webhook": {"url": "http://gate/step"}},
    ]);
    spec["notify"] = json!([{"name": "chat", "webhook": {"url": "http://chat"}, "events": ["Started", "Paused", "RolledBack", "Promoted"]}]);
    for field in ["noDataDeadline", "progressDeadline"] {
        spec[field] = json!("10m");
    }
    spec
}

fn phase(spec: &Value, phase: Phase) -> World {
    let mut world = World::new(spec).adopted();
    world.apply_version("v2");
    // A promotion is over within the passes that nothing interrupts.
    for _ in 0..2_000 {
        let (changed, decision) = world.pass();
        if world.status.phase == phase {
            return world;
        }
        if !changed {
            world.now = decision.wake.expect("something is waited for");
        }
    }
    panic!("{phase} does not come: {}", world.status.message);
}

fn at_5() -> World {
    let mut world = World::new(&rich()).adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    for _ in 0..4 {
        world.now += SignedDuration::from_secs(2);
        world.settle();
    }
    world
}

fn changed(mut world: World, change: impl FnOnce(&mut World)) -> World {
    change(&mut world);
    world
}

fn paused(reason: PauseReason, mut world: World) -> World {
    world.until("the pause", |world| world.is_paused_for(reason));
    world
}

fn pair() -> World {
    let mut spec = spec();
    let side = |deployment: &str, service: &str| json!({"deployment": deployment, "service": service});
    spec["workload"] =
        json!({"pair": {"baseline": side("plain", "catalog"), "candidate": side("cached", "catalog-canary")}});
    let mut world = World::new(&spec);
    world.pair = Some(Apps::default());
    world
}

/// All of them, by name.
pub fn all() -> Vec<(&'static str, World)> {
    let mut scenes = vec![
        ("new", World::new(&rich())),
        ("idle", World::new(&rich()).adopted()),
        ("preparing", phase(&rich(), Phase::Preparing)),
        (
            "not-ready",
            changed(World::new(&spec()).adopted(), |world| {
                world.ready = false;
                world.apply_version("v2");
                world.settle();
            }),
        ),
        ("shifting", at_5()),
        (
            "paused-by-a-person",
            paused(PauseReason::User, changed(at_5(), |world| world.ask(Verb::Pause))),
        ),
        (
            "without-data",
            paused(PauseReason::NoData, changed(at_5(), |world| world.answers = false)),
        ),
        (
            "gate-is-silent",
            paused(PauseReason::GateDeadline, {
                let mut world = World::new(&rich()).adopted();
                world.answer = Some(Err("no answer".to_owned()));
                world.apply_version("v2");
                world
            }),
        ),
        (
            "route-contested",
            paused(
                PauseReason::RouteContested,
                changed(World::new(&rich()).adopted(), |world| {
                    world.fighter = Some("flux".to_owned());
                    world.apply_version("v2");
                }),
            ),
        ),
    ];
    scenes.extend(late());
    scenes
}

/// Those after the last step, and on the way back.
fn late() -> Vec<(&'static str, World)> {
    vec![
        ("baking", phase(&spec(), Phase::Baking)),
        ("promoting", phase(&spec(), Phase::Promoting)),
        ("succeeded", phase(&spec(), Phase::Succeeded)),
        (
            "rolling-back",
            changed(at_5(), |world| {
                world.ask(Verb::Abort);
                world.pass();
            }),
        ),
        (
            "rolled-back",
            changed(World::new(&spec()).adopted(), |world| {
                world.bad = 0.2;
                world.apply_version("v2");
                world.until_phase(Phase::RolledBack);
            }),
        ),
        (
            "deleted",
            changed(at_5(), |world| {
                world.deletion = Deletion::Asked;
                world.pass();
            }),
        ),
        (
            "pair-shifting",
            changed(pair(), |world| world.until("5%", |world| at(world, 500))),
        ),
    ]
}
