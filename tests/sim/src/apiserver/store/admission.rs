//! What the API server makes of a change of a Deployment: a policy holds a changed template, and pauses have owners.

use serde_json::{Value, json};

use super::{Author, Store, seconds, text};
use crate::{apiserver::kinds::Kind, world::deployment};

/// Name of the policy's one label.
const LABEL: &str = "warmfront.dev/rollout";
/// Name of policy and binding.
pub const POLICY: &str = "warmfront-hold";

/// Whether a Deployment is paused.
pub fn is_paused(object: &Value) -> bool {
    object.pointer("/spec/paused") == Some(&json!(true))
}

impl Store {
    /// The policy as the chart installs it.
    pub fn policy() -> Value {
        json!({"metadata": {"name": POLICY}, "spec": {"failurePolicy": "Fail"}})
    }

    /// Its binding.
    pub fn binding() -> Value {
        json!({"metadata": {"name": POLICY}, "spec": {"policyName": POLICY}})
    }

    /// MutatingAdmissionPolicies: one that is bound pauses a labelled Deployment in the request that changes its template. The
    /// label is looked for in the old object too.
    pub(super) fn admit(&self, kind: Kind, old: &Value, new: &mut Value) {
        let labelled = |object: &Value| object["metadata"]["labels"].get(LABEL).is_some();
        let changed = old["spec"]["template"] != new["spec"]["template"];
        if kind != Kind::Deployment || !changed || !(labelled(old) || labelled(new)) {
            return;
        }
        let bindings = self.list(Kind::HoldBinding, None);
        let bound = |policy: &Value| {
            let name = text(policy, "/metadata/name");
            bindings.iter().any(|binding| text(binding, "/spec/policyName") == name)
        };
        if self.list(Kind::HoldPolicy, None).iter().any(|policy| bound(policy)) {
            new["spec"]["paused"] = json!(true);
        }
    }

    /// Who changed a Deployment, and whose its pause is; what a policy has set is nobody's. `asked` is whether the request
    /// itself paused it.
    pub(super) fn own_pause(&self, old: &Value, new: &mut Value, asked: bool, author: Author<'_>) {
        if author.status || author.manager == deployment::NAME {
            return;
        }
        let paused = json!({"f:spec": {"f:paused": {}}});
        let mut entries = old["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        for entry in &mut entries {
            let taken = asked && !is_paused(old) && entry["manager"] != author.manager;
            if taken || !is_paused(new) {
                entry["fieldsV1"] = json!({});
            }
        }
        let mut own = json!({"manager": author.manager, "operation": "Update", "apiVersion": "apps/v1", "time": seconds(self.now()), "fieldsType": "FieldsV1", "fieldsV1": {}});
        let at = entries.iter().position(|entry| entry["manager"] == author.manager);
        let had = at.is_some_and(|at| entries[at]["fieldsV1"] == paused);
        if is_paused(new) && (had || (asked && !is_paused(old))) {
            own["fieldsV1"] = paused;
        }
        match at {
            Some(at) => entries[at] = own,
            None => entries.push(own),
        }
        new["metadata"]["managedFields"] = json!(entries);
    }
}
