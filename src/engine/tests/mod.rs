//! Short releases in an obedient world, and properties that no release may break.

mod accepted;
mod cluster;
mod compared;
mod crowd;
mod fuzz;
mod gates;
mod golden;
mod hands;
mod hold;
mod inspection;
mod invariants;
mod judged;
mod leaving;
mod limits;
mod lowered;
mod newer;
mod own_moves;
mod pair;
mod pair_world;
mod pods;
mod routes;
mod scalers;
mod scenes;
mod spoken_of;
mod store;
mod takeover;
mod telling;
mod ticks;
mod waited;
mod world;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::contract::kind::Kind;
use super::contract::observed::Deletion;
use crate::api::{
    action::Verb,
    status::{EndReason, Outcome, PauseReason, Phase},
};
use cluster::STABLE;
use world::World;

fn spec() -> Value {
    json!({
        "workload": {"deployment": {"name": "catalog"}},
        "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
        "steps": [{"weight": 5, "hold": "10s"}, {"weight": 25, "hold": "10s"}, {"weight": 100, "hold": "10s"}],
        "bake": "10s",
        "checks": [{"errorRate": {"max": "1%"}}],
        "metrics": {"interval": "2s"},
        "keepCanary": "1m", "keepStable": "1m",
    })
}

fn world() -> World {
    World::new(&spec()).adopted()
}

fn condition<'a>(world: &'a World, kind: &str) -> (&'a str, &'a str) {
    let found = world
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .unwrap();
    (&found.status, &found.reason)
}

#[test]
fn adoption_changes_only_label_and_pause() {
    let before = World::new(&spec());
    let after = world();
    for (key, object) in &before.objects {
        let mut now = after.objects[key].clone();
        if key.0 == Kind::Deployment {
            now["spec"].as_object_mut().unwrap().remove("paused");
            let labels = now["metadata"].as_object_mut().unwrap().remove("labels");
            assert_eq!(labels, Some(json!({"warmfront.dev/rollout": "catalog"})));
            now["metadata"]["generation"] = json!(1);
        }
        assert_eq!(&now, object, "{key:?}");
    }
    assert_eq!(condition(&after, "Promoted"), ("True", "Adopted"));
}

#[test]
fn a_good_version_goes_all_the_way_and_its_pods_stay() {
    let mut world = world();
    let original = world.get(Kind::HttpRoute, "catalog")["spec"].clone();
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    let revision = world.status.run.as_ref().unwrap().revision.clone();
    assert_eq!(world.weights, vec![500, 2_500, 10_000, 0]);
    assert_eq!(world.status.stable_revision, Some(revision.clone()));
    assert_eq!(condition(&world, "Promoted"), ("True", "Promoted"));
    // The old version stays for keepStable, then it is history; nothing of ours is left.
    world.until("the end of keepStable", |world| {
        world.sets().iter().all(|set| set.held_by.is_none())
    });
    assert_eq!(world.get(Kind::HttpRoute, "catalog")["spec"], original);
    assert_eq!(
        world.get(Kind::Service, "catalog")["spec"]["selector"],
        json!({"app": "catalog"})
    );
    assert!(
        !world
            .objects
            .contains_key(&(Kind::Service, "catalog-canary".to_owned()))
    );
    let numbers: Vec<_> = world
        .sets()
        .into_iter()
        .map(|set| (set.replicas, set.revision))
        .collect();
    assert!(
        numbers.contains(&(0, Some(1))) && numbers.contains(&(0, Some(2))) && numbers.contains(&(4, Some(3))),
        "{numbers:?}"
    );
    let steps = world.told.iter().filter(|reason| *reason == "WeightConfirmed").count();
    assert_eq!(steps, 3, "{:?}", world.told);
}

