//! What a release does by the judge's word: it blames, steps back, waits, and rises in smaller steps.

use super::*;

/// A release whose first weight was just confirmed.
pub fn begun(change: impl FnOnce(&mut Value)) -> World {
    let mut spec = spec();
    change(&mut spec);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world
}

pub fn let_pass(world: &mut World, seconds: i64) {
    for _ in 0..seconds {
        world.settle();
        world.now += SignedDuration::from_secs(1);
    }
    world.settle();
}

pub fn both_fail(world: &mut World, share: f64) {
    (world.bad, world.baseline_bad) = (share, share);
}

#[test]
fn what_both_versions_share_and_a_raise_overloads_takes_the_raise_back() {
    let mut world = begun(|_| {});
    world.until("25%", |world| at(world, 2_500));
    both_fail(&mut world, 0.2);
    world.until("5% again", |world| at(world, 500));
    both_fail(&mut world, 0.0);
    assert_eq!(world.weights, vec![500, 2_500, 500]);
    assert!(
        world.told.iter().any(|reason| reason == "SteppedBack"),
        "{:?}",
        world.told
    );
    let since = world.now;
    let fell = "25% → 5%, confirmed by the gateway after 0ms";
    assert!(
        world.notes.contains(fell) && !world.notes.contains(&format!("{fell}; passed")),
        "{}",
        world.notes
    );
    world.until("25% again", |world| at(world, 2_500));
    assert!(
        world.now.duration_since(since) >= SignedDuration::from_secs(20),
        "its hold is twice as long now"
    );
    world.until_phase(Phase::Succeeded);
}

#[test]
fn the_first_weight_falls_back_to_nothing_and_is_given_again_later() {
    let mut world = begun(|_| {});
    both_fail(&mut world, 0.2);
    world.until("0%", |world| world.status.phase == Phase::Preparing);
    both_fail(&mut world, 0.0);
    let since = world.now;
    world.until("5% again", |world| at(world, 500));
    assert!(
        world.now.duration_since(since) >= SignedDuration::from_secs(15),
        "it rests"
    );
    world.until_phase(Phase::Succeeded);
}

#[test]
fn an_incident_of_both_versions_blames_neither() {
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("2m"));
    let_pass(&mut world, 60);
    both_fail(&mut world, 0.3);
    let mut causes = Vec::new();
    for _ in 0..22 {
        let_pass(&mut world, 1);
        let check = &world.status.checks[0];
        causes.extend(check.cause.map(|cause| cause.to_string()));
        assert!(!check.message.starts_with("0 of 0 "), "{}", check.message);
    }
    assert_eq!(world.weights, vec![500], "{}", world.status.message);
    assert!(causes.iter().any(|cause| cause == "SharedIncident"), "{causes:?}");
    both_fail(&mut world, 0.0);
    let since = world.now;
    world.until("25%", |world| at(world, 2_500));
    assert!(
        world.now.duration_since(since) >= SignedDuration::from_secs(110),
        "the hold begins anew"
    );
    assert!(
        world.now.duration_since(since) <= SignedDuration::from_secs(125),
        "what failed in the incident's last ticks counts against nobody"
    );
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_version_that_fails_more_than_the_incident_is_blamed() {
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("2m"));
    let_pass(&mut world, 60);
    both_fail(&mut world, 0.3);
    let_pass(&mut world, 20);
    world.baseline_bad = 0.05;
    world.until_phase(Phase::RolledBack);
    assert_eq!(world.weights, vec![500, 0]);
}

#[test]
fn a_hold_costs_no_more_than_its_time() {
    // Three ticks are the least: the first two of a step count for nothing.
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("6s"));
    let since = world.status.run.as_ref().unwrap().step_started_at.unwrap();
    world.until("the next weight", |world| world.weights.len() > 1);
    // The tick in which it ends waits for the scrape that follows it, which takes 1 s here.
    assert!(
        world.now.duration_since(since) <= SignedDuration::from_millis(7_010),
        "{}",
        world.now.duration_since(since)
    );
}

