//! What is left of an object in memory: the fields that decisions read, and nothing besides.
//!
//! What people write is kept whole where it goes on into other objects (templates, routes, ports).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::{Map, Value, json};

use crate::{
    api::status::trace,
    kubernetes::json::Fields,
    look::keys::SERVICE_NAME,
    router::gateway_api,
    workload::{
        autoscaler,
        deployment::{self, LAST_APPLIED},
        endpoint_slice::EndpointSlice,
        replica_set, service,
    },
};

/// Rollouts, of which between releases no trace is read. A status that rests on such a copy gets it back when it is stored.
pub(super) fn rollout(object: &mut DynamicObject) {
    own(object);
    if let Some(status) = object.data.get_mut("status") {
        trace::leave_out(status);
    }
}

/// Sources, of which nobody asks who wrote them.
pub(super) fn own(object: &mut DynamicObject) {
    without_last_applied(&mut object.metadata);
    object.metadata.managed_fields = None;
}

/// What several hands write and is kept whole: routes, over all of which a change is planned, and actions.
pub(super) fn shared(object: &mut DynamicObject) {
    without_last_applied(&mut object.metadata);
    short_managers(&mut object.metadata);
}

pub(super) fn deployment(object: &mut DynamicObject) {
    let applied = object.metadata.annotations.as_ref();
    let read = applied.and_then(|all| deployment::read_of_last_applied(all.get(LAST_APPLIED)?));
    shared(object);
    if let (Some(read), Some(annotations)) = (read, &mut object.metadata.annotations) {
        annotations.insert(LAST_APPLIED.to_owned(), read);
    }
    retain(&mut object.data, &deployment::READ);
}

pub(super) fn replica_set(object: &mut DynamicObject) {
    own(object);
    retain(&mut object.data, &replica_set::READ);
}

pub(super) fn service(object: &mut DynamicObject) {
    shared(object);
    retain(&mut object.data, &service::READ);
}

/// HorizontalPodAutoscalers and ScaledObjects.
pub(super) fn autoscaler(object: &mut DynamicObject) {
    shared(object);
    retain(&mut object.data, &autoscaler::READ);
}

/// Which pods are ready behind which Service, at which of its ports.
pub(super) fn endpoint_slice(object: &mut DynamicObject) {
    name_only(object);
    if let Some(labels) = &mut object.metadata.labels {
        labels.retain(|key, _| key == SERVICE_NAME);
    }
    object.data = EndpointSlice::read(&object.data).kept();
}

/// ConfigMaps: of which version they are.
pub(super) fn version_only(object: &mut DynamicObject) {
    name_only(object);
    object.metadata.labels = None;
}

/// A policy: whether its spec is another one.
pub(super) fn policy(object: &mut DynamicObject) {
    let generation = object.metadata.generation;
    version_only(object);
    object.metadata.generation = generation;
}

pub(super) fn gateway(object: &mut DynamicObject) {
    version_only(object);
    retain(&mut object.data, &gateway_api::READ);
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
        let ManagedFieldsEntry {
            api_version,
            fields_type,
            fields_v1,
            ..
        } = entry;
        (*api_version, *fields_type) = (None, None);
        let owns_pause = fields_v1
            .as_ref()
            .is_some_and(|fields| fields.0.pointer("/f:spec/f:paused").is_some());
        *fields_v1 = owns_pause.then(|| FieldsV1(json!({"f:spec": {"f:paused": {}}})));
    }
}

