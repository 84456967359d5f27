//! The pod template of a rollout's Deployment: what `undo` and `restart` change. It stays opaque JSON.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::{Value, json};

use super::{
    connect::Cluster,
    rollout::{self, Rollout},
};
use crate::api::{CanaryRolloutStatus, HASH_LABEL, REVISION_ANNOTATION, ROLLOUT_LABEL};

/// What `undo` and `restart` have in common.
#[derive(Debug, clap::Args)]
pub struct Request {
    /// Name of the CanaryRollout.
    pub name: String,
    /// Why: stands in the Deployment's annotation kubernetes.io/change-cause, which `kubectl rollout history` shows.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only if the release under way, or the last one, is of this revision, a pod-template-hash; otherwise nothing happens.
    #[arg(long, value_name = "HASH")]
    revision: Option<String>,
}

/// A Deployment that Warmfront has taken over, with the rollout's state.
pub struct Target {
    /// Its rollout's status.
    pub status: CanaryRolloutStatus,
    /// As the API server has it.
    pub deployment: DynamicObject,
    /// Its namespace and name.
    pub name: String,
}

/// A version that the cluster still knows.
pub struct Version {
    /// Its `pod-template-hash`.
    pub revision: String,
    /// Number in `kubectl rollout history`; those that are not in it have none.
    pub number: Option<i64>,
    /// Its pod template, without the hash.
    pub template: Value,
}

const CHANGE_CAUSE: &str = "/metadata/annotations/kubernetes.io~1change-cause";

/// Reads the Deployment. `instead` is what to do for a workload that this is not for.
pub async fn target(cluster: &Cluster, request: &Request, instead: &str) -> anyhow::Result<Target> {
    let rollout = rollout::get(cluster, &request.name).await?;
    let (status, name) = subject(&rollout, request, instead)?;
    let api: Api<DynamicObject> = Api::namespaced_with(
        cluster.client.clone(),
        &cluster.namespace,
        &ApiResource::erase::<Deployment>(&()),
    );
    let tried = format!("reading Deployment {}/{name}", cluster.namespace);
    let deployment = cluster.ask(&tried, api.get(&name)).await?;
    Ok(Target {
        status,
        deployment,
        name,
    })
}

fn subject(rollout: &Rollout, request: &Request, instead: &str) -> anyhow::Result<(CanaryRolloutStatus, String)> {
    let name = rollout.name();
    let status = rollout.status.clone().map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
    let plan = rollout
        .plan
        .clone()
        .map_err(|why| anyhow::anyhow!("{name}: {why}; correct the CanaryRollout first"))?;
    if plan.is_pair() {
        anyhow::bail!("{name} is a pair, whose Deployments Warmfront leaves to you: {instead}");
    }
    if !status.taken_over() {
        anyhow::bail!(
            "{name} has not taken Deployment {} over yet ({}): use `kubectl rollout` until it has",
            plan.deployment,
            status.message
        );
    }
    let current = status.run.as_ref().map(|run| run.revision.as_str());
    if let Some(meant) = request.revision.as_deref().filter(|meant| current != Some(meant)) {
        anyhow::bail!(
            "{name}: meant for revision {meant}, the release is of {}; nothing was changed",
            current.unwrap_or("none")
        );
    }
    Ok((status, plan.deployment))
}

/// The versions that the cluster still knows of a Deployment, held ones included.
pub async fn versions(cluster: &Cluster, rollout: &str, deployment: &DynamicObject) -> anyhow::Result<Vec<Version>> {
    let api: Api<DynamicObject> = Api::namespaced_with(
        cluster.client.clone(),
        &cluster.namespace,
        &ApiResource::erase::<ReplicaSet>(&()),
    );
    let tried = format!("listing ReplicaSets in namespace {}", cluster.namespace);
    let all = cluster.ask(&tried, api.list(&ListParams::default())).await?;
    let uid = deployment.metadata.uid.as_deref();
    let is_ours = |set: &&DynamicObject| {
        let owned = set
            .owner_references()
            .iter()
            .any(|owner| Some(owner.uid.as_str()) == uid);
        owned || set.labels().get(ROLLOUT_LABEL).is_some_and(|name| name == rollout)
    };
    let read = |set: &DynamicObject| {
        let revision = set
            .data
            .pointer("/spec/selector/matchLabels")?
            .get(HASH_LABEL)?
            .as_str()?;
        let mut template = set.data.pointer("/spec/template")?.clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH_LABEL);
        }
        Some(Version {
            revision: revision.to_owned(),
            number: set
                .annotations()
                .get(REVISION_ANNOTATION)
                .and_then(|number| number.parse().ok()),
            template,
        })
    };
    Ok(all.items.iter().filter(is_ours).filter_map(read).collect())
}

/// The Deployment's pod template.
pub fn of(deployment: &DynamicObject) -> Value {
    deployment.data.pointer("/spec/template").cloned().unwrap_or_default()
}

/// Gives the Deployment this template, if nobody has changed it since it was read.
pub async fn put(cluster: &Cluster, target: &Target, request: &Request, template: &Value) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::namespaced_with(
        cluster.client.clone(),
        &cluster.namespace,
        &ApiResource::erase::<Deployment>(&()),
    );
    let mut patch = vec![
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": target.deployment.metadata.resource_version}),
        json!({"op": "replace", "path": "/spec/template", "value": template}),
    ];
    if let Some(reason) = &request.reason {
        if target.deployment.metadata.annotations.is_none() {
            patch.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
        }
        patch.push(json!({"op": "add", "path": CHANGE_CAUSE, "value": reason}));
    }
    let patch: Patch<()> = Patch::Json(serde_json::from_value(Value::Array(patch))?);
    let by = PatchParams {
        field_manager: Some("kubectl-canary".to_owned()),
        ..PatchParams::default()
    };
    let tried = format!(
        "changing the pod template of Deployment {}/{}",
        cluster.namespace, target.name
    );
    cluster.ask(&tried, api.patch(&target.name, &by, &patch)).await?;
    Ok(())
}
