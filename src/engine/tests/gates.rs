//! Gates and notifiers: when they are asked and told, what their answers do, and what they never hold up.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{condition, spec, world::World};
use crate::{
    api::{
        action::Verb,
        status::{Outcome, Phase},
    },
    engine::contract::{call::Reply, kind::Kind},
};

fn gate(before: &str) -> Value {
    json!({"name": before.to_lowercase(), "before": before, "webhook": {"url": "http://gate/ask"}, "deadline": "5m"})
}

fn world(gates: &[&str]) -> World {
    let mut spec = spec();
    spec["gates"] = gates.iter().map(|before| gate(before)).collect();
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world
}

fn asked(world: &World) -> Vec<&str> {
    world.called.iter().filter_map(|body| body["before"].as_str()).collect()
}

#[test]
fn each_is_asked_once_for_what_it_stands_before() {
    let mut world = world(&["Start", "Step", "Promote"]);
    world.until_phase(Phase::Succeeded);
    assert_eq!(asked(&world), vec!["Start", "Step", "Step", "Step", "Promote"]);
    let weights: Vec<&Value> = world.called.iter().map(|body| &body["nextWeight"]).collect();
    assert_eq!(json!(weights), json!([null, "5%", "25%", "100%", null]));
    assert!(
        !world.told.contains(&"Paused".to_owned()),
        "one that answers at once pauses nothing: {:?}",
        world.told
    );
}

#[test]
fn nothing_is_made_before_the_start_and_nothing_of_a_no_remains() {
    let mut world = world(&["Start"]);
    world.answer = None;
    // The history is held, as always while the template is not the serving one; nothing else.
    let shared = |world: &World| {
        let kinds = [Kind::Service, Kind::HttpRoute];
        let shared = world
            .objects
            .iter()
            .filter(|((kind, _), _)| kinds.contains(kind))
            .map(|(key, object)| (key.clone(), object.clone()));
        (world.sets().len(), shared.collect::<Vec<_>>())
    };
    let objects = shared(&world);
    world.settle();
    assert_eq!(world.status.phase, Phase::Preparing);
    assert_eq!(shared(&world), objects);
    world.answer = Some(Ok(403));
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack"), ("True", "GateRejected"));
    assert_eq!(shared(&world), objects);
    // The wait was not for pods: they have their whole time now.
    world.answer = Some(Ok(503));
    world.ask(Verb::Retry);
    world.until("a long wait", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.gates.iter().any(|gate| gate.asked > 9))
    });
    world.answer = Some(Ok(200));
    world.until_phase(Phase::Succeeded);
}

#[test]
fn pods_have_their_whole_time_after_a_slow_first_answer() {
    let mut spec = spec();
    spec["gates"] = json!([{"before": "Start", "webhook": {"url": "http://gate/ask", "timeout": "5m"}}]);
    spec["progressDeadline"] = json!("1m");
    let mut world = World::new(&spec).adopted();
    world.answer = None;
    world.apply_version("v2");
    world.settle();
    world.now += SignedDuration::from_mins(4);
    world.answer = Some(Ok(200));
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_late_answer_to_an_earlier_attempt_means_nothing() {
    let mut world = world(&["Step"]);
    world.answer = Some(Ok(503));
    world.until("two attempts", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.gates.iter().any(|gate| gate.asked == 2))
    });
    world.answer = None;
    let key = world.replies.keys().next().cloned().unwrap();
    world.replies.insert(
        key,
        Reply {
            attempt: 0,
            answer: Ok(200),
        },
    );
    world.settle();
    assert_eq!((world.share(), condition(&world, "Paused")), (0, ("True", "Gate")));
}

