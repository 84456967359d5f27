//! What a scenario begins with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::manifests::service_of;
use crate::{
    apiserver::{
        Shared,
        kinds::Kind,
        lock,
        store::{Store, by},
    },
    world::{Object, Settings, gateway, hooks},
};

/// Namespace of everything.
pub const NAMESPACE: &str = "shop";
/// Name of the app, its Service, its route and its rollout.
pub const NAME: &str = "catalog";
/// Name of a pair's candidate and of its Service; the baseline has the app's name.
pub const CANDIDATE: &str = "catalog-cached";
/// Name of a second rollout of the app.
pub const SECOND: &str = "second";
/// Who applies manifests.
pub const GIT: &str = "git";

/// What a scenario begins with.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of a scenario file")]
pub struct Given {
    /// Pods of the app, and of a pair's candidate.
    pub replicas: i64,
    /// Two Deployments are given: the app, which runs, and a candidate in version v2, which has just been applied.
    pub pair: bool,
    /// The rollout's spec, laid over one with short times.
    pub rollout: Value,
    /// The spec of the second rollout, laid over that of the first.
    pub second: Value,
    /// Laid over the app's Service.
    pub service: Value,
    /// Pods carry a label of this name with their version's tag.
    pub version_label: Option<String>,
    /// The MetricSource's spec, laid over one that scrapes every second.
    pub source: Value,
    /// Ports of the pods by their names, by the tag of their version.
    pub ports: BTreeMap<String, BTreeMap<String, i64>>,
    /// The route's rules; by default one, with the app as its only backend.
    pub rules: Option<Value>,
    /// The app runs and was adopted before the script begins.
    pub adopted: bool,
    /// The app's Deployment stands before the rollout does, rolled out.
    pub running: bool,
    /// A second route leads to the app.
    pub second_route: bool,
    /// Bounds of an autoscaler of the app, if it has one.
    pub autoscaler: Option<Bounds>,
    /// Spec of a KEDA ScaledObject of the app, its target aside, if it has one; without one the cluster has no KEDA.
    pub scaled_object: Option<Value>,
    /// The app reads a ConfigMap, which says this at the beginning.
    pub config: Option<String>,
    /// Laid over the Services of other systems, by their hosts.
    pub webhook_services: BTreeMap<String, Value>,
    /// The API server holds changed templates, by the chart's policy and its binding. What is left out is played both ways.
    pub hold: Option<bool>,
    /// Objects that are missing at the beginning: `route`, `service`, `source`, `keda`.
    pub missing: Vec<String>,
    /// How the world behaves.
    pub world: Settings,
}

/// Bounds of an autoscaler.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Fewest pods.
    pub min: i64,
    /// Most pods.
    pub max: i64,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            replicas: 4,
            pair: false,
            rollout: json!({}),
            second: json!({}),
            source: json!({}),
            service: json!({}),
            version_label: None,
            ports: BTreeMap::new(),
            rules: None,
            adopted: true,
            running: true,
            second_route: false,
            autoscaler: None,
            scaled_object: None,
            config: None,
            webhook_services: BTreeMap::new(),
            hold: None,
            missing: Vec::new(),
            world: Settings::default(),
        }
    }
}

/// A ConfigMap that says something.
pub fn config(says: &str) -> Value {
    json!({"metadata": {"name": NAME}, "data": {"GREETING": says}})
}

fn merge(base: &mut Value, more: &Value) {
    if let (Value::Object(base), Value::Object(more)) = (base, more) {
        for (key, value) in more {
            base.insert(key.clone(), value.clone());
        }
    }
}

