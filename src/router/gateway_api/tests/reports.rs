//! What parents report on a route, and what it is worth.

use std::collections::BTreeMap;

use super::*;
use crate::router::Acceptance;

fn condition(kind: &str, status: &str, generation: impl Into<Option<i64>>) -> Value {
    let mut condition = json!({"type": kind, "status": status, "reason": "R", "message": "m"});
    if let Some(generation) = generation.into() {
        condition["observedGeneration"] = json!(generation);
    }
    condition
}

fn accepted(status: &str, generation: impl Into<Option<i64>>) -> Value {
    condition("Accepted", status, generation)
}

fn resolved(status: &str, generation: impl Into<Option<i64>>) -> Value {
    condition("ResolvedRefs", status, generation)
}

fn good(generation: impl Into<Option<i64>> + Copy) -> Vec<Value> {
    vec![accepted("True", generation), resolved("True", generation)]
}

fn report(parent: &Value, controller: &str, conditions: &[Value]) -> Value {
    json!({"parentRef": parent, "controllerName": controller, "conditions": conditions})
}

/// The route is at generation 7; Gateway `gateway/edge` is of a class that controller `a/b` serves.
fn judged(parents: &Value, reports: &[Value]) -> Acceptance {
    let mut live = route(RouteKind::Http, &json!([]));
    live["spec"]["parentRefs"] = parents.clone();
    live["status"]["parents"] = Value::from(reports.to_vec());
    let gateways = BTreeMap::from([("gateway/edge".to_owned(), json!({"spec": {"gatewayClassName": "c"}}))]);
    let classes = BTreeMap::from([("c".to_owned(), json!({"spec": {"controllerName": "a/b"}}))]);
    acceptance(&live, &gateways, &classes)
}

fn edge() -> Value {
    json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "gateway"})
}

#[test]
fn conditions_of_a_gateway() {
    let with = |more: Value| [good(7), vec![more]].concat();
    // What is reported, and a part of what is waited for; `""` is accepted, `?` unknown.
    let table = [
        (good(7), ""),
        (good(8), ""),
        (vec![accepted("True", 6), resolved("True", 7)], "it is at 6"),
        (vec![accepted("True", 7), resolved("True", 6)], "it is at 6"),
        (
            vec![accepted("True", 7), resolved("False", 7)],
            "ResolvedRefs=False R m",
        ),
        (vec![accepted("False", 7), resolved("True", 7)], "Accepted=False R m"),
        (vec![accepted("Unknown", 7), resolved("True", 7)], "Accepted=Unknown"),
        (vec![accepted("True", 7)], "to report ResolvedRefs for generation 7"),
        (Vec::new(), "to report Accepted for generation 7"),
        (with(condition("PartiallyInvalid", "True", 7)), "PartiallyInvalid R m"),
        (with(condition("PartiallyInvalid", "True", 6)), "PartiallyInvalid"),
        (with(condition("PartiallyInvalid", "False", 7)), ""),
        // Programmed counts only at our generation.
        (with(condition("Programmed", "True", 7)), ""),
        (with(condition("Programmed", "False", 7)), "Programmed=False R m"),
        (with(condition("Programmed", "False", 6)), ""),
        (with(condition("Programmed", "False", None)), ""),
        // Without generations there is no signal, good news aside from bad.
        (good(None), "?"),
        (vec![accepted("True", 7), resolved("True", None)], "?"),
        (
            vec![accepted("True", None), resolved("False", None)],
            "ResolvedRefs=False",
        ),
    ];
    for (conditions, expected) in table {
        let found = judged(&json!([edge()]), &[report(&edge(), "a/b", &conditions)]);
        match (&found, expected) {
            (Acceptance::Accepted, "") | (Acceptance::Unknown, "?") => {}
            (Acceptance::Waiting(what), text)
                if !text.is_empty() && what.contains(text) && what.starts_with("Gateway gateway/edge") => {}
            _ => panic!("{conditions:?}: {found:?}, expected `{expected}`"),
        }
    }
}

#[test]
fn parents_are_the_same_after_defaulting_and_every_one_counts() {
    let nobody = "no controller reports on parent";
    let nobody_on_edge = "no controller reports on parent Gateway gateway/edge";
    let nobody_on_gone = "no controller reports on parent Gateway shop/gone";
    let ours = |parent: &Value| report(parent, "a/b", &good(7));
    let edge_short = json!({"name": "edge", "namespace": "gateway"});
    let mut http = edge();
    http["sectionName"] = json!("http");
    let mesh = json!({"group": "", "kind": "Service", "name": "catalog"});
    let mesh_full = json!({"group": "", "kind": "Service", "name": "catalog", "namespace": "shop"});
    let port = json!({"group": "", "kind": "Service", "name": "catalog", "port": 80});
    let same_name = json!({"group": "", "kind": "Service", "name": "edge", "namespace": "gateway"});
    let gone = json!({"name": "gone"});
    let bad = [accepted("False", 7), resolved("True", 7)];
    let table = [
        (json!([]), vec![], "no parentRefs"),
        (json!([edge_short]), vec![ours(&edge())], ""),
        (json!([edge()]), vec![ours(&edge_short)], ""),
        (json!([edge_short]), vec![], nobody_on_edge),
        // Section and port must be the same.
        (json!([http]), vec![ours(&edge())], nobody),
        (json!([edge()]), vec![ours(&http)], nobody),
        (json!([http]), vec![ours(&http)], ""),
        (json!([port]), vec![report(&mesh, "m/1", &good(7))], nobody),
        // Another controller does not speak for the Gateway's class.
        (json!([edge()]), vec![report(&edge(), "x/y", &good(7))], nobody),
        (json!([edge()]), vec![report(&edge(), "x/y", &bad), ours(&edge())], ""),
        // Every parent counts.
        (json!([edge(), gone]), vec![ours(&edge())], nobody_on_gone),
        (
            json!([edge(), mesh]),
            vec![ours(&edge()), report(&mesh_full, "m/1", &good(6))],
            "it is at 6",
        ),
        // For a Service every controller that reports counts.
        (json!([mesh]), vec![report(&mesh_full, "m/1", &good(7))], ""),
        (
            json!([mesh]),
            vec![report(&mesh, "m/1", &good(7)), report(&mesh, "m/2", &bad)],
            "Accepted=False",
        ),
        (
            json!([mesh]),
            vec![report(&mesh, "m/1", &good(7)), report(&mesh, "m/2", &good(None))],
            "?",
        ),
        // A Service named like a Gateway has nothing to do with its class.
        (json!([same_name]), vec![report(&same_name, "m/1", &good(7))], ""),
    ];
    for (parents, reports, expected) in table {
        let found = judged(&parents, &reports);
        match (&found, expected) {
            (Acceptance::Accepted, "") | (Acceptance::Unknown, "?") => {}
            (Acceptance::Waiting(what), text) if !text.is_empty() && what.contains(text) => {}
            _ => panic!("{parents} {reports:?}: {found:?}, expected `{expected}`"),
        }
    }
}