#[test]
fn without_an_answer_a_person_is_called_who_may_let_it_ask_again() {
    let mut world = world(&["Promote"]);
    world.answer = Some(Err("no whole answer within 10s".to_owned()));
    world.until("the deadline", |world| condition(world, "Paused").1 == "GateDeadline");
    let calls = world.called.len();
    world.answer = Some(Ok(200));
    for _ in 0..20 {
        world.now += SignedDuration::from_secs(30);
        world.settle();
    }
    assert_eq!(
        (world.called.len(), world.status.phase),
        (calls, Phase::Baking),
        "it is asked no more"
    );
    world.ask(Verb::Resume);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_gate_s_deadline_comes_also_while_the_checks_have_no_data() {
    let mut world = world(&["Step"]);
    world.spec.no_data_deadline = Some(crate::api::Duration::from_mins(600));
    world.until("5%", |world| world.share() == 500);
    world.answer = Some(Ok(503));
    world.until("the gate", |world| condition(world, "Paused").1 == "Gate");
    world.answers = false;
    world.until("the deadline", |world| condition(world, "Paused").1 == "GateDeadline");
    assert_eq!(world.status.phase, Phase::Shifting);
}

#[test]
fn a_breach_and_an_abort_do_not_wait_for_a_gate() {
    for abort in [true, false] {
        let mut world = world(&["Step"]);
        world.until("5%", |world| {
            world
                .status
                .run
                .as_ref()
                .is_some_and(|run| run.weight.hundredths() == 500)
        });
        world.answer = None;
        world.until("the gate", |world| {
            world.status.run.as_ref().is_some_and(|run| run.gates.len() == 2)
        });
        if abort {
            world.ask(Verb::Abort);
        } else {
            world.bad = 0.5;
        }
        world.until_phase(Phase::RolledBack);
        assert_eq!(world.weights, vec![500, 0]);
    }
}

#[test]
fn a_person_s_pause_asks_nobody_and_gives_the_gate_its_whole_time_afterwards() {
    let mut world = world(&["Step"]);
    world.answer = Some(Ok(503));
    world.until("the gate", |world| condition(world, "Paused").1 == "Gate");
    world.ask(Verb::Pause);
    world.settle();
    assert_eq!(condition(&world, "Paused").1, "User");
    let calls = world.called.len();
    for _ in 0..30 {
        world.now += SignedDuration::from_mins(1);
        world.settle();
    }
    assert_eq!((world.called.len(), condition(&world, "Paused").1), (calls, "User"));
    world.ask(Verb::Resume);
    world.settle();
    assert_eq!(condition(&world, "Paused").1, "Gate");
    world.answer = Some(Ok(200));
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_gate_of_a_plan_that_no_longer_has_it_holds_nothing() {
    let mut world = world(&["Step"]);
    world.answer = Some(Ok(503));
    world.until("the gate", |world| condition(world, "Paused").1 == "Gate");
    world.spec.gates.clear();
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_newer_version_during_bake_does_not_promote_past_a_gate() {
    for (gates, outcome) in [(&["Promote"][..], Outcome::Superseded), (&[], Outcome::Promoted)] {
        let mut world = world(gates);
        world.until("a pass at 100%", |world| {
            world.status.phase == Phase::Baking
                && crate::engine::judge::memory::all_pass(&world.plan(), &world.status.checks)
        });
        world.apply_version("v3");
        world.until("the end of v2", |world| !world.status.history.is_empty());
        assert_eq!(world.status.history.last().unwrap().outcome, outcome);
    }
}

#[test]
fn answers_belong_to_one_run() {
    let mut world = world(&["Start"]);
    world.until("5%", |world| world.share() == 500);
    world.apply_version("v3");
    world.until_phase(Phase::Succeeded);
    assert_eq!(asked(&world), vec!["Start", "Start"]);
}

#[test]
fn notifiers_are_told_in_order_until_they_take_it_or_an_hour_is_over() {
    let mut spec = spec();
    spec["notify"] = json!([{"name": "chat", "webhook": {"url": "http://chat"}}, {"name": "pager", "webhook": {"url": "http://pager"}, "events": ["RolledBack"]}]);
    let mut world = World::new(&spec).adopted();
    world.answer = Some(Ok(500));
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    let waiting: Vec<String> = world
        .status
        .outbox
        .iter()
        .map(|one| format!("{}/{}", one.to, one.event))
        .collect();
    assert_eq!(waiting, vec!["chat/Started", "chat/Promoted"]);
    world.answer = Some(Ok(204));
    let failed = world.called.len();
    world.until("the outbox to be empty", |world| world.status.outbox.is_empty());
    let told: Vec<&Value> = world.called[failed..].iter().map(|body| &body["event"]).collect();
    assert_eq!(told, vec!["Started", "Promoted"]);

    world.answer = Some(Ok(500));
    world.bad = 0.5;
    world.apply_version("v3");
    world.until("everything to be given up", |world| {
        world.status.phase == Phase::RolledBack && world.status.outbox.is_empty()
    });
    assert_eq!(
        world
            .told
            .iter()
            .filter(|reason| *reason == "NotificationFailed")
            .count(),
        3,
        "chat of two things, pager of one"
    );
}
