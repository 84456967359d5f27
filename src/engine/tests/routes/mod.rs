//! Several rules and routes of both kinds: all get every weight, and all are put back.

mod fit;
mod testers;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::contract::kind::Kind, condition, spec, world::World};
use crate::api::{action::Verb, status::Phase};

fn route(name: &str, rules: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "generation": 1}, "spec": {"rules": rules}})
}

fn spec_with(traffic: &Value) -> Value {
    let mut spec = spec();
    spec["traffic"] = traffic.clone();
    spec
}

/// One GRPCRoute and two HTTPRoutes, one of them with three rules.
fn with_three_routes(traffic: &Value) -> World {
    let mut world = World::new(&spec_with(traffic));
    let backends = |path: &str, backends: Value| json!({"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": backends});
    let rules = json!([
        backends("/a", json!([{"name": "catalog", "port": 80, "weight": 7}])),
        backends("/b", json!([{"name": "search", "port": 80}])),
        backends(
            "/c",
            json!([{"name": "catalog", "port": 80, "weight": 3}, {"name": "legacy", "port": 80}])
        ),
    ]);
    world
        .objects
        .insert((Kind::HttpRoute, "second".to_owned()), route("second", &rules));
    let calls = json!([{"matches": [{"method": {"service": "shop.Catalog"}}], "backendRefs": [{"name": "catalog", "port": 80}]}]);
    world
        .objects
        .insert((Kind::GrpcRoute, "catalog".to_owned()), route("catalog", &calls));
    world
}

fn three_routes() -> Value {
    json!({"gatewayAPI": {"routes": [{"name": "catalog"}, {"name": "second", "rules": ["*"]}, {"kind": "GRPCRoute", "name": "catalog"}]}})
}

fn with_testers() -> Value {
    json!({"gatewayAPI": {"routes": [{"name": "catalog"}, {"kind": "GRPCRoute", "name": "catalog"}]}, "testers": [{"header": "X-Canary", "equals": "1"}]})
}

fn at(world: &World, hundredths: u32) -> bool {
    world
        .status
        .run
        .as_ref()
        .is_some_and(|run| run.weight.hundredths() == hundredths && run.intent.is_none())
}

#[test]
fn every_rule_of_every_route_gets_every_weight_and_all_are_put_back() {
    let mut world = with_three_routes(&three_routes()).adopted();
    let keys = [
        (Kind::HttpRoute, "catalog"),
        (Kind::HttpRoute, "second"),
        (Kind::GrpcRoute, "catalog"),
    ];
    let found: Vec<Value> = keys
        .iter()
        .map(|(kind, name)| world.get(*kind, name)["spec"].clone())
        .collect();
    world.apply_version("v2");
    for weight in [500, 2_500, 10_000] {
        world.until("the weight", |world| at(world, weight));
        assert_eq!(
            (world.smallest_share(), world.share()),
            (weight, weight),
            "in every rule"
        );
    }
    let remembered: Vec<(&str, usize)> = world
        .status
        .originals
        .routes
        .iter()
        .map(|(key, route)| (key.as_str(), route.rules.len()))
        .collect();
    assert_eq!(
        remembered,
        [
            ("GRPCRoute/catalog", 1),
            ("HTTPRoute/catalog", 1),
            ("HTTPRoute/second", 2)
        ]
    );
    world.until_phase(Phase::Succeeded);
    world.until("the routes as found", |world| {
        keys.iter()
            .zip(&found)
            .all(|((kind, name), found)| world.get(*kind, name)["spec"] == *found)
    });
    assert!(
        keys.iter()
            .all(|(kind, name)| world.get(*kind, name)["metadata"]["managedFields"]
                .as_array()
                .is_none_or(Vec::is_empty)),
        "no mark of ours"
    );
}

#[test]
fn an_edit_of_any_routed_rule_is_seen_and_put_back() {
    let mut world = with_three_routes(&three_routes()).adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    let second = world.objects.get_mut(&(Kind::HttpRoute, "second".to_owned())).unwrap();
    second["spec"]["rules"][2]["backendRefs"][2]["weight"] = json!(900);
    second["metadata"]["generation"] = json!(70);
    second["metadata"]["managedFields"] = json!([]);
    world.settle_unchecked();
    assert_eq!((world.smallest_share(), world.share()), (500, 500));
    assert_eq!(world.status.drift.last.as_ref().unwrap().object, "HTTPRoute/second");
    world.until_phase(Phase::Succeeded);
}

