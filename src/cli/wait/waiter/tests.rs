//! Every way in which a wait ends, and those in which it does not.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::*;

mod told;

fn now() -> Timestamp {
    "2027-01-15T08:00:00Z".parse().unwrap()
}

fn rollout(status: &Value) -> Rollout {
    let metadata = json!({"name": "catalog", "namespace": "shop", "uid": "r1", "generation": 1});
    let object = json!({"metadata": metadata, "spec": {}, "status": status});
    Rollout::new(serde_json::from_value::<DynamicObject>(object).unwrap())
}

fn workload(generation: i64, image: &str) -> Workload {
    Workload {
        name: "catalog".to_owned(),
        uid: "d1".to_owned(),
        generation,
        images: vec![image.to_owned()],
        baseline: None,
    }
}

fn waiter(goal: Goal, wanted: Wanted) -> Waiter {
    Waiter::new(Order {
        goal,
        wanted,
        fail_on_pause: false,
    })
}

/// A status that speaks of this generation, with what is laid over it.
fn status(generation: i64, over: &Value) -> Value {
    let mut status = json!({"observedGeneration": 1, "observedWorkloadGeneration": generation, "observedWorkloadUid": "d1", "message": "so it is"});
    for (key, value) in over.as_object().unwrap() {
        status[key] = value.clone();
    }
    status
}

fn condition(kind: &str, message: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": "X", "message": message, "lastTransitionTime": "2027-01-15T07:00:00Z"})
}

fn serves(generation: i64, revision: &str) -> Value {
    status(
        generation,
        &json!({"phase": "Succeeded", "stableRevision": revision, "conditions": [condition("Promoted", "")]}),
    )
}

fn rejects(generation: i64, revision: &str) -> Value {
    let rejected = json!([{"revision": revision, "reason": "ErrorRateAboveMax", "message": "20% failed", "at": "2027-01-15T07:00:00Z"}]);
    status(
        generation,
        &json!({"phase": "RolledBack", "stableRevision": "s", "rejected": rejected, "conditions": [condition("RolledBack", "20% failed")]}),
    )
}

