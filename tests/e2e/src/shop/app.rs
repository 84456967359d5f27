//! The example app: its Deployment, Service, route and rollout, and its versions.

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use warmfront::controller::kinds::Kinds;

use super::Shop;
use crate::{PATIENCE, until};

/// Short steps, as all times of these scenarios are shortened together.
pub fn steps(weights: &[i32]) -> Value {
    weights
        .iter()
        .map(|weight| json!({"weight": weight, "hold": "4s"}))
        .collect()
}

impl Shop {
    /// The app's Deployment and Service, not waited for.
    pub async fn app(&self, replicas: u32) -> anyhow::Result<()> {
        self.app_named("catalog", replicas).await
    }

    /// The same under another name.
    pub async fn app_named(&self, name: &str, replicas: u32) -> anyhow::Result<()> {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
        self.create(&Kinds::service(), service).await?;
        self.create(&Kinds::deployment(), self.manifest(name, replicas, "v1"))
            .await
    }

    /// The app's Deployment as its owner keeps it in a file.
    pub fn manifest(&self, name: &str, replicas: u32, version: &str) -> Value {
        let env = json!([
            {"name": "VERSION", "value": version},
            {"name": "DATABASE_URL", "value": "postgres://postgres@postgres.shop/postgres"},
            {"name": "REDIS_URL", "value": "redis://redis.shop/"},
            {"name": "CACHE_KEY_PREFIX", "value": self.namespace},
            // Scenarios run beside each other on few cores: what only waits for one is no fault of the version.
            {"name": "CACHE_TIMEOUT", "value": "500ms"},
            {"name": "DATABASE_TIMEOUT", "value": "20s"},
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
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}})
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

    /// A running app with its route, and no rollout.
    pub async fn running(name: &str, replicas: u32) -> anyhow::Result<Self> {
        let shop = Self::open(name).await?;
        shop.app(replicas).await?;
        shop.route(json!([{"backendRefs": [{"name": "catalog", "port": 80}]}]))
            .await?;
        shop.serving().await?;
        Ok(shop)
    }

    /// A running app of four pods under a rollout, adopted.
    pub async fn adopted(name: &str, more: Value) -> anyhow::Result<Self> {
        let shop = Self::running(name, 4).await?;
        shop.rollout(more).await?;
        shop.until("adoption", |status| status.stable_revision.is_some())
            .await?;
        shop.held().await?;
        Ok(shop)
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
}
