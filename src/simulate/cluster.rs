//! An obedient cluster for one CanaryRollout: Kubernetes and the gateway do at once what they are told.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::spec::Asked;
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus, FINALIZER, HASH_LABEL, Percent, Plan, traffic::RouteKind},
    engine::contract::{
        action::Action,
        kind::Kind,
        observed::{Observed, Probed, RouteSeen},
    },
    kubernetes::json::{integer, text},
    look::{Known, Memory, Viewpoint, hold, observe},
    workload::{replica_set::ReplicaSet, service::Service, template::Template},
};

/// The label by which pods are found.
const APP: &str = "app";
/// The revision that serves before the release.
const STABLE: &str = "old";

/// What is released, and in what cluster.
pub struct Scene<'a> {
    /// Namespace of the CanaryRollout.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its spec.
    pub spec: &'a CanaryRolloutSpec,
    /// What follows from that.
    pub plan: &'a Plan,
    /// Pods of the Deployment.
    pub pods: u32,
    /// The spec of its MetricSource.
    pub source: Value,
    /// What people and pipelines ask of the release.
    pub actions: &'a [Asked],
    /// When the new version is applied.
    pub start: Timestamp,
}

/// The objects of one CanaryRollout.
pub struct Cluster {
    namespace: String,
    name: String,
    deployment: String,
    is_pair: bool,
    source: Value,
    objects: BTreeMap<(Kind, String), Value>,
    finalizer: bool,
}

fn template(app: &str, version: &str) -> Value {
    let image = format!("{app}:{version}");
    json!({"metadata": {"labels": {APP: app}}, "spec": {"containers": [{"name": app, "image": image}]}})
}

fn deployment(app: &str, version: &str, pods: u32) -> Value {
    json!({
        "metadata": {"name": app, "uid": app, "generation": 1},
        "spec": {"replicas": pods, "selector": {"matchLabels": {APP: app}}, "template": template(app, version)},
    })
}

fn replica_set(app: &str, hash: &str, version: &str, pods: u32) -> Value {
    let mut template = template(app, version);
    let labels = json!({APP: app, HASH_LABEL: hash});
    template["metadata"]["labels"] = labels.clone();
    json!({
        "metadata": {"name": format!("{app}-{hash}"), "labels": labels, "annotations": {"deployment.kubernetes.io/revision": "1"}},
        "spec": {"replicas": pods, "selector": {"matchLabels": labels}, "template": template},
    })
}

fn service(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"selector": {APP: app}, "ports": [{"port": 80}]}})
}

/// A route with the rules that the plan names, each with the Service as its backend.
fn routes(plan: &Plan, namespace: &str) -> Vec<(Kind, String, Value)> {
    let route = |named: &crate::api::traffic::RouteRef| {
        let kind = match named.kind {
            RouteKind::Http => Kind::HttpRoute,
            RouteKind::Grpc => Kind::GrpcRoute,
        };
        let backends = json!([{"name": plan.service, "port": 80}]);
        let rule = |name: &String| json!({"name": name, "backendRefs": backends});
        let mut rules: Vec<Value> = named.rules.iter().filter(|name| *name != "*").map(rule).collect();
        if rules.is_empty() {
            rules.push(json!({"backendRefs": backends}));
        }
        let object = json!({
            "metadata": {"name": named.name, "namespace": namespace, "generation": 1},
            "spec": {"parentRefs": [{"name": "gateway"}], "rules": rules},
        });
        (kind, named.name.clone(), object)
    };
    plan.routes.iter().map(route).collect()
}