#[test]
fn a_hold_costs_its_time_however_seldom_metrics_are_scraped() {
    let held = |hold: &str, scrape: u64, paused: i64| {
        let mut spec = spec();
        spec["steps"][0]["hold"] = json!(hold);
        spec["metrics"] = json!({"interval": "1s"});
        let mut world = World::new(&spec);
        world.scrape = scrape;
        let mut world = world.adopted();
        world.apply_version("v2");
        world.until("5%", |world| at(world, 500));
        let since = world.status.run.as_ref().unwrap().step_started_at.unwrap();
        let_pass(&mut world, 40);
        if paused > 0 {
            world.ask(Verb::Pause);
            let_pass(&mut world, paused);
            world.ask(Verb::Resume);
        }
        world.until("the next weight", |world| world.weights.len() > 1);
        world.now.duration_since(since).as_secs_f64()
    };
    for (hold, scrape, paused, seconds) in [
        ("2m", 15, 0, 120.0),
        ("5m", 15, 0, 300.0),
        ("5m", 30, 0, 300.0),
        ("2m", 15, 60, 180.0),
        // A pause in which the hold would have ended.
        ("50s", 15, 60, 110.0),
    ] {
        let took = held(hold, scrape, paused);
        let half = f64::from(u32::try_from(scrape).unwrap()) / 2.0;
        assert!(
            took >= seconds && took <= seconds + half,
            "{hold} at a scrape of {scrape} s, {paused} s of it paused, took {took}"
        );
    }
}

/// The same with a cold cache.
pub fn cold(change: impl FnOnce(&mut Value)) -> World {
    let mut world = begun(|spec| {
        spec["checks"] = json!([{"errorRate": {"max": "1%"}}, {"hitRatio": {"min": "80%"}}]);
        spec["cache"] = json!({"placement": "PerVersion"});
        change(spec);
    });
    world.missed = Some(0.6);
    world
}

#[test]
fn a_cold_cache_rises_in_smaller_steps_and_stays_in_its_step() {
    let mut world = cold(|_| {});
    world.until("the next weight", |world| world.weights.len() > 1);
    let weight = world.weights[1];
    assert!((700..1_000).contains(&weight), "{:?}", world.weights);
    assert_eq!(world.status.run.as_ref().unwrap().step, 1);
    world.missed = Some(0.05);
    world.until_phase(Phase::Succeeded);
    assert!(world.weights.contains(&2_500), "{:?}", world.weights);
}

#[test]
fn what_is_too_close_to_call_a_person_accepts_at_its_step() {
    let mut world = begun(|_| {});
    world.bad = 0.0115;
    world.until("the pause", |world| {
        let run = world.status.run.as_ref().unwrap();
        run.paused_for == Some(PauseReason::Inconclusive) || world.status.phase == Phase::RollingBack
    });
    assert_eq!(condition(&world, "Paused"), ("True", "Inconclusive"));
    world.ask(Verb::Promote);
    world.settle();
    assert_eq!(world.status.actions.last().unwrap().reason, "NotGuarded");
    world.ask(Verb::Promote);
    world.actions.last_mut().unwrap().spec.step = Some(1);
    world.until("25%", |world| at(world, 2_500));
    assert!(!world.status.run.as_ref().unwrap().accepted, "only that step");
}

#[test]
fn an_edited_limit_begins_anew_and_the_others_go_on() {
    let mut world = begun(|spec| {
        spec["checks"] =
            json!([{"errorRate": {"max": "1%"}}, {"name": "slow", "latency": {"quantile": "p99", "max": "1s"}}]);
        spec["steps"][0]["hold"] = json!("5m");
    });
    let_pass(&mut world, 30);
    let seen = |world: &World, check: usize| {
        let memory = &world.status.run.as_ref().unwrap().judge.memory;
        memory["checks"][check]["counted"]["run"].as_f64().unwrap_or_default()
    };
    assert!(seen(&world, 0) > 0.0 && seen(&world, 1) > 0.0);
    let known = seen(&world, 1);
    world.spec.checks[0].error_rate.as_mut().unwrap().max = Some("2%".parse().unwrap());
    world.pass();
    assert!(seen(&world, 0) < 1.0 && seen(&world, 1) >= known);
}

#[test]
fn how_long_it_will_take_is_told_before() {
    let world = begun(|_| {});
    assert!(world.notes.contains("requests/s"), "{}", world.notes);
}

#[test]
fn a_pause_of_a_weight_that_is_lost_ends_with_it() {
    for reason in [PauseReason::NoData, PauseReason::Approval] {
        let mut world = begun(|spec| {
            if reason == PauseReason::Approval {
                spec["steps"][0]["approval"] = json!(true);
            }
        });
        world.answers = reason != PauseReason::NoData;
        world.until("the pause", |world| {
            world.status.run.as_ref().unwrap().paused_for == Some(reason)
        });
        world.lost = 4;
        world.settle();
        assert_eq!((world.status.phase, world.share()), (Phase::Preparing, 0));
        (world.lost, world.answers) = (0, true);
        world.until("5% again", |world| at(world, 500));
    }
}

