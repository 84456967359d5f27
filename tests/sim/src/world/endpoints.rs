//! EndpointSlices: which pods answer each Service's selector.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Cluster, Part, Settings, answers, replica_set::serves, settings::seconds, text};
use crate::apiserver::{kinds::Kind, store::by};

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
        let store = &mut cluster.store;
        for service in store.list(Kind::Service, None) {
            let (namespace, name) = (text(&service, "/metadata/namespace"), text(&service, "/metadata/name"));
            let pods = store.list(Kind::Pod, Some(namespace));
            let selected = pods
                .iter()
                .filter(|pod| answers(service.pointer("/spec/selector"), pod.pointer("/metadata/labels")));
            let endpoints: Vec<Value> = selected
                .map(|pod| {
                    let stopping = pod.pointer("/metadata/deletionTimestamp").is_some();
                    json!({
                        "addresses": ["10.0.0.1"],
                        "conditions": {"ready": serves(pod), "serving": serves(pod), "terminating": stopping},
                        "targetRef": {"kind": "Pod", "name": text(pod, "/metadata/name"), "namespace": namespace},
                    })
                })
                .collect();
            let slice_name = format!("{name}-slice");
            let owner = json!({"apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true});
            if store.get(Kind::EndpointSlice, namespace, &slice_name).is_some() {
                let _ = store.update(Kind::EndpointSlice, namespace, &slice_name, by(NAME), |slice| {
                    slice["endpoints"] = json!(endpoints);
                    // The Service may be another one of this name.
                    slice["metadata"]["ownerReferences"] = json!([owner]);
                    Ok(())
                });
            } else {
                let slice = json!({
                    "metadata": {"name": slice_name, "labels": {"kubernetes.io/service-name": name}, "ownerReferences": [owner]},
                    "addressType": "IPv4",
                    "endpoints": endpoints,
                });
                let _ = store.create(Kind::EndpointSlice, namespace, slice, by(NAME));
            }
        }
        None
    }
}