impl Cluster {
    /// The cluster in which the old version serves.
    pub fn new(scene: &Scene<'_>) -> Self {
        let (plan, pods) = (scene.plan, scene.pods);
        let mut objects: Vec<(Kind, String, Value)> = routes(plan, scene.namespace);
        let mut put = |kind, object: Value| objects.push((kind, text(&object, "/metadata/name").to_owned(), object));
        let old = plan.baseline.as_ref().unwrap_or(&plan.deployment);
        put(Kind::Deployment, deployment(old, "old", pods));
        put(Kind::ReplicaSet, replica_set(old, STABLE, "old", pods));
        put(Kind::Service, service(&plan.service, old));
        for other in &plan.also_narrow {
            put(Kind::Service, service(other, old));
        }
        if plan.is_pair() {
            let new = &plan.deployment;
            put(Kind::Deployment, deployment(new, "new", pods));
            put(Kind::ReplicaSet, replica_set(new, "new", "new", pods));
            put(Kind::Service, service(&plan.canary_service, new));
        }
        Self {
            namespace: scene.namespace.to_owned(),
            name: scene.name.to_owned(),
            deployment: plan.deployment.clone(),
            is_pair: plan.is_pair(),
            source: scene.source.clone(),
            objects: objects
                .into_iter()
                .map(|(kind, name, object)| ((kind, name), object))
                .collect(),
            finalizer: false,
        }
    }

    /// Somebody applies the new version, and the API server pauses the Deployment in that request. Of a pair it stands already.
    pub fn apply_new_version(&mut self) {
        let template = template(&self.deployment, "new");
        let found = self.objects.get_mut(&(Kind::Deployment, self.deployment.clone()));
        if let Some(found) = found.filter(|_| !self.is_pair) {
            found["spec"]["template"] = template;
            found["spec"]["paused"] = json!(true);
            next_generation(found);
        }
    }

    /// Does what the engine asks for.
    pub fn carry_out(&mut self, action: &Action, now: Timestamp) -> anyhow::Result<()> {
        match action {
            Action::AddFinalizer => self.finalizer = true,
            Action::DropFinalizer => self.finalizer = false,
            Action::Create { kind, object } => {
                let name = text(object, "/metadata/name").to_owned();
                self.objects.entry((*kind, name)).or_insert_with(|| (**object).clone());
            }
            Action::Patch { kind, name, patch } | Action::TakeTrafficOff { kind, name, patch } => {
                let found = self.objects.get_mut(&(*kind, name.clone()));
                let object = found.with_context(|| format!("{kind:?} {name} is not there"))?;
                json_patch::patch(object, patch).with_context(|| format!("changing {kind:?} {name}"))?;
                let of_spec =
                    |operation: &json_patch::PatchOperation| operation.path().to_string().starts_with("/spec");
                if patch.iter().any(of_spec) {
                    next_generation(object);
                    if matches!(kind, Kind::HttpRoute | Kind::GrpcRoute) {
                        object["metadata"]["managedFields"] =
                            json!([{"manager": crate::api::FIELD_MANAGER, "time": now}]);
                    }
                }
            }
            Action::Delete { kind, name } => {
                self.objects.remove(&(*kind, name.clone()));
            }
            // RolloutActions are no objects here.
            Action::Answer { .. } | Action::Forget { .. } => {}
        }
        Ok(())
    }

    /// What the engine is shown.
    pub fn look(&self, plan: Option<&Plan>, status: &CanaryRolloutStatus) -> Observed {
        let rollout = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            finalizers: self.finalizer.then(|| vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        };
        let source = plan.map(|plan| plan.source.as_str()).unwrap_or_default();
        let subject = Viewpoint {
            rollout: &rollout,
            plan,
            status,
            forbidden_address: None,
        };
        Observed {
            probed: Some(Probed::Holds),
            told: status.events.emitted,
            stored_events: status.events.emitted,
            ..observe(&self.objects(source), subject)
        }
    }

    /// All objects with what Kubernetes and the gateway say about them.
    fn objects(&self, source: &str) -> Memory {
        let mut all = Memory::default();
        for ((kind, _), object) in &self.objects {
            let told = match kind {
                Kind::HttpRoute | Kind::GrpcRoute => accepted(object),
                Kind::Deployment => self.deployment(object),
                Kind::ReplicaSet => running(object),
                Kind::Service => {
                    all.put(Known::EndpointSlice, &self.namespace, self.slice(object));
                    object.clone()
                }
                Kind::HorizontalPodAutoscaler | Kind::ScaledObject => object.clone(),
            };
            all.put((*kind).into(), &self.namespace, told);
        }
        all.put(
            Known::MetricSource,
            "",
            json!({"metadata": {"name": source}, "spec": self.source}),
        );
        for kind in [Known::HoldPolicy, Known::HoldBinding] {
            let metadata = json!({"name": hold::NAME, "uid": "u", "generation": 1});
            all.put(kind, "", json!({"metadata": metadata}));
        }
        all
    }

