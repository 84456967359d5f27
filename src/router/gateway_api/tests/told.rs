//! What cannot be done with a route, or not as asked, is told with its names and numbers.

use super::*;
use crate::api::traffic::Tester;

#[test]
fn two_rules_with_the_service_are_named() {
    let live = route(
        RouteKind::Grpc,
        &json!([{"name": "a", "backendRefs": [{"name": "catalog"}]}, {"backendRefs": [{"name": "catalog"}]}]),
    );
    let problem = |live: &Value, rules: &[&str]| {
        let target = Target {
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            ..target(RouteKind::Grpc)
        };
        read(live, &target)
            .unwrap()
            .problem
            .map(|problem| problem.to_string())
            .unwrap_or_default()
    };
    assert!(
        problem(&live, &[]).starts_with("rules a, 2 of GRPCRoute catalog all have Service catalog"),
        "{}",
        problem(&live, &[])
    );
    assert_eq!(problem(&live, &["a"]), "");
    assert_eq!(problem(&live, &["*"]), "");
    assert_eq!(
        problem(&live, &["a", "c"]),
        "GRPCRoute catalog has no rule named c: there are a"
    );
    let none = route(
        RouteKind::Http,
        &json!([{"name": "x", "backendRefs": [{"name": "catalog", "namespace": "elsewhere"}, {"kind": "Other", "name": "catalog"}]}]),
    );
    assert!(problem(&none, &[]).starts_with("no rule of"));
    assert!(problem(&none, &["*"]).starts_with("no rule of"));
    assert!(problem(&none, &["x"]).starts_with("rule x of"));
    let nameless = route(RouteKind::Http, &json!([{"backendRefs": [{"name": "catalog"}]}]));
    assert!(problem(&nameless, &["x"]).contains("no rule of it has a name"));
    assert!(matches!(
        read(&json!({"spec": {"rules": 3}}), &target(RouteKind::Http)),
        Err(RouteError::Malformed { .. })
    ));
    assert!(problem(&json!({"spec": {}}), &[]).starts_with("no rule of"));
}

#[test]
fn limits_are_told_with_their_numbers() {
    let testers = |count: usize| -> Vec<Tester> {
        (0..count)
            .map(|n| Tester {
                header: format!("h{n}"),
                equals: "1".to_owned(),
            })
            .collect()
    };
    let problem = |rules: Value, testers: Vec<Tester>| {
        let target = Target {
            testers,
            ..target(RouteKind::Http)
        };
        match read(&route(RouteKind::Http, &rules), &target).unwrap().problem {
            Some(RouteError::Unsupported { reason, .. }) => reason,
            Some(other) => panic!("{other}"),
            None => String::new(),
        }
    };
    let with_others = |count: usize| {
        let mut backends: Vec<Value> = (1..count).map(|n| json!({"name": format!("o{n}")})).collect();
        backends.push(json!({"name": "catalog"}));
        json!([{"backendRefs": backends}])
    };
    assert_eq!(problem(with_others(15), testers(0)), "");
    assert!(problem(with_others(16), testers(0)).contains("has 16 backends: with the new version's it would be 17"));
    let many_rules = |count: usize| {
        let mut rules: Vec<Value> = (1..count)
            .map(|n| json!({"backendRefs": [{"name": format!("o{n}")}]}))
            .collect();
        rules.push(json!({"backendRefs": [{"name": "catalog"}]}));
        Value::from(rules)
    };
    assert_eq!(problem(many_rules(15), testers(1)), "");
    assert_eq!(problem(many_rules(16), testers(0)), "");
    assert!(problem(many_rules(16), testers(1)).contains("has 16 rules: with 1 for testers it would be 17"));
    let many_matches = |count: usize| json!([{"matches": vec![json!({"path": {"type": "Exact", "value": "/x"}}); count], "backendRefs": [{"name": "catalog"}]}]);
    assert_eq!(problem(many_matches(32), testers(2)), "");
    assert!(problem(many_matches(33), testers(2)).contains("would have 66 matches, and 64 are allowed"));
    let two_long = |count: usize| {
        let long = vec![json!({"path": {"type": "Exact", "value": "/x"}}); count];
        json!([{"matches": long, "backendRefs": [{"name": "other"}]}, {"matches": vec![json!({}); 40], "backendRefs": [{"name": "catalog"}]}])
    };
    assert_eq!(problem(two_long(48), testers(1)), "");
    assert!(problem(two_long(49), testers(1)).contains("it has 89 matches: with 40 for testers it would be 129"));
    assert!(problem(json!([{"backendRefs": [{"name": "catalog", "weight": 0}]}]), testers(0)).contains("weight 0"));
    assert!(
        problem(
            json!([{"backendRefs": [{"name": "catalog", "weight": 0}, {"name": "legacy"}]}]),
            testers(0)
        )
        .contains("weight 0")
    );
    let heavy = |weight: i64| json!([{"backendRefs": [{"name": "catalog"}, {"name": "legacy", "weight": weight}]}]);
    assert_eq!(problem(heavy(10_000), testers(0)), "");
    assert!(problem(heavy(10_001), testers(0)).contains("10001"));
}

