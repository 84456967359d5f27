//! Releases of a pair: traffic alone is moved, from the baseline to the candidate and back.

use super::{pair_world::Apps, *};
use crate::api::status::Phase;

fn pair_spec() -> Value {
    let mut spec = spec();
    spec["workload"] = json!({"pair": {"baseline": {"deployment": "plain", "service": "catalog"}, "candidate": {"deployment": "cached", "service": "catalog-canary"}}});
    spec
}

/// The route as its owner has it: with the candidate's entry at this weight, or without.
fn pair_with(candidate: Option<i64>) -> World {
    let mut world = World::new(&pair_spec());
    world.pair = Some(Apps::default());
    let mut backends = json!([{"name": "catalog", "port": 80, "weight": 7}]);
    if let Some(weight) = candidate {
        backends
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "catalog-canary", "port": 80, "weight": weight}));
    }
    world.objects.get_mut(&(Kind::HttpRoute, "catalog".to_owned())).unwrap()["spec"]["rules"][0]["backendRefs"] =
        backends;
    world
}

fn pair() -> World {
    pair_with(Some(0))
}

fn apps(world: &mut World) -> &mut Apps {
    world.pair.as_mut().unwrap()
}

fn backends(world: &World) -> Value {
    world.get(Kind::HttpRoute, "catalog")["spec"]["rules"][0]["backendRefs"].clone()
}

fn message(world: &World) -> &str {
    &world.status.message
}

#[test]
fn a_good_candidate_gets_everything_and_keeps_it() {
    for found in [Some(0), None] {
        let mut world = pair_with(found);
        world.until_phase(Phase::Succeeded);
        assert_eq!(world.weights, [500, 2_500, 10_000], "it stays at 100%");
        assert_eq!(condition(&world, "Promoted"), ("True", "Promoted"));
        world.until("the end of keepStable", |world| world.status.kept.is_empty());
        assert_eq!(
            backends(&world),
            json!([{"name": "catalog", "port": 80, "weight": 0}, {"name": "catalog-canary", "port": 80, "weight": 100}])
        );
        assert_eq!(
            world.get(Kind::HttpRoute, "catalog")["metadata"]["managedFields"],
            json!([]),
            "no mark of ours is left"
        );
        world.ask(Verb::Abort);
        world.settle();
        assert_eq!(world.status.actions.last().unwrap().reason, "NothingToAbort");
        world.deletion = Deletion::Asked;
        world.until("the end", |world| !world.finalizer);
        assert_eq!(world.share(), 10_000, "after a promotion it stays at the candidate");
        assert!(
            !world
                .told
                .iter()
                .any(|reason| reason == "LeftPaused" || reason == "ScaledDown"),
            "{:?}",
            world.told
        );
    }
}

#[test]
fn a_bad_candidate_comes_back_and_is_not_tried_again_by_itself() {
    for found in [Some(0), None] {
        let mut world = pair_with(found);
        let route = backends(&world);
        world.bad = 0.2;
        world.until_phase(Phase::RolledBack);
        assert_eq!(world.weights, [500, 0]);
        assert_eq!(condition(&world, "RolledBack"), ("True", "ErrorRateAboveMax"));
        world.until("the route as found", |world| backends(world) == route);
        world.bad = 0.0;
        world.settle();
        assert!(
            message(&world).contains("was rejected at") && world.status.run.as_ref().unwrap().number == 1,
            "{}",
            message(&world)
        );
        world.ask(Verb::Retry);
        world.until_phase(Phase::Succeeded);
    }
}

#[test]
fn a_changed_candidate_is_a_newer_revision_even_before_kubernetes_has_begun() {
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).candidate.change("v2");
    world.settle();
    assert_eq!(
        (world.share(), world.status.phase),
        (0, Phase::Idle),
        "nobody has judged it"
    );
    assert_eq!(world.status.history[0].reason, EndReason::NewerRevision);
    assert!(
        message(&world).contains("waiting for Kubernetes to roll out Deployment cached"),
        "{}",
        message(&world)
    );
    apps(&mut world).candidate.roll(3);
    world.settle();
    assert!(
        message(&world).contains("waiting for Deployment cached: 3/4 pods Available"),
        "{}",
        message(&world)
    );
    apps(&mut world).candidate.roll(4);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.weights, [500, 2_500, 0, 500, 2_500, 10_000]);
    assert_eq!(world.status.stable_revision.as_deref(), Some("cachedv2"));
}

