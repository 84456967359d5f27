//! Services: the user's, whose selector is narrowed to one version during a release, and the canary's, which we create.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    api::{FIELD_MANAGER, HASH_LABEL, ROLLOUT_LABEL},
    kubernetes::{
        json::{list, string_map, text},
        managed_fields::newest_other_manager,
        patch::{Patch, add, at, remove},
    },
};

/// What is read of spec and status.
pub const READ: [(&str, &[&str]); 2] = [("spec", &["selector", "ports", "type"]), ("status", &[])];

/// The fields of a Service that decisions need.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// `spec.selector`; empty if it has none.
    pub selector: BTreeMap<String, String>,
    /// Name of the rollout that created it, from our label.
    pub made_by: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its ports (`spec.ports`), as stored.
    pub ports: Vec<Value>,
    /// Whether its type is ExternalName: it selects no pods and cannot be narrowed.
    pub external: bool,
    /// The field manager, other than us, that changed it last, if the object says so.
    pub other_manager: Option<String>,
}

impl Service {
    /// Reads a Service.
    pub fn read(object: &Value) -> Self {
        let labels = string_map(object, "/metadata/labels");
        Self {
            name: text(object, "/metadata/name").to_owned(),
            selector: string_map(object, "/spec/selector"),
            made_by: labels.get(ROLLOUT_LABEL).cloned(),
            labels,
            ports: list(object, "/spec/ports").to_vec(),
            external: text(object, "/spec/type") == "ExternalName",
            other_manager: newest_other_manager(object, FIELD_MANAGER),
        }
    }

    /// The revision that it is narrowed to; `None` if it is wide, that is, selects all versions.
    pub fn hash(&self) -> Option<&str> {
        self.selector.get(HASH_LABEL).map(String::as_str)
    }

    /// Numbers of its ports.
    pub fn port_numbers(&self) -> Vec<u64> {
        self.ports
            .iter()
            .filter_map(|port| port.get("port")?.as_u64())
            .collect()
    }

    /// Narrows it to the revision `hash`, or, with `None`, makes it wide again.
    pub fn narrow(&self, hash: Option<&str>) -> Patch {
        let at = at!["spec", "selector", HASH_LABEL];
        vec![match hash {
            Some(hash) => add(at, hash),
            None => remove(at),
        }]
    }

    /// The Service `name` for the new version: with the ports and labels of this one, and a selector narrowed to the revision `hash`.
    pub fn canary(&self, namespace: &str, rollout: &str, name: &str, hash: &str) -> Value {
        let mut labels: Map<String, Value> = self
            .labels
            .iter()
            .filter(|(key, _)| !belongs_to_a_tool(key))
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        labels.insert(ROLLOUT_LABEL.to_owned(), json!(rollout));
        let mut selector: Map<String, Value> = self
            .selector
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        selector.insert(HASH_LABEL.to_owned(), json!(hash));
        let ports: Vec<Value> = self
            .ports
            .iter()
            .map(|port| {
                let mut port = port.clone();
                if let Value::Object(fields) = &mut port {
                    fields.remove("nodePort");
                }
                port
            })
            .collect();
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"type": "ClusterIP", "selector": selector, "ports": ports},
        })
    }
}

/// Whether a label marks objects of a Git or Helm tool. If it were copied, the tool would take our Service for its own, and change or delete it.
fn belongs_to_a_tool(label: &str) -> bool {
    const PREFIXES: [&str; 4] = [
        "helm.sh/",
        "argocd.argoproj.io/",
        "kustomize.toolkit.fluxcd.io/",
        "helm.toolkit.fluxcd.io/",
    ];
    label == "app.kubernetes.io/managed-by"
        || label == "app.kubernetes.io/instance"
        || PREFIXES.iter().any(|prefix| label.starts_with(prefix))
}
