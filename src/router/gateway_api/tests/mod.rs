//! The router's tests: golden routes, laws for any route, and reports of data planes.

mod golden;
mod laws;
mod reports;
mod told;

use serde_json::{Value, json};

use super::{super::Theirs, *};
use crate::api::traffic::RouteKind;

fn target(kind: RouteKind) -> Target {
    Target {
        kind,
        stable: "catalog".to_owned(),
        canary: "catalog-canary".to_owned(),
        ..Target::default()
    }
}

fn route(kind: RouteKind, rules: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
        "metadata": {"name": "catalog", "namespace": "shop", "generation": 7, "labels": {"team": "shop"}},
        "spec": {"parentRefs": [{"name": "edge", "namespace": "gateway"}], "hostnames": ["catalog.example"], "rules": rules},
    })
}

fn apply(route: &Value, patch: Option<Patch>) -> Value {
    let mut changed = route.clone();
    let patch = patch.unwrap_or_default();
    json_patch::patch(&mut changed, &patch).unwrap_or_else(|error| panic!("{error}: {} on {route}", json!(patch)));
    changed
}

fn percent(hundredths: u32) -> Percent {
    Percent::from_hundredths(hundredths).unwrap()
}

fn simple(kind: RouteKind) -> Value {
    route(
        kind,
        &json!([{"matches": [{"headers": [{"name": "a", "value": "b"}]}], "backendRefs": [{"name": "catalog", "port": 80}]}]),
    )
}
