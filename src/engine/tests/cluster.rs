//! What Kubernetes and a gateway make of the objects in the small obedient cluster, and what is seen of it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::{
    super::{
        contract::{Identity, Needs, in_force::InForce, kind::Kind, observed::Observed},
        needs,
    },
    world::World,
};
use crate::{
    api::Plan,
    look::{Known, Memory, Viewpoint, observe},
    workload::{replica_set::ReplicaSet, service::Service},
};

/// Where everything is.
pub const NAMESPACE: &str = "shop";

pub const STABLE: &str = "stable1";

pub fn template(version: &str) -> Value {
    json!({"metadata": {"labels": {"app": "catalog"}}, "spec": {"containers": [{"name": "catalog", "image": format!("catalog:{version}")}]}})
}

fn set_owned(hash: &str, version: &str, revision: &str, replicas: u32) -> Value {
    let mut template = template(version);
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    json!({
        "metadata": {"name": format!("catalog-{hash}"), "labels": {"app": "catalog", "pod-template-hash": hash}, "annotations": {"deployment.kubernetes.io/revision": revision}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "catalog", "pod-template-hash": hash}}, "template": template},
    })
}

/// One Deployment with its ReplicaSets, Service and route, before anything was released.
pub fn found() -> BTreeMap<(Kind, String), Value> {
    let mut objects = BTreeMap::new();
    objects.insert((Kind::Deployment, "catalog".to_owned()), json!({"metadata": {"name": "catalog", "uid": "d", "generation": 1}, "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "catalog"}}, "template": template("v1")}}));
    objects.insert(
        (Kind::ReplicaSet, "catalog-old0".to_owned()),
        set_owned("old0", "v0", "1", 0),
    );
    objects.insert(
        (Kind::ReplicaSet, format!("catalog-{STABLE}")),
        set_owned(STABLE, "v1", "2", 4),
    );
    objects.insert(
        (Kind::Service, "catalog".to_owned()),
        json!({"metadata": {"name": "catalog"}, "spec": {"selector": {"app": "catalog"}, "ports": [{"port": 80}]}}),
    );
    objects.insert((Kind::HttpRoute, "catalog".to_owned()), json!({"metadata": {"name": "catalog", "namespace": "shop", "generation": 1}, "spec": {"rules": [{"backendRefs": [{"name": "catalog", "port": 80}]}]}}));
    objects
}

/// Pods behind a Service as Kubernetes tells of them.
pub fn slice<'a>(service: &str, pods: impl IntoIterator<Item = &'a str>) -> Value {
    let endpoint = |pod: &str| json!({"targetRef": {"name": pod}, "conditions": {"ready": true}});
    let endpoints: Vec<Value> = pods.into_iter().map(endpoint).collect();
    json!({"metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints})
}

/// Names of a ReplicaSet's ready pods.
pub fn pods(set: &ReplicaSet) -> Vec<String> {
    (0..set.ready).map(|n| format!("{}-p{n}", set.name)).collect()
}

impl World {
    /// What else is to be looked at.
    pub fn needs(&self, seen: &Observed) -> Needs {
        let id = Identity {
            namespace: NAMESPACE.to_owned(),
            name: "catalog".to_owned(),
            uid: "r".to_owned(),
            generation: 1,
        };
        let in_force = InForce::new(Ok(&self.spec.clone().into()), &self.status);
        needs(&id, &in_force, &self.status, seen, self.now)
    }

    /// ReplicaSets as Kubernetes keeps them.
    pub fn sets(&self) -> Vec<ReplicaSet> {
        let sets = self.objects.iter().filter(|((kind, _), _)| *kind == Kind::ReplicaSet);
        sets.map(|(_, object)| ReplicaSet::read(&self.replica_set(object)))
            .collect()
    }

    fn replica_set(&self, object: &Value) -> Value {
        let mut object = object.clone();
        // The Deployment controller takes what answers its selector and lets go of the rest.
        if object["metadata"]["labels"].get("app").is_some() {
            object["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog", "uid": "d", "controller": true}]);
        }
        let set = ReplicaSet::read(&object);
        let of = |hash: Option<&String>| hash == Some(&set.hash);
        let stable = of(self.status.stable_revision.as_ref());
        let mut ready = set.replicas;
        if (!self.ready && set.revision.is_none()) || (!self.stable_ready && stable) {
            ready = 0;
        }
        if stable {
            ready = ready.saturating_sub(self.stable_lost);
        }
        if of(self.status.run.as_ref().map(|run| &run.revision)) {
            ready = ready.saturating_sub(self.lost);
        }
        object["status"] = json!({"replicas": set.replicas, "readyReplicas": ready, "availableReplicas": ready});
        object
    }

    fn deployment(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let template = crate::workload::template::Template::read(object.pointer("/spec/template"));
        let owned: Vec<ReplicaSet> = self.sets().into_iter().filter(|set| set.owned_by("d")).collect();
        let newest = owned.iter().filter(|set| set.template == template);
        object["status"] = json!({
            "observedGeneration": object["metadata"]["generation"],
            "replicas": owned.iter().map(|set| set.total).sum::<u32>(),
            "availableReplicas": owned.iter().map(|set| set.available).sum::<u32>(),
            "updatedReplicas": newest.map(|set| set.total).sum::<u32>(),
        });
        object
    }

    fn route(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["spec"]["parentRefs"] = json!([{"name": "edge"}]);
        if self.accepts {
            let generation = self.reports_generations.then(|| &object["metadata"]["generation"]);
            let condition = |kind: &str| json!({"type": kind, "status": "True", "observedGeneration": generation});
            let conditions = [condition("Accepted"), condition("ResolvedRefs")];
            object["status"] = json!({"parents": [{"parentRef": {"name": "edge"}, "conditions": conditions}]});
        }
        object
    }

    /// The pods that a Service selects.
    fn slice(&self, object: &Value) -> Value {
        let service = Service::read(object);
        let selected = |set: &ReplicaSet| service.hash().is_none_or(|hash| hash == set.hash);
        let pods: Vec<String> = self.sets().iter().filter(|set| selected(set)).flat_map(pods).collect();
        slice(&service.name, pods.iter().map(String::as_str))
    }

    /// All objects with what Kubernetes and the gateway say about them.
    fn objects(&self) -> Memory {
        let mut all = Memory::default();
        for ((kind, _), object) in &self.objects {
            let object = match kind {
                Kind::HttpRoute | Kind::GrpcRoute => self.route(object),
                // A pair has its own.
                _ if self.pair.is_some() => continue,
                Kind::Deployment => self.deployment(object),
                Kind::ReplicaSet => self.replica_set(object),
                Kind::Service => {
                    all.put(Known::EndpointSlice, NAMESPACE, self.slice(object));
                    object.clone()
                }
                Kind::HorizontalPodAutoscaler | Kind::ScaledObject => object.clone(),
            };
            all.put((*kind).into(), NAMESPACE, object);
        }
        if let Some(apps) = &self.pair {
            apps.put_into(&mut all);
        }
        if self.kinds_missing {
            all.lack(Known::HttpRoute);
            all.lack(Known::GrpcRoute);
        }
        let mut spec =
            json!({"prometheus": {"url": "http://prometheus"}, "scrapeInterval": format!("{}s", self.scrape)});
        if let Some(lag) = self.lag {
            spec["lag"] = json!(format!("{lag}s"));
        }
        all.put(
            Known::MetricSource,
            "",
            json!({"metadata": {"name": "default"}, "spec": spec}),
        );
        all
    }

    /// What the engine is shown.
    pub fn look(&self) -> Observed {
        self.look_by(Some(&self.plan()))
    }

    /// What it is shown where this plan is in force, or none.
    pub fn look_by(&self, plan: Option<&Plan>) -> Observed {
        let rollout = ObjectMeta {
            name: Some("catalog".to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        };
        let subject = Viewpoint {
            rollout: &rollout,
            plan,
            status: &self.status,
            forbidden_address: None,
        };
        let (policy, probed) = self.hold.clone();
        Observed {
            policy,
            probed,
            deletion: self.deletion,
            finalizer: self.finalizer,
            actions: self.actions.clone(),
            route_elder: self.route_elder.clone(),
            crowded_route: None,
            replies: self.replies.clone(),
            told: self.events_reach,
            stored_events: self.status.events.emitted,
            ..observe(&self.objects(), subject)
        }
    }
}
