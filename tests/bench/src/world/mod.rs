//! The apps that are released: Deployments with fake pods, their Services and routes, and the rollouts over them.

mod app;
mod foreign;
mod seen;

pub use app::{App, Plan};
pub use seen::{Seen, follow};

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use warmfront::controller::kinds::Kinds;

use crate::standins::{
    gateway::{CONTROLLER, GATEWAY},
    store,
};

/// Requests of ours under way at once.
const CONCURRENCY: usize = 32;
/// Fake nodes among which pods are spread.
const NODES: usize = 20;

/// The cluster as the owners of apps see it.
pub struct World {
    /// Talks to the API server as an administrator.
    pub client: Client,
}

fn core(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

fn rbac(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "rbac.authorization.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "rbac.authorization.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

impl World {
    async fn create(&self, resource: &ApiResource, namespace: Option<&str>, mut object: Value) -> anyhow::Result<()> {
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(resource.kind);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let what = format!("creating {} {}", resource.kind, object["metadata"]["name"]);
        let object = serde_json::from_value(object).with_context(|| what.clone())?;
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(error).context(what),
        }
    }

    /// What every cluster has: nodes, a gateway, a metrics source, and the controller's rights.
    pub async fn furnish(&self, rules: Value) -> anyhow::Result<()> {
        for node in 0..NODES {
            self.create(
                &core("Node", "nodes"),
                None,
                json!({"metadata": {"name": format!("fake-{node}")}}),
            )
            .await?;
        }
        for namespace in [GATEWAY.1, "warmfront", "probe"] {
            self.create(
                &core("Namespace", "namespaces"),
                None,
                json!({"metadata": {"name": namespace}}),
            )
            .await?;
        }
        let class = json!({"metadata": {"name": "bench"}, "spec": {"controllerName": CONTROLLER}});
        self.create(&Kinds::gateway_class(), None, class).await?;
        let listener =
            json!({"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}});
        let gateway =
            json!({"metadata": {"name": GATEWAY.0}, "spec": {"gatewayClassName": "bench", "listeners": [listener]}});
        self.create(&Kinds::gateway(), Some(GATEWAY.1), gateway).await?;
        let spec = json!({"prometheus": {"url": format!("http://{}", store::ADDRESS)}, "scrapeInterval": "1s"});
        self.create(
            &Kinds::source(),
            None,
            json!({"metadata": {"name": "default"}, "spec": spec}),
        )
        .await?;
        let mut rules = rules.as_array().cloned().unwrap_or_default();
        // In the chart the lease is the matter of a Role beside the generated rules.
        rules.push(json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "watch", "create", "update", "patch"]}));
        self.create(
            &rbac("ClusterRole", "clusterroles"),
            None,
            json!({"metadata": {"name": "warmfront"}, "rules": rules}),
        )
        .await?;
        let binding = json!({
            "metadata": {"name": "warmfront"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "warmfront"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "warmfront"}],
        });
        self.create(&rbac("ClusterRoleBinding", "clusterrolebindings"), None, binding)
            .await
    }

    /// Creates apps and waits until Kubernetes has rolled them out.
    pub async fn open(&self, apps: &[App], within: Duration) -> anyhow::Result<()> {
        let namespaces: BTreeSet<&str> = apps.iter().map(|app| app.namespace.as_str()).collect();
        for namespace in namespaces {
            self.create(
                &core("Namespace", "namespaces"),
                None,
                json!({"metadata": {"name": namespace}}),
            )
            .await?;
        }
        stream::iter(apps)
            .map(|app| async move {
                let namespace = Some(app.namespace.as_str());
                self.create(&Kinds::deployment(), namespace, app.deployment()).await?;
                self.create(&Kinds::service(), namespace, app.service()).await?;
                self.create(&Kinds::http_route(), namespace, app.route()).await
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        let wanted: BTreeSet<String> = apps.iter().map(App::key).collect();
        let complete = async {
            loop {
                let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &Kinds::deployment());
                let found = all
                    .list(&ListParams::default().match_any())
                    .await
                    .context("looking at the Deployments")?;
                let open = found.items.iter().filter(|deployment| {
                    let key = format!(
                        "{}/{}",
                        deployment.namespace().unwrap_or_default(),
                        deployment.name_any()
                    );
                    let (replicas, status) = (&deployment.data["spec"]["replicas"], &deployment.data["status"]);
                    wanted.contains(&key)
                        && status["availableReplicas"] == *replicas
                        && status["updatedReplicas"] == *replicas
                });
                let open = open.count();
                if open == wanted.len() {
                    return anyhow::Ok(());
                }
                if wanted.len() > 1 {
                    eprintln!("   {open} of {} apps are up", wanted.len());
                }
                tokio::time::sleep(Duration::from_millis(if wanted.len() > 20 { 3_000 } else { 200 })).await;
            }
        };
        tokio::time::timeout(within, complete)
            .await
            .with_context(|| format!("{} apps were not up within {within:?}", apps.len()))?
    }

    /// Puts apps under rollouts.
    pub async fn put_under_rollouts(&self, apps: &[App], plan: &Plan) -> anyhow::Result<()> {
        let create = |app: &App| {
            let (namespace, rollout) = (app.namespace.clone(), app.rollout(plan));
            async move { self.create(&Kinds::rollout(), Some(&namespace), rollout).await }
        };
        stream::iter(apps.iter().map(create))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await
    }

    /// Waits until the Deployment of an app is paused: a template changed before would be rolled out by Kubernetes.
    pub async fn paused(&self, app: &App, within: Duration) -> anyhow::Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &app.namespace, &Kinds::deployment());
        let is_paused = |found: Option<&DynamicObject>| {
            found.is_some_and(|found| {
                found.data["spec"]["paused"] == true
                    && found.data["status"]["observedGeneration"].as_i64() == found.metadata.generation
            })
        };
        let waited = tokio::time::timeout(within, await_condition(api, &app.name, is_paused)).await;
        waited.with_context(|| format!("Deployment {} was not paused within {within:?}", app.key()))??;
        Ok(())
    }

    /// Changes the template of each app: a release is due.
    pub async fn release(&self, apps: &[App], version: &str) -> anyhow::Result<()> {
        let patch = |app: &App| {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &app.namespace, &Kinds::deployment());
            let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "env": [{"name": "VERSION", "value": version}]}]}}}});
            let name = app.name.clone();
            async move {
                api.patch(&name, &PatchParams::default(), &Patch::Strategic(change))
                    .await
                    .with_context(|| format!("changing the template of {name}"))?;
                anyhow::Ok(())
            }
        };
        stream::iter(apps.iter().map(patch))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await
    }
}