#[test]
fn a_version_with_errors_comes_back_with_its_numbers() {
    let mut world = world();
    world.bad = 0.2;
    world.apply_version("v2");
    world.until_phase(Phase::RolledBack);
    assert_eq!(world.weights, vec![500, 0]);
    let (status, reason) = condition(&world, "RolledBack");
    assert_eq!((status, reason), ("True", "ErrorRateAboveMax"));
    assert!(
        world.status.rejected[0].message.contains("(20%, limit 1%)"),
        "{}",
        world.status.rejected[0].message
    );
    // Its pods stay for keepCanary, then go; it is not started again.
    let revision = world.status.rejected[0].revision.clone();
    let pods = |world: &World| world.sets().iter().find(|set| set.hash == revision).unwrap().replicas;
    assert_eq!(pods(&world), 1);
    world.until("the end of keepCanary", |world| pods(world) == 0);
    assert_eq!(world.status.run.as_ref().unwrap().number, 1);
    assert_eq!(
        world.get(Kind::Service, "catalog")["spec"]["selector"],
        json!({"app": "catalog"})
    );

    world.bad = 0.0;
    world.ask(Verb::Retry);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.status.run.as_ref().unwrap().number, 2);
}

#[test]
fn another_version_starts_after_a_rejected_one_and_clears_it() {
    let mut world = world();
    world.ready = false;
    world.apply_version("v2");
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "NotReady");
    world.ready = true;
    world.apply_version("v3");
    world.until_phase(Phase::Succeeded);
    world.until("the rejected one to go", |world| {
        world.status.rejected.is_empty() && world.sets().iter().all(|set| set.held_by.is_none())
    });
}

#[test]
fn the_stable_template_again_is_a_rollback_without_any_check() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| {
        world.canary_share().is_some_and(|share| share.hundredths() == 2_500)
    });
    world.answers = false;
    world.apply_version("v1");
    world.settle();
    assert_eq!(world.status.phase, Phase::RolledBack);
    assert_eq!((world.share(), world.status.history[0].reason.into()), (0, "Reverted"));
    assert_eq!(condition(&world, "Promoted"), ("True", "AtStable"));
    assert_eq!(condition(&world, "RolledBack").0, "False");
}

#[test]
fn a_newer_version_starts_from_the_first_step_after_weight_0() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| {
        world.canary_share().is_some_and(|share| share.hundredths() == 2_500)
    });
    world.apply_version("v3");
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.weights, vec![500, 2_500, 0, 500, 2_500, 10_000, 0]);
    let outcomes: Vec<Outcome> = world.status.history.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, vec![Outcome::Promoted, Outcome::Superseded]);
}

#[test]
fn abort_reaches_0_during_a_pause_and_without_metrics() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.weight.hundredths() == 500)
    });
    world.ask(Verb::Pause);
    world.settle();
    assert_eq!(condition(&world, "Paused"), ("True", "User"));
    world.answers = false;
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!((world.share(), condition(&world, "RolledBack").1), (0, "Aborted"));
    world.until("the entry to go", |world| world.canary_share().is_none());
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!(world.status.actions.last().unwrap().reason, "NothingToAbort");
}

#[test]
fn a_persons_pause_does_not_stop_the_judge() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.weight.hundredths() == 500)
    });
    world.ask(Verb::Pause);
    world.settle();
    world.bad = 0.5;
    world.until_phase(Phase::RolledBack);
}

#[test]
fn an_approval_waits_for_a_person() {
    let mut spec = spec();
    spec["steps"][0]["approval"] = json!(true);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("the approval", |world| world.is_paused_for(PauseReason::Approval));
    assert_eq!(world.weights, vec![500]);
    world.ask(Verb::Promote);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn no_data_holds_and_pauses_and_goes_on() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.weight.hundredths() == 500)
    });
    world.answers = false;
    world.until("the pause", |world| world.is_paused_for(PauseReason::NoData));
    assert_eq!(world.weights, vec![500]);
    world.answers = true;
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_gateway_that_does_not_accept_ends_the_release() {
    let mut world = world();
    world.apply_version("v2");
    world.until("the first weight", |world| !world.weights.is_empty());
    world.accepts = false;
    world.until("25% to be written", |world| {
        world.status.phase == Phase::RollingBack || world.weights.len() > 1
    });
    world.until("the way back", |world| world.status.phase == Phase::RollingBack);
    assert_eq!(world.share(), 0);
    world.accepts = true;
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "RouteNotAccepted");
}

