//! What other hands do to the Deployment: its label, its pause, its ReplicaSets; and manifests that say whether it is paused.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Run,
    deed::Side,
    given::{NAME, NAMESPACE},
};
use crate::{
    apiserver::{kinds::Kind, lock, refusal::Refusal, store::by},
    world::text,
};

/// A manifest of the app that kubectl applies from its own side.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Tag of the image.
    pub version: String,
    /// It says `paused: false`.
    pub unpaused: bool,
}

impl Run {
    fn edit_deployment(&self, manager: &str, edit: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let store = &mut lock(&self.cluster).store;
        let changed = store.update(Kind::Deployment, NAMESPACE, NAME, by(manager), |object| {
            edit(object);
            Ok::<(), Refusal>(())
        });
        changed.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    /// Takes our label off.
    pub(super) fn unlabel(&self) -> anyhow::Result<()> {
        self.edit_deployment("kubectl-label", |object| {
            let labels = object["metadata"]["labels"].as_object_mut();
            labels.map(|labels| labels.remove("warmfront.dev/rollout"));
        })
    }

    /// A manager sets `paused: false` and nothing else.
    pub(super) fn unpause_as(&self, manager: &str) -> anyhow::Result<()> {
        self.edit_deployment(manager, |object| {
            object["spec"].as_object_mut().map(|spec| spec.remove("paused"));
        })
    }

    /// Template and `paused` in one request; what was applied stands in an annotation.
    pub(super) fn apply_from_kubectl(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let template = self.given.template(NAME, &manifest.version);
        let mut applied = json!({"spec": {"template": template}});
        if manifest.unpaused {
            applied["spec"]["paused"] = json!(false);
        }
        json_patch::merge(&mut self.manifests.deployment, &json!({"spec": {"template": template}}));
        self.edit_deployment("kubectl-client-side-apply", |object| {
            object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
                json!(applied.to_string());
            object["spec"]["template"] = applied["spec"]["template"].clone();
            if manifest.unpaused {
                object["spec"].as_object_mut().map(|spec| spec.remove("paused"));
            }
        })
    }

    /// Deletes the ReplicaSet of these pods.
    pub(super) fn delete_set(&self, side: Side) -> anyhow::Result<()> {
        let hash = self.hash_of(side);
        let store = &mut lock(&self.cluster).store;
        let sets = store.list(Kind::ReplicaSet, Some(NAMESPACE)).into_iter();
        let its = sets.filter(|set| text(set, "/spec/template/metadata/labels/pod-template-hash") == hash);
        let names: Vec<String> = its.map(|set| text(&set, "/metadata/name").to_owned()).collect();
        for name in names {
            store
                .delete(Kind::ReplicaSet, NAMESPACE, &name, None, by("kubectl"))
                .map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        }
        Ok(())
    }
}
