//! The apps that are released: Deployments with fake pods, their Services and routes, and the rollouts over them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, wait::await_condition, watcher},
};
use serde_json::{Value, json};
use warmfront::{
    api::{
        CanaryRolloutStatus,
        status::{Phase, Verdict},
    },
    controller::kinds::Kinds,
};

use crate::{
    journal::Journal,
    standins::{
        gateway::{CONTROLLER, GATEWAY},
        store,
    },
};

/// Requests of ours under way at once.
const CONCURRENCY: usize = 32;
/// Fake nodes among which pods are spread.
const NODES: usize = 20;
/// Rollouts in one namespace.
const PER_NAMESPACE: usize = 20;
/// Most pods of a Deployment; they have from one to this many.
const MOST_REPLICAS: usize = 4;

/// One app.
#[derive(Clone, Debug)]
pub struct App {
    /// Its namespace.
    pub namespace: String,
    /// Name of its Deployment, Service, route and rollout.
    pub name: String,
    /// Pods of its Deployment.
    pub replicas: usize,
    node: usize,
}

impl App {
    /// The n-th of many.
    pub fn nth(n: usize) -> Self {
        Self {
            namespace: format!("team-{}", n / PER_NAMESPACE),
            name: format!("app-{n}"),
            replicas: n % MOST_REPLICAS + 1,
            node: n % NODES,
        }
    }

    /// One more, for a single measure.
    pub fn single(name: &str) -> Self {
        Self {
            namespace: "probe".to_owned(),
            name: name.to_owned(),
            replicas: MOST_REPLICAS,
            node: 0,
        }
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn deployment(&self) -> Value {
        // The node is named, so no scheduler is needed.
        let spec = json!({
            "nodeName": format!("fake-{}", self.node), "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": "app", "env": [{"name": "VERSION", "value": "0"}]}],
        });
        let labels = json!({"app": self.name});
        json!({
            "metadata": {"name": self.name},
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        })
    }

    fn service(&self) -> Value {
        json!({"metadata": {"name": self.name}, "spec": {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
    }

    fn route(&self) -> Value {
        let rule = json!({"backendRefs": [{"name": self.name, "port": 80}]});
        json!({"metadata": {"name": self.name}, "spec": {"parentRefs": [{"name": GATEWAY.0, "namespace": GATEWAY.1}], "rules": [rule]}})
    }

    fn rollout(&self, plan: &Plan) -> Value {
        let mut check = json!({"name": "queue", "query": {"promql": store::query(&self.key()), "max": store::LIMIT}});
        if plan.one_bad_answer {
            check["breaches"] = json!(1);
            check["of"] = json!(1);
        }
        let mut traffic = json!({"gatewayAPI": {"routes": [{"name": self.name}]}});
        if let Some(settle) = plan.settle {
            traffic["settle"] = json!(settle);
        }
        let steps: Vec<Value> = plan
            .steps
            .iter()
            .map(|(weight, hold)| json!({"weight": weight, "hold": hold}))
            .collect();
        json!({
            "metadata": {"name": self.name},
            "spec": {
                "workload": {"deployment": {"name": self.name}}, "traffic": traffic, "steps": steps, "checks": [check],
                "metrics": {"interval": plan.interval}, "bake": "0s", "keepStable": "0s", "keepCanary": "0s",
            },
        })
    }
}

/// How an app is released.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Weights in percent with their holds.
    pub steps: Vec<(u32, String)>,
    /// How often the check is asked.
    pub interval: &'static str,
    /// `None` is the default.
    pub settle: Option<&'static str>,
    /// One bad answer rolls back, instead of the default.
    pub one_bad_answer: bool,
}

impl Plan {
    /// Stays at 5%, judged every ten seconds, and falls with the first bad answer.
    pub fn held() -> Self {
        Self {
            steps: vec![(5, "6h".to_owned()), (100, "0s".to_owned())],
            interval: "10s",
            settle: None,
            one_bad_answer: true,
        }
    }
}

/// What matters of a rollout's status.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its phase.
    pub phase: Phase,
    /// The Deployment is taken over.
    pub adopted: bool,
    /// Number of the run.
    pub run: i64,
    /// The run's weight in hundredths of a percent, once confirmed.
    pub weight: Option<u32>,
    /// Every check passes.
    pub passing: bool,
    /// When it was judged last, as far as that is stored: ticks lie on a fixed grid.
    pub judged: Option<Timestamp>,
}

impl Seen {
    fn read(rollout: &DynamicObject) -> Self {
        let status = rollout.data.get("status").cloned().unwrap_or_default();
        let status: CanaryRolloutStatus = serde_json::from_value(status).unwrap_or_default();
        let run = status.run.as_ref();
        Self {
            phase: status.phase,
            adopted: status.stable_revision.is_some(),
            run: run.map_or(0, |run| run.number),
            weight: run
                .filter(|run| run.intent.is_none())
                .map(|run| run.weight.hundredths()),
            judged: status.checks.iter().filter_map(|check| check.at).max(),
            passing: !status.checks.is_empty() && status.checks.iter().all(|check| check.verdict == Verdict::Pass),
        }
    }

    /// Held at a weight, and judged good there.
    pub fn is_held(&self) -> bool {
        self.phase == Phase::Shifting && self.weight.is_some_and(|weight| weight > 0) && self.passing
    }
}

/// Notes every change of a rollout's status until the process ends.
pub async fn follow(client: Client, rollouts: Arc<Journal<Seen>>) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &Kinds::rollout());
    let mut seen = std::pin::pin!(
        watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    while let Some(rollout) = seen.next().await {
        match rollout {
            Ok(rollout) => rollouts.note(
                format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.name_any()),
                Seen::read(&rollout),
            ),
            Err(error) => eprintln!("the bench lost its watch of rollouts, which starts again: {error}"),
        }
    }
    anyhow::bail!("the watch of rollouts ended")
}

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
