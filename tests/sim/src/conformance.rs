//! How Kubernetes' Deployment controller treats ReplicaSets that are taken from it and given to it.
//!
//! One table of cases for any API server: the fake one is held to it here, a real one by the tests on
//! the test cluster. What the product does to ReplicaSets is done with the product's own patches.

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
    workload::{deployment::Deployment, replica_set, replica_set::ReplicaSet, service::Service},
};

fn replace<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    patch::replace(PointerBuf::from_tokens(path), value)
}

/// One case: what is done to a Deployment of four pods of v2 whose history has v1, and what follows.
pub struct Case {
    /// What it shows.
    pub title: &'static str,
    /// What is done and seen, in order.
    pub steps: &'static [Step],
}

/// What is done, or seen to come about and to stay.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// `spec.paused` is set.
    Pause,
    /// It is removed.
    Unpause,
    /// Another version is written into the template.
    Template(&'static str),
    /// `spec.replicas` is set.
    Scale(i64),
    /// The version's ReplicaSet is taken out of the Deployment's hands.
    Take(&'static str),
    /// It is given back.
    Give(&'static str),
    /// It is given as the newest in the history.
    GiveAsNewest(&'static str),
    /// A ReplicaSet of the version is made, held from birth.
    Hold(&'static str, u32),
    /// A held ReplicaSet gets a size.
    Resize(&'static str, u32),
    /// The Service is narrowed to a version.
    Narrow(&'static str),
    /// The Service is widened.
    Widen,
    /// The names of all pods are remembered.
    RememberPods,
    /// Wanted and ready pods of each version's ReplicaSet, those of both owners together.
    Sizes(&'static [(&'static str, i64)]),
    /// Versions whose ReplicaSets the Deployment owns.
    Owns(&'static [&'static str]),
    /// Versions behind the Service.
    Serves(&'static [&'static str]),
    /// Pods of this version are those remembered.
    SamePods(&'static str),
    /// The Deployment reports its rollout complete (or not).
    Complete(bool),
    /// Number of each version in the history.
    Numbers(&'static [(&'static str, i64)]),
}

use Step::{
    Complete, Give, GiveAsNewest, Hold, Narrow, Numbers, Owns, Pause, RememberPods, Resize, SamePods, Scale, Serves,
    Sizes, Take, Template, Unpause, Widen,
};

/// All cases.
pub const CASES: &[Case] = &[
    Case {
        title: "a paused Deployment scales its active ReplicaSet and rolls nothing out",
        steps: &[
            Pause,
            Template("v3"),
            Sizes(&[("v1", 0), ("v2", 4)]),
            Scale(2),
            Sizes(&[("v1", 0), ("v2", 2)]),
            Complete(false),
        ],
    },
    Case {
        title: "a taken ReplicaSet is let go and left alone, its pods too",
        steps: &[
            Pause,
            RememberPods,
            Take("v1"),
            Take("v2"),
            Owns(&[]),
            SamePods("v2"),
            Scale(3),
            Sizes(&[("v1", 0), ("v2", 4)]),
        ],
    },
    Case {
        title: "a given ReplicaSet is adopted with its pods",
        steps: &[
            Pause,
            RememberPods,
            Take("v2"),
            Take("v1"),
            Owns(&[]),
            Give("v2"),
            Owns(&["v2"]),
            SamePods("v2"),
            Sizes(&[("v2", 4)]),
            Complete(true),
        ],
    },
    Case {
        title: "a paused Deployment without an active ReplicaSet scales up the newest old one",
        steps: &[
            Pause,
            Template("v3"),
            Take("v2"),
            Owns(&["v1"]),
            Sizes(&[("v1", 4), ("v2", 4)]),
        ],
    },
    Case {
        title: "scaled 4 to 0 to 4 while paused, the history held, the serving version comes back",
        steps: &[
            Pause,
            Take("v1"),
            Template("v3"),
            Scale(0),
            Sizes(&[("v2", 0)]),
            Scale(4),
            Sizes(&[("v1", 0), ("v2", 4)]),
        ],
    },
    Case {
        title: "a held ReplicaSet of the new template lives beside the Deployment, and a Service narrowed to either sees it alone",
        steps: &[
            Pause,
            Take("v1"),
            Narrow("v2"),
            Template("v3"),
            Hold("v3", 2),
            Sizes(&[("v2", 4), ("v3", 2)]),
            Owns(&["v2"]),
            Serves(&["v2"]),
            Narrow("v3"),
            Serves(&["v3"]),
            Widen,
            Serves(&["v2", "v3"]),
        ],
    },
    Case {
        title: "promotion: the old one taken, the new one given, nothing restarts and the history goes on",
        steps: &[
            Pause,
            Take("v1"),
            Template("v3"),
            Hold("v3", 4),
            Sizes(&[("v2", 4), ("v3", 4)]),
            RememberPods,
            Take("v2"),
            GiveAsNewest("v3"),
            Owns(&["v3"]),
            Complete(true),
            SamePods("v3"),
            Resize("v2", 0),
            Give("v1"),
            Give("v2"),
            Owns(&["v1", "v2", "v3"]),
            Sizes(&[("v1", 0), ("v2", 0), ("v3", 4)]),
            Numbers(&[("v1", 1), ("v2", 2), ("v3", 3)]),
            SamePods("v3"),
        ],
    },
    Case {
        title: "a size changed in between is taken over with the ReplicaSet",
        steps: &[
            Pause,
            Take("v1"),
            Template("v3"),
            Hold("v3", 4),
            Sizes(&[("v3", 4)]),
            Take("v2"),
            Scale(5),
            GiveAsNewest("v3"),
            Sizes(&[("v3", 5)]),
            Complete(true),
        ],
    },
    Case {
        title: "promotion while a newer template waits: the given one is the one active, and not up to date",
        steps: &[
            Pause,
            Take("v1"),
            Template("v3"),
            Hold("v3", 4),
            Sizes(&[("v3", 4)]),
            Template("v4"),
            Take("v2"),
            GiveAsNewest("v3"),
            Owns(&["v3"]),
            Sizes(&[("v3", 4)]),
            Complete(false),
        ],
    },
    Case {
        title: "unpaused, Kubernetes rolls out with a ReplicaSet of its own and leaves the held one alone",
        steps: &[
            Pause,
            Take("v1"),
            Template("v3"),
            Hold("v3", 1),
            Sizes(&[("v3", 1)]),
            Unpause,
            Complete(true),
            Sizes(&[("v2", 0), ("v3", 5)]),
        ],
    },
    Case {
        title: "of two ReplicaSets of one template the Deployment keeps the older and empties the other",
        steps: &[
            Pause,
            Take("v1"),
            Template("v3"),
            Hold("v3", 4),
            Sizes(&[("v3", 4)]),
            Unpause,
            Complete(true),
            Sizes(&[("v3", 8)]),
            GiveAsNewest("v3"),
            Sizes(&[("v3", 4)]),
        ],
    },
];

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

const APP: &str = "app";

fn version(object: &Value) -> String {
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

fn plain(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

impl Stage {
    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
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
        let mut pods = BTreeMap::new();
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

    async fn deployment(&self) -> anyhow::Result<Deployment> {
        Ok(Deployment::read(&plain(
            &self.api(&Kinds::deployment()).get(APP).await?,
        )))
    }

    /// ReplicaSets of a version; the held one first.
    async fn sets(&self, wanted: &str) -> anyhow::Result<Vec<(ReplicaSet, Value)>> {
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

    async fn set(&self, wanted: &str) -> anyhow::Result<ReplicaSet> {
        self.sets(wanted)
            .await?
            .into_iter()
            .next()
            .map(|(set, _)| set)
            .with_context(|| format!("there is no ReplicaSet of {wanted}"))
    }

    async fn step(&self, step: &Step, remembered: &mut BTreeMap<String, BTreeSet<String>>) -> anyhow::Result<()> {
        let (app, sets) = (Kinds::deployment(), Kinds::replica_set());
        match step {
            Pause => {
                self.patch(&app, APP, warmfront::workload::deployment::pause(true))
                    .await
            }
            Unpause => {
                self.patch(&app, APP, warmfront::workload::deployment::pause(false))
                    .await
            }
            Scale(size) => {
                self.patch(&app, APP, vec![replace(["spec", "replicas"], json!(size))])
                    .await
            }
            Template(version) => {
                self.patch(&app, APP, vec![replace(["spec", "template"], self.template(version))])
                    .await
            }
            Take(version) => {
                let set = self.set(version).await?;
                self.patch(&sets, &set.name, set.take(&self.deployment().await?.selector, APP))
                    .await
            }
            Give(version) | GiveAsNewest(version) => {
                let set = self.set(version).await?;
                let mut patch = set.give(&self.deployment().await?.selector);
                if matches!(step, GiveAsNewest(_)) {
                    let all = self.api(&sets).list(&ListParams::default()).await?;
                    let highest = all
                        .iter()
                        .filter_map(|set| ReplicaSet::read(&plain(set)).revision)
                        .max()
                        .unwrap_or_default();
                    patch.extend(replica_set::number(set.revision.is_some(), highest + 1));
                }
                self.patch(&sets, &set.name, patch).await
            }
            Hold(_, size) => {
                let deployment = self.deployment().await?;
                let revision = deployment.template.revision(0);
                let object = replica_set::canary(
                    &deployment,
                    &self.namespace,
                    APP,
                    &format!("{APP}-{revision}"),
                    &revision,
                    *size,
                );
                self.api(&sets)
                    .create(&PostParams::default(), &serde_json::from_value(object)?)
                    .await?;
                Ok(())
            }
            Resize(version, size) => {
                self.patch(&sets, &self.set(version).await?.name, replica_set::scale(*size))
                    .await
            }
            Narrow(_) | Widen => {
                let service = Service::read(&plain(&self.api(&Kinds::service()).get(APP).await?));
                let hash = match step {
                    Narrow(version) => Some(self.set(version).await?.hash),
                    _ => None,
                };
                self.patch(&Kinds::service(), APP, service.narrow(hash.as_deref()))
                    .await
            }
            RememberPods => {
                *remembered = self.names().await?;
                Ok(())
            }
            Sizes(_) | Owns(_) | Serves(_) | SamePods(_) | Complete(_) | Numbers(_) => {
                self.comes_and_stays(step, remembered).await
            }
        }
    }

    /// Pods by version.
    async fn names(&self) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
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

    async fn comes_and_stays(
        &self,
        step: &Step,
        remembered: &BTreeMap<String, BTreeSet<String>>,
    ) -> anyhow::Result<()> {
        let begun = tokio::time::Instant::now();
        let mut since = None;
        loop {
            let now = tokio::time::Instant::now();
            match self.differs(step, remembered).await? {
                None if since.is_some_and(|since| now.duration_since(since) >= self.stays) => return Ok(()),
                None => drop(since.get_or_insert(now)),
                Some(difference) => {
                    since = None;
                    anyhow::ensure!(now.duration_since(begun) < self.patience, "{difference}");
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn differs(
        &self,
        step: &Step,
        remembered: &BTreeMap<String, BTreeSet<String>>,
    ) -> anyhow::Result<Option<String>> {
        let differs = |is: String, wanted: String| (is != wanted).then(|| format!("{is} instead of {wanted}"));
        Ok(match step {
            Sizes(wanted) => {
                let mut is = Vec::new();
                for (version, size) in *wanted {
                    let sets = self.sets(version).await?;
                    let total: u32 = sets.iter().map(|(set, _)| set.replicas).sum();
                    let ready: u32 = sets.iter().map(|(set, _)| set.ready).sum();
                    is.push(((*version, i64::from(total)), i64::from(ready) == *size));
                }
                let sizes: Vec<_> = is.iter().map(|(size, _)| *size).collect();
                differs(format!("{sizes:?}"), format!("{wanted:?}")).or_else(|| {
                    is.iter()
                        .any(|(_, ready)| !ready)
                        .then(|| format!("not all ready of {wanted:?}"))
                })
            }
            Owns(wanted) => {
                let uid = self.deployment().await?.uid;
                let all = self.api(&Kinds::replica_set()).list(&ListParams::default()).await?;
                let mut is: Vec<String> = all
                    .iter()
                    .map(plain)
                    .filter(|set| ReplicaSet::read(set).owned_by(&uid))
                    .map(|set| version(&set))
                    .collect();
                is.sort();
                differs(format!("{is:?}"), format!("{wanted:?}"))
            }
            Serves(wanted) => {
                let slices = self
                    .api(&Kinds::endpoint_slice())
                    .list(&ListParams::default().labels(&format!("kubernetes.io/service-name={APP}")))
                    .await?;
                let pods = self.names().await?;
                let endpoints = slices
                    .items
                    .iter()
                    .filter_map(|slice| slice.data["endpoints"].as_array())
                    .flatten();
                let ready = endpoints
                    .filter(|endpoint| endpoint["conditions"]["ready"] == true)
                    .filter_map(|endpoint| endpoint["targetRef"]["name"].as_str());
                let is: BTreeSet<&str> = ready
                    .filter_map(|pod| pods.iter().find(|(_, names)| names.contains(pod)))
                    .map(|(version, _)| version.as_str())
                    .collect();
                differs(format!("{:?}", Vec::from_iter(is)), format!("{wanted:?}"))
            }
            SamePods(version) => differs(
                format!("{:?}", self.names().await?.get(*version)),
                format!("{:?}", remembered.get(*version)),
            ),
            Complete(wanted) => differs(self.deployment().await?.complete().to_string(), wanted.to_string()),
            Numbers(wanted) => {
                let mut is = Vec::new();
                for (version, _) in *wanted {
                    is.push((*version, self.set(version).await?.revision.unwrap_or_default()));
                }
                differs(format!("{is:?}"), format!("{wanted:?}"))
            }
            other => Some(format!("{other:?} is nothing to be seen")),
        })
    }
}