#[test]
fn while_baking_a_changed_candidate_is_not_promoted_unseen() {
    let mut world = pair();
    world.until("the bake", |world| {
        world.status.phase == Phase::Baking && world.status.checks.iter().all(|check| check.value.is_some())
    });
    apps(&mut world).candidate.change("v2");
    world.settle();
    assert_eq!(
        (world.share(), world.status.history[0].reason.into()),
        (0, "NewerRevision")
    );
}

#[test]
fn a_candidate_that_does_not_become_whole_ends_at_its_deadline() {
    let mut world = pair();
    apps(&mut world).candidate.ready = 3;
    world.until_phase(Phase::RolledBack);
    assert_eq!(
        (condition(&world, "RolledBack").1, world.weights.len()),
        ("NotReady", 0)
    );
    // Neither does one with pods of an older template.
    let mut world = pair();
    apps(&mut world).candidate.rolled.insert(0, "v0");
    apps(&mut world).candidate.old = 1;
    world.settle();
    assert!(
        message(&world).contains("waiting for Deployment cached: 4/4 pods Available for 5%; its own rollout is not over (4/4 up to date, 5/4 Available)"),
        "{}",
        message(&world)
    );
    assert!(message(&world).contains("; rolls back at "), "{}", message(&world));
    // At 0 replicas nothing begins.
    let mut world = pair();
    apps(&mut world).candidate.replicas = 0;
    apps(&mut world).candidate.ready = 0;
    world.settle();
    assert!(
        world.status.run.is_none() && message(&world).contains("at 0 no release starts"),
        "{}",
        message(&world)
    );
}

#[test]
fn a_changed_baseline_holds_until_it_is_whole_and_the_step_begins_anew() {
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    world.now += SignedDuration::from_secs(9);
    apps(&mut world).baseline.change("v2");
    apps(&mut world).baseline.roll(1);
    for _ in 0..30 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(world.share(), 2_500, "no rise and no fall");
    assert!(
        message(&world)
            .contains("waiting for Deployment plain to be whole after its change (1/4 up to date, 4/4 Available)"),
        "{}",
        message(&world)
    );
    apps(&mut world).baseline.roll(4);
    world.settle();
    assert_eq!(
        world.status.run.as_ref().unwrap().step_started_at,
        Some(world.now),
        "its hold and evidence begin anew"
    );
    assert_eq!(world.status.stable_revision.as_deref(), Some("plainv2"));
    assert_eq!(
        world.told.iter().filter(|reason| *reason == "BaselineChanged").count(),
        1,
        "{:?}",
        world.told
    );
    // Changed and changed back: its pods are of two versions, although the template is the one that was known.
    apps(&mut world).baseline.change("v3");
    apps(&mut world).baseline.roll(1);
    world.settle();
    apps(&mut world).baseline.change("v2");
    apps(&mut world).baseline.roll(3);
    for _ in 0..30 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(world.share(), 2_500, "no rise and no fall");
    apps(&mut world).baseline.roll(4);
    world.until_phase(Phase::Succeeded);
    world.ask(Verb::Abort);
    world.until_phase(Phase::RolledBack);
    assert_eq!(
        world.status.stable_revision.as_deref(),
        Some("plainv2"),
        "back to the one that stands there"
    );
}

#[test]
fn a_broken_baseline_holds_and_is_no_reason_to_go_back() {
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).baseline.ready = 0;
    for _ in 0..100 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(
        (world.share(), condition(&world, "Healthy")),
        (2_500, ("False", "StableUnavailable"))
    );
    apps(&mut world).baseline.exists = false;
    for _ in 0..100 {
        world.settle();
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(
        (world.share(), condition(&world, "Accepted")),
        (2_500, ("False", "TargetNotFound")),
        "traffic is not sent to nobody"
    );
    apps(&mut world).baseline.exists = true;
    apps(&mut world).baseline.ready = 4;
    world.until_phase(Phase::Succeeded);
}

