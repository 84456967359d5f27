//! Laws of the router: what it writes it reads back, writes once, and puts back to the byte.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::router::Acceptance;

fn target() -> Target {
    Target { stable: "catalog".to_owned(), canary: "catalog-canary".to_owned() }
}

fn route(rules: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "catalog", "namespace": "shop", "generation": 7, "labels": {"team": "shop"}},
        "spec": {"parentRefs": [{"name": "edge", "namespace": "gateway"}], "hostnames": ["catalog.example"], "rules": rules},
    })
}

fn simple() -> Value {
    route(
        &json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": "catalog", "port": 80}], "timeouts": {"request": "10s"}}]),
    )
}

fn with_third(stable: Option<i64>, third: Option<i64>) -> Value {
    let backend = |name: &str, weight: Option<i64>| match weight {
        Some(weight) => json!({"name": name, "port": 80, "weight": weight}),
        None => json!({"name": name, "port": 80}),
    };
    route(&json!([
        {"backendRefs": [{"name": "search", "port": 80}]},
        {"name": "main", "backendRefs": [backend("legacy", third), backend("catalog", stable)], "filters": [{"type": "RequestHeaderModifier"}]},
    ]))
}

fn apply(route: &Value, patch: Option<Patch>) -> Value {
    let mut changed = route.clone();
    let patch: json_patch::Patch = serde_json::from_value(json!(patch.unwrap_or_default())).unwrap();
    json_patch::patch(&mut changed, &patch).unwrap();
    changed
}

fn percent(hundredths: u32) -> Percent {
    Percent::from_hundredths(hundredths).unwrap()
}

fn weights_of(route: &Value, rule: usize) -> Vec<(String, Option<i64>)> {
    let backends = route["spec"]["rules"][rule]["backendRefs"].as_array().unwrap();
    backends.iter().map(|backend| (backend["name"].as_str().unwrap().to_owned(), backend["weight"].as_i64())).collect()
}

#[test]
fn splits_a_lone_backend_in_percent() {
    let live = simple();
    let originals = read(&live, &target()).unwrap().weights;
    let at = |share: u32| apply(&live, plan(&live, &target(), Want::Weight(percent(share)), &originals).unwrap());
    let pair = |stable, canary| vec![("catalog".to_owned(), Some(stable)), ("catalog-canary".to_owned(), Some(canary))];
    assert_eq!(weights_of(&at(500), 0), pair(95, 5));
    assert_eq!(weights_of(&at(50), 0), pair(9950, 50));
    assert_eq!(weights_of(&at(10_000), 0), pair(0, 100));
    let entry = &at(500)["spec"]["rules"][0]["backendRefs"][1];
    assert_eq!(entry["port"], 80);
}

#[test]
fn a_rule_inserted_above_is_no_matter() {
    let mut live = simple();
    let originals = read(&live, &target()).unwrap().weights;
    live = apply(&live, plan(&live, &target(), Want::Weight(percent(2_500)), &originals).unwrap());
    live["spec"]["rules"].as_array_mut().unwrap().insert(0, json!({"backendRefs": [{"name": "other"}]}));
    assert_eq!(read(&live, &target()).unwrap().canary, Some(percent(2_500)));
    let back = apply(&live, plan(&live, &target(), Want::Absent, &originals).unwrap());
    assert_eq!(weights_of(&back, 1), vec![("catalog".to_owned(), None)]);
}

#[test]
fn two_rules_with_the_service_are_named() {
    let live = route(&json!([{"name": "a", "backendRefs": [{"name": "catalog"}]}, {"backendRefs": [{"name": "catalog"}]}]));
    let error = read(&live, &target()).unwrap_err();
    assert!(matches!(&error, RouteError::AmbiguousRule { rules, .. } if rules == "a, 2"), "{error}");
    let none = route(&json!([{"backendRefs": [{"name": "catalog", "namespace": "elsewhere"}]}]));
    assert!(matches!(read(&none, &target()).unwrap_err(), RouteError::NoRule { .. }));
    assert!(matches!(read(&json!({"spec": {"rules": 3}}), &target()).unwrap_err(), RouteError::Malformed { .. }));
}

#[test]
fn an_owner_who_changes_the_third_backend_meanwhile_keeps_his_weight() {
    let live = with_third(Some(3), Some(1));
    let originals = read(&live, &target()).unwrap().weights;
    let mut moved = apply(&live, plan(&live, &target(), Want::Weight(percent(1_000)), &originals).unwrap());
    moved["spec"]["rules"][1]["backendRefs"][0]["weight"] = json!(42);
    let back = apply(&moved, plan(&moved, &target(), Want::Absent, &originals).unwrap());
    assert_eq!(weights_of(&back, 1), vec![("legacy".to_owned(), Some(42)), ("catalog".to_owned(), Some(3))]);
}