#[test]
fn a_raised_weight_is_put_back_and_is_no_progress() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.weight.hundredths() == 500)
    });
    let route = world.objects.get_mut(&(Kind::HttpRoute, "catalog".to_owned())).unwrap();
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(40);
    route["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(60);
    route["metadata"]["generation"] = json!(50);
    route["metadata"]["managedFields"] = json!([]);
    world.settle_unchecked();
    assert_eq!(world.canary_share().unwrap().hundredths(), 500);
    assert_eq!(world.status.drift.corrected, 1);
    assert_eq!(world.status.run.as_ref().unwrap().step, 1);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn deletion_mid_way_leaves_the_app_as_it_was_and_paused() {
    let mut world = world();
    let before = World::new(&spec());
    world.apply_version("v2");
    world.until("25%", |world| {
        world.canary_share().is_some_and(|share| share.hundredths() == 2_500)
    });
    world.deletion = Deletion::Asked;
    world.until("the end", |world| !world.finalizer);
    for kind in [Kind::Service, Kind::HttpRoute] {
        assert_eq!(world.get(kind, "catalog")["spec"], before.get(kind, "catalog")["spec"]);
    }
    assert_eq!(world.get(Kind::Deployment, "catalog")["spec"]["paused"], true);
    assert!(
        world.told.iter().any(|reason| reason == "LeftPaused"),
        "{:?}",
        world.told
    );
    assert!(world.sets().iter().all(|set| set.held_by.is_none()));
    assert_eq!(world.sets().iter().find(|set| set.hash == STABLE).unwrap().replicas, 4);
}

#[test]
fn deletion_at_rest_unpauses() {
    let mut world = world();
    world.deletion = Deletion::Asked;
    world.until("the end", |world| !world.finalizer);
    assert_eq!(world.get(Kind::Deployment, "catalog")["spec"].get("paused"), None);
}

fn at(world: &World, hundredths: u32) -> bool {
    world
        .status
        .run
        .as_ref()
        .is_some_and(|run| run.weight.hundredths() == hundredths && run.intent.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever people, metrics, pods and gateways do: the invariants checked after every pass hold,
    /// and once all is well again an abort or the end of the release leaves no canary traffic.
    #[test]
    fn nothing_that_happens_breaks_an_invariant(events in proptest::collection::vec((0..9_u8, 1..30_i64), 1..25)) {
        let mut world = world();
        world.apply_version("v2");
        world.live_through(events, |world, own| world.apply_version(if own == 0 { "v1" } else { "v3" }));
        world.accepts = true;
        world.ask(Verb::Abort);
        world.until("the end", |world| matches!(world.status.phase, Phase::Idle | Phase::RolledBack | Phase::Succeeded | Phase::Preparing | Phase::Shifting));
        let rolled_back = world.status.history.first().is_some_and(|entry| entry.reason == EndReason::Aborted);
        prop_assert!(!rolled_back || world.status.phase != Phase::RolledBack || world.share() == 0);
    }

    /// Deciding never panics, whatever the status says.
    #[test]
    fn any_status_gives_a_decision(step in -3..300_i32, weight in 0..=10_000_u32, phase in 0..9_usize, confirmed: bool) {
        let mut world = world();
        world.apply_version("v2");
        world.until("a run", |world| world.status.run.is_some());
        let phases = [Phase::Idle, Phase::Preparing, Phase::Shifting, Phase::Baking, Phase::Promoting, Phase::Succeeded, Phase::RollingBack, Phase::RolledBack, Phase::Unknown];
        world.status.phase = phases[phase];
        let run = world.status.run.as_mut().unwrap();
        run.step = step;
        run.weight = crate::api::Percent::from_hundredths(weight).unwrap();
        run.growing = None;
        run.step_started_at = confirmed.then_some(world.now);
        let seen = crate::engine::contract::observed::Observed::default();
        let id = crate::engine::contract::Identity { namespace: "shop".into(), name: "catalog".into(), uid: "u".into(), generation: 1 };
        let in_force = crate::engine::contract::in_force::InForce::new(Ok(&world.spec.clone().into()), &world.status);
        let _ = crate::engine::decide(&id, &in_force, &world.status, &seen, world.now);
        let _ = world.pass_unchecked();
    }
}
