//! Checks that are no share of requests: pairs of counters, expressions, and latencies that are judged by their value.

use super::{
    judged::{begun, both_fail, let_pass},
    *,
};
use crate::api::status::{Cause, Verdict};

fn with_checks(checks: &Value) -> World {
    begun(|spec| {
        spec["checks"] = checks.clone();
        spec["steps"][0]["hold"] = json!("1m");
    })
}

fn ratio() -> Value {
    json!([{"errorRate": {"max": "50%"}}, {"name": "stale-permissions",
        "ratio": {"bad": "cache_stale_total", "total": "cache_stale_sampled_total"}, "max": "0.1%"}])
}

#[test]
fn a_pair_of_counters_is_judged_like_errors() {
    let mut world = with_checks(&ratio());
    world.bad = 0.05;
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CheckFailed");
    assert_eq!(world.weights, vec![500, 0]);
    let said = &world.notes;
    assert!(
        said.contains("check stale-permissions: ")
            && said.contains("samples of the new version were bad in")
            && said.contains("(5%, limit 0.1%); the old version: 0%"),
        "{said}"
    );
    let check = &world.status.checks[1];
    assert_eq!(
        (
            check.value.as_deref(),
            check.baseline.as_deref(),
            check.threshold.as_str()
        ),
        (Some("5.00%"), Some("0.00%"), "<= 0.1%")
    );
    let evidence = check.evidence.unwrap();
    assert!(evidence.bad > 0.0 && evidence.needed == 0.0, "{evidence:?}");
}

#[test]
fn what_both_versions_count_as_bad_blames_neither() {
    let mut world = with_checks(&ratio());
    let_pass(&mut world, 30);
    both_fail(&mut world, 0.05);
    let_pass(&mut world, 12);
    assert_eq!(world.weights, vec![500], "{}", world.status.message);
    both_fail(&mut world, 0.0);
    world.until_phase(Phase::Succeeded);
}

fn query() -> Value {
    json!([{"errorRate": {"max": "50%"}}, {"name": "queue", "query": {"promql": "max(depth{pod=~\"{{candidate.pods}}\"})", "max": 0.1}}])
}

#[test]
fn a_value_of_the_new_version_alone_is_its_own() {
    let mut world = with_checks(&query());
    world.bad = 0.3;
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CheckFailed");
    let check = &world.status.checks[1];
    assert_eq!(
        (check.value.as_deref(), check.baseline.as_deref()),
        (Some("0.3"), Some("0"))
    );
    assert!(
        world.notes.contains("3 of the last 3 values are outside the limit"),
        "{}",
        world.notes
    );
}

#[test]
fn a_value_that_is_bad_of_both_versions_blames_neither() {
    let mut world = with_checks(&query());
    let_pass(&mut world, 20);
    both_fail(&mut world, 0.3);
    let mut seen = Vec::new();
    for _ in 0..20 {
        let_pass(&mut world, 1);
        let check = &world.status.checks[1];
        if check.cause == Some(Cause::SharedIncident) {
            seen.push(check.message.clone());
        }
    }
    assert_eq!(world.weights, vec![500], "{}", world.status.message);
    assert!(
        seen.iter().any(|said| said.contains("of the old version's 3")),
        "{seen:?}"
    );
    both_fail(&mut world, 0.0);
    let since = world.now;
    world.until("25%", |world| at(world, 2_500));
    assert!(
        world.now.duration_since(since) >= SignedDuration::from_secs(55),
        "the hold begins anew"
    );
    world.until_phase(Phase::Succeeded);
}

#[test]
fn with_all_traffic_the_old_versions_value_excuses_nothing() {
    let mut world = begun(|spec| {
        spec["checks"] = query();
        spec["bake"] = json!("10m");
    });
    world.until_phase(Phase::Baking);
    both_fail(&mut world, 0.3);
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CheckFailed");
}

#[test]
fn a_latency_limit_that_a_cold_cache_raises_is_said() {
    let mut world = begun(|spec| {
        spec["checks"] = json!([{"latency": {"quantile": "p99", "max": "1s"}}, {"hitRatio": {"min": "80%"}}]);
        spec["cache"] = json!({"placement": "PerVersion"});
        spec["steps"][0]["hold"] = json!("1m");
    });
    (world.bad, world.missed) = (0.02, Some(0.6));
    (world.baseline_bad, world.stable_bad) = (0.01, 0.01);
    let_pass(&mut world, 30);
    let check = &world.status.checks[0];
    assert_eq!(check.verdict, Verdict::Pass, "{}", check.message);
    assert!(
        check.message.starts_with("as its cache is cold the limit is ")
            && check
                .message
                .ends_with("that took longer than 1s; 1% once the cache is warm"),
        "{}",
        check.message
    );
    world.missed = Some(0.01);
    world.bad = 0.0;
    world.until("25%", |world| at(world, 2_500));
    let_pass(&mut world, 14);
    assert_eq!(world.status.checks[0].message, "", "{:?}", world.status.checks);
}

fn median() -> Value {
    json!([{"latency": {"quantile": "p50", "max": "100ms"}}])
}

#[test]
fn a_median_is_judged_by_its_value() {
    let mut world = begun(|spec| {
        spec["checks"] = median();
        spec["steps"][0]["hold"] = json!("10m");
    });
    // Of 200 ms, which is what the small world makes of a share.
    world.bad = 0.2;
    let since = world.now;
    world.until("0%", |world| world.share() == 0);
    let took = world.now.duration_since(since);
    assert!(
        took > SignedDuration::from_secs(170) && took < SignedDuration::from_secs(200),
        "{took:?}: it is looked at once a minute"
    );
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "LatencyAboveMax");
    let mut world = with_checks(&median());
    both_fail(&mut world, 0.2);
    let_pass(&mut world, 400);
    assert_eq!(world.weights, vec![500], "{}", world.status.message);
    both_fail(&mut world, 0.05);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.status.checks[0].verdict, Verdict::Pass);
}