/// Keeps of each of these fields only the named ones below it.
fn retain(data: &mut Value, fields: &Fields) {
    for (field, below) in fields {
        let Some(Value::Object(found)) = data.get_mut(*field) else {
            continue;
        };
        let short: Map<String, Value> = std::mem::take(found)
            .into_iter()
            .filter(|(key, _)| below.contains(&key.as_str()))
            .collect();
        *found = short;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::FIELD_MANAGER,
        kubernetes::managed_fields::{newest_other_manager, written_at},
        workload::{
            autoscaler::{Autoscaler, AutoscalerKind},
            deployment::Deployment,
            replica_set::ReplicaSet,
            service::Service,
        },
    };

    fn metadata() -> Value {
        let fields = json!({"f:spec": {"f:paused": {}, "f:replicas": {}, "f:template": {"f:spec": {}}}});
        let entry = |manager: &str, time: &str| json!({"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields, "time": time});
        json!({
            "name": "catalog", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 3,
            "labels": {"app": "catalog", "pod-template-hash": "abc", "warmfront.dev/rollout": "catalog"},
            "annotations": {"deployment.kubernetes.io/revision": "4", LAST_APPLIED: "{}"},
            "managedFields": [entry("kubectl", "2026-01-01T00:00:00Z"), entry(FIELD_MANAGER, "2026-01-02T00:00:00Z"), entry("flux", "2026-01-03T00:00:00Z")],
        })
    }

    /// What is read of the whole object, and of what is left of it.
    fn both<T>(object: &Value, slim: fn(&mut DynamicObject), read: impl Fn(&Value) -> T) -> (T, T) {
        let mut short: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        slim(&mut short);
        let short = serde_json::to_value(&short).unwrap();
        assert!(short.to_string().len() < object.to_string().len());
        (read(object), read(&short))
    }

    #[test]
    fn what_is_left_reads_like_the_whole() {
        let labels = json!({"app": "catalog"});
        let template =
            json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "x-unknown": 1}]}});
        let condition = json!([{"type": "ReplicaFailure", "status": "True", "message": "quota"}]);
        let spec = json!({"replicas": 4, "paused": false, "strategy": {"type": "Recreate"}, "minReadySeconds": 5, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": labels, "matchExpressions": [{"key": "a", "operator": "Exists"}]}, "template": template});
        let status = json!({"observedGeneration": 3, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 2, "readyReplicas": 2, "conditions": condition});
        let object = |spec: &Value, status: &Value| json!({"apiVersion": "v1", "kind": "X", "metadata": metadata(), "spec": spec, "status": status});

        let (whole, short) = both(&object(&spec, &status), deployment, Deployment::read);
        assert_eq!((whole.unpaused_by.as_deref(), &whole), (Some("kubectl"), &short));
        let (whole, short) = both(&object(&spec, &status), replica_set, ReplicaSet::read);
        assert_eq!((whole.failure.as_deref(), &whole), (Some("quota"), &short));
        let ports = json!({"selector": labels, "ports": [{"port": 80, "nodePort": 30080}], "type": "ExternalName", "clusterIP": "10.0.0.1"});
        let (whole, short) = both(&object(&ports, &status), service, Service::read);
        assert_eq!((whole.other_manager.as_deref(), &whole), (Some("flux"), &short));
        let scaled = json!({"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}, "minReplicas": 2, "maxReplicas": 9, "metrics": [{"type": "Object"}]});
        let (whole, short) = both(&object(&scaled, &status), autoscaler, |object| {
            Autoscaler::read(AutoscalerKind::HorizontalPodAutoscaler, object)
        });
        assert_eq!(whole, short);
        let scaled = json!({"scaleTargetRef": {"name": "catalog"}, "minReplicaCount": 2, "triggers": [{"type": "prometheus", "metricType": "Value"}]});
        let (whole, short) = both(&object(&scaled, &status), autoscaler, |object| {
            Autoscaler::read(AutoscalerKind::ScaledObject, object)
        });
        assert_eq!(
            (
                whole.as_ref().and_then(|scaler| scaler.other_manager.as_deref()),
                &whole
            ),
            (Some("flux"), &short)
        );
        let owned = |object: &Value| {
            (
                written_at(object, FIELD_MANAGER),
                newest_other_manager(object, FIELD_MANAGER),
                object["spec"].clone(),
                object["status"].clone(),
            )
        };
        let (whole, short) = both(&object(&spec, &status), shared, owned);
        assert_eq!(whole, short);
    }

    #[test]
    fn of_an_endpoint_slice_pods_their_readiness_and_names_of_ports_are_left() {
        let endpoint = |name: &str, ready: bool| json!({"addresses": ["10.0.0.1"], "nodeName": "n", "conditions": {"ready": ready, "serving": true}, "targetRef": {"kind": "Pod", "name": name, "uid": "u"}});
        let mut slice: DynamicObject =
            serde_json::from_value(json!({"metadata": metadata(), "ports": [{"name": "http", "port": 8080}], "endpoints": [endpoint("a", true), endpoint("b", false), {"addresses": []}]}))
                .unwrap();
        slim_labels(&mut slice);
        endpoint_slice(&mut slice);
        let short = |name: &str, ready: bool| json!({"targetRef": {"name": name}, "conditions": {"ready": ready, "serving": true}});
        let ports = json!([{"name": "http"}]);
        assert_eq!(
            slice.data,
            json!({"endpoints": [short("a", true), short("b", false)], "ports": ports})
        );
        assert_eq!(slice.metadata.labels.map(|labels| labels.len()), Some(1));
        assert_eq!(slice.metadata.resource_version.as_deref(), Some("7"));
    }

    fn slim_labels(slice: &mut DynamicObject) {
        slice
            .metadata
            .labels
            .get_or_insert_default()
            .insert(SERVICE_NAME.to_owned(), "catalog".to_owned());
    }
}
