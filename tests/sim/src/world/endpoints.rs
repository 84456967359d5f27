//! EndpointSlices: which pods answer each Service's selector.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Cluster, Part, Settings, answers, replica_set::serves, settings::seconds, text};
use crate::apiserver::{
    kinds::Kind,
    store::{Store, by},
};

const NAME: &str = "kube-controller-manager";

/// The EndpointSlice controller.
pub struct EndpointSliceController;

impl Part for EndpointSliceController {
    fn follows(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Service | Kind::Pod)
    }
    fn delay(&self, settings: &Settings) -> Duration {
        seconds(settings.endpoints_after)
    }
    fn act(&mut self, cluster: &mut Cluster, _: Instant) -> Option<Instant> {
        let (store, hooks) = (&mut cluster.store, &cluster.settings.hooks);
        for service in store.list(Kind::Service, None) {
            let (namespace, name) = (text(&service, "/metadata/namespace"), text(&service, "/metadata/name"));
            let pods = store.list(Kind::Pod, Some(namespace));
            let selected = pods
                .iter()
                .filter(|pod| answers(service.pointer("/spec/selector"), pod.pointer("/metadata/labels")));
            let mut slices: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
            for pod in selected {
                let ports = ports_of(&service, pod);
                let slice = slices.entry(ports.to_string()).or_insert((ports, Vec::new()));
                slice.1.push(endpoint(namespace, pod));
            }
            if hooks.contains_key(name) && service.pointer("/spec/selector").is_some() {
                // Of other systems no pods are simulated.
                let ready = json!({"addresses": ["10.0.0.2"], "conditions": {"ready": true}});
                slices.insert(String::new(), (ports_of(&service, &Value::Null), vec![ready]));
            }
            // One stands in any case.
            let mut slices: Vec<(Value, Vec<Value>)> = slices.into_values().collect();
            if slices.is_empty() {
                slices.push((json!([]), Vec::new()));
            }
            for (number, (ports, endpoints)) in slices.iter().enumerate() {
                write(store, &service, &slice_name(name, number), (ports, endpoints));
            }
            for number in slices.len().. {
                let surplus = slice_name(name, number);
                if store.get(Kind::EndpointSlice, namespace, &surplus).is_none() {
                    break;
                }
                let _ = store.delete(Kind::EndpointSlice, namespace, &surplus, None, by(NAME));
            }
        }
        None
    }
}

fn slice_name(service: &str, number: usize) -> String {
    if number == 0 {
        format!("{service}-slice")
    } else {
        format!("{service}-slice-{number}")
    }
}

/// The Service's ports that a pod has: a name that none of its containers has leads nowhere.
fn ports_of(service: &Value, pod: &Value) -> Value {
    let list = |object: &Value, at: &str| {
        object
            .pointer(at)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let own: Vec<Value> = list(pod, "/spec/containers/0/ports");
    let resolved = list(service, "/spec/ports").into_iter().filter_map(|port| {
        let number = match &port["targetPort"] {
            Value::String(name) => own.iter().find(|own| own["name"] == **name)?["containerPort"].clone(),
            Value::Null => port["port"].clone(),
            number => number.clone(),
        };
        Some(json!({"name": text(&port, "/name"), "port": number}))
    });
    resolved.collect()
}

fn endpoint(namespace: &str, pod: &Value) -> Value {
    let stopping = pod.pointer("/metadata/deletionTimestamp").is_some();
    json!({
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": serves(pod), "serving": serves(pod), "terminating": stopping},
        "targetRef": {"kind": "Pod", "name": text(pod, "/metadata/name"), "namespace": namespace},
    })
}

fn write(store: &mut Store, service: &Value, slice_name: &str, (ports, endpoints): (&Value, &[Value])) {
    let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
    let owner = json!({"apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true});
    if store.get(Kind::EndpointSlice, namespace, slice_name).is_some() {
        let _ = store.update(Kind::EndpointSlice, namespace, slice_name, by(NAME), |slice| {
            slice["endpoints"] = json!(endpoints);
            slice["ports"] = ports.clone();
            // The Service may be another one of this name.
            slice["metadata"]["ownerReferences"] = json!([owner]);
            Ok(())
        });
    } else {
        let slice = json!({
            "metadata": {"name": slice_name, "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}, "ownerReferences": [owner]},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": ports,
        });
        let _ = store.create(Kind::EndpointSlice, namespace, slice, by(NAME));
    }
}