    fn sets(&self) -> impl Iterator<Item = (Value, ReplicaSet)> {
        let sets = self.objects.iter().filter(|((kind, _), _)| *kind == Kind::ReplicaSet);
        sets.map(|(_, object)| {
            let object = running(object);
            let set = ReplicaSet::read(&object);
            (object, set)
        })
    }

    fn deployment(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let uid = text(&object, "/metadata/uid").to_owned();
        let template = Template::read(object.pointer("/spec/template"));
        let owned: Vec<ReplicaSet> = self
            .sets()
            .map(|(_, set)| set)
            .filter(|set| set.owned_by(&uid))
            .collect();
        let newest = owned.iter().filter(|set| set.template == template);
        object["status"] = json!({
            "observedGeneration": object["metadata"]["generation"],
            "replicas": owned.iter().map(|set| set.total).sum::<u32>(),
            "availableReplicas": owned.iter().map(|set| set.available).sum::<u32>(),
            "updatedReplicas": newest.map(|set| set.total).sum::<u32>(),
        });
        object
    }

    /// The pods that a Service selects.
    fn slice(&self, object: &Value) -> Value {
        let service = Service::read(object);
        let labels = |object: &Value| {
            object
                .pointer("/spec/template/metadata/labels")
                .cloned()
                .unwrap_or_default()
        };
        let selected = self.sets().filter(|(object, _)| {
            let labels = labels(object);
            let of = |(key, value): (&String, &String)| labels.get(key).and_then(Value::as_str) == Some(value);
            service.selector.iter().all(of)
        });
        let pods = selected.flat_map(|(_, set)| (0..set.ready).map(move |number| format!("{}-p{number}", set.name)));
        let endpoints: Vec<Value> = pods
            .map(|pod| json!({"targetRef": {"name": pod}, "conditions": {"ready": true}}))
            .collect();
        let labels = json!({"kubernetes.io/service-name": service.name});
        json!({"metadata": {"name": service.name, "labels": labels}, "endpoints": endpoints})
    }
}

/// The new version's share of requests, by the routes.
pub fn share(seen: &Observed) -> f64 {
    let shares = seen.routes.values().filter_map(|route| match route {
        RouteSeen::Found(route) => route.state.canary,
        RouteSeen::NotInstalled | RouteSeen::Missing | RouteSeen::Unusable(_) => None,
    });
    shares.max().map_or(0.0, Percent::fraction)
}

fn next_generation(object: &mut Value) {
    let generation = integer(object, "/metadata/generation");
    if generation > 0 {
        object["metadata"]["generation"] = json!(generation.saturating_add(1));
    }
}

/// A ReplicaSet whose pods are ready, and whom the Deployment has taken if its labels say so.
fn running(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(app) = object["metadata"]["labels"]
        .get(APP)
        .and_then(Value::as_str)
        .map(str::to_owned)
    {
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": app, "uid": app, "controller": true}]);
    }
    let pods = object.pointer("/spec/replicas").cloned().unwrap_or(json!(1));
    object["status"] = json!({"replicas": pods, "readyReplicas": pods, "availableReplicas": pods});
    object
}

/// A route that the gateway serves as it stands.
fn accepted(object: &Value) -> Value {
    let mut object = object.clone();
    let generation = object["metadata"]["generation"].clone();
    let condition = |kind: &str| json!({"type": kind, "status": "True", "observedGeneration": generation});
    let conditions = [condition("Accepted"), condition("ResolvedRefs")];
    let parents = json!([{"parentRef": {"name": "gateway"}, "conditions": conditions}]);
    if let Some(fields) = object.as_object_mut() {
        fields.insert(
            "status".to_owned(),
            Value::Object(Map::from_iter([("parents".to_owned(), parents)])),
        );
    }
    object
}
