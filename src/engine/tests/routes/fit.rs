//! Routes that are not fit are refused and left alone; what is odd about one that is fit is told.

use super::*;
use crate::{api::traffic::RouteKind, router::RouteId};

#[test]
fn sessions_that_stay_are_told() {
    let mut world = with_three_routes(&json!({"gatewayAPI": {"routes": [{"name": "catalog"}]}}));
    world.objects.get_mut(&(Kind::HttpRoute, "catalog".to_owned())).unwrap()["spec"]["rules"][0]["sessionPersistence"] =
        json!({});
    let mut world = world.adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    assert!(
        world
            .status
            .message
            .contains("sessions stay on their version (sessionPersistence): its share may run above 5%"),
        "{}",
        world.status.message
    );
}

/// A refusal for this reason, whose message says this too: nothing was touched.
fn refused(traffic: &Value, change: impl Fn(&mut World), reason: &str, part: &str) -> World {
    let mut world = with_three_routes(traffic);
    change(&mut world);
    let before = world.objects.clone();
    world.settle();
    assert_eq!(world.objects, before, "nothing is touched");
    assert_eq!(condition(&world, "Accepted"), ("False", reason));
    assert!(world.status.message.contains(part), "{}", world.status.message);
    world
}

fn named(route: &Value) -> Value {
    json!({"gatewayAPI": {"routes": [route]}})
}

#[test]
fn routes_that_are_not_fit_are_refused_and_untouched() {
    let later = named(&json!({"kind": "GRPCRoute", "name": "later"}));
    let mut world = refused(&later, |_| {}, "RouteNotFound", "");
    assert_eq!(world.status.message, "RouteNotFound: GRPCRoute later does not exist");
    // Created later, adoption goes on without help.
    world.objects.insert(
        (Kind::GrpcRoute, "later".to_owned()),
        route("later", &json!([{"backendRefs": [{"name": "catalog", "port": 80}]}])),
    );
    let _ = world.adopted();

    let no_kind = "this cluster has no kind GRPCRoute";
    refused(&later, |world| world.kinds_missing = true, "RouteNotFound", no_kind);
    let second = named(&json!({"name": "second"}));
    refused(&second, |_| {}, "AmbiguousRule", "rules 1, 3 of HTTPRoute second");
    let main = named(&json!({"name": "second", "rules": ["main"]}));
    refused(&main, |_| {}, "RouteNotFound", "has no rule named main");
    let many = |world: &mut World| {
        let rules = world.objects.get_mut(&(Kind::HttpRoute, "catalog".to_owned())).unwrap()["spec"]["rules"]
            .as_array_mut()
            .unwrap();
        rules.extend((0..15).map(|n| json!({"backendRefs": [{"name": format!("o{n}")}]})));
    };
    let mut testers = named(&json!({"name": "catalog"}));
    testers["testers"] = json!([{"header": "x", "equals": "1"}]);
    let too_many = "it has 16 rules: with 1 for testers it would be 17";
    refused(&testers, many, "UnsupportedFeature", too_many);
    let elder = |world: &mut World| {
        let id = RouteId {
            kind: RouteKind::Http,
            name: "catalog".to_owned(),
        };
        world.route_elder = Some(("shop".to_owned(), id));
    };
    let theirs = "CanaryRollout shop sets weights in the same rule of HTTPRoute catalog";
    let mut world = refused(&named(&json!({"name": "catalog"})), elder, "RouteConflict", theirs);
    // The elder one goes: it takes over.
    world.route_elder = None;
    let _ = world.adopted();
}

#[test]
fn a_spec_that_names_something_twice_is_no_plan() {
    let problem = |traffic: Value| {
        let spec = serde_json::from_value::<crate::api::CanaryRolloutSpec>(spec_with(&traffic)).unwrap();
        crate::api::Plan::try_from(&spec)
            .map(|plan| plan.routes.len())
            .map_err(|why| why.to_string())
    };
    assert_eq!(problem(three_routes()), Ok(3), "kinds have names of their own");
    let twice = json!({"gatewayAPI": {"routes": [{"name": "a"}, {"kind": "HTTPRoute", "name": "a", "rules": ["x"]}]}});
    assert!(problem(twice).is_err_and(|why| why.contains("routes[1]: HTTPRoute a is named already")));
    let beside_all = json!({"gatewayAPI": {"routes": [{"name": "a", "rules": ["*", "x"]}]}});
    assert!(problem(beside_all).is_err_and(|why| why.contains("`*` stands for all rules")));
    let testers = json!({"gatewayAPI": {"routes": [{"name": "a"}]}, "testers": [{"header": "X-A", "equals": "1"}, {"header": "x-a", "equals": "2"}]});
    assert!(problem(testers).is_err_and(|why| why.contains("testers[1]: header x-a is named already")));
}
