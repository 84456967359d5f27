//! One scenario's namespace: the app, its Service and route, and what is done to them.

use anyhow::Context as _;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use warmfront::{
    api::{CanaryRolloutStatus, action::Verb, status::Phase},
    controller::kinds::Kinds,
};

use super::{Controllers, PATIENCE, until};

/// A namespace with the example app.
pub struct Shop {
    /// Talks to the cluster.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

/// Short steps, as all times of these scenarios are shortened together.
pub fn steps(weights: &[i32]) -> Value {
    weights
        .iter()
        .map(|weight| json!({"weight": weight, "hold": "4s"}))
        .collect()
}

impl Shop {
    /// Talks to the cluster that KUBECONFIG names.
    pub async fn client() -> anyhow::Result<Client> {
        // A second scenario of the same process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::try_default()
            .await
            .context("finding the cluster: KUBECONFIG is set by `make test`")
    }

    /// An empty namespace; one of an earlier run is removed first.
    pub async fn open(name: &str) -> anyhow::Result<Self> {
        let shop = Self {
            client: Self::client().await?,
            namespace: format!("e2e-{name}"),
        };
        let namespaces = Api::<DynamicObject>::all_with(shop.client.clone(), &core("Namespace", "namespaces"));
        if namespaces.get_opt(&shop.namespace).await?.is_some() {
            namespaces.delete(&shop.namespace, &DeleteParams::default()).await?;
            until(
                &namespaces,
                &shop.namespace,
                "the old namespace is gone",
                PATIENCE,
                |found: Option<&DynamicObject>| found.is_none(),
            )
            .await?;
        }
        let object = serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop.namespace}}),
        )?;
        namespaces.create(&PostParams::default(), &object).await?;
        Ok(shop)
    }

    /// Name under which the gateway knows the app.
    pub fn host(&self) -> String {
        format!("{}.example", self.namespace)
    }

    /// Objects of a kind in this namespace.
    pub fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// Objects of a core kind in this namespace.
    pub fn core(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        self.api(&core(kind, plural))
    }

    /// Creates an object.
    pub async fn create(&self, resource: &ApiResource, object: Value) -> anyhow::Result<()> {
        let what = format!("creating {} {}", resource.kind, object["metadata"]["name"]);
        self.api(resource)
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await
            .context(what)?;
        Ok(())
    }

    /// Changes an object by merge patch.
    pub async fn merge(&self, resource: &ApiResource, name: &str, patch: Value) -> anyhow::Result<()> {
        let params = PatchParams {
            field_manager: Some("e2e".to_owned()),
            ..PatchParams::default()
        };
        self.api(resource)
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .with_context(|| format!("changing {} {name}", resource.kind))?;
        Ok(())
    }

    /// Changes an object by strategic merge patch: lists of named things are merged by name.
    pub async fn strategic(&self, resource: &ApiResource, name: &str, patch: Value) -> anyhow::Result<()> {
        let params = PatchParams {
            field_manager: Some("e2e".to_owned()),
            ..PatchParams::default()
        };
        self.api(resource)
            .patch(name, &params, &Patch::Strategic(patch))
            .await
            .with_context(|| format!("changing {} {name}", resource.kind))?;
        Ok(())
    }

    /// The app's Deployment and Service, not waited for.
    pub async fn app(&self, replicas: u32) -> anyhow::Result<()> {
        self.app_named("catalog", replicas).await
    }

    /// The same under another name.
    pub async fn app_named(&self, name: &str, replicas: u32) -> anyhow::Result<()> {
        let env = json!([
            {"name": "VERSION", "value": "v1"},
            {"name": "DATABASE_URL", "value": "postgres://postgres@postgres.shop/postgres"},
            {"name": "REDIS_URL", "value": "redis://redis.shop/"},
            {"name": "CACHE_KEY_PREFIX", "value": self.namespace},
        ]);
        let container = json!({
            "name": "catalog", "image": "localhost/catalog:test", "imagePullPolicy": "IfNotPresent", "env": env,
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        });
        let template = json!({
            "metadata": {"labels": {"app": name}, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}},
            "spec": {"securityContext": {"runAsNonRoot": true, "runAsUser": 65532}, "containers": [container]},
        });
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
        self.create(&Kinds::service(), service).await?;
        self.create(&Kinds::deployment(), deployment).await
    }

    /// The app's route; further rules and backends stand before and beside its own.
    pub async fn route(&self, rules: Value) -> anyhow::Result<()> {
        self.route_named(&Kinds::http_route(), "catalog", &self.host(), rules)
            .await
    }

    /// A route of any kind and name under a host of its own.
    pub async fn route_named(
        &self,
        resource: &ApiResource,
        name: &str,
        host: &str,
        rules: Value,
    ) -> anyhow::Result<()> {
        let spec =
            json!({"parentRefs": [{"name": "edge", "namespace": "gateway"}], "hostnames": [host], "rules": rules});
        self.create(resource, json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": spec})).await
    }

    /// Waits until Kubernetes has rolled the app out.
    pub async fn serving(&self) -> anyhow::Result<()> {
        self.serving_named("catalog").await
    }

    /// The same under another name.
    pub async fn serving_named(&self, name: &str) -> anyhow::Result<()> {
        let complete = |found: Option<&DynamicObject>| {
            found.is_some_and(|object| {
                let (wanted, status) = (&object.data["spec"]["replicas"], &object.data["status"]);
                let settled = status["observedGeneration"].as_i64() == object.metadata.generation;
                settled
                    && ["replicas", "availableReplicas", "updatedReplicas"]
                        .iter()
                        .all(|pods| status[*pods] == *wanted)
            })
        };
        until(
            &self.api(&Kinds::deployment()),
            name,
            "the app is rolled out",
            PATIENCE,
            complete,
        )
        .await
        .map(|_| ())
    }

    /// The rollout of the app; `more` is laid over a spec with short times.
    pub async fn rollout(&self, more: Value) -> anyhow::Result<()> {
        self.rollout_named("catalog", more).await
    }

    /// The same under another name.
    pub async fn rollout_named(&self, name: &str, more: Value) -> anyhow::Result<()> {
        let mut spec = json!({
            "workload": {"deployment": {"name": "catalog"}},
            "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}, "settle": "500ms"},
            "steps": steps(&[25, 50, 100]),
            "bake": "2s",
            "checks": [{"errorRate": {"max": "2%"}}, {"latency": {"quantile": "p95", "max": "1s"}}],
            "metrics": {"interval": "2s"},
            "progressDeadline": "40s", "noDataDeadline": "10s", "keepCanary": "30s", "keepStable": "30s",
        });
        if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
            spec.extend(more);
        }
        let object = json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "CanaryRollout", "metadata": {"name": name}, "spec": spec});
        self.create(&Kinds::rollout(), object).await
    }

    /// A running app of four pods under a rollout, adopted.
    pub async fn adopted(name: &str, more: Value) -> anyhow::Result<Self> {
        let shop = Self::open(name).await?;
        shop.app(4).await?;
        shop.route(json!([{"backendRefs": [{"name": "catalog", "port": 80}]}]))
            .await?;
        shop.serving().await?;
        shop.rollout(more).await?;
        shop.until("adoption", |status| status.stable_revision.is_some())
            .await?;
        shop.paused().await?;
        Ok(shop)
    }

    /// Waits until the Deployment is paused.
    pub async fn paused(&self) -> anyhow::Result<()> {
        let paused = |found: Option<&DynamicObject>| found.is_some_and(|object| object.data["spec"]["paused"] == true);
        until(
            &self.api(&Kinds::deployment()),
            "catalog",
            "the Deployment is paused",
            PATIENCE,
            paused,
        )
        .await
        .map(|_| ())
    }

    /// Waits until the rollout's status is as wanted.
    pub async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&CanaryRolloutStatus) -> bool + Send,
    ) -> anyhow::Result<CanaryRolloutStatus> {
        self.until_of("catalog", what, wanted).await
    }

    /// The same for a rollout of another name.
    pub async fn until_of(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&CanaryRolloutStatus) -> bool + Send,
    ) -> anyhow::Result<CanaryRolloutStatus> {
        let read = |object: &DynamicObject| {
            serde_json::from_value::<CanaryRolloutStatus>(object.data.get("status").cloned().unwrap_or_default())
                .unwrap_or_default()
        };
        let found = until(
            &self.api(&Kinds::rollout()),
            name,
            what,
            PATIENCE,
            |found: Option<&DynamicObject>| found.is_some_and(|object| wanted(&read(object))),
        )
        .await?;
        Ok(found.as_ref().map(read).unwrap_or_default())
    }

    /// Waits until the run of this number has come to an end in this phase.
    pub async fn ended(&self, run: i64, phase: Phase) -> anyhow::Result<CanaryRolloutStatus> {
        self.until(&format!("run {run} ends in {phase}"), |status| {
            status.phase == phase
                && status
                    .run
                    .as_ref()
                    .is_some_and(|last| last.number == run && last.ended_at.is_some())
        })
        .await
    }

    /// Waits until the canary's confirmed weight is this many percent.
    pub async fn at(&self, run: i64, percent: u32) -> anyhow::Result<CanaryRolloutStatus> {
        let confirmed = |status: &CanaryRolloutStatus| {
            status.run.as_ref().is_some_and(|last| {
                last.number == run && last.weight.hundredths() == percent * 100 && last.intent.is_none()
            })
        };
        self.until(&format!("{percent}% in run {run}"), confirmed).await
    }

    /// Sets variables of the app's container: a new version.
    pub async fn release(&self, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        self.release_named("catalog", variables).await
    }

    /// The same under another name.
    pub async fn release_named(&self, name: &str, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        let env: Vec<Value> = variables
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        self.strategic(
            &Kinds::deployment(),
            name,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "catalog", "env": env}]}}}}),
        )
        .await
    }

    /// Sets the image of the app's container.
    pub async fn image(&self, image: &str) -> anyhow::Result<()> {
        self.strategic(
            &Kinds::deployment(),
            "catalog",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "catalog", "image": image}]}}}}),
        )
        .await
    }

    /// Deletes the controller's pods and waits until they are gone and a new one leads.
    pub async fn restart_controller(&self) -> anyhow::Result<()> {
        Controllers::new(&self.client).replace().await
    }

    /// Asks for an action and waits for the answer: its phase and reason.
    pub async fn act(&self, verb: Verb) -> anyhow::Result<(String, String)> {
        self.act_with(verb, json!({})).await
    }

    /// The same with guards.
    pub async fn act_with(&self, verb: Verb, guards: Value) -> anyhow::Result<(String, String)> {
        let mut spec = json!({"rollout": "catalog", "action": verb, "reason": "scenario"});
        if let (Value::Object(spec), Value::Object(guards)) = (&mut spec, guards) {
            spec.extend(guards);
        }
        let object = json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "RolloutAction", "metadata": {"generateName": "catalog-"}, "spec": spec});
        let actions = self.api(&Kinds::action());
        let asked = actions
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await
            .with_context(|| format!("asking for {verb}"))?;
        let answered =
            |found: Option<&DynamicObject>| found.is_some_and(|action| action.data["status"]["phase"].is_string());
        let answer = until(&actions, &asked.name_any(), "an answer", PATIENCE, answered)
            .await?
            .map(|action| action.data["status"].clone())
            .unwrap_or_default();
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        Ok((text("phase"), text("reason")))
    }

    /// Texts of the Events with this reason, oldest first.
    pub async fn events(&self, reason: &str) -> anyhow::Result<Vec<String>> {
        let events = self
            .core("Event", "events")
            .list(&ListParams::default().fields(&format!("reason={reason},involvedObject.kind=CanaryRollout")))
            .await?;
        // The name ends with the Event's number for this rollout.
        let number = |event: &DynamicObject| {
            event
                .name_any()
                .rsplit('-')
                .next()
                .and_then(|number| number.parse::<i64>().ok())
                .unwrap_or_default()
        };
        let mut told: Vec<_> = events
            .items
            .iter()
            .map(|event| {
                (
                    number(event),
                    event.data["message"].as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        told.sort();
        Ok(told.into_iter().map(|(_, text)| text).collect())
    }

    /// The same, once there is one: an Event is told a moment after the status that it is about.
    pub async fn told(&self, reason: &str) -> anyhow::Result<Vec<String>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let told = self.events(reason).await?;
            if !told.is_empty() {
                return Ok(told);
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "no Event {reason} came within {PATIENCE:?}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Names and UIDs of the pods of one version, or of all.
    pub async fn pods(&self, hash: Option<&str>) -> anyhow::Result<Vec<(String, String)>> {
        let selector = hash.map_or_else(
            || "app=catalog".to_owned(),
            |hash| format!("app=catalog,pod-template-hash={hash}"),
        );
        let pods = self
            .core("Pod", "pods")
            .list(&ListParams::default().labels(&selector))
            .await?;
        let living = pods
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let mut pods: Vec<_> = living
            .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
            .collect();
        pods.sort();
        Ok(pods)
    }

    /// Waits until the spec of an object is as it was found.
    pub async fn as_found(&self, resource: &ApiResource, name: &str, found: &Value) -> anyhow::Result<()> {
        let same = |object: Option<&DynamicObject>| object.is_some_and(|object| object.data["spec"] == *found);
        until(
            &self.api(resource),
            name,
            &format!("{} {name} is as it was found: {found}", resource.kind),
            PATIENCE,
            same,
        )
        .await
        .map(|_| ())
    }

    /// Revision numbers and the value of VERSION of the ReplicaSets that the Deployment owns, as `kubectl rollout history` reads them.
    pub async fn history(&self) -> anyhow::Result<Vec<(i64, String)>> {
        let sets = self
            .api(&Kinds::replica_set())
            .list(&ListParams::default().labels("app=catalog"))
            .await?;
        let owned = sets
            .items
            .iter()
            .filter(|set| set.owner_references().iter().any(|owner| owner.kind == "Deployment"));
        let version = |set: &DynamicObject| {
            let env = set
                .data
                .pointer("/spec/template/spec/containers/0/env")
                .and_then(Value::as_array);
            let version = env.into_iter().flatten().find(|variable| variable["name"] == "VERSION");
            version
                .and_then(|variable| variable["value"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let number = |set: &DynamicObject| {
            set.annotations()
                .get("deployment.kubernetes.io/revision")
                .and_then(|number| number.parse().ok())
                .unwrap_or_default()
        };
        let mut history: Vec<_> = owned.map(|set| (number(set), version(set))).collect();
        history.sort();
        Ok(history)
    }

    /// The spec of an object as it stands.
    pub async fn spec(&self, resource: &ApiResource, name: &str) -> anyhow::Result<Value> {
        Ok(self.api(resource).get(name).await?.data["spec"].clone())
    }

    /// Removes the namespace without waiting for it.
    pub async fn close(self) -> anyhow::Result<()> {
        let namespaces = Api::<DynamicObject>::all_with(self.client.clone(), &core("Namespace", "namespaces"));
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// A kind of the core group.
pub fn core(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Status and reason of a condition.
pub fn condition<'a>(status: &'a CanaryRolloutStatus, kind: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or(("", ""), |condition| (&condition.status, &condition.reason))
}
