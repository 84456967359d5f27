//! What is left of an object in memory: the fields that decisions read, and nothing besides.
//!
//! What people write is kept whole where it goes on into other objects (templates, routes, ports).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::{Map, Value, json};

use super::keys::SERVICE_NAME;

/// Its own text in an annotation, as kubectl leaves it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Rollouts, actions and sources, which are ours.
pub(super) fn own(object: &mut DynamicObject) {
    without_last_applied(&mut object.metadata);
    object.metadata.managed_fields = None;
}

/// Routes: a change is planned over all of them.
pub(super) fn route(object: &mut DynamicObject) {
    without_last_applied(&mut object.metadata);
    short_managers(&mut object.metadata);
}

pub(super) fn deployment(object: &mut DynamicObject) {
    route(object);
    let spec = ["replicas", "paused", "strategy", "selector", "minReadySeconds", "template"];
    let status = ["observedGeneration", "replicas", "updatedReplicas", "availableReplicas"];
    retain(&mut object.data, &[("spec", &spec), ("status", &status)]);
}

pub(super) fn replica_set(object: &mut DynamicObject) {
    own(object);
    retain(&mut object.data, &[("status", &["replicas", "readyReplicas", "availableReplicas", "conditions"])]);
}

pub(super) fn service(object: &mut DynamicObject) {
    route(object);
    retain(&mut object.data, &[("spec", &["selector", "ports", "type"]), ("status", &[])]);
}

pub(super) fn autoscaler(object: &mut DynamicObject) {
    route(object);
    retain(&mut object.data, &[("status", &[])]);
}

/// Which pods are ready behind which Service.
pub(super) fn endpoint_slice(object: &mut DynamicObject) {
    name_only(object);
    if let Some(labels) = &mut object.metadata.labels {
        labels.retain(|key, _| key == SERVICE_NAME);
    }
    let endpoints = object.data.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let short = |endpoint: &Value| {
        let mut short = json!({"targetRef": {"name": endpoint.pointer("/targetRef/name")?}});
        if let Some(ready) = endpoint.pointer("/conditions/ready") {
            short["conditions"] = json!({"ready": ready});
        }
        Some(short)
    };
    object.data = json!({"endpoints": endpoints.filter_map(short).collect::<Vec<_>>()});
}

/// ConfigMaps: of which version they are.
pub(super) fn version_only(object: &mut DynamicObject) {
    name_only(object);
    object.metadata.labels = None;
}

pub(super) fn gateway(object: &mut DynamicObject) {
    version_only(object);
    retain(&mut object.data, &[("spec", &["gatewayClassName", "controllerName"]), ("status", &[])]);
}

fn without_last_applied(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// Identity, version and labels.
fn name_only(object: &mut DynamicObject) {
    let whole = std::mem::take(&mut object.metadata);
    object.metadata = ObjectMeta {
        name: whole.name,
        namespace: whole.namespace,
        uid: whole.uid,
        resource_version: whole.resource_version,
        labels: whole.labels,
        deletion_timestamp: whole.deletion_timestamp,
        deletion_grace_period_seconds: whole.deletion_grace_period_seconds,
        finalizers: whole.finalizers,
        ..ObjectMeta::default()
    };
}

/// Who changed the object, and when. Of the fields that they own only `spec.paused` is asked for.
fn short_managers(metadata: &mut ObjectMeta) {
    for entry in metadata.managed_fields.iter_mut().flatten() {
        let ManagedFieldsEntry { api_version, fields_type, fields_v1, .. } = entry;
        (*api_version, *fields_type) = (None, None);
        let owns_pause = fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:paused").is_some());
        *fields_v1 = owns_pause.then(|| FieldsV1(json!({"f:spec": {"f:paused": {}}})));
    }
}

/// Keeps of each of these fields only the named ones below it.
fn retain(data: &mut Value, fields: &[(&str, &[&str])]) {
    for (field, below) in fields {
        let Some(Value::Object(found)) = data.get_mut(*field) else { continue };
        let short: Map<String, Value> = std::mem::take(found).into_iter().filter(|(key, _)| below.contains(&key.as_str())).collect();
        *found = short;
    }
}