#[test]
fn a_step_back_that_could_not_be_stored_is_taken_before_more_is_judged() {
    let mut world = begun(|_| {});
    world.until("25%", |world| at(world, 2_500));
    both_fail(&mut world, 0.2);
    let advice = |status: &crate::api::CanaryRolloutStatus| {
        let said = status.run.as_ref().unwrap().judge.said.as_ref();
        said.map(|said| said.advice)
    };
    let judged = loop {
        let (id, in_force) = world.subject();
        let seen = world.look();
        let needs = crate::engine::needs(&id, &in_force, &world.status, &seen, world.now);
        let measured = needs.measure.map(|question| world.measure(&question));
        let status = crate::engine::judged(&id, &in_force, &world.status, &seen, measured.as_ref(), world.now);
        if advice(&status) == Some(crate::api::status::Advice::StepBack) {
            break status;
        }
        world.settle();
        world.now += SignedDuration::from_secs(1);
    };
    world.status = judged;
    both_fail(&mut world, 0.0);
    world.now += SignedDuration::from_secs(3);
    world.settle();
    assert_eq!(world.share(), 500, "{}", world.status.message);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn pods_are_waited_for_since_the_first_weight_that_lacked_them() {
    let mut world = World::new(&json!({
        "workload": {"deployment": {"name": "catalog"}},
        "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
        "steps": [{"weight": 5, "hold": "10s"}, {"weight": 100}],
        "checks": [{"errorRate": {"max": "1%"}}, {"hitRatio": {"min": "80%"}}],
        "cache": {"placement": "PerVersion"},
        "metrics": {"interval": "2s"}, "progressDeadline": "30s",
    }));
    for (kind, name) in [
        (Kind::Deployment, "catalog".to_owned()),
        (Kind::ReplicaSet, format!("catalog-{STABLE}")),
    ] {
        world.objects.get_mut(&(kind, name)).unwrap()["spec"]["replicas"] = json!(100);
    }
    let mut world = world.adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world.missed = Some(0.7);
    let (mut asked, mut since) = (std::collections::BTreeSet::new(), None);
    let mut share = 0.7;
    while world.status.phase == Phase::Shifting {
        // A quota has no room for more.
        let revision = world.status.run.as_ref().unwrap().revision.clone();
        for _ in 0..3 {
            let set = world.sets().into_iter().find(|set| set.hash == revision);
            world.lost = set.map_or(0, |set| set.replicas).saturating_sub(5);
            world.pass_unchecked();
        }
        if let Some(growing) = &world.status.run.as_ref().unwrap().growing {
            asked.insert(growing.weight);
            since = since.or(Some(world.now));
        }
        share = f64::max(share - 0.012, 0.1);
        world.missed = Some(share);
        world.now += SignedDuration::from_secs(1);
    }
    assert!(asked.len() > 2, "{asked:?}");
    assert_eq!(
        condition(&world, "RolledBack"),
        ("True", "NotReady"),
        "{}",
        world.status.message
    );
    let waited = world.now.duration_since(since.unwrap());
    assert!(waited <= SignedDuration::from_secs(32), "{waited:?}: {asked:?}");
}

#[test]
fn what_the_judge_warns_of_is_told_once() {
    let warned = |world: &World| world.told.iter().filter(|reason| *reason == "JudgeWarning").count();
    let mut world = begun(|spec| spec["steps"][0]["hold"] = json!("5m"));
    let_pass(&mut world, 60);
    assert_eq!(warned(&world), 0, "{}", world.notes);
    world.baseline_bad = 0.3;
    let_pass(&mut world, 120);
    assert_eq!(
        (warned(&world), world.weights.as_slice()),
        (1, &[500][..]),
        "{}",
        world.notes
    );
    assert!(world.notes.contains("whose fault"), "{}", world.notes);
}

#[test]
fn a_release_that_takes_much_longer_than_its_holds_is_warned_of() {
    let hasty = |spec: &mut Value| {
        for step in 0..3 {
            spec["steps"][step]["hold"] = json!("1s");
        }
    };
    let world = begun(hasty);
    assert!(
        world.told.iter().any(|reason| reason == "JudgeWarning"),
        "{:?}",
        world.told
    );
    assert!(world.notes.contains("much longer than its holds"), "{}", world.notes);
}

#[test]
fn how_long_it_will_take_stands_in_the_message_until_it_begins() {
    let mut world = world();
    world.ready = false;
    world.apply_version("v2");
    let_pass(&mut world, 5);
    assert!(world.status.message.contains("requests/s"), "{}", world.status.message);
}