impl Given {
    /// The rollout's spec.
    pub fn spec(&self) -> Value {
        let mut spec = json!({
            "workload": {"deployment": {"name": NAME}},
            "traffic": {"gatewayAPI": {"routes": [{"name": NAME}]}, "settle": "1s"},
            "steps": [{"weight": 25, "hold": "5s"}, {"weight": 50, "hold": "5s"}, {"weight": 100, "hold": "3s"}],
            "bake": "4s",
            "checks": [{"errorRate": {"max": "2%"}}],
            "metrics": {"interval": "1s"},
            "progressDeadline": "2m", "noDataDeadline": "20s", "keepCanary": "31s", "keepStable": "10s",
        });
        if self.pair {
            let side = |name: &str| json!({"deployment": name, "service": name});
            spec["workload"] = json!({"pair": {"baseline": side(NAME), "candidate": side(CANDIDATE)}});
        }
        if self.second_route {
            spec["traffic"]["gatewayAPI"]["routes"] = json!([{"name": NAME}, {"name": SECOND}]);
        }
        merge(&mut spec, &self.rollout);
        // A key set to null is left out.
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|_, value| !value.is_null());
        }
        spec
    }

    /// Pod template of a version of an app.
    pub fn template(&self, app: &str, version: &str) -> Value {
        let mut container = json!({"name": "app", "image": format!("registry/{NAME}:{version}")});
        if self.config.is_some() {
            container["envFrom"] = json!([{"configMapRef": {"name": NAME}}]);
        }
        if let Some(ports) = self.ports.get(version) {
            let ports = ports
                .iter()
                .map(|(name, port)| json!({"name": name, "containerPort": port}));
            container["ports"] = ports.collect();
        }
        let mut labels = json!({"app": app});
        if let Some(label) = &self.version_label {
            labels[label] = json!(version);
        }
        json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}})
    }

    /// The spec of another rollout of the same app.
    pub fn second_spec(&self) -> Value {
        let mut spec = self.spec();
        if !self.pair {
            merge(
                &mut spec["traffic"],
                &json!({"service": NAME, "canaryService": "second-canary"}),
            );
        }
        merge(&mut spec, &self.second);
        spec
    }

    /// The route, as its owner has it.
    pub fn route(&self) -> Value {
        let mut plain = json!([{"backendRefs": [{"name": NAME, "port": 80}]}]);
        if self.pair {
            plain =
                json!([{"backendRefs": [{"name": NAME, "port": 80}, {"name": CANDIDATE, "port": 80, "weight": 0}]}]);
        }
        let rules = self.rules.clone().unwrap_or(plain);
        json!({"metadata": {"name": NAME}, "spec": {"parentRefs": [{"name": "edge"}], "hostnames": ["shop.example"], "rules": rules}})
    }

    /// The app's Service, as its owner has it.
    pub fn service(&self) -> Value {
        let mut service = service_of(NAME);
        json_patch::merge(&mut service, &self.service);
        service
    }

    /// The Services of other systems, as their owner has them.
    fn of_webhooks(&self) -> impl Iterator<Item = Value> {
        self.world.hooks.keys().map(|host| {
            let mut service = hooks::service(host);
            if let Some(more) = self.webhook_services.get(host) {
                json_patch::merge(&mut service, more);
            }
            service
        })
    }

    /// The ScaledObject, as its owner has it; the annotation tells KEDA to go on.
    pub fn scaled_object(&self) -> Value {
        let mut spec = json!({"scaleTargetRef": {"name": NAME}, "triggers": [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}]});
        merge(&mut spec, self.scaled_object.as_ref().unwrap_or(&Value::Null));
        json!({"metadata": {"name": NAME, "annotations": {"autoscaling.keda.sh/paused": "false"}}, "spec": spec})
    }

    /// The Deployment, as its owner has it.
    pub fn deployment(&self, version: &str) -> Value {
        self.deployment_of(NAME, version)
    }

    /// The Deployment of an app.
    pub fn deployment_of(&self, app: &str, version: &str) -> Value {
        let template = self.template(app, version);
        json!({"metadata": {"name": app, "labels": {"app": app}}, "spec": {"replicas": self.replicas, "selector": {"matchLabels": {"app": app}}, "template": template}})
    }

    /// The app whose versions are released.
    pub fn released(&self) -> &'static str {
        if self.pair { CANDIDATE } else { NAME }
    }

    /// Where metrics come from.
    pub fn source(&self) -> Value {
        let mut spec = json!({"prometheus": {"url": "http://prometheus.example"}, "scrapeInterval": "1s"});
        merge(&mut spec, &self.source);
        json!({"metadata": {"name": "default"}, "spec": spec})
    }

    /// Whether the API server holds changed templates at the beginning.
    pub fn holds(&self) -> bool {
        self.hold.unwrap_or(true)
    }

    fn has(&self, what: &str) -> bool {
        !self.missing.iter().any(|missing| missing == what)
    }

    /// Makes the objects that are there from the beginning, the rollout aside.
    pub fn build(&self, cluster: &Shared) {
        let mut cluster = lock(cluster);
        let store = &mut cluster.store;
        create(store, Kind::Namespace, "", json!({"metadata": {"name": NAMESPACE}}));
        create(
            store,
            Kind::GatewayClass,
            "",
            json!({"metadata": {"name": "example"}, "spec": {"controllerName": gateway::CONTROLLER}}),
        );
        create(
            store,
            Kind::Gateway,
            NAMESPACE,
            json!({"metadata": {"name": "edge"}, "spec": {"gatewayClassName": "example"}}),
        );
        if self.holds() {
            store.install(Kind::HoldPolicy);
            store.install(Kind::HoldBinding);
            create(store, Kind::HoldPolicy, "", Store::policy());
            create(store, Kind::HoldBinding, "", Store::binding());
        }
        if self.has("source") {
            create(store, Kind::MetricSource, "", self.source());
        }
        if self.has("service") {
            create(store, Kind::Service, NAMESPACE, self.service());
        }
        if self.pair {
            create(store, Kind::Service, NAMESPACE, service_of(CANDIDATE));
        }
        for service in self.of_webhooks() {
            create(store, Kind::Service, NAMESPACE, service);
        }
        if self.has("route") {
            create(store, Kind::HttpRoute, NAMESPACE, self.route());
        }
        if self.second_route {
            let mut route = self.route();
            route["metadata"]["name"] = json!(SECOND);
            create(store, Kind::HttpRoute, NAMESPACE, route);
        }
        if let Some(says) = &self.config {
            create(store, Kind::ConfigMap, NAMESPACE, config(says));
        }
        if let Some(Bounds { min, max }) = self.autoscaler {
            let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME});
            let spec = json!({"scaleTargetRef": target, "minReplicas": min, "maxReplicas": max});
            create(
                store,
                Kind::HorizontalPodAutoscaler,
                NAMESPACE,
                json!({"metadata": {"name": NAME}, "spec": spec}),
            );
        }
        if self.scaled_object.is_some() && self.has("keda") {
            store.install(Kind::ScaledObject);
            create(store, Kind::ScaledObject, NAMESPACE, self.scaled_object());
        }
    }
}

/// Applies a manifest for the first time.
pub fn create(store: &mut Store, kind: Kind, namespace: &str, object: Value) -> Option<Object> {
    store.create(kind, namespace, object, by(GIT)).ok()
}
