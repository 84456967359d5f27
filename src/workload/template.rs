//! Pod templates. They stay opaque, so that a field which this build does not know reaches the new pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    api::HASH_LABEL,
    kubernetes::json::{list, string_map},
};

/// A pod template as stored, without the label `pod-template-hash` and without nulls. It is kept as text with sorted
/// keys: most are only compared with another one, and parsed they take ten times the memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: Arc<str>,
    labels: BTreeMap<String, String>,
    ports: BTreeSet<String>,
}

impl Template {
    /// Reads a `spec.template`.
    pub fn read(template: Option<&Value>) -> Self {
        let mut template = without_nulls(template.unwrap_or(&Value::Null));
        if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
            labels.remove(HASH_LABEL);
        }
        Self {
            labels: string_map(&template, "/metadata/labels"),
            ports: port_names(&template),
            text: template.to_string().into(),
        }
    }

    /// The template as JSON.
    pub fn value(&self) -> Value {
        // It cannot fail: the text was made from a value.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Labels of its pods, without `pod-template-hash`.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Names of its containers' ports.
    pub fn ports(&self) -> &BTreeSet<String> {
        &self.ports
    }

    /// Its revision. Another `attempt` gives another one, if a ReplicaSet with the same revision is something else.
    pub fn revision(&self, attempt: u32) -> String {
        revision_of(&self.text, attempt)
    }

    /// Names of the ConfigMaps that it mounts or takes environment variables from.
    pub fn config_maps(&self) -> BTreeSet<String> {
        config_maps(&self.value())
    }
}

/// Names of the ConfigMaps that a pod template mounts or takes environment variables from.
pub fn config_maps(template: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut name_at =
        |value: &Value, pointer: &str| names.extend(value.pointer(pointer).and_then(Value::as_str).map(str::to_owned));
    for volume in list(template, "/spec/volumes") {
        name_at(volume, "/configMap/name");
        for source in list(volume, "/projected/sources") {
            name_at(source, "/configMap/name");
        }
    }
    for container in list(template, "/spec/containers")
        .iter()
        .chain(list(template, "/spec/initContainers"))
    {
        for source in list(container, "/envFrom") {
            name_at(source, "/configMapRef/name");
        }
        for variable in list(container, "/env") {
            name_at(variable, "/valueFrom/configMapKeyRef/name");
        }
    }
    names
}

/// Names of ports, of sidecars that are written as containers of their own kind, too.
fn port_names(template: &Value) -> BTreeSet<String> {
    let containers = list(template, "/spec/containers").iter();
    let all = containers.chain(list(template, "/spec/initContainers"));
    let ports = all.flat_map(|container| list(container, "/ports"));
    ports
        .filter_map(|port| Some(port.get("name")?.as_str()?.to_owned()))
        .collect()
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// The alphabet that Kubernetes uses for generated names: without vowels and similar digits it forms no words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A revision: `w` and nine characters of a digest of `text` and `attempt`.
pub fn revision_of(text: &str, attempt: u32) -> String {
    let digest = Sha256::new()
        .chain_update(text)
        .chain_update(attempt.to_be_bytes())
        .finalize();
    let letters = digest
        .iter()
        .take(9)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    std::iter::once('w').chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_name_a_config_map_is_known() {
        let template = Template::read(Some(&json!({"spec": {
            "volumes": [{"configMap": {"name": "a"}}, {"projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "b"}}]}}, {"emptyDir": {}}],
            "containers": [{"envFrom": [{"configMapRef": {"name": "c"}}], "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "d", "key": "k"}}}]}],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "e"}}, {"secretRef": {"name": "s"}}]}],
        }})));
        assert_eq!(template.config_maps().into_iter().collect::<String>(), "abcde");
    }

    #[test]
    fn a_taken_name_leads_to_another_revision() {
        let template = Template::read(Some(&json!({"spec": {"containers": []}})));
        assert_eq!(template.revision(0), template.revision(0));
        assert_ne!(template.revision(0), template.revision(1));
        assert_eq!(template.revision(0).len(), 10);
    }

    #[test]
    fn neither_order_nor_nulls_nor_the_hash_make_another_template() {
        let read = |text: &str| Template::read(Some(&serde_json::from_str(text).unwrap()));
        let one = read(
            r#"{"metadata": {"labels": {"app": "a", "pod-template-hash": "x"}, "creationTimestamp": null}, "spec": {"a": 1, "b": [{"c": 2, "d": 3}]}}"#,
        );
        let other = read(r#"{"spec": {"b": [{"d": 3, "c": 2}], "a": 1}, "metadata": {"labels": {"app": "a"}}}"#);
        assert_eq!(one, other);
        assert_ne!(
            one,
            read(r#"{"spec": {"b": [{"d": 3, "c": 2}], "a": 2}, "metadata": {"labels": {"app": "a"}}}"#)
        );
        assert_eq!(
            one.value(),
            json!({"spec": {"b": [{"d": 3, "c": 2}], "a": 1}, "metadata": {"labels": {"app": "a"}}})
        );
    }
}
