//! Gateway API HTTPRoutes: reads and plans the weights of one rule, and nothing else in the object.

mod acceptance;
mod ownership;
mod weights;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub use acceptance::acceptance;
pub use ownership::{drop_managed_fields, newest_other_manager};

use super::{Patch, RouteError, RouteState, Target, Want};
use crate::api::{
    Percent,
    status::{BackendWeight, RouteOriginal},
};

/// The rule that carries the stable Service: its number and its backends.
struct Rule<'a> {
    index: usize,
    backends: &'a [Value],
    stable: usize,
    canary: Option<usize>,
}

fn route_name(route: &Value) -> String {
    format!("HTTPRoute {}", route.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name"))
}

/// Whether a backend is the Service `name` of the route's own namespace.
fn is_service(backend: &Value, namespace: &str, name: &str) -> bool {
    let text = |key: &str, default: &'static str| backend.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
    text("group", "").is_empty()
        && text("kind", "Service") == "Service"
        && backend.get("namespace").and_then(Value::as_str).is_none_or(|other| other == namespace)
        && text("name", "") == name
}

/// Found by content every time, never by a remembered place.
fn find_rule<'a>(route: &'a Value, target: &Target) -> Result<Rule<'a>, RouteError> {
    let malformed = |reason: &str| RouteError::Malformed { route: route_name(route), reason: reason.to_owned() };
    let rules = route.pointer("/spec/rules").and_then(Value::as_array).ok_or_else(|| malformed("spec.rules is not a list"))?;
    let namespace = route.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let Some(backends) = rule.get("backendRefs").and_then(Value::as_array) else { continue };
        let place = |name: &str| backends.iter().position(|backend| is_service(backend, namespace, name));
        if let Some(stable) = place(&target.stable) {
            found.push(Rule { index, backends, stable, canary: place(&target.canary) });
        }
    }
    match found.len() {
        0 => Err(RouteError::NoRule { route: route_name(route), service: target.stable.clone() }),
        1 => Ok(found.remove(0)),
        _ => {
            let name = |rule: &Rule<'_>| rules[rule.index].get("name").and_then(Value::as_str).map_or_else(|| (rule.index + 1).to_string(), str::to_owned);
            let names: Vec<String> = found.iter().map(name).collect();
            Err(RouteError::AmbiguousRule { route: route_name(route), service: target.stable.clone(), rules: names.join(", ") })
        }
    }
}

/// Name under which a backend's weight is remembered.
fn backend_key(backend: &Value) -> String {
    let text = |key: &str| backend.get(key).and_then(Value::as_str).unwrap_or_default();
    let port = backend.get("port").and_then(Value::as_u64).map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}/{}{port}", text("namespace"), text("name"))
}

fn weight(backend: &Value) -> Option<i64> {
    backend.get("weight").and_then(Value::as_i64)
}

/// What the route says about our two Services.
pub fn read(route: &Value, target: &Target) -> Result<RouteState, RouteError> {
    let rule = find_rule(route, target)?;
    let stable = &rule.backends[rule.stable];
    let others = rule.backends.iter().enumerate().filter(|(index, _)| Some(*index) != rule.canary);
    let weights = others.map(|(_, backend)| BackendWeight { backend: backend_key(backend), weight: weight(backend) }).collect();
    Ok(RouteState {
        parts: rule.canary.map(|index| (weight(stable).unwrap_or(1), weight(&rule.backends[index]).unwrap_or(1))),
        canary: rule.canary.map(|index| weights::share(weight(stable), weight(&rule.backends[index]))),
        port: stable.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()),
        weights: RouteOriginal { backends: weights },
    })
}

/// The change that makes the route say `want`; `None` if it does already.
pub fn plan(route: &Value, target: &Target, want: Want, originals: &RouteOriginal) -> Result<Option<Patch>, RouteError> {
    let rule = find_rule(route, target)?;
    let patch = match want {
        Want::Absent => absent(&rule, originals),
        Want::Drained if rule.canary.is_none() => Vec::new(),
        Want::Drained => present(&rule, target, Percent::ZERO, originals),
        Want::Weight(weight) => present(&rule, target, weight, originals),
    };
    Ok((!patch.is_empty()).then_some(patch))
}