#[test]
fn lost_pods_of_the_candidate_take_its_weight_along_and_the_third_time_end_it() {
    let mut world = pair();
    for time in 1..=3 {
        world.until("25%", |world| at(world, 2_500));
        // One of four carries 25%.
        apps(&mut world).candidate.ready = 1;
        world.settle();
        assert_eq!(world.share(), 2_500);
        apps(&mut world).candidate.ready = 0;
        world.settle_unchecked();
        assert_eq!(world.share(), 0, "time {time}");
        apps(&mut world).candidate.ready = 4;
    }
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CapacityLost");
    let mut world = pair();
    world.until("25%", |world| at(world, 2_500));
    apps(&mut world).candidate.exists = false;
    apps(&mut world).candidate.ready = 0;
    world.settle_unchecked();
    assert_eq!(world.share(), 0);
    world.until_phase(Phase::Idle);
    assert_eq!(world.status.history[0].reason, EndReason::TargetNotFound);
}

#[test]
fn requests_of_people_are_answered_as_ever() {
    let mut world = pair();
    world.until("5%", |world| at(world, 500));
    world.ask(Verb::Pause);
    world.settle();
    assert_eq!(condition(&world, "Paused"), ("True", "User"));
    world.ask(Verb::Promote);
    world.ask(Verb::PromoteFully);
    world.until("100%", |world| at(world, 10_000));
    assert_eq!(world.weights, [500, 10_000], "no step between");
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!((world.share(), condition(&world, "RolledBack").1), (0, "Aborted"));
}

#[test]
fn a_promotion_is_undone_within_keep_stable_and_what_followed_it_is_rejected_too() {
    let mut world = pair();
    world.until_phase(Phase::Succeeded);
    apps(&mut world).candidate.change("v2");
    apps(&mut world).candidate.roll(4);
    world.settle();
    assert_eq!(world.share(), 10_000, "all traffic is there");
    assert!(
        world.told.iter().any(|reason| reason == "CandidateChanged"),
        "{:?}",
        world.told
    );
    world.ask(Verb::Abort);
    world.until_phase(Phase::RolledBack);
    assert_eq!(
        (world.share(), world.status.stable_revision.as_deref()),
        (0, Some("plainv1"))
    );
    let rejected: Vec<&str> = world
        .status
        .rejected
        .iter()
        .map(|rejected| rejected.revision.as_str())
        .collect();
    assert_eq!(rejected, ["cachedv1", "cachedv2"]);
    let outcomes: Vec<Outcome> = world.status.history.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::RolledBack, Outcome::Promoted]);
    for _ in 0..20 {
        world.now += SignedDuration::from_secs(30);
        world.settle();
    }
    assert_eq!(world.share(), 0, "it is not begun again");

    // Without ready pods there is nothing to go back to.
    let mut world = pair();
    world.until_phase(Phase::Succeeded);
    apps(&mut world).baseline.ready = 0;
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!(
        (world.share(), world.status.actions[0].reason.as_str()),
        (10_000, "NothingToAbort")
    );
}

#[test]
fn deletion_at_any_moment_leaves_the_route_as_found_or_at_the_candidate() {
    for found in [Some(0), None] {
        let route = backends(&pair_with(found));
        for moment in 0..60 {
            let mut world = pair_with(found);
            for _ in 0..moment {
                let (changed, decision) = world.pass();
                if let (false, Some(wake)) = (changed, decision.wake) {
                    world.now = wake;
                }
            }
            let promoted = world.status.phase == Phase::Succeeded;
            world.deletion = Deletion::Asked;
            if world.finalizer {
                world.until("the end", |world| !world.finalizer);
            } else {
                world.settle();
            }
            let left = backends(&world);
            if promoted {
                assert_eq!(world.share(), 10_000, "after {moment} passes");
            } else {
                assert_eq!(left, route, "after {moment} passes");
            }
        }
    }
}