#[test]
fn one_route_that_is_not_accepted_holds_the_weight() {
    let mut world = with_three_routes(&three_routes()).adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    let mut grpc = world.objects.remove(&(Kind::GrpcRoute, "catalog".to_owned())).unwrap();
    world.settle_unchecked();
    assert_eq!(condition(&world, "Accepted"), ("False", "RouteNotFound"));
    world.now += SignedDuration::from_secs(60);
    world.settle();
    assert!(
        at(&world, 500) && world.status.phase == Phase::Shifting,
        "no rise: {}",
        world.status.message
    );
    grpc["metadata"]["generation"] = json!(90);
    world.objects.insert((Kind::GrpcRoute, "catalog".to_owned()), grpc);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_route_that_the_plan_no_longer_names_is_left_as_it_was() {
    let mut world = with_three_routes(&three_routes()).adopted();
    let found = world.get(Kind::HttpRoute, "second")["spec"].clone();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.spec = serde_json::from_value(spec_with(&json!({"gatewayAPI": {"routes": [{"name": "catalog"}]}}))).unwrap();
    world.settle();
    assert_eq!(world.get(Kind::HttpRoute, "second")["spec"], found);
    assert_eq!(
        world.status.originals.routes.keys().collect::<Vec<_>>(),
        ["HTTPRoute/catalog"]
    );
    assert_eq!(world.share(), 2_500, "the other one goes on");
    world.until_phase(Phase::Succeeded);
}

#[test]
fn pods_lost_before_the_weight_is_confirmed_take_it_back() {
    let mut world = super::world();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world.accepts = false;
    world.until("25% to be written", |world| world.share() == 2_500);
    world.ready = false;
    world.settle_unchecked();
    assert_eq!((world.share(), world.status.phase), (0, Phase::Preparing));

    let mut world = super::world();
    world.reports_generations = false;
    world.apply_version("v2");
    world.until("the first weight to be written", |world| world.share() == 500);
    world.ready = false;
    world.settle_unchecked();
    assert_eq!((world.share(), world.status.phase), (0, Phase::Preparing));
}

#[test]
fn a_route_that_names_the_canary_at_rest_is_put_back() {
    let mut world = super::world();
    let found = world.get(Kind::HttpRoute, "catalog")["spec"].clone();
    let route = world.objects.get_mut(&(Kind::HttpRoute, "catalog".to_owned())).unwrap();
    let backends = route["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
    backends[0]["weight"] = json!(1);
    backends.push(json!({"name": "catalog-canary", "port": 80, "weight": 0}));
    world.settle_unchecked();
    assert_eq!(world.canary_share(), None);
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    world.until("rest", |world| world.get(Kind::HttpRoute, "catalog")["spec"] == found);
}

#[test]
fn a_gateway_that_reports_no_generation_is_waited_for() {
    let mut world = super::world();
    world.reports_generations = false;
    world.apply_version("v2");
    world.until("the first weight", |world| !world.weights.is_empty());
    let written = world.now;
    world.until("5%", |world| at(world, 500));
    assert!(
        world.now.duration_since(written) >= SignedDuration::from_secs(30),
        "confirmed after {}",
        world.now.duration_since(written)
    );
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.weights, [500, 2_500, 10_000, 0]);

    // Our marks tell when the entry left. What it led to goes when that counts as served, and so do they.
    world.until("the entry's end", |world| {
        world.get(Kind::HttpRoute, "catalog")["spec"]["rules"][0]["backendRefs"]
            .as_array()
            .unwrap()
            .len()
            == 1
    });
    let left = world.now;
    world.until("the canary Service's end", |world| {
        !world
            .objects
            .contains_key(&(Kind::Service, "catalog-canary".to_owned()))
    });
    assert!(
        world.now.duration_since(left) >= SignedDuration::from_secs(30),
        "gone after {}",
        world.now.duration_since(left)
    );
    world.until("the end of our marks", |world| {
        world.get(Kind::HttpRoute, "catalog")["metadata"]["managedFields"] == json!([])
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever happens to people, pods and gateways: testers never meet a Service without pods nor a release that goes
    /// back (checked after every pass), all rules say the same at rest, and every route is as found at the end.
    #[test]
    fn nothing_that_happens_breaks_an_invariant_of_several_routes(events in proptest::collection::vec((0..8_u8, 1..20_i64), 1..20)) {
        let mut traffic = three_routes();
        traffic["testers"] = with_testers()["testers"].clone();
        let mut world = with_three_routes(&traffic).adopted();
        let found = world.objects.clone();
        world.apply_version("v2");
        for (event, seconds) in events {
            match event {
                0 if world.status.phase != Phase::Promoting => world.ready = !world.ready,
                0 | 1 => world.accepts = !world.accepts,
                2 => world.apply_version("v3"),
                3 => world.ask(Verb::Pause),
                4 => world.ask(Verb::Resume),
                5 => world.ask(Verb::Promote),
                6 => world.bad = 0.3 - world.bad,
                _ => world.reports_generations = !world.reports_generations,
            }
            for _ in 0..seconds {
                world.settle();
                world.now += SignedDuration::from_secs(1);
            }
        }
        (world.accepts, world.ready, world.spec.paused) = (true, true, false);
        world.settle();
        world.ask(Verb::Abort);
        world.until("rest", |world| matches!(world.status.phase, Phase::Idle | Phase::RolledBack | Phase::Succeeded) && world.status.kept.is_empty());
        for kind in [Kind::HttpRoute, Kind::GrpcRoute] {
            for ((_, name), object) in found.iter().filter(|((found, _), _)| *found == kind) {
                prop_assert_eq!(&world.get(kind, name)["spec"], &object["spec"]);
            }
        }
    }
}
