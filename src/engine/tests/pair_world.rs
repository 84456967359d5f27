//! Two Deployments with a Service each, as their owner and Kubernetes have them.

use serde_json::json;

use super::super::contract::observed::{Endpoint, Observed};
use crate::workload::{deployment::Deployment, replica_set::ReplicaSet, service::Service};

/// Both.
pub struct Apps {
    pub baseline: App,
    pub candidate: App,
}

/// One of them.
pub struct App {
    name: &'static str,
    service: &'static str,
    /// The version that its template names.
    pub version: &'static str,
    /// Versions that have ReplicaSets, the newest last; the last but one has pods while `ready` of the newest are too few.
    pub rolled: Vec<&'static str>,
    pub replicas: u32,
    /// Ready pods of the newest ReplicaSet.
    pub ready: u32,
    /// Ready pods of the one before.
    pub old: u32,
    /// A pod of something else behind its Service.
    pub foreign: bool,
    pub exists: bool,
}

impl Default for Apps {
    fn default() -> Self {
        let app = |name, service| App {
            name,
            service,
            version: "v1",
            rolled: vec!["v1"],
            replicas: 4,
            ready: 4,
            old: 0,
            foreign: false,
            exists: true,
        };
        Self {
            baseline: app("plain", "catalog"),
            candidate: app("cached", "catalog-canary"),
        }
    }
}

impl App {
    /// Its owner changes the template, and Kubernetes has not begun yet.
    pub fn change(&mut self, version: &'static str) {
        self.version = version;
    }

    /// Kubernetes has made the ReplicaSet, and so many of its pods are ready.
    pub fn roll(&mut self, ready: u32) {
        if self.rolled.last() != Some(&self.version) {
            self.rolled.push(self.version);
        }
        self.ready = ready;
        self.old = self.replicas.saturating_sub(ready);
    }

    fn template(&self, version: &str) -> serde_json::Value {
        json!({"metadata": {"labels": {"app": self.name}}, "spec": {"containers": [{"image": format!("catalog:{version}")}]}})
    }

    fn set(&self, version: &str, ready: u32) -> ReplicaSet {
        let hash = format!("{}{version}", self.name);
        ReplicaSet::read(&json!({
            "metadata": {"name": format!("{}-{hash}", self.name), "labels": {"app": self.name, "pod-template-hash": hash}, "ownerReferences": [{"uid": self.name, "controller": true}]},
            "spec": {"replicas": self.replicas, "template": self.template(version)},
            "status": {"replicas": ready, "readyReplicas": ready, "availableReplicas": ready},
        }))
    }

    fn deployment(&self) -> Option<Deployment> {
        let updated = if self.rolled.last() == Some(&self.version) {
            self.ready
        } else {
            0
        };
        let object = json!({
            "metadata": {"name": self.name, "uid": self.name, "generation": 1},
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": {"app": self.name}}, "template": self.template(self.version)},
            "status": {"observedGeneration": 1, "replicas": self.ready + self.old, "updatedReplicas": updated, "availableReplicas": self.ready + self.old},
        });
        self.exists.then(|| Deployment::read(&object))
    }

    fn show(&self, seen: &mut Observed) {
        let mut sets: Vec<ReplicaSet> = Vec::new();
        for (age, version) in self.rolled.iter().rev().enumerate() {
            sets.push(self.set(version, [self.ready, self.old].get(age).copied().unwrap_or_default()));
        }
        let pods = sets.iter().flat_map(|set| {
            (0..set.ready).map(|n| Endpoint {
                pod: format!("{}-p{n}", set.name),
                ready: true,
            })
        });
        let foreign = self.foreign.then(|| Endpoint {
            pod: "worker-1".to_owned(),
            ready: true,
        });
        seen.endpoints
            .insert(self.service.to_owned(), pods.chain(foreign).collect());
        let service = json!({"metadata": {"name": self.service}, "spec": {"selector": {"app": self.name}, "ports": [{"port": 80}]}});
        seen.services.insert(self.service.to_owned(), Service::read(&service));
        seen.replica_sets.extend(sets.into_iter().filter(|_| self.exists));
    }
}

impl Apps {
    /// Puts them in the place of what else was seen of workloads.
    pub fn show(&self, seen: &mut Observed) {
        seen.replica_sets.clear();
        seen.services.clear();
        seen.endpoints.clear();
        seen.deployment = self.candidate.deployment();
        seen.baseline = self.baseline.deployment();
        self.baseline.show(seen);
        self.candidate.show(seen);
    }
}
