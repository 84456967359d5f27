//! A namespace with a Deployment and a Service, on which the deeds of a case are done.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context as _;
use json_patch::{PatchOperation, jsonptr::PointerBuf};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use warmfront::{
    controller::kinds::Kinds,
    kubernetes::patch,
    workload::{deployment, deployment::Deployment, replica_set, replica_set::ReplicaSet, service::Service},
};

use super::{
    Case, Step,
    Step::{
        Complete, Give, GiveAsNewest, Hold, Narrow, Numbers, Owns, Pause, RememberPods, Resize, SamePods, Scale,
        Serves, Sizes, Take, Template, Unpause, Widen,
    },
};

fn replace<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    patch::replace(PointerBuf::from_tokens(path), value)
}

/// A namespace in which cases are played.
pub struct Stage {
    /// Talks to the API server.
    pub client: Client,
    /// The namespace; it exists and is empty.
    pub namespace: String,
    /// The app's container; the version is added to its environment.
    pub container: Value,
    /// Longest wait for anything.
    pub patience: Duration,
    /// What came about must stay for so long.
    pub stays: Duration,
}

/// Name of the Deployment and of its Service.
pub const APP: &str = "app";

/// Names of pods, by version.
pub type Pods = BTreeMap<String, BTreeSet<String>>;

