//! Scenarios made from a seed: everybody does anything at any time, then the world calms down.

use serde_json::json;

use super::{
    Deed, Facts, Given, Scenario, Step,
    deed::{Act, Side, What},
};

fn act(action: &str) -> Deed {
    Deed::Act(Act {
        action: action.to_owned(),
        step: None,
        reason: None,
    })
}

/// Something that happens.
fn deed(random: &mut fastrand::Rng, harm: bool, pair: bool) -> Deed {
    let version = || ["v1", "v2", "v2", "v3", "v4"];
    if pair && random.u8(0..8) == 0 {
        return Deed::ApplyBaseline(["v0", "v1"][random.usize(0..2)].to_owned());
    }
    match random.u8(0..if harm { 27 } else { 23 }) {
        0..=3 => Deed::Apply(version()[random.usize(0..5)].to_owned()),
        4 => Deed::Scale(random.i64(2..7)),
        5 => Deed::Label,
        6 => act("Pause"),
        7 => act("Resume"),
        8 => act("Promote"),
        9 => act("Abort"),
        10 => act("Retry"),
        11 => Deed::World(json!({"metrics": "down"})),
        12 => Deed::World(json!({"metrics": "up"})),
        13 => Deed::World(json!({"versions": {"v2": {"errors": 30.0}, "v3": {"errors": 0.0}}})),
        14 => Deed::World(json!({"versions": {"v2": {"errors": 0.0}, "v3": {"errors": 30.0}}})),
        15 => Deed::World(json!({"versions": {"v4": {"neverReady": "ImagePullBackOff"}}})),
        16 => Deed::Crash,
        17 => Deed::CrashAfterNextCall,
        18 => Deed::BreakWatches,
        19 => Deed::World(json!({"requests": random.f64() * 100.0})),
        20 => Deed::ApplyWith {
            version: version()[random.usize(0..5)].to_owned(),
            replicas: random.i64(2..7),
        },
        21 => Deed::Spec(
            json!({"steps": [{"weight": 10, "hold": "4s"}, {"weight": 60, "hold": "6s"}, {"weight": 100, "hold": "2s"}]}),
        ),
        22 => Deed::World(json!({"gateway": {"acceptsAfter": random.f64() * 2.0}})),
        23 => Deed::LosePods(if random.bool() { Side::Canary } else { Side::Stable }),
        24 => Deed::SetWeight(random.i64(0..100)),
        25 => Deed::Reapply(if random.bool() { What::Service } else { What::Route }),
        _ => {
            let mood = ["silent", "accepts", "refuses"][random.usize(0..3)];
            Deed::World(json!({"gateway": {"mood": mood}}))
        }
    }
}

/// Something that everything else needs is deleted, and applied again a while later.
fn deletion(random: &mut fastrand::Rng, harm: bool) -> [Step; 2] {
    let all = [What::Rollout, What::Deployment, What::Service, What::Route];
    let what = if harm {
        all[random.usize(0..all.len())]
    } else {
        What::Rollout
    };
    let mut deeds = Vec::new();
    let mut when = None;
    if what == What::Rollout {
        // Until the gateway has taken the traffic back, the rollout waits.
        deeds.push(Deed::World(json!({"gateway": {"mood": "accepts"}})));
        when = Some(Facts {
            gone: Some(true),
            ..Facts::default()
        });
    }
    deeds.push(Deed::Delete(what));
    let after = Some((random.f64() * 300.0).round() / 10.0);
    [
        Step {
            deeds,
            ..Step::default()
        },
        Step {
            when,
            after,
            deeds: vec![Deed::Create(what)],
            ..Step::default()
        },
    ]
}

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut random = fastrand::Rng::with_seed(seed);
    // In every other world nothing happens that excuses a failed request.
    let harm = seed % 2 == 1;
    let pair = seed % 5 == 4;
    let mut given = Given {
        replicas: random.i64(2..6),
        pair,
        ..Given::default()
    };
    given.world.pods_ready_after = random.f64() * 4.0 + 0.2;
    given.world.gateway.accepts_after = random.f64();
    given.world.gateway.programmed_after = 0.1 + random.f64() * 0.6;
    let mut script = vec![Step {
        deeds: vec![Deed::Apply("v2".to_owned())],
        ..Step::default()
    }];
    for _ in 0..random.usize(1..16) {
        if !pair && random.u8(0..12) == 0 {
            script.extend(deletion(&mut random, harm));
        } else {
            script.push(Step {
                after: Some((random.f64() * 120.0).round() / 10.0),
                deeds: vec![deed(&mut random, harm, pair)],
                ..Step::default()
            });
        }
    }
    let calm = json!({
        "metrics": "up", "requests": 1000.0, "gateway": {"mood": "accepts", "acceptsAfter": 0.2},
        "versions": {"v2": {"errors": 0.0}, "v3": {"errors": 0.0}, "v4": {"neverReady": null}},
    });
    script.push(Step {
        after: Some(1.0),
        deeds: vec![Deed::World(calm)],
        ..Step::default()
    });
    // Whoever paused lets it go on.
    script.push(Step {
        after: Some(5.0),
        deeds: vec![act("Resume")],
        ..Step::default()
    });
    Scenario {
        title: format!("random world {seed}"),
        covers: Vec::new(),
        given,
        script,
        // The route of a pair may as well stay at the candidate.
        end: if pair {
            Facts::default()
        } else {
            Facts {
                given_back: Some(true),
                paused: Some(true),
                ..Facts::default()
            }
        },
        restless: false,
        may_fail: harm.then(|| "pods are lost, routes and Services rewritten or deleted".to_owned()),
        hands_may_fail: false,
    }
}
