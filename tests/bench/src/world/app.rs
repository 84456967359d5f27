//! One app, its Deployment of fake pods, Service, route and rollout, and how it is released.

use serde_json::{Value, json};

use super::NODES;
use crate::standins::{gateway::GATEWAY, store};

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

    /// One of those whose checks are many, slow, and asked for all the time.
    pub fn hostile(n: usize) -> Self {
        Self {
            namespace: "hostile".to_owned(),
            name: format!("hostile-{n}"),
            replicas: 1,
            node: n % NODES,
        }
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub(super) fn deployment(&self) -> Value {
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

    pub(super) fn service(&self) -> Value {
        json!({"metadata": {"name": self.name}, "spec": {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
    }

    pub(super) fn route(&self) -> Value {
        let rule = json!({"backendRefs": [{"name": self.name, "port": 80}]});
        json!({"metadata": {"name": self.name}, "spec": {"parentRefs": [{"name": GATEWAY.0, "namespace": GATEWAY.1}], "rules": [rule]}})
    }

    pub(super) fn rollout(&self, plan: &Plan) -> Value {
        let mut check = json!({"name": "queue", "query": {"promql": store::query(&self.key()), "max": store::LIMIT}});
        if plan.one_bad_answer {
            check["breaches"] = json!(1);
            check["of"] = json!(1);
        }
        let mut checks = vec![check; plan.checks];
        for (number, check) in checks.iter_mut().enumerate().skip(1) {
            check["name"] = json!(format!("queue-{number}"));
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
                "workload": {"deployment": {"name": self.name}}, "traffic": traffic, "steps": steps, "checks": checks,
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
    /// How many checks ask for it.
    pub checks: usize,
}

impl Plan {
    /// Stays at 5%, judged every ten seconds, and falls with the first bad answer.
    pub fn held() -> Self {
        Self {
            steps: vec![(5, "6h".to_owned()), (100, "0s".to_owned())],
            interval: "10s",
            settle: None,
            one_bad_answer: true,
            checks: 1,
        }
    }

    /// As many slow queries as a rollout can ask, as often as it can.
    pub fn hostile() -> Self {
        Self {
            interval: "1s",
            checks: 16,
            ..Self::held()
        }
    }
}
