//! Whether the gateways report that they serve the newest generation of a route.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Acceptance;

const GROUP: &str = "gateway.networking.k8s.io";

/// What is read of spec and status of Gateways and their classes.
pub const READ: [(&str, &[&str]); 2] = [("spec", &["gatewayClassName", "controllerName"]), ("status", &[])];

/// A parent of a route (a Gateway, or a Service of a mesh), with all defaults filled in so that two can be compared.
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
            group: text("group", GROUP),
            kind: text("kind", "Gateway"),
            namespace: text("namespace", route_namespace),
            name: text("name", ""),
            section: reference.get("sectionName").and_then(Value::as_str).map(str::to_owned),
            port: reference.get("port").and_then(Value::as_u64),
        }
    }

    /// Name of the controller whose report counts for this parent: that of the Gateway's class. `None` if it is not known, as for a Service of a mesh; then every report counts.
    fn controller<'a>(
        &self,
        gateways: &'a BTreeMap<String, Value>,
        classes: &'a BTreeMap<String, Value>,
    ) -> Option<&'a str> {
        if self.group != GROUP || self.kind != "Gateway" {
            return None;
        }
        let gateway = gateways.get(&format!("{}/{}", self.namespace, self.name))?;
        classes
            .get(gateway.pointer("/spec/gatewayClassName")?.as_str()?)?
            .pointer("/spec/controllerName")?
            .as_str()
    }

    fn label(&self) -> String {
        let section = self
            .section
            .as_deref()
            .map(|section| format!(", listener {section}"))
            .unwrap_or_default();
        let port = self.port.map(|port| format!(", port {port}")).unwrap_or_default();
        format!("{} {}/{}{section}{port}", self.kind, self.namespace, self.name)
    }
}

/// Namespace and name of each Gateway that a route names as a parent.
pub fn gateways(route: &Value) -> Vec<(String, String)> {
    let namespace = route
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let parents = route
        .pointer("/spec/parentRefs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let parents = parents.map(|reference| Parent::read(reference, namespace));
    parents
        .filter(|parent| parent.group == GROUP && parent.kind == "Gateway")
        .map(|parent| (parent.namespace, parent.name))
        .collect()
}

/// Reads the reports of all parents. The worst one decides.
///
/// `gateways`, by `namespace/name`, and `classes`, by name, say which controller reports for a parent.
pub fn acceptance(route: &Value, gateways: &BTreeMap<String, Value>, classes: &BTreeMap<String, Value>) -> Acceptance {
    let namespace = route
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let generation = route
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let list = |pointer: &str| {
        route
            .pointer(pointer)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let parents = list("/spec/parentRefs");
    if parents.is_empty() {
        return Acceptance::Waiting("the route to name a parent: it has no parentRefs".to_owned());
    }
    let mut silent = false;
    for reference in parents {
        let parent = Parent::read(reference, namespace);
        let label = parent.label();
        let controller = parent.controller(gateways, classes);
        let speaks = |status: &&Value| {
            let by = status.get("controllerName").and_then(Value::as_str);
            status
                .get("parentRef")
                .is_some_and(|reference| Parent::read(reference, namespace) == parent)
                && controller.is_none_or(|known| by == Some(known))
        };
        let mut reports = list("/status/parents").iter().filter(speaks).peekable();
        if reports.peek().is_none() {
            return Acceptance::Waiting(format!("a report: no controller reports on parent {label}"));
        }
        for report in reports {
            match accepted_by(report, &label, generation) {
                Ok(Told::ThisGeneration) => {}
                Ok(Told::NoGeneration) => silent = true,
                Err(waiting) => return Acceptance::Waiting(waiting),
            }
        }
    }
    if silent {
        Acceptance::Unknown
    } else {
        Acceptance::Accepted
    }
}

/// Which generation a good report is about.
enum Told {
    /// The newest.
    ThisGeneration,
    /// It does not say.
    NoGeneration,
}

/// Whether a report accepts `generation`; the error says what is waited for.
fn accepted_by(report: &Value, label: &str, generation: i64) -> Result<Told, String> {
    let conditions = report
        .get("conditions")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let find = |kind: &str| {
        conditions
            .iter()
            .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
    };
    let text = |condition: &Value, key: &str| {
        condition
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let of = |condition: &Value| condition.get("observedGeneration").and_then(Value::as_i64);
    let refused = |kind: &str, condition: &Value| {
        format!(
            "{label} to accept generation {generation}: {kind}={} {} {}",
            text(condition, "status"),
            text(condition, "reason"),
            text(condition, "message")
        )
    };
    let mut told = Told::ThisGeneration;
    for kind in ["Accepted", "ResolvedRefs"] {
        let Some(condition) = find(kind) else {
            return Err(format!("{label} to report {kind} for generation {generation}"));
        };
        match of(condition) {
            Some(observed) if observed < generation => {
                return Err(format!(
                    "{label} to accept generation {generation} (it is at {observed})"
                ));
            }
            Some(_) => {}
            None => told = Told::NoGeneration,
        }
        if text(condition, "status") != "True" {
            return Err(refused(kind, condition));
        }
    }
    // A condition of Gateways that some controllers set on routes as well, later than the others. Absent, it means nothing.
    if let Some(programmed) =
        find("Programmed").filter(|condition| of(condition).is_some_and(|observed| observed >= generation))
        && text(programmed, "status") != "True"
    {
        return Err(refused("Programmed", programmed));
    }
    if let Some(partial) = find("PartiallyInvalid").filter(|condition| text(condition, "status") == "True") {
        return Err(format!(
            "{label} to accept generation {generation} whole: PartiallyInvalid {} {}",
            text(partial, "reason"),
            text(partial, "message")
        ));
    }
    Ok(told)
}
