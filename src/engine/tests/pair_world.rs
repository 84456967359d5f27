//! Two Deployments with a Service each, as their owner and Kubernetes have them.

use serde_json::{Value, json};

use super::cluster::{NAMESPACE, pods, slice};
use crate::{
    look::{Known, Memory},
    workload::replica_set::ReplicaSet,
};

/// Both.
#[derive(Clone)]
pub struct Apps {
    pub baseline: App,
    pub candidate: App,
}

/// One of them.
#[derive(Clone)]
pub struct App {
    name: &'static str,
    service: &'static str,
    pub generation: i64,
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
            generation: 1,
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
        self.generation += 1;
    }

    /// Kubernetes has made the ReplicaSet, and so many of its pods are ready.
    pub fn roll(&mut self, ready: u32) {
        // A version that it had before gets its ReplicaSet again.
        self.rolled.retain(|version| *version != self.version);
        self.rolled.push(self.version);
        self.ready = ready;
        self.old = self.replicas.saturating_sub(ready);
    }

    fn template(&self, version: &str) -> Value {
        json!({"metadata": {"labels": {"app": self.name}}, "spec": {"containers": [{"image": format!("catalog:{version}")}]}})
    }

    fn set(&self, version: &str, ready: u32) -> Value {
        let hash = format!("{}{version}", self.name);
        let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name, "uid": self.name, "controller": true});
        json!({
            "metadata": {"name": format!("{}-{hash}", self.name), "labels": {"app": self.name, "pod-template-hash": hash}, "ownerReferences": [owner]},
            "spec": {"replicas": self.replicas, "template": self.template(version)},
            "status": {"replicas": ready, "readyReplicas": ready, "availableReplicas": ready},
        })
    }

    fn deployment(&self) -> Value {
        let updated = if self.rolled.last() == Some(&self.version) {
            self.ready
        } else {
            0
        };
        json!({
            "metadata": {"name": self.name, "uid": self.name, "generation": self.generation},
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": {"app": self.name}}, "template": self.template(self.version)},
            "status": {"observedGeneration": self.generation, "replicas": self.ready + self.old, "updatedReplicas": updated, "availableReplicas": self.ready + self.old},
        })
    }

    fn put_into(&self, all: &mut Memory) {
        let ready = [self.ready, self.old].into_iter().chain(std::iter::repeat(0));
        let sets = self.rolled.iter().rev().zip(ready);
        let sets: Vec<Value> = sets.map(|(version, ready)| self.set(version, ready)).collect();
        let mut behind: Vec<String> = sets.iter().flat_map(|set| pods(&ReplicaSet::read(set))).collect();
        behind.extend(self.foreign.then(|| "worker-1".to_owned()));
        let slice = slice(self.service, behind.iter().map(String::as_str));
        all.put(Known::EndpointSlice, NAMESPACE, slice);
        let service = json!({"metadata": {"name": self.service}, "spec": {"selector": {"app": self.name}, "ports": [{"port": 80}]}});
        all.put(Known::Service, NAMESPACE, service);
        if self.exists {
            all.put(Known::Deployment, NAMESPACE, self.deployment());
            for set in sets {
                all.put(Known::ReplicaSet, NAMESPACE, set);
            }
        }
    }
}

impl Apps {
    /// Puts in what both consist of.
    pub fn put_into(&self, all: &mut Memory) {
        self.baseline.put_into(all);
        self.candidate.put_into(all);
    }
}
