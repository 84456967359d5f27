//! What people accept of the judge's doubts, approve and pause: for how long, and what they cannot.

use super::{judged::*, *};
use crate::api::{action::ActionPhase, status::Run};

fn run(world: &World) -> &Run {
    world.status.run.as_ref().unwrap()
}

/// A Promote for the present step, and its answer.
fn promote(world: &mut World) -> (ActionPhase, String, String) {
    world.ask(Verb::Promote);
    let step = run(world).step;
    world.actions.last_mut().unwrap().spec.step = Some(step);
    world.settle();
    let answer = world.status.actions.last().unwrap().clone();
    (answer.phase, answer.reason, answer.message)
}

/// A release at 5% of which too many requests fail for a pass, and too few for a rollback.
fn doubtful() -> World {
    let mut world = begun(|_| {});
    world.bad = 0.0115;
    world.until("the doubt", |world| world.status.message.contains("Promote accepts it"));
    let_pass(&mut world, 10);
    assert_eq!(run(&world).paused_for, None, "nobody has lost patience yet");
    assert!(
        world.status.message.contains("Promote accepts it"),
        "{}",
        world.status.message
    );
    world
}

#[test]
fn a_doubt_is_accepted_as_soon_as_the_message_says_so() {
    let mut world = doubtful();
    let (phase, _, message) = promote(&mut world);
    assert_eq!(phase, ActionPhase::Applied, "{message}");
    assert!(message.contains("accepted"), "{message}");
    let since = world.now;
    world.until("25%", |world| at(world, 2_500));
    assert!(world.now.duration_since(since) < SignedDuration::from_secs(30));
    assert!(!run(&world).accepted, "only that step");
}

#[test]
fn that_there_is_no_data_nobody_can_accept() {
    let mut world = doubtful();
    world.answers = false;
    world.until("the pause", |world| run(world).paused_for == Some(PauseReason::NoData));
    let (phase, reason, message) = promote(&mut world);
    assert_eq!(
        (phase, reason.as_str()),
        (ActionPhase::Rejected, "NothingToPromote"),
        "{message}"
    );
    assert!(message.contains("data"), "{message}");
    assert!(!run(&world).accepted);
}

#[test]
fn an_incident_nobody_can_accept_and_it_ends_what_was_accepted() {
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("2m"));
    let_pass(&mut world, 60);
    world.status.run.as_mut().unwrap().accepted = true;
    both_fail(&mut world, 0.3);
    let incident = |world: &World| {
        let said = run(world).judge.said.as_ref();
        said.is_some_and(|said| said.cause == Some(crate::api::status::Cause::SharedIncident))
    };
    world.until("the incident", incident);
    assert!(!run(&world).accepted);
    // The first waives the hold, and no other does more.
    for said in ["the rest of the hold at step 1 is waived;", "is waived already"] {
        let (_, _, message) = promote(&mut world);
        assert!(message.contains(said), "{message}");
        world.now += SignedDuration::from_millis(1_100);
    }
    assert!(!run(&world).accepted);
    assert_eq!(world.weights, vec![500]);
}

#[test]
fn what_was_accepted_is_asked_again_where_the_evidence_begins_anew() {
    let accepted = || {
        let mut world = doubtful();
        world.status.run.as_mut().unwrap().accepted = true;
        world
    };
    let mut world = accepted();
    world.spec.checks[0].error_rate.as_mut().unwrap().max = Some("1.1%".parse().unwrap());
    world.pass();
    assert!(!run(&world).accepted, "another limit");
    let mut world = accepted();
    world.spec.steps.as_mut().unwrap()[1].weight = "50%".parse().unwrap();
    world.pass();
    assert!(!run(&world).accepted, "another next weight");
    let mut world = accepted();
    let run_now = world.status.run.as_mut().unwrap();
    (run_now.paused_for, run_now.paused_at) = (Some(PauseReason::CheckFailed), Some(world.now));
    world.ask(Verb::Resume);
    world.pass();
    assert!(!run(&world).accepted, "judged anew");
}

#[test]
fn one_approval_is_enough_for_all_weights_of_a_step() {
    let mut world = cold(|spec| spec["steps"][0]["approval"] = json!(true));
    world.until("the approval", |world| {
        run(world).paused_for == Some(PauseReason::Approval)
    });
    world.ask(Verb::Promote);
    world.until("a weight in between", |world| world.weights.len() > 1);
    assert!(world.weights[1] < 2_500, "{:?}", world.weights);
    world.missed = Some(0.05);
    let since = world.now;
    world.until("25%", |world| at(world, 2_500));
    assert!(world.now.duration_since(since) < SignedDuration::from_mins(5));
}

#[test]
fn a_persons_pause_counts_towards_no_hold_and_makes_none_longer() {
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("1m"));
    world.until("25%", |world| at(world, 2_500));
    both_fail(&mut world, 0.2);
    world.until("5% again", |world| at(world, 500));
    both_fail(&mut world, 0.0);
    let_pass(&mut world, 30);
    world.ask(Verb::Pause);
    let_pass(&mut world, 1_800);
    assert_eq!(world.status.run.as_ref().unwrap().paused_for, Some(PauseReason::User));
    world.ask(Verb::Resume);
    let since = world.now;
    world.until("25% again", |world| at(world, 2_500));
    let took = world.now.duration_since(since);
    assert!(
        (SignedDuration::from_secs(80)..SignedDuration::from_secs(100)).contains(&took),
        "the hold is 2m now, of which 30s were served: {took:?}"
    );
}

#[test]
fn a_rest_goes_on_whatever_is_resumed() {
    let mut world = begun(|_| {});
    both_fail(&mut world, 0.2);
    world.until("0%", |world| world.status.phase == Phase::Preparing);
    let rests = run(&world).judge.rests_until;
    assert!(rests > Some(world.now));
    let run_now = world.status.run.as_mut().unwrap();
    (run_now.paused_for, run_now.paused_at) = (Some(PauseReason::CheckFailed), Some(world.now));
    world.ask(Verb::Resume);
    world.settle();
    assert_eq!((run(&world).paused_for, run(&world).judge.rests_until), (None, rests));
}

#[test]
fn a_newer_version_ends_a_bake_early_only_where_nothing_but_time_is_missing() {
    type Change = fn(&mut Run, jiff::Timestamp);
    let cases: [(&str, Outcome, Change); 4] = [
        ("as it is", Outcome::Promoted, |_, _| ()),
        ("paused by the judge", Outcome::Superseded, |run, now| {
            (run.paused_for, run.paused_at) = (Some(PauseReason::SharedIncident), Some(now));
        }),
        ("paused by a check", Outcome::Superseded, |run, now| {
            (run.paused_for, run.paused_at) = (Some(PauseReason::CheckFailed), Some(now));
        }),
        ("held by the judge", Outcome::Superseded, |run, _| {
            run.judge.said.as_mut().unwrap().left = None;
        }),
    ];
    for (what, outcome, change) in cases {
        let mut world = begun(|spec| spec["bake"] = json!("10m"));
        world.until_phase(Phase::Baking);
        let_pass(&mut world, 20);
        assert_eq!(
            world.status.checks[0].verdict,
            crate::api::status::Verdict::Pass,
            "{what}"
        );
        change(world.status.run.as_mut().unwrap(), world.now);
        world.apply_version("v3");
        world.until("its end", |world| !world.status.history.is_empty());
        assert_eq!(world.status.history[0].outcome, outcome, "{what}");
    }
}
