//! What the judge knows of the old version: whether it is there, what was normal of it, and when it was overloaded too.

use super::{
    judged::{begun, both_fail, let_pass},
    *,
};
use crate::api::status::Verdict;

#[test]
fn an_incident_in_which_a_pod_of_the_old_version_is_not_ready_blames_neither() {
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("2m"));
    let_pass(&mut world, 60);
    world.stable_lost = 1;
    both_fail(&mut world, 0.2);
    let_pass(&mut world, 20);
    assert_eq!(world.weights, vec![500], "{}", world.status.message);
    (world.stable_lost, world.bad, world.baseline_bad) = (0, 0.0, 0.0);
    world.until_phase(Phase::Succeeded);
    // With most of its pods gone what is left of it is no measure.
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("2m"));
    let_pass(&mut world, 60);
    world.stable_lost = 3;
    both_fail(&mut world, 0.2);
    world.until_phase(Phase::RolledBack);
}

#[test]
fn a_cache_in_each_pod_that_never_works_is_found_although_pods_are_not_told_apart() {
    let mut world = begun(|spec| {
        spec["checks"] = json!([{"errorRate": {"max": "1%"}}, {"hitRatio": {"min": "80%"}}]);
        spec["cache"] = json!({"placement": "PerPod"});
    });
    world.missed = Some(1.0);
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "HitRatioBelowMin");
}

#[test]
fn a_fix_is_released_without_an_old_version_to_compare_it_with() {
    let mut spec = spec();
    spec["checks"] = json!([
        {"errorRate": {"max": "1%", "maxIncrease": "0.5%"}},
        {"hitRatio": {"maxDrop": "5%"}},
        {"latency": {"quantile": "p99", "max": "1s"}}
    ]);
    spec["cache"] = json!({"placement": "PerVersion"});
    let mut world = World::new(&spec).adopted();
    world.stable_ready = false;
    world.missed = Some(0.4);
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world.until("a verdict", |world| {
        !world.status.checks.is_empty() && world.status.checks[1].verdict == Verdict::Pass
    });
    assert!(
        world.status.checks[1].message.starts_with("not compared"),
        "{:?}",
        world.status.checks[1]
    );
    let mut broken = world.clone();
    world.until_phase(Phase::Succeeded);
    assert!(world.status.run.as_ref().unwrap().recovery);
    // Limits of its own it has to keep.
    broken.bad = 0.2;
    broken.until_phase(Phase::RolledBack);
    assert_eq!(condition(&broken, "RolledBack").1, "ErrorRateAboveMax");
}

#[test]
fn where_nothing_is_left_to_judge_data_are_waited_for_all_the_same() {
    let mut spec = spec();
    spec["checks"] = json!([{"errorRate": {"maxIncrease": "0.5%"}}]);
    let mut world = World::new(&spec).adopted();
    (world.stable_ready, world.answers) = (false, false);
    world.apply_version("v2");
    world.until("the pause", |world| world.is_paused_for(PauseReason::NoData));
    world.answers = true;
    world.until_phase(Phase::Succeeded);
}

#[test]
fn the_second_overload_by_the_first_weight_ends_the_release() {
    let mut world = begun(|_| {});
    both_fail(&mut world, 0.2);
    world.until("0%", |world| world.status.phase == Phase::Preparing);
    both_fail(&mut world, 0.0);
    world.until("5% again", |world| at(world, 500));
    both_fail(&mut world, 0.2);
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "OriginOverloaded");
}

#[test]
fn what_goes_on_at_rest_was_not_overloaded_by_the_first_weight() {
    let mut world = begun(|_| {});
    both_fail(&mut world, 0.2);
    world.until("0%", |world| world.status.phase == Phase::Preparing);
    world.until("5% again", |world| at(world, 500));
    let_pass(&mut world, 30);
    assert_eq!(
        (world.status.phase, world.share()),
        (Phase::Shifting, 500),
        "{}",
        world.status.message
    );
    both_fail(&mut world, 0.0);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn requests_that_could_not_be_read_are_counted_later() {
    let mut world = begun(|spec| {
        spec["checks"] = json!([{"errorRate": {"max": "1%"}}, {"query": {"promql": "queue_length", "max": 1}}]);
        spec["steps"][0]["hold"] = json!("5m");
    });
    let_pass(&mut world, 30);
    let known = |world: &World| {
        let judge = &world.status.run.as_ref().unwrap().judge;
        let counted = judge.memory["checks"][0]["counted"]["run"].as_f64().unwrap_or_default();
        (judge.last_tick, counted)
    };
    let before = known(&world);
    world.lacks_requests = true;
    let_pass(&mut world, 20);
    assert_eq!(known(&world), before);
    world.lacks_requests = false;
    let_pass(&mut world, 4);
    let after = known(&world);
    let seconds = after.0.unwrap().duration_since(before.0.unwrap()).as_secs_f64();
    assert!(
        seconds > 20.0 && (after.1 - before.1 - 60.0 * seconds).abs() < 1.0,
        "{before:?} {after:?}"
    );
}
