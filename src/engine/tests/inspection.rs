//! What is said of the running version's metrics before a release, and how often they are looked at.

use jiff::SignedDuration;
use serde_json::json;

use super::{condition, spec, world::World};
use crate::api::status::{Cause, Inspection, Phase, Verdict};

fn accepted(world: &World) -> String {
    let mut conditions = world.status.conditions.iter();
    let accepted = conditions.find(|condition| condition.type_ == "Accepted").unwrap();
    assert_eq!(
        (accepted.status.as_str(), accepted.reason.as_str()),
        ("True", "Accepted")
    );
    accepted.message.clone()
}

fn found(world: &World) -> Inspection {
    world.status.inspection.clone().unwrap()
}

/// Adopted, and looked at as often as it is by itself within ten minutes.
fn inspected(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new(&spec());
    change(&mut world);
    let mut world = world.adopted();
    live(&mut world, 600);
    world
}

fn live(world: &mut World, seconds: i64) {
    let end = world.now + SignedDuration::from_secs(seconds);
    loop {
        let decision = world.settle();
        match decision.wake {
            Some(wake) if wake <= end => world.now = wake,
            _ => break,
        }
    }
    world.now = end;
}

#[test]
fn at_rest_a_version_is_looked_at_once() {
    let mut world = inspected(|_| {});
    assert_eq!(world.inspections, 1);
    let said = accepted(&world);
    assert!(
        said.contains("the running version keeps errors 0.00% (<= 1%)"),
        "{said}"
    );
    let check = &world.status.checks[0];
    assert_eq!(
        (check.verdict, check.cause, check.value.as_deref()),
        (Verdict::Pass, None, None)
    );
    assert_eq!(check.baseline.as_deref(), Some("0.00%"));
    let counted = check
        .evidence
        .map(|counted| (counted.baseline_bad, counted.baseline_total));
    assert_eq!(counted, Some((0.0, 18_000.0)));
    assert_eq!(check.at, Some(found(&world).at));
    live(&mut world, 86_400);
    assert_eq!((world.inspections, found(&world).again_at), (1, None));
    assert_eq!(
        world.told.iter().filter(|told| *told != "Adopted").count(),
        0,
        "{:?}",
        world.told
    );
    // Other limits are others' news, whether or not a release has run.
    world.spec.checks = serde_json::from_value(json!([{"errorRate": {"max": "2%"}}])).unwrap();
    live(&mut world, 60);
    assert_eq!(
        (world.inspections, world.status.checks[0].threshold.as_str()),
        (2, "<= 2%")
    );
    world.lag = Some(2);
    live(&mut world, 60);
    assert_eq!(world.inspections, 3, "another MetricSource");
}

#[test]
fn limits_relative_to_the_running_version_are_told_as_what_they_come_to() {
    let said = |bad: f64, checks: serde_json::Value| {
        let mut spec = spec();
        spec["checks"] = checks;
        let mut world = World::new(&spec);
        world.stable_bad = bad;
        let mut world = world.adopted();
        live(&mut world, 10);
        (accepted(&world), world.status.checks[0].message.clone())
    };
    let (accepted, message) = said(0.002, json!([{"errorRate": {"max": "1%", "maxIncrease": "0.5%"}}]));
    // The share of 18,000 requests is known to 0.06 points.
    assert_eq!(
        message,
        "with maxIncrease 0.5% up to 0.76% of a new version's requests may fail"
    );
    assert!(accepted.contains(&message), "{accepted}");
    let (accepted, message) = said(0.1, json!([{"hitRatio": {"maxDrop": "5%"}}]));
    assert_eq!(message, "with maxDrop 5% a new version's cache has to reach 85%");
    assert!(accepted.contains(&message), "{accepted}");
    let (_, message) = said(0.1, json!([{"hitRatio": {}}]));
    assert_eq!(message, "without min or maxDrop a new version's cache has to reach 80%");
    for alone in [
        json!([{"errorRate": {"max": "1%"}}]),
        json!([{"hitRatio": {"min": "80%"}}]),
    ] {
        assert_eq!(said(0.001, alone).1, "");
    }
}

#[test]
fn a_release_looks_once_more_and_keeps_what_it_has_judged() {
    let mut world = inspected(|_| {});
    world.apply_version("v2");
    world.until_phase(Phase::Preparing);
    assert!(
        world.status.checks.is_empty(),
        "nothing was judged yet: {:?}",
        world.status.checks
    );
    world.until_phase(Phase::Succeeded);
    assert_eq!((world.inspections, found(&world).run), (2, 1));
    let judged = world.status.checks.clone();
    assert!(judged[0].value.is_some());
    live(&mut world, 3_600);
    assert_eq!((world.inspections, &world.status.checks), (2, &judged));
    let said = accepted(&world);
    assert!(
        !said.contains("running version"),
        "what was found was another version: {said}"
    );
}

