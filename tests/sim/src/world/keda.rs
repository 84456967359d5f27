//! KEDA: keeps a HorizontalPodAutoscaler for each ScaledObject as that says, whatever others write into it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Cluster, Part, Settings, number, text};
use crate::apiserver::{kinds::Kind, store::by};

/// Under which it writes.
/// Name under which it writes.
pub const NAME: &str = "keda-operator";

/// KEDA.
pub struct Keda;

/// Name of the HorizontalPodAutoscaler that is kept for a ScaledObject.
pub fn kept_for(name: &str) -> String {
    format!("keda-hpa-{name}")
}

impl Part for Keda {
    fn follows(&self, kind: Kind) -> bool {
        matches!(kind, Kind::ScaledObject | Kind::HorizontalPodAutoscaler)
    }
    fn delay(&self, _: &Settings) -> Duration {
        Duration::from_millis(250)
    }
    fn act(&mut self, cluster: &mut Cluster, _: Instant) -> Option<Instant> {
        for scaled in cluster.store.list(Kind::ScaledObject, None) {
            let (namespace, name) = (text(&scaled, "/metadata/namespace"), text(&scaled, "/metadata/name"));
            let kept = kept_for(name);
            if paused(&scaled) {
                // One that is gone already is fine.
                let _ = cluster
                    .store
                    .delete(Kind::HorizontalPodAutoscaler, namespace, &kept, None, by(NAME));
                continue;
            }
            // A HorizontalPodAutoscaler takes no 0 for its minimum: the last pod is KEDA's own business.
            let spec = json!({
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": text(&scaled, "/spec/scaleTargetRef/name")},
                "minReplicas": number(&scaled, "/spec/minReplicaCount", 0).max(1),
                "maxReplicas": number(&scaled, "/spec/maxReplicaCount", 100),
            });
            if cluster
                .store
                .get(Kind::HorizontalPodAutoscaler, namespace, &kept)
                .is_none()
            {
                let owner = json!({"apiVersion": scaled["apiVersion"], "kind": "ScaledObject", "name": name, "uid": scaled["metadata"]["uid"], "controller": true});
                let object = json!({"metadata": {"name": kept, "ownerReferences": [owner]}, "spec": spec});
                // A namespace that is going takes nothing new.
                let _ = cluster
                    .store
                    .create(Kind::HorizontalPodAutoscaler, namespace, object, by(NAME));
                continue;
            }
            // It stands: it was just looked at.
            let _ = cluster
                .store
                .update(Kind::HorizontalPodAutoscaler, namespace, &kept, by(NAME), |object| {
                    object["spec"] = spec;
                    Ok(())
                });
        }
        None
    }
}

fn paused(scaled: &Value) -> bool {
    text(scaled, "/metadata/annotations/autoscaling.keda.sh~1paused") == "true"
}
