//! Services: the user's, narrowed to one version during a release, and the canary's own.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{string_map, text};
use crate::{
    api::{FIELD_MANAGER, HASH_LABEL, ROLLOUT_LABEL},
    router::gateway_api::newest_other_manager,
};

/// What matters of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// `spec.selector`; empty where it has none.
    pub selector: BTreeMap<String, String>,
    /// Rollout that made it, by our label.
    pub made_by: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `spec.ports` as stored.
    pub ports: Vec<Value>,
    /// `ExternalName` and the like cannot be narrowed.
    pub external: bool,
    /// The manager besides us that changed it last, as far as the object tells.
    pub other_manager: Option<String>,
}

impl Service {
    /// Reads what matters.
    pub fn read(object: &Value) -> Self {
        let labels = string_map(object, "/metadata/labels");
        Self {
            name: text(object, "/metadata/name"),
            selector: string_map(object, "/spec/selector"),
            made_by: labels.get(ROLLOUT_LABEL).cloned(),
            labels,
            ports: object
                .pointer("/spec/ports")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            external: text(object, "/spec/type") == "ExternalName",
            other_manager: newest_other_manager(object, FIELD_MANAGER),
        }
    }

    /// The version to which it is narrowed.
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

    /// Narrows it to one version, or widens it.
    pub fn narrow(&self, hash: Option<&str>) -> Vec<Value> {
        match hash {
            Some(hash) => vec![json!({"op": "add", "path": format!("/spec/selector/{HASH_LABEL}"), "value": hash})],
            None => vec![json!({"op": "remove", "path": format!("/spec/selector/{HASH_LABEL}")})],
        }
    }

    /// The Service of the new version: this one's ports and labels, its pods told apart by the hash.
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

/// Marks by which Git and Helm tools know their own objects: copied, they would prune or adopt ours.
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