fn run(number: i64, revision: &str, over: &Value) -> Value {
    let plan = json!({"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}, "unjudged": true});
    let mut run = json!({"number": number, "revision": revision, "replicaSet": "x", "stableRevision": "s", "startedAt": "2027-01-15T07:50:00Z",
        "step": 2, "steps": 5, "weight": "10%", "plan": plan});
    for (key, value) in over.as_object().unwrap() {
        run[key] = value.clone();
    }
    run
}

fn under_way(generation: i64, number: i64, revision: &str, over: &Value) -> Value {
    status(
        generation,
        &json!({"phase": "Shifting", "stableRevision": "s", "run": run(number, revision, over)}),
    )
}

/// A release that has ended, with the phase that it left.
fn ended(number: i64, revision: &str, phase: &str, outcome: &str, reason: &str) -> Value {
    let entry = json!({"run": number, "revision": revision, "outcome": outcome, "reason": reason, "message": "the numbers", "from": "2027-01-15T07:00:00Z", "to": "2027-01-15T07:10:00Z"});
    let run = run(
        number,
        revision,
        &json!({"outcome": outcome, "reason": reason, "endedAt": "2027-01-15T07:10:00Z"}),
    );
    status(
        8,
        &json!({"phase": phase, "stableRevision": "s", "run": run, "history": [entry]}),
    )
}

/// Shows these statuses one after the other, the Deployment after the first. The exit comes with the last one, or not at all.
fn exit(waiter: &mut Waiter, read: &Workload, statuses: &[Value]) -> Option<Exit> {
    let mut exit = None;
    for (index, shown) in statuses.iter().enumerate() {
        assert_eq!(exit, None, "before {shown}");
        exit = waiter.step(&Seen::Rollout(Some(&rollout(shown))), now()).exit;
        if index == 0 {
            assert_eq!(exit, None, "nothing is decided before the Deployment was read");
            assert!(waiter.wants_workload());
            exit = waiter.step(&Seen::Workload(read.clone()), now()).exit;
        }
    }
    exit
}

/// What a wait for any release comes to that has read generation 8 and is shown these statuses.
fn comes_to(what: &str, goal: Goal, statuses: &[Value], wanted: Option<Exit>) {
    let mut waiter = waiter(goal, Wanted::Any);
    assert_eq!(exit(&mut waiter, &workload(8, "catalog:n"), statuses), wanted, "{what}");
}

#[test]
fn success_is_that_of_the_deployment_as_it_was_when_the_wait_began() {
    use Goal::{Finished, Paused, Promoted};
    let done = Some(Exit::Reached);
    comes_to("the last success", Promoted, &[serves(7, "s")], None);
    comes_to("the last rollback", Promoted, &[rejects(7, "o")], None);
    comes_to("what is there already", Promoted, &[serves(8, "s")], done);
    comes_to("a later generation", Finished, &[serves(9, "s")], done);
    comes_to("it is finished", Finished, &[rejects(8, "n")], done);
    comes_to("nothing to pause", Paused, &[serves(8, "s")], Some(Exit::Failed));
    let rejected_before = [serves(7, "s"), rejects(8, "n")];
    comes_to(
        "what was rejected before",
        Promoted,
        &rejected_before,
        Some(Exit::RolledBack),
    );
}

#[test]
fn a_release_that_was_seen_under_way_is_followed_to_its_end() {
    use Goal::{Finished, Paused, Promoted};
    let run = || under_way(8, 2, "n", &json!({}));
    let paused = |reason: &str| under_way(8, 2, "n", &json!({"pausedFor": reason}));
    let promoted = || ended(2, "n", "Succeeded", "Promoted", "Promoted");
    let back = || ended(2, "n", "RolledBack", "RolledBack", "NotReady");
    let (done, superseded) = (Some(Exit::Reached), Some(Exit::Superseded));
    comes_to("on its way", Promoted, &[serves(7, "s"), run()], None);
    comes_to("its end", Promoted, &[serves(7, "s"), run(), promoted()], done);
    comes_to("its rollback", Promoted, &[run(), back()], Some(Exit::RolledBack));
    comes_to("its rollback, finished", Finished, &[run(), back()], done);
    let overtaken = ended(2, "n", "Idle", "Superseded", "NewerRevision");
    comes_to("another took its place", Promoted, &[run(), overtaken], superseded);
    let another = under_way(9, 3, "m", &json!({}));
    comes_to("another is under way", Promoted, &[run(), another], superseded);
    comes_to("a pause", Paused, &[run(), paused("Window")], done);
    comes_to("a pause is no promotion", Promoted, &[paused("Approval")], None);
    comes_to("never paused", Paused, &[run(), promoted()], Some(Exit::Failed));
}

#[test]
fn a_release_that_was_overtaken_unseen_has_the_end_that_the_history_tells() {
    let mut later = under_way(9, 3, "m", &json!({}));
    later["history"] = ended(2, "n", "Succeeded", "Promoted", "Promoted")["history"].clone();
    let shown = [under_way(8, 2, "n", &json!({})), later];
    let waited = exit(&mut waiter(Goal::Promoted, Wanted::Any), &workload(8, "i"), &shown);
    assert_eq!(waited, Some(Exit::Reached));
}

#[test]
fn a_pause_ends_the_wait_only_if_a_person_is_needed() {
    let cases = [
        ("User", true),
        ("Approval", true),
        ("GateDeadline", true),
        ("RouteContested", true),
        ("ServiceContested", true),
        ("CheckFailed", true),
        ("Window", false),
        ("Gate", false),
        ("NoData", false),
        ("SharedIncident", false),
        ("OriginLimit", false),
        ("Inconclusive", false),
        ("WarmingSlow", false),
        ("WriteRefused", false),
        ("OfALaterVersion", false),
    ];
    for (reason, ends) in cases {
        let mut waiter = Waiter::new(Order {
            goal: Goal::Promoted,
            wanted: Wanted::Any,
            fail_on_pause: true,
        });
        let shown = under_way(8, 2, "n", &json!({"pausedFor": reason}));
        let wanted = ends.then_some(Exit::NeedsPerson);
        assert_eq!(exit(&mut waiter, &workload(8, "i"), &[shown]), wanted, "{reason}");
    }
}

#[test]
fn a_revision_is_waited_for_and_no_other() {
    let mut knows = serves(8, "m");
    knows["history"] = json!([{"run": 1, "revision": "n", "outcome": "Promoted", "reason": "Promoted", "from": "2027-01-15T07:00:00Z", "to": "2027-01-15T07:10:00Z"}]);
    let cases: [(&str, &[Value], Option<Exit>); 8] = [
        ("it serves", &[serves(8, "n")], Some(Exit::Reached)),
        ("it was rejected", &[rejects(8, "n")], Some(Exit::RolledBack)),
        ("it is to come", &[serves(8, "m")], None),
        (
            "another is under way, it is to come",
            &[under_way(8, 2, "m", &json!({}))],
            None,
        ),
        (
            "it is under way, seen at once",
            &[
                under_way(7, 2, "n", &json!({})),
                ended(2, "n", "Succeeded", "Promoted", "Promoted"),
            ],
            Some(Exit::Reached),
        ),
        (
            "another took its place",
            &[under_way(7, 2, "n", &json!({})), under_way(9, 3, "m", &json!({}))],
            Some(Exit::Superseded),
        ),
        ("a success of long ago is none", &[knows], Some(Exit::Superseded)),
        ("an old status of it", &[serves(7, "n")], None),
    ];
    for (what, statuses, wanted) in cases {
        let mut waiter = waiter(Goal::Promoted, Wanted::Revision("n".to_owned()));
        assert_eq!(exit(&mut waiter, &workload(8, "i"), statuses), wanted, "{what}");
    }
}

#[test]
fn an_image_is_waited_for_and_no_other() {
    let wait = || waiter(Goal::Promoted, Wanted::Image("catalog:n".to_owned()));
    let (with, without) = (workload(8, "catalog:n"), |generation| workload(generation, "catalog:m"));
    assert_eq!(exit(&mut wait(), &with, &[serves(8, "n")]), Some(Exit::Reached));
    assert_eq!(exit(&mut wait(), &with, &[serves(7, "s")]), None);
    // It does not have the image yet.
    let mut early = wait();
    assert_eq!(exit(&mut early, &without(7), &[serves(7, "s")]), None);
    assert!(early.wants_workload());
    assert_eq!(
        early.step(&Seen::Workload(with.clone()), now()).exit,
        None,
        "the status speaks of 7"
    );
    assert_eq!(
        early.step(&Seen::Rollout(Some(&rollout(&serves(8, "n")))), now()).exit,
        Some(Exit::Reached)
    );
    // In between it had another one: that serves, and not what is waited for.
    let mut between = wait();
    assert_eq!(exit(&mut between, &workload(5, "catalog:n"), &[serves(7, "s")]), None);
    assert_eq!(between.step(&Seen::Workload(with.clone()), now()).exit, None);
    // A status of a later generation tells nothing of the image before the Deployment was read again.
    let mut later = wait();
    assert_eq!(exit(&mut later, &with, &[serves(9, "n")]), None);
    assert!(later.wants_workload());
    let mut overtaken = later.clone();
    assert_eq!(
        later.step(&Seen::Workload(workload(9, "catalog:n")), now()).exit,
        Some(Exit::Reached)
    );
    let step = overtaken.step(&Seen::Workload(without(9)), now());
    assert_eq!(step.exit, Some(Exit::Superseded));
    assert!(
        step.line
            .unwrap()
            .contains("no longer has image catalog:n but catalog:m")
    );
}

#[test]
fn a_deployment_that_was_made_again_does_not_inherit_a_success() {
    let mut waiter = waiter(Goal::Promoted, Wanted::Any);
    let again = Workload {
        uid: "d2".to_owned(),
        ..workload(1, "i")
    };
    assert_eq!(exit(&mut waiter, &again, &[serves(8, "s")]), None);
    assert!(waiter.wants_workload());
}

#[test]
fn a_pair_has_two_generations() {
    let read = Workload {
        baseline: Some(5),
        ..workload(8, "i")
    };
    let of_baseline = |generation: i64| {
        let mut shown = serves(8, "n");
        shown["observedBaselineGeneration"] = json!(generation);
        shown
    };
    let waited = |shown: &Value| {
        exit(
            &mut waiter(Goal::Promoted, Wanted::Any),
            &read,
            std::slice::from_ref(shown),
        )
    };
    assert_eq!(waited(&of_baseline(4)), None);
    assert_eq!(waited(&of_baseline(5)), Some(Exit::Reached));
}
