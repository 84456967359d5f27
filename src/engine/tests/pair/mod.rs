//! Releases of a pair: traffic alone is moved, from the baseline to the candidate and back.

mod baseline;
mod candidate;
mod owner;

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
