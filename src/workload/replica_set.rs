//! ReplicaSets: they are taken from the Deployment, given back to it, created beside it, and scaled.
//!
//! A Deployment adopts every ReplicaSet whose labels answer its selector, and lets go of one whose labels do not.

use std::collections::BTreeMap;

use json_patch::jsonptr::PointerBuf;
use serde_json::{Map, Value, json};

use super::{deployment::Deployment, template::Template};
use crate::{
    api::{HASH_LABEL, REVISION_ANNOTATION, ROLLOUT_LABEL},
    kubernetes::{
        json::{count, list, string_map, text},
        patch::{Patch, add, at, remove},
    },
};

/// What is read of the status; of the spec everything may be.
pub const READ: [(&str, &[&str]); 1] = [(
    "status",
    &["replicas", "readyReplicas", "availableReplicas", "conditions"],
)];

/// The fields of a ReplicaSet that decisions need.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaSet {
    /// Its name, with which the names of its pods begin.
    pub name: String,
    /// Its revision: the label `pod-template-hash`.
    pub hash: String,
    /// Name of the rollout that holds it, from our label.
    pub held_by: Option<String>,
    /// UID of the Deployment that owns it, if one does.
    pub owner: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The pod template as stored, without the label `pod-template-hash`.
    pub template: Template,
    /// Its number in the Deployment's history, if it has one.
    pub revision: Option<i64>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Wanted number of pods (`spec.replicas`).
    pub replicas: u32,
    /// Number of its pods.
    pub total: u32,
    /// Number of its pods that are Ready.
    pub ready: u32,
    /// Number of its pods that are Available, at most the wanted number: the rest is about to be removed.
    pub available: u32,
    /// Why pods could not be created, as its condition ReplicaFailure says, if so.
    pub failure: Option<String>,
}

impl ReplicaSet {
    /// Reads a ReplicaSet.
    pub fn read(object: &Value) -> Self {
        let labels = string_map(object, "/metadata/labels");
        let failure = list(object, "/status/conditions")
            .iter()
            .find(|condition| text(condition, "/type") == "ReplicaFailure" && text(condition, "/status") == "True");
        let owner = list(object, "/metadata/ownerReferences")
            .iter()
            .find(|owner| owner["controller"] == true);
        Self {
            name: text(object, "/metadata/name").to_owned(),
            hash: labels
                .get(HASH_LABEL)
                .cloned()
                .unwrap_or_else(|| text(object, &format!("/spec/selector/matchLabels/{HASH_LABEL}")).to_owned()),
            held_by: labels.get(ROLLOUT_LABEL).cloned(),
            owner: owner.map(|owner| text(owner, "/uid").to_owned()),
            labels,
            template: Template::read(object.pointer("/spec/template")),
            revision: object
                .pointer("/metadata/annotations")
                .and_then(|annotations| annotations.get(REVISION_ANNOTATION)?.as_str()?.parse().ok()),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            replicas: count(object, "/spec/replicas", 1),
            total: count(object, "/status/replicas", 0),
            ready: count(object, "/status/readyReplicas", 0),
            // Right after it was scaled down, the status still counts pods that are about to be removed.
            available: count(object, "/status/availableReplicas", 0).min(count(object, "/spec/replicas", 1)),
            failure: failure.map(|condition| text(condition, "/message").to_owned()),
        }
    }

    /// Whether the Deployment with this UID owns it.
    pub fn owned_by(&self, uid: &str) -> bool {
        self.owner.as_deref() == Some(uid)
    }

    /// Whether a rollout holds it: it has our label and no owner.
    pub fn held(&self) -> bool {
        self.held_by.is_some() && self.owner.is_none()
    }

    /// Takes it from the Deployment: removes the labels that the selector asks for and adds ours, so that the Deployment lets it go. Its pods keep their labels.
    pub fn take(&self, selector: &BTreeMap<String, String>, rollout: &str) -> Patch {
        let there = selector.keys().filter(|key| self.labels.contains_key(*key));
        let mut patch: Patch = there.map(|key| remove(label(key))).collect();
        patch.push(add(label(ROLLOUT_LABEL), rollout));
        patch
    }

    /// Gives it to the Deployment: adds the labels that the selector asks for and removes ours, so that the Deployment adopts it.
    pub fn give(&self, selector: &BTreeMap<String, String>) -> Patch {
        let wanted = selector.iter();
        let mut patch: Patch = wanted.map(|(key, value)| add(label(key), value.as_str())).collect();
        if self.held_by.is_some() {
            patch.push(remove(label(ROLLOUT_LABEL)));
        }
        patch
    }
}

fn label(key: &str) -> PointerBuf {
    at!["metadata", "labels", key]
}

/// Sets its number in the Deployment's history. `has_annotations`: whether the object has annotations, to which one can be added.
pub fn number(has_annotations: bool, revision: i64) -> Patch {
    let revision = revision.to_string();
    vec![if has_annotations {
        add(at!["metadata", "annotations", REVISION_ANNOTATION], revision)
    } else {
        add(at!["metadata", "annotations"], json!({REVISION_ANNOTATION: revision}))
    }]
}

/// Sets the wanted number of pods.
pub fn scale(replicas: u32) -> Patch {
    vec![add(at!["spec", "replicas"], replicas)]
}

/// A ReplicaSet for a new version. Its labels do not answer the Deployment's selector, so the Deployment does not adopt it.
pub fn canary(
    deployment: &Deployment,
    namespace: &str,
    rollout: &str,
    name: &str,
    revision: &str,
    replicas: u32,
) -> Value {
    let mut selector: Map<String, Value> = deployment
        .selector
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    selector.insert(HASH_LABEL.to_owned(), json!(revision));
    let mut template = deployment.template.value();
    template["metadata"]["labels"][HASH_LABEL] = json!(revision);
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {HASH_LABEL: revision, ROLLOUT_LABEL: rollout},
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": deployment.min_ready_seconds,
            "selector": {"matchLabels": selector},
            "template": template,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_size_does_not_hide_the_pods_there_are() {
        let grown = json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {"observedGeneration": 1, "availableReplicas": 1}});
        assert_eq!(ReplicaSet::read(&grown).available, 1);
        let shrunk = json!({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "availableReplicas": 4}});
        assert_eq!(ReplicaSet::read(&shrunk).available, 1);
    }
}
