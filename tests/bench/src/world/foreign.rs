//! What others have in the cluster, beside the apps that are released: many Deployments, and large ones.

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use warmfront::controller::kinds::Kinds;

use super::{CONCURRENCY, World, core};

/// Deployments in one namespace.
const PER_NAMESPACE: usize = 1_000;
/// Large Deployments, and how large: etcd takes no object over 1.5 MiB.
const LARGE: usize = 50;
const BYTES: usize = 1_000_000;
/// The namespace of the large ones.
const NAMESPACE: &str = "hostile";

/// A Deployment that wants no pods.
fn deployment(name: &str, padding: usize) -> Value {
    let labels = json!({"app": name});
    let env: Vec<Value> = (0..padding / 100)
        .map(|number| json!({"name": format!("V{number}"), "value": "x".repeat(70)}))
        .collect();
    let spec = json!({"containers": [{"name": "app", "image": "app", "env": env}]});
    json!({
        "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    })
}

impl World {
    async fn namespace(&self, name: &str) -> anyhow::Result<()> {
        let namespace = json!({"metadata": {"name": name}});
        self.create(&core("Namespace", "namespaces"), None, namespace).await
    }

    /// Makes Deployments that no rollout names.
    pub async fn make_foreign(&self, number: usize) -> anyhow::Result<()> {
        for namespace in 0..number.div_ceil(PER_NAMESPACE) {
            self.namespace(&format!("foreign-{namespace}")).await?;
        }
        let make = |number: usize| async move {
            let namespace = format!("foreign-{}", number / PER_NAMESPACE);
            let object = deployment(&format!("other-{number}"), 0);
            self.create(&Kinds::deployment(), Some(&namespace), object).await
        };
        stream::iter((0..number).map(make))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Makes large Deployments, and edits a ConfigMap beside them.
    pub async fn make_large(&self) -> anyhow::Result<()> {
        self.namespace(NAMESPACE).await?;
        for number in 0..LARGE {
            let object = deployment(&format!("large-{number}"), BYTES);
            self.create(&Kinds::deployment(), Some(NAMESPACE), object).await?;
        }
        let config = json!({"metadata": {"name": "config"}, "data": {"a": "1"}});
        self.create(&core("ConfigMap", "configmaps"), Some(NAMESPACE), config)
            .await?;
        let configs: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), NAMESPACE, &core("ConfigMap", "configmaps"));
        let edit = Patch::Merge(json!({"data": {"a": "2"}}));
        let edited = configs.patch("config", &PatchParams::default(), &edit).await;
        edited.map(|_| ()).context("editing a ConfigMap")
    }
}
