//! Whether the data plane reports that it serves a route as it stands.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Acceptance;

/// A parent of a route, with every default filled in.
#[derive(PartialEq, Eq)]
struct Parent {
    group: String,
    kind: String,
    namespace: String,
    name: String,
    section: Option<String>,
    port: Option<u64>,
}

impl Parent {
    fn read(reference: &Value, route_namespace: &str) -> Self {
        let text = |key: &str, default: &str| reference.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
        Self {
            group: text("group", "gateway.networking.k8s.io"),
            kind: text("kind", "Gateway"),
            namespace: text("namespace", route_namespace),
            name: text("name", ""),
            section: reference.get("sectionName").and_then(Value::as_str).map(str::to_owned),
            port: reference.get("port").and_then(Value::as_u64),
        }
    }
}

/// Judges the conditions that every parent reports.
///
/// `gateways` (by `namespace/name`) and `classes` (by name) tell which controller speaks for a parent.
pub fn acceptance(route: &Value, gateways: &BTreeMap<String, Value>, classes: &BTreeMap<String, Value>) -> Acceptance {
    let namespace = route.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let generation = route.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    let list = |pointer: &str| route.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let parents = list("/spec/parentRefs");
    if parents.is_empty() {
        return Acceptance::Waiting("the route to name a parent: it has no parentRefs".to_owned());
    }
    let mut silent = 0;
    for reference in parents {
        let parent = Parent::read(reference, namespace);
        let name = format!("{} {}/{}", parent.kind, parent.namespace, parent.name);
        let class = gateways
            .get(&format!("{}/{}", parent.namespace, parent.name))
            .and_then(|gateway| gateway.pointer("/spec/gatewayClassName"))
            .and_then(Value::as_str);
        let controller = class.and_then(|class| classes.get(class)).and_then(|class| class.pointer("/spec/controllerName")).and_then(Value::as_str);
        let speaks = |status: &&Value| {
            let ours = status.get("parentRef").is_some_and(|reference| Parent::read(reference, namespace) == parent);
            let by = status.get("controllerName").and_then(Value::as_str);
            ours && controller.is_none_or(|controller| by == Some(controller))
        };
        let Some(status) = list("/status/parents").iter().find(speaks) else {
            return Acceptance::Waiting(format!("{name} to report on the route: no controller has"));
        };
        match accepted_by(status, &name, generation) {
            Ok(true) => {}
            Ok(false) => silent += 1,
            Err(waiting) => return Acceptance::Waiting(waiting),
        }
    }
    if silent > 0 { Acceptance::Unknown } else { Acceptance::Accepted }
}

/// Whether a parent accepts `generation`; `false` if it reports no generations at all.
fn accepted_by(status: &Value, name: &str, generation: i64) -> Result<bool, String> {
    let conditions = status.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let find = |kind: &str| conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind));
    let text = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut reports = false;
    for kind in ["Accepted", "ResolvedRefs", "Programmed"] {
        let Some(condition) = find(kind) else {
            if kind == "Programmed" {
                continue;
            }
            return Err(format!("{name} to report {kind} for generation {generation}"));
        };
        let observed = condition.get("observedGeneration").and_then(Value::as_i64);
        reports |= observed.is_some();
        if observed.is_some_and(|observed| observed < generation) {
            return Err(format!("{name} to accept generation {generation} (it is at {})", observed.unwrap_or_default()));
        }
        if text(condition, "status") != "True" {
            return Err(format!(
                "{name} to accept generation {generation}: {kind}={} {} {}",
                text(condition, "status"),
                text(condition, "reason"),
                text(condition, "message")
            ));
        }
    }
    if let Some(partial) = find("PartiallyInvalid").filter(|condition| text(condition, "status") == "True") {
        return Err(format!("{name} to accept generation {generation} whole: PartiallyInvalid {}", text(partial, "message")));
    }
    Ok(reports)
}