#[test]
fn a_version_that_breaks_its_own_limit_is_told_once_and_can_be_replaced() {
    let mut world = inspected(|world| world.stable_bad = 0.021);
    let said = accepted(&world);
    let broken = "the running version itself breaks errors 2.10% (<= 1%), 378 of 18000 requests of the running version failed in 5m: a release that is no better will be rolled back";
    assert!(said.contains(broken), "{said}");
    assert_eq!(world.status.checks[0].verdict, Verdict::Fail);
    assert!(world.notes.contains(broken), "{}", world.notes);
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.inspections, 2);
    let times = world.told.iter().filter(|told| *told == "StableBreaksLimit").count();
    assert_eq!(times, 1, "{:?}", world.told);
    assert_eq!(condition(&world, "Promoted"), ("True", "Promoted"));
}

#[test]
fn what_cannot_be_measured_is_said_and_not_asked_again() {
    for (cause, why) in [
        (
            Cause::ThresholdNotMeasurable,
            "no histogram edge is near the limit of 0.3s",
        ),
        (Cause::NotReadable, "http_requests_total has no label with a status"),
    ] {
        let world = inspected(|world| world.lacks = Some((cause, why)));
        assert_eq!(world.inspections, 1);
        let said = accepted(&world);
        let expected = format!(
            "check error-rate has no data ({cause}): {why}; as long as that is so a release waits at its first weight"
        );
        assert!(said.contains(&expected), "{said}");
        let check = &world.status.checks[0];
        assert_eq!(
            (check.verdict, check.cause, check.message.as_str()),
            (Verdict::NoData, Some(cause), why)
        );
    }
}

#[test]
fn series_that_are_not_there_yet_are_looked_for_a_few_times() {
    let mut world = inspected(|world| world.lacks = Some((Cause::Empty, "no series of the running version")));
    assert_eq!((world.inspections, found(&world).again_at), (4, None));
    live(&mut world, 86_400);
    assert_eq!(world.inspections, 4);
    let mut world = World::new(&spec());
    world.lacks = Some((Cause::Empty, "no series of the running version"));
    let mut world = world.adopted();
    live(&mut world, 10);
    let said = accepted(&world);
    assert!(
        said.contains("cannot be read yet (no series of the running version)"),
        "{said}"
    );
    world.lacks = None;
    live(&mut world, 60);
    assert!(accepted(&world).contains("the running version keeps errors"));
    assert_eq!((world.inspections, found(&world).unread), (2, 0));
}

#[test]
fn a_store_that_is_down_is_asked_ever_more_seldom_until_it_answers() {
    let mut world = World::new(&spec());
    world.answers = false;
    let mut world = world.adopted();
    live(&mut world, 20_000);
    // 30 s, 1, 2, 4, 8 minutes, then every ten: 15.5 minutes for the first five repeats.
    assert_eq!(world.inspections, 1 + 5 + (20_000 - 930) / 600);
    assert!(accepted(&world).contains("cannot be read yet (down)"));
    let told = world.told.iter().filter(|told| *told != "Adopted").count();
    assert_eq!(told, 0, "{:?}", world.told);
    world.answers = true;
    live(&mut world, 601);
    assert!(accepted(&world).contains("the running version keeps errors"));
    assert_eq!((found(&world).unread, found(&world).again_at), (0, None));
    let inspections = world.inspections;
    live(&mut world, 86_400);
    assert_eq!(world.inspections, inspections);
}

#[test]
fn a_release_is_not_held_by_a_store_that_is_down_when_it_begins() {
    let mut world = inspected(|_| {});
    world.answers = false;
    world.apply_version("v2");
    world.until("the first weight", |world| world.status.phase == Phase::Shifting);
    assert_eq!(world.inspections, 2, "no further look while a release runs");
}

#[test]
fn a_pod_that_is_scraped_twice_is_told_once() {
    let twice = "catalog-abc is scraped by jobs a and b: of them a counts";
    let mut world = inspected(|world| world.scraped_twice = Some(twice));
    assert!(accepted(&world).contains(twice));
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    let times = world.told.iter().filter(|told| *told == "ScrapedTwice").count();
    assert_eq!((times, world.inspections), (1, 2), "{:?}", world.told);
}

#[test]
fn nothing_is_looked_at_without_checks_or_pods() {
    let mut unjudged = spec();
    unjudged["checks"] = json!([]);
    unjudged["unjudged"] = json!(true);
    let mut world = World::new(&unjudged).adopted();
    live(&mut world, 600);
    assert_eq!((world.inspections, &world.status.inspection), (0, &None));
}

#[test]
fn an_answer_to_other_checks_is_left_out() {
    let mut world = World::new(&spec()).adopted();
    let before = found(&world);
    world.spec.checks = serde_json::from_value(json!([{"errorRate": {"max": "5%"}}])).unwrap();
    let (id, in_force) = world.subject();
    let mut seen = world.look();
    let asked = world.needs(&seen).inspect.unwrap();
    assert_ne!(asked.basis, before.basis);
    let mut late = world.inspect(&asked);
    late.basis = before.basis.clone();
    seen.inspected = Some(late);
    let decision = crate::engine::decide(&id, &in_force, &world.status, &seen, world.now);
    assert_eq!(decision.status.inspection, Some(before));
}
