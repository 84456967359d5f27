//! The user's Deployment. Of its fields only `spec.paused` is ever changed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::template::Template;
use crate::{
    api::FIELD_MANAGER,
    kubernetes::{
        json::{count, integer, list, string_map, text},
        managed_fields::{applier_of, newest_other_manager},
        patch::{Patch, add, at, remove},
    },
};

/// What is read of spec and status, here and by whoever makes a ReplicaSet of it.
pub const READ: [(&str, &[&str]); 2] = [
    (
        "spec",
        &[
            "replicas",
            "paused",
            "strategy",
            "selector",
            "minReadySeconds",
            "template",
        ],
    ),
    (
        "status",
        &["observedGeneration", "replicas", "updatedReplicas", "availableReplicas"],
    ),
];

/// The fields of a Deployment that decisions need.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// Its UID, which the ownerReferences of its ReplicaSets name.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Generation that the Deployment controller has handled.
    pub observed_generation: i64,
    /// Wanted number of pods (`spec.replicas`).
    pub replicas: u32,
    /// Whether Kubernetes holds a changed template back (`spec.paused`).
    pub paused: bool,
    /// The field manager whose manifest says `spec.paused: false`, if there is one. It would undo our pause.
    pub unpaused_by: Option<String>,
    /// The field manager, other than us, that changed it last, if the object says so.
    pub other_manager: Option<String>,
    /// Whether its strategy is Recreate: two versions must never run together.
    pub recreate: bool,
    /// `selector.matchLabels`.
    pub selector: BTreeMap<String, String>,
    /// Whether its selector has matchExpressions, which a Service cannot express.
    pub selector_expressions: bool,
    /// How many seconds a pod must be Ready to count as Available.
    pub min_ready_seconds: u32,
    /// The pod template as stored, without the label `pod-template-hash`.
    pub template: Template,
    /// Number of its pods, of any template.
    pub total: u32,
    /// Number of its pods of the newest template.
    pub updated: u32,
    /// Number of its pods that are Available.
    pub available: u32,
}

impl Deployment {
    /// Reads a Deployment.
    pub fn read(object: &Value) -> Self {
        Self {
            name: text(object, "/metadata/name").to_owned(),
            uid: text(object, "/metadata/uid").to_owned(),
            generation: integer(object, "/metadata/generation"),
            observed_generation: integer(object, "/status/observedGeneration"),
            replicas: count(object, "/spec/replicas", 1),
            paused: object
                .pointer("/spec/paused")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            unpaused_by: unpaused_by(object),
            other_manager: newest_other_manager(object, FIELD_MANAGER),
            recreate: text(object, "/spec/strategy/type") == "Recreate",
            selector: string_map(object, "/spec/selector/matchLabels"),
            selector_expressions: !list(object, "/spec/selector/matchExpressions").is_empty(),
            min_ready_seconds: count(object, "/spec/minReadySeconds", 0),
            template: Template::read(object.pointer("/spec/template")),
            total: count(object, "/status/replicas", 0),
            updated: count(object, "/status/updatedReplicas", 0),
            available: count(object, "/status/availableReplicas", 0),
        }
    }

    /// Whether the Deployment controller has handled the newest spec, so that the status is about it.
    pub fn settled(&self) -> bool {
        self.observed_generation >= self.generation
    }

    /// Whether no rollout of Kubernetes itself is under way: all pods are of the newest template and Available.
    pub fn complete(&self) -> bool {
        self.settled()
            && self.updated == self.replicas
            && self.total == self.replicas
            && self.available == self.replicas
    }
}

/// The field manager, other than us, whose applied manifest says `spec.paused: false`. A person who unpaused it by hand does not count.
fn unpaused_by(object: &Value) -> Option<String> {
    if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    applier_of(object, "/f:spec/f:paused", FIELD_MANAGER)
}

/// Sets `spec.paused`. `false` removes the field: most manifests do not have it.
pub fn pause(paused: bool) -> Patch {
    let at = at!["spec", "paused"];
    vec![if paused { add(at, true) } else { remove(at) }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_that_says_unpaused_is_told_from_a_person_who_did_it() {
        let entry = |manager: &str, operation: &str| json!({"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:paused": {}}}});
        let with = |paused: bool, entry: Value| {
            Deployment::read(&json!({"metadata": {"managedFields": [entry]}, "spec": {"paused": paused}})).unpaused_by
        };
        assert_eq!(
            with(false, entry("argocd-controller", "Apply")).as_deref(),
            Some("argocd-controller")
        );
        assert_eq!(
            with(false, entry("kubectl-client-side-apply", "Update")).as_deref(),
            Some("kubectl-client-side-apply")
        );
        assert_eq!(with(false, entry("kubectl-edit", "Update")), None);
        assert_eq!(with(true, entry("argocd-controller", "Apply")), None);
        assert_eq!(with(false, entry("warmfront", "Apply")), None);
    }
}