#[test]
fn only_a_hand_edited_weight_is_put_back() {
    let live = simple();
    let originals = read(&live, &target()).unwrap().weights;
    let mut edited = apply(&live, plan(&live, &target(), Want::Weight(percent(2_500)), &originals).unwrap());
    edited["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(60);
    edited["metadata"]["labels"]["by"] = json!("hand");
    let fixed = apply(&edited, plan(&edited, &target(), Want::Weight(percent(2_500)), &originals).unwrap());
    assert_eq!(read(&fixed, &target()).unwrap().canary, Some(percent(2_500)));
    assert_eq!(fixed["metadata"]["labels"]["by"], "hand");
}

#[test]
fn a_drained_entry_stands_at_0_and_none_is_added() {
    let live = simple();
    let originals = read(&live, &target()).unwrap().weights;
    assert_eq!(plan(&live, &target(), Want::Drained, &originals).unwrap(), None);
    let quarter = apply(&live, plan(&live, &target(), Want::Weight(percent(2_500)), &originals).unwrap());
    let drained = apply(&quarter, plan(&quarter, &target(), Want::Drained, &originals).unwrap());
    assert_eq!(weights_of(&drained, 0), vec![("catalog".to_owned(), Some(100)), ("catalog-canary".to_owned(), Some(0))]);
}

#[test]
fn our_marks_of_ownership_can_be_dropped() {
    let mut live = simple();
    live["metadata"]["managedFields"] = json!([{"manager": "kubectl", "time": "2026-01-01T00:00:00Z"}, {"manager": "warmfront"}, {"manager": "contour", "subresource": "status", "time": "2026-02-01T00:00:00Z"}]);
    let dropped = apply(&live, drop_managed_fields(&live, "warmfront"));
    assert_eq!(dropped["metadata"]["managedFields"].as_array().unwrap().len(), 2);
    assert_eq!(drop_managed_fields(&dropped, "warmfront"), None);
    assert_eq!(newest_other_manager(&live, "warmfront").as_deref(), Some("kubectl"));
}

fn judged(conditions: &Value) -> Acceptance {
    let mut live = simple();
    live["status"]["parents"] = json!([{"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "gateway"}, "controllerName": "a/b", "conditions": conditions}]);
    let gateways = BTreeMap::from([("gateway/edge".to_owned(), json!({"spec": {"gatewayClassName": "c"}}))]);
    let classes = BTreeMap::from([("c".to_owned(), json!({"spec": {"controllerName": "a/b"}}))]);
    acceptance(&live, &gateways, &classes)
}

#[test]
fn acceptance_is_of_this_generation() {
    let condition =
        |kind: &str, status: &str, generation: i64| json!({"type": kind, "status": status, "reason": "R", "message": "m", "observedGeneration": generation});
    assert_eq!(judged(&json!([condition("Accepted", "True", 7), condition("ResolvedRefs", "True", 7)])), Acceptance::Accepted);
    let waits = |conditions: Value, text: &str| match judged(&conditions) {
        Acceptance::Waiting(what) => assert!(what.contains(text), "{what}"),
        other => panic!("{other:?}"),
    };
    waits(json!([condition("Accepted", "True", 6), condition("ResolvedRefs", "True", 7)]), "it is at 6");
    waits(json!([condition("Accepted", "True", 7), condition("ResolvedRefs", "False", 7)]), "ResolvedRefs=False R m");
    waits(json!([condition("Accepted", "True", 7)]), "ResolvedRefs");
    waits(json!([condition("Accepted", "True", 7), condition("ResolvedRefs", "True", 7), condition("PartiallyInvalid", "True", 7)]), "PartiallyInvalid");
    waits(json!([condition("Accepted", "True", 7), condition("ResolvedRefs", "True", 7), condition("Programmed", "False", 7)]), "Programmed");
    let silent = json!([{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]);
    assert_eq!(judged(&silent), Acceptance::Unknown);
    assert!(matches!(acceptance(&simple(), &BTreeMap::new(), &BTreeMap::new()), Acceptance::Waiting(_)));
}

fn any_weight() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(1..=10_000_i64)
}

proptest! {
    #[test]
    fn writes_what_it_reads_once_and_puts_back_to_the_byte(stable in any_weight(), third in any_weight(), lone: bool, shares in proptest::collection::vec(0..=10_000_u32, 1..5)) {
        let live = if lone { simple() } else { with_third(stable, third) };
        let (rule, originals) = (usize::from(!lone), read(&live, &target()).unwrap().weights);
        let mut now = live.clone();
        for share in shares {
            let want = Want::Weight(percent(share));
            now = apply(&now, plan(&now, &target(), want, &originals).unwrap());
            prop_assert_eq!(plan(&now, &target(), want, &originals).unwrap(), None);
            let weights = weights_of(&now, rule);
            let sum: i64 = weights.iter().map(|(_, weight)| weight.unwrap_or(1)).sum();
            prop_assert!(sum > 0);
            let read_back = read(&now, &target()).unwrap();
            prop_assert!(read_back.carries(percent(share)));
            prop_assert!(read_back.canary.unwrap() <= percent(share));
            if !lone {
                // The third backend keeps its exact share of the rule.
                let (found, total) = (third.unwrap_or(1), third.unwrap_or(1) + stable.unwrap_or(1));
                prop_assert_eq!(weights[0].1.unwrap() * total, found * sum);
            }
        }
        let back = apply(&now, plan(&now, &target(), Want::Absent, &originals).unwrap());
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&live).unwrap());
        prop_assert_eq!(plan(&back, &target(), Want::Absent, &originals).unwrap(), None);
    }

    #[test]
    fn any_hand_edited_weights_are_read(stable in proptest::option::of(any::<i64>()), canary in proptest::option::of(any::<i64>())) {
        let share = weights::share(stable, canary);
        prop_assert!(share <= Percent::FULL);
    }
}