/// Sets or removes one backend's weight, refused by the server if another backend stands there meanwhile.
fn set_weight(patch: &mut Patch, rule: &Rule<'_>, index: usize, wanted: Option<i64>) {
    let backend = &rule.backends[index];
    let path = format!("/spec/rules/{}/backendRefs/{index}", rule.index);
    if weight(backend) == wanted {
        return;
    }
    patch.push(json!({"op": "test", "path": format!("{path}/name"), "value": backend.get("name")}));
    match wanted {
        Some(wanted) => patch.push(json!({"op": "add", "path": format!("{path}/weight"), "value": wanted})),
        None => patch.push(json!({"op": "remove", "path": format!("{path}/weight")})),
    }
}

/// The weight of a backend as it was found, if it was there then.
#[allow(clippy::option_option, reason = "not there, without a weight, and with one are three things")]
fn original(originals: &RouteOriginal, backend: &Value) -> Option<Option<i64>> {
    let key = backend_key(backend);
    originals.backends.iter().find(|known| known.backend == key).map(|known| known.weight)
}

fn present(rule: &Rule<'_>, target: &Target, share: Percent, originals: &RouteOriginal) -> Patch {
    let mut patch = Vec::new();
    let stable = &rule.backends[rule.stable];
    // While our entry is absent, the route's own weights are the ones to split.
    let found = |backend: &Value| match rule.canary {
        Some(_) => original(originals, backend).unwrap_or_else(|| weight(backend)),
        None => weight(backend),
    };
    let alone = rule.backends.len() - usize::from(rule.canary.is_some()) == 1;
    let split = weights::split(found(stable).unwrap_or(1), share, alone);
    set_weight(&mut patch, rule, rule.stable, Some(split.stable));
    if !alone {
        for (index, backend) in rule.backends.iter().enumerate() {
            if index == rule.stable || Some(index) == rule.canary {
                continue;
            }
            let scaled = match (rule.canary, original(originals, backend)) {
                // Scaled already, or changed by its owner since: either way it is what he means.
                (Some(_), Some(_)) => continue,
                _ => found(backend).unwrap_or(1).saturating_mul(weights::SCALE),
            };
            set_weight(&mut patch, rule, index, Some(scaled));
        }
    }
    if let Some(index) = rule.canary {
        set_weight(&mut patch, rule, index, Some(split.canary));
    } else {
        let mut entry = stable.clone();
        entry["name"] = json!(target.canary);
        entry["weight"] = json!(split.canary);
        let path = format!("/spec/rules/{}/backendRefs", rule.index);
        patch.push(json!({"op": "test", "path": format!("{path}/{}/name", rule.stable), "value": target.stable}));
        patch.push(json!({"op": "add", "path": format!("{path}/-"), "value": entry}));
    }
    patch
}

fn absent(rule: &Rule<'_>, originals: &RouteOriginal) -> Patch {
    let mut patch = Vec::new();
    let Some(canary) = rule.canary else { return patch };
    for (index, backend) in rule.backends.iter().enumerate() {
        if index == canary {
            continue;
        }
        let live = weight(backend);
        let back = match original(originals, backend) {
            Some(found) if index == rule.stable || live == Some(found.unwrap_or(1).saturating_mul(weights::SCALE)) => found,
            // Its owner changed it meanwhile, or it came later.
            Some(_) | None if index != rule.stable => live,
            _ => Some(1),
        };
        set_weight(&mut patch, rule, index, back);
    }
    let path = format!("/spec/rules/{}/backendRefs/{canary}", rule.index);
    patch.push(json!({"op": "test", "path": format!("{path}/name"), "value": rule.backends[canary].get("name")}));
    patch.push(json!({"op": "remove", "path": path}));
    patch
}