#[test]
fn after_a_promotion_the_route_is_its_owners() {
    let mut world = pair();
    world.until_phase(Phase::Succeeded);
    world.until("rest", |world| world.status.kept.is_empty());
    world.edit_route(
        json!([{"name": "catalog", "port": 80, "weight": 60}, {"name": "catalog-canary", "port": 80, "weight": 40}]),
        "kubectl-edit",
    );
    world.settle();
    assert_eq!(world.share(), 4_000, "who lowers it has a reason");
    assert_eq!(condition(&world, "Healthy"), ("False", "RouteDrift"));
    assert!(
        world
            .notes
            .contains("gives Deployment cached 40% and not 100%: another hand (manager kubectl-edit)"),
        "{}",
        world.notes
    );
    let told = world.told.len();
    world.now += SignedDuration::from_secs(60);
    world.settle();
    assert_eq!(world.told.len(), told, "once");
    // What is no longer needed may go.
    world.edit_route(json!([{"name": "catalog-canary", "port": 80}]), "kubectl-edit");
    apps(&mut world).baseline.exists = false;
    world.settle();
    assert_eq!(
        (condition(&world, "Healthy"), condition(&world, "Accepted")),
        (("True", "Serving"), ("True", "Accepted"))
    );
}

#[test]
fn what_is_not_fit_is_refused_with_the_reason_and_left_alone() {
    let refused = |change: &dyn Fn(&mut World), reason: &str, part: &str| {
        let mut world = pair();
        change(&mut world);
        let before = world.get(Kind::HttpRoute, "catalog").clone();
        world.settle();
        assert_eq!(condition(&world, "Accepted"), ("False", reason), "{}", message(&world));
        assert!(message(&world).contains(part), "{}", message(&world));
        assert_eq!(world.get(Kind::HttpRoute, "catalog"), &before);
        assert!(world.status.stable_revision.is_none() && !world.finalizer);
    };
    refused(
        &|world| apps(world).baseline.exists = false,
        "TargetNotFound",
        "Deployment plain does not exist",
    );
    refused(
        &|world| apps(world).candidate.exists = false,
        "TargetNotFound",
        "Deployment cached does not exist",
    );
    refused(
        &|world| apps(world).candidate.foreign = true,
        "UnsupportedService",
        "Service catalog-canary also selects pod worker-1, which is not of Deployment cached",
    );
    let share = |weight: i64| {
        move |world: &mut World| {
            world.edit_route(json!([{"name": "catalog", "port": 80, "weight": 1}, {"name": "catalog-canary", "port": 80, "weight": weight}]), "git");
        }
    };
    refused(
        &share(1),
        "UnsupportedFeature",
        "gives Service catalog-canary 50% already",
    );
    // A baseline that is not rolled out is waited for.
    let mut world = pair();
    apps(&mut world).baseline.ready = 2;
    world.settle();
    assert!(
        message(&world).contains("waiting for the rollout of Deployment plain: 2/4 up to date"),
        "{}",
        message(&world)
    );
    // As a promotion has left it.
    let mut world = pair();
    world.edit_route(
        json!([{"name": "catalog", "port": 80, "weight": 0}, {"name": "catalog-canary", "port": 80, "weight": 100}]),
        "git",
    );
    world.settle();
    assert_eq!(
        (condition(&world, "Promoted"), world.share()),
        (("True", "Adopted"), 10_000)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever people, metrics, pods and gateways do: only the route is touched, traffic never goes to nobody,
    /// and once all is well again it comes to an end.
    #[test]
    fn nothing_that_happens_breaks_an_invariant(found in proptest::option::of(Just(0)), events in proptest::collection::vec((0..12_u8, 1..30_i64), 1..25)) {
        let mut world = pair_with(found);
        world.live_through(events, |world, own| match own {
            0 => apps(world).candidate.change("v2"),
            1 => apps(world).candidate.roll(4),
            2 => apps(world).baseline.change("v2"),
            3 => apps(world).baseline.roll(4),
            _ => world.ask(Verb::Abort),
        });
        (world.accepts, world.answers, world.bad) = (true, true, 0.0);
        apps(&mut world).candidate.roll(4);
        apps(&mut world).baseline.roll(4);
        world.ask(Verb::Resume);
        world.until("the end", |world| matches!(world.status.phase, Phase::RolledBack | Phase::Succeeded));
        prop_assert_eq!(world.share(), if world.status.phase == Phase::Succeeded { 10_000 } else { 0 });
    }
}
