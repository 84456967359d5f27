//! Writes of the controller that the API server refuses by a policy, as a cluster's own rules do.

use std::time::Duration;

use anyhow::Context as _;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::{Value, json};

use super::Shop;

/// A policy that refuses the controller's changes of one object of a namespace.
pub struct Refusal {
    client: Client,
    name: String,
}

fn kind(kind: &str) -> ApiResource {
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind));
    if kind.ends_with("Policy") {
        "validatingadmissionpolicies".clone_into(&mut resource.plural);
    }
    resource
}

async fn made(client: &Client, resource: &ApiResource, object: Value) -> anyhow::Result<()> {
    let what = format!("creating {} {}", resource.kind, object["metadata"]["name"]);
    Api::<DynamicObject>::all_with(client.clone(), resource)
        .create(&PostParams::default(), &serde_json::from_value(object)?)
        .await
        .context(what)
        .map(drop)
}

impl Refusal {
    /// Refuses changes of the object with this name, and returns once they are refused.
    pub async fn start(shop: &Shop, resource: &ApiResource, object: &str) -> anyhow::Result<Self> {
        let name = format!("{}-{}", shop.namespace, resource.plural);
        let refusal = Self {
            client: shop.client.clone(),
            name: name.clone(),
        };
        refusal.stop().await?;
        let rules = json!([{"apiGroups": [resource.group], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": [resource.plural], "resourceNames": [object]}]);
        let namespaces = json!({"matchLabels": {"kubernetes.io/metadata.name": shop.namespace}});
        // What only this test sends tells when the policy is in force.
        let allowed = "!request.userInfo.username.startsWith('system:serviceaccount:warmfront:') && !request.dryRun";
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"namespaceSelector": namespaces, "resourceRules": rules},
                "validations": [{"expression": allowed, "message": "frozen by the platform team"}],
            },
        });
        made(&refusal.client, &kind("ValidatingAdmissionPolicy"), policy).await?;
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        });
        made(&refusal.client, &kind("ValidatingAdmissionPolicyBinding"), binding).await?;
        refusal.in_force(shop, resource, object).await?;
        Ok(refusal)
    }

    async fn in_force(&self, shop: &Shop, resource: &ApiResource, object: &str) -> anyhow::Result<()> {
        let refused = async {
            let probe = json!({"metadata": {"annotations": {"e2e/probe": "x"}}});
            let params = kube::api::PatchParams {
                dry_run: true,
                ..kube::api::PatchParams::default()
            };
            while shop
                .api(resource)
                .patch(object, &params, &kube::api::Patch::Merge(&probe))
                .await
                .is_ok()
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), refused)
            .await
            .with_context(|| format!("policy {} did not come into force", self.name))
    }

    /// Takes the policy away.
    pub async fn stop(&self) -> anyhow::Result<()> {
        for resource in [
            kind("ValidatingAdmissionPolicyBinding"),
            kind("ValidatingAdmissionPolicy"),
        ] {
            let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
            match api.delete(&self.name, &DeleteParams::default()).await {
                Err(kube::Error::Api(refusal)) if refusal.code == 404 => {}
                other => drop(other.with_context(|| format!("deleting {} {}", resource.kind, self.name))?),
            }
        }
        Ok(())
    }
}