/// The version of a pod or a ReplicaSet.
pub fn version(object: &Value) -> String {
    let env = object
        .pointer("/spec/containers/0/env")
        .or_else(|| object.pointer("/spec/template/spec/containers/0/env"))
        .and_then(Value::as_array);
    let found = env.into_iter().flatten().find(|variable| variable["name"] == "VERSION");
    found
        .and_then(|variable| variable["value"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The object as JSON.
pub fn plain(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

impl Stage {
    pub(super) fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    fn pods(&self) -> Api<DynamicObject> {
        self.api(&ApiResource {
            group: String::new(),
            version: "v1".into(),
            api_version: "v1".into(),
            kind: "Pod".into(),
            plural: "pods".into(),
        })
    }

    fn template(&self, version: &str) -> Value {
        let mut container = self.container.clone();
        let version = json!({"name": "VERSION", "value": version});
        match container["env"].as_array_mut() {
            Some(env) => env.push(version),
            None => container["env"] = json!([version]),
        }
        json!({"metadata": {"labels": {"app": APP}}, "spec": {"containers": [container]}})
    }

    /// Plays a case from its beginning.
    pub async fn play(&self, case: &Case) -> anyhow::Result<()> {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": APP}, "spec": {"replicas": 4, "selector": {"matchLabels": {"app": APP}}, "template": self.template("v1")}});
        self.api(&Kinds::deployment())
            .create(&PostParams::default(), &serde_json::from_value(deployment)?)
            .await?;
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": APP}, "spec": {"selector": {"app": APP}, "ports": [{"port": 80}]}});
        self.api(&Kinds::service())
            .create(&PostParams::default(), &serde_json::from_value(service)?)
            .await?;
        let mut pods = Pods::new();
        for step in [Complete(true), Template("v2"), Complete(true)]
            .iter()
            .chain(case.steps)
        {
            self.step(step, &mut pods)
                .await
                .with_context(|| format!("{}: {step:?}", case.title))?;
        }
        Ok(())
    }

    async fn patch(&self, resource: &ApiResource, name: &str, patch: Vec<PatchOperation>) -> anyhow::Result<()> {
        let patch = json_patch::Patch(patch);
        self.api(resource)
            .patch(name, &PatchParams::default(), &Patch::Json::<()>(patch))
            .await?;
        Ok(())
    }

    pub(super) async fn deployment(&self) -> anyhow::Result<Deployment> {
        Ok(Deployment::read(&plain(
            &self.api(&Kinds::deployment()).get(APP).await?,
        )))
    }

    /// ReplicaSets of a version; the held one first.
    pub(super) async fn sets(&self, wanted: &str) -> anyhow::Result<Vec<(ReplicaSet, Value)>> {
        let all = self.api(&Kinds::replica_set()).list(&ListParams::default()).await?;
        let mut found: Vec<_> = all
            .iter()
            .map(plain)
            .filter(|set| version(set) == wanted)
            .map(|set| (ReplicaSet::read(&set), set))
            .collect();
        found.sort_by_key(|(set, _)| set.held_by.is_none());
        Ok(found)
    }

    pub(super) async fn set(&self, wanted: &str) -> anyhow::Result<ReplicaSet> {
        self.sets(wanted)
            .await?
            .into_iter()
            .next()
            .map(|(set, _)| set)
            .with_context(|| format!("there is no ReplicaSet of {wanted}"))
    }

    async fn step(&self, step: &Step, remembered: &mut Pods) -> anyhow::Result<()> {
        match step {
            Pause | Unpause | Scale(_) | Template(_) => {
                let change = match step {
                    Scale(size) => vec![replace(["spec", "replicas"], json!(size))],
                    Template(version) => {
                        vec![replace(["spec", "template"], self.template(version))]
                    }
                    _ => deployment::pause(matches!(step, Pause)),
                };
                self.patch(&Kinds::deployment(), APP, change).await
            }
            Take(version) => {
                let set = self.set(version).await?;
                let patch = set.take(&self.deployment().await?.selector, APP);
                self.patch(&Kinds::replica_set(), &set.name, patch).await
            }
            Give(version) => self.give(version, None).await,
            GiveAsNewest(version) => {
                let all = self.api(&Kinds::replica_set()).list(&ListParams::default()).await?;
                let numbers = all.iter().filter_map(|set| ReplicaSet::read(&plain(set)).revision);
                self.give(version, Some(numbers.max().unwrap_or_default() + 1)).await
            }
            Hold(_, size) => self.hold(*size).await,
            Resize(version, size) => {
                let set = self.set(version).await?;
                self.patch(&Kinds::replica_set(), &set.name, replica_set::scale(*size))
                    .await
            }
            Narrow(version) => self.narrow(Some(&self.set(version).await?.hash)).await,
            Widen => self.narrow(None).await,
            RememberPods => {
                *remembered = self.names().await?;
                Ok(())
            }
            Sizes(_) | Owns(_) | Serves(_) | SamePods(_) | Complete(_) | Numbers(_) => {
                self.comes_and_stays(step, remembered).await
            }
        }
    }

    /// Gives a ReplicaSet to the Deployment, with a new number or with the one it has.
    async fn give(&self, version: &str, number: Option<i64>) -> anyhow::Result<()> {
        let set = self.set(version).await?;
        let mut patch = set.give(&self.deployment().await?.selector);
        if let Some(number) = number {
            patch.extend(replica_set::number(set.revision.is_some(), number));
        }
        self.patch(&Kinds::replica_set(), &set.name, patch).await
    }

    /// Makes a held ReplicaSet of the Deployment's template.
    async fn hold(&self, size: u32) -> anyhow::Result<()> {
        let deployment = self.deployment().await?;
        let revision = deployment.template.revision(0);
        let name = format!("{APP}-{revision}");
        let object = replica_set::canary(&deployment, &self.namespace, APP, &name, &revision, size);
        self.api(&Kinds::replica_set())
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(())
    }

    /// Narrows the Service to the pods with this hash, or widens it.
    async fn narrow(&self, hash: Option<&str>) -> anyhow::Result<()> {
        let service = Service::read(&plain(&self.api(&Kinds::service()).get(APP).await?));
        self.patch(&Kinds::service(), APP, service.narrow(hash)).await
    }

    /// Pods by version.
    pub(super) async fn names(&self) -> anyhow::Result<Pods> {
        let mut names = Pods::new();
        for pod in self
            .pods()
            .list(&ListParams::default())
            .await?
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        {
            names.entry(version(&plain(pod))).or_default().insert(pod.name_any());
        }
        Ok(names)
    }
}
