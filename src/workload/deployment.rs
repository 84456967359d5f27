//! The user's Deployment. Only `spec.paused` and one label of it are ever changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::template::Template;
use crate::{
    api::{FIELD_MANAGER, ROLLOUT_LABEL},
    kubernetes::{
        json::{count, integer, list, string_map, text},
        managed_fields::{applier_of, newest_other_manager, owner_of},
        patch::{Patch, add, at, remove},
    },
};

/// Its own text in an annotation, as kubectl leaves it.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Field manager of `kubectl apply` from its own side.
const CLIENT_SIDE_APPLY: &str = "kubectl-client-side-apply";
/// `spec.paused`, as managedFields name it.
const PAUSED: &str = "/f:spec/f:paused";
/// What a dry run adds to the template.
const PROBE_ANNOTATION: &str = "warmfront.dev/probe";

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
    /// The field manager that has paused it, where that is not Warmfront. A policy of the API server leaves no name.
    pub paused_by: Option<String>,
    /// The field manager whose manifest says `spec.paused: false`, if there is one. It would undo a pause.
    pub unpaused_by: Option<String>,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
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
            paused: is_paused(object),
            paused_by: paused_by(object),
            unpaused_by: unpaused_by(object),
            labels: string_map(object, "/metadata/labels"),
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

fn is_paused(object: &Value) -> bool {
    object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true)
}

fn paused_by(object: &Value) -> Option<String> {
    owner_of(object, PAUSED, FIELD_MANAGER).filter(|_| is_paused(object))
}

/// The field manager, other than us, whose applied manifest says `spec.paused: false`. A person who unpaused it by hand
/// does not count. The API server keeps no `false`, so what kubectl applied last tells of a client-side apply.
fn unpaused_by(object: &Value) -> Option<String> {
    let applied = applied_by_kubectl(object).filter(says_unpaused);
    let by_kubectl = applied.map(|_| CLIENT_SIDE_APPLY.to_owned());
    by_kubectl.or_else(|| applier_of(object, PAUSED, FIELD_MANAGER).filter(|_| !is_paused(object)))
}

fn says_unpaused(manifest: &Value) -> bool {
    manifest.pointer("/spec/paused") == Some(&Value::Bool(false))
}

/// The manifest that `kubectl apply` has sent last from its own side.
fn applied_by_kubectl(object: &Value) -> Option<Value> {
    let annotations = object.pointer("/metadata/annotations")?;
    serde_json::from_str(annotations.get(LAST_APPLIED)?.as_str()?).ok()
}

/// What is read of the manifest that `kubectl apply` has left in an annotation, as short as that.
pub fn read_of_last_applied(manifest: &str) -> Option<String> {
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    says_unpaused(&manifest).then(|| json!({"spec": {"paused": false}}).to_string())
}

/// Sets `spec.paused`. `false` removes the field: most manifests do not have it.
pub fn pause(paused: bool) -> Patch {
    let at = at!["spec", "paused"];
    vec![if paused { add(at, true) } else { remove(at) }]
}

impl Deployment {
    /// The rollout that its label names.
    pub fn rollout(&self) -> Option<&String> {
        self.labels.get(ROLLOUT_LABEL)
    }

    /// Puts our label on.
    pub fn label(&self, rollout: &str) -> Patch {
        // Without any there is nothing to add it to.
        if self.labels.is_empty() {
            vec![add(at!["metadata", "labels"], json!({ROLLOUT_LABEL: rollout}))]
        } else {
            vec![add(at!["metadata", "labels", ROLLOUT_LABEL], rollout)]
        }
    }
}

/// Takes our label off.
pub fn unlabel() -> Patch {
    vec![remove(at!["metadata", "labels", ROLLOUT_LABEL])]
}

/// A merge patch for a dry run: the label is on, the template is another one, and nothing says that the Deployment is
/// paused. Whether it comes back paused tells whether the API server holds a changed template.
pub fn probe(rollout: &str) -> Value {
    json!({
        "metadata": {"labels": {ROLLOUT_LABEL: rollout}},
        "spec": {"paused": null, "template": {"metadata": {"annotations": {PROBE_ANNOTATION: "dry-run"}}}},
    })
}

/// Whether the answer to the dry run says that a changed template would be held.
pub fn is_held(answer: &Value) -> bool {
    is_paused(answer)
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

    #[test]
    fn a_manifest_that_was_applied_from_kubectls_side_tells_as_long_as_it_says_so() {
        let with = |paused: bool, applied: &Value| {
            let annotations = json!({LAST_APPLIED: applied.to_string()});
            Deployment::read(&json!({"metadata": {"annotations": annotations}, "spec": {"paused": paused}})).unpaused_by
        };
        let unpaused = json!({"spec": {"paused": false, "replicas": 3}});
        assert_eq!(with(false, &unpaused).as_deref(), Some("kubectl-client-side-apply"));
        assert_eq!(
            with(true, &unpaused).as_deref(),
            Some("kubectl-client-side-apply"),
            "held, and the next apply would undo it"
        );
        assert_eq!(with(false, &json!({"spec": {"replicas": 3}})), None);
        assert_eq!(with(true, &json!({"spec": {"paused": true}})), None);
    }

    #[test]
    fn a_pause_that_nobody_or_warmfront_made_is_nobodys() {
        let with = |manager: &str| {
            let entry = json!({"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}});
            Deployment::read(&json!({"metadata": {"managedFields": [entry]}, "spec": {"paused": true}})).paused_by
        };
        assert_eq!(with("kubectl-rollout").as_deref(), Some("kubectl-rollout"));
        assert_eq!(with("warmfront"), None);
        assert_eq!(
            Deployment::read(&json!({"spec": {"paused": true}})).paused_by,
            None,
            "held by the API server"
        );
    }
}