#[test]
fn what_a_pairs_route_must_not_have_is_told() {
    let target = |ports: &[u64]| Target {
        theirs: Some(Theirs {
            ports: ports.to_vec(),
            ..Theirs::default()
        }),
        ..target(RouteKind::Http)
    };
    let problem = |rule: Value, ports: &[u64]| {
        let live = route(RouteKind::Http, &json!([rule]));
        assert_eq!(
            change(
                &live,
                &target(ports),
                Want::Weight(percent(500)),
                &RouteOriginal::default()
            ),
            Ok(None),
            "not before it is remembered"
        );
        read(&live, &target(ports))
            .unwrap()
            .problem
            .map(|problem| problem.to_string())
            .unwrap_or_default()
    };
    let backends = |weights: Value| json!({"backendRefs": [{"name": "catalog", "port": 80}, {"name": "catalog-canary", "port": 80, "weight": weights}]});
    assert_eq!(problem(backends(json!(0)), &[80]), "");
    // An absent weight is 1.
    assert!(problem(backends(json!(null)), &[80]).contains("rule 1 gives catalog-canary 50% already"));
    assert!(
        problem(json!({"backendRefs": [{"name": "catalog", "port": 80}]}), &[8080])
            .contains("port 80, which Service catalog-canary does not have")
    );
    let mut sticky = backends(json!(0));
    sticky["sessionPersistence"] = json!({});
    assert!(problem(sticky, &[80]).contains("keeps sessions"));
    let promoted = json!({"backendRefs": [{"name": "catalog", "port": 80, "weight": 0}, {"name": "catalog-canary", "port": 80, "weight": 1}]});
    assert_eq!(problem(promoted, &[80]), "");
}

#[test]
fn a_share_too_fine_beside_others_is_told() {
    let state = |stable: i64| {
        read(
            &route(
                RouteKind::Http,
                &json!([{"backendRefs": [{"name": "catalog", "weight": stable}, {"name": "legacy"}]}]),
            ),
            &target(RouteKind::Http),
        )
        .unwrap()
    };
    assert_eq!(state(1).too_fine(percent(100)), None);
    assert!(state(1).too_fine(percent(50)).is_some());
    assert_eq!(state(2).too_fine(percent(50)), None);
    assert_eq!(
        read(&simple(RouteKind::Http), &target(RouteKind::Http))
            .unwrap()
            .too_fine(percent(1)),
        None
    );
}

#[test]
fn a_match_that_tests_the_header_itself_is_told() {
    let rules = json!([{"name": "a", "matches": [{"headers": [{"name": "x-canary", "value": "2"}]}, {}], "backendRefs": [{"name": "catalog"}]}]);
    let target = Target {
        testers: vec![Tester {
            header: "X-Canary".to_owned(),
            equals: "1".to_owned(),
        }],
        ..target(RouteKind::Http)
    };
    let told = read(&route(RouteKind::Http, &rules), &target).unwrap().left_out;
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("match 1 of rule a tests header X-Canary itself"),
        "{told:?}"
    );
}
