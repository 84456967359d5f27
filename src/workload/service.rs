//! Services as they are, and the user's, whose selector is narrowed to one version during a release.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    api::{FIELD_MANAGER, HASH_LABEL, ROLLOUT_LABEL},
    kubernetes::{
        json::{list, string_map, text},
        managed_fields::{managers, newest_other_manager},
        patch::{Patch, add, at, remove},
    },
};

/// What is read of spec and status.
pub const READ: [(&str, &[&str]); 2] = [
    (
        "spec",
        &[
            "selector",
            "ports",
            "type",
            "clusterIP",
            "sessionAffinity",
            "sessionAffinityConfig",
            "internalTrafficPolicy",
            "trafficDistribution",
            "publishNotReadyAddresses",
            "ipFamilyPolicy",
            "ipFamilies",
        ],
    ),
    ("status", &[]),
];

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
    /// Its annotations, without the copy of itself that kubectl leaves in one.
    pub annotations: BTreeMap<String, String>,
    /// Its ports (`spec.ports`), as stored.
    pub ports: Vec<Value>,
    /// What is read of its spec, as stored.
    pub spec: Map<String, Value>,
    /// Whether its type is ExternalName: it selects no pods and cannot be narrowed.
    pub external: bool,
    /// All its field managers.
    pub managers: Vec<String>,
    /// The field manager, other than us, that changed it last, if the object says so.
    pub other_manager: Option<String>,
}

impl Service {
    /// Reads a Service.
    pub fn read(object: &Value) -> Self {
        let labels = string_map(object, "/metadata/labels");
        let mut annotations = string_map(object, "/metadata/annotations");
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        Self {
            name: text(object, "/metadata/name").to_owned(),
            selector: string_map(object, "/spec/selector"),
            made_by: labels.get(ROLLOUT_LABEL).cloned(),
            labels,
            annotations,
            ports: list(object, "/spec/ports").to_vec(),
            spec: read_of_spec(object),
            external: text(object, "/spec/type") == "ExternalName",
            managers: managers(object),
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

    fn port(&self, number: u64) -> Option<&Value> {
        let mut ports = self.ports.iter();
        ports.find(|port| port.get("port").and_then(Value::as_u64) == Some(number))
    }

    /// Name of the port with this number, empty if it has none; `None` if there is no such port.
    pub fn port_name(&self, number: u64) -> Option<&str> {
        Some(
            self.port(number)?
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        )
    }

    /// Name of the pods' port to which the port with this number leads; `None` if that is told by a number.
    pub fn target_name(&self, number: u64) -> Option<&str> {
        self.port(number)?.get("targetPort").and_then(Value::as_str)
    }

    /// Narrows it to the revision `hash`, or, with `None`, makes it wide again.
    pub fn narrow(&self, hash: Option<&str>) -> Patch {
        let at = at!["spec", "selector", HASH_LABEL];
        vec![match hash {
            Some(hash) => add(at, hash),
            None => remove(at),
        }]
    }
}

fn read_of_spec(object: &Value) -> Map<String, Value> {
    let [(_, read), _] = READ;
    let Some(Value::Object(spec)) = object.get("spec") else {
        return Map::new();
    };
    let known = spec.iter().filter(|(key, _)| read.contains(&key.as_str()));
    known.map(|(key, value)| (key.clone(), value.clone())).collect()
}
