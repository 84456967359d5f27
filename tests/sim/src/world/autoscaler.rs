//! The autoscaler: as many pods as the load asks for, within the bounds of its HorizontalPodAutoscaler.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{Cluster, Part, Settings, deployment::replicas, number, text};
use crate::apiserver::{kinds::Kind, store::by};

/// Under which it scales.
const NAME: &str = "kube-controller-manager";

/// The autoscaler.
pub struct Autoscaler;

impl Part for Autoscaler {
    fn follows(&self, kind: Kind) -> bool {
        matches!(kind, Kind::HorizontalPodAutoscaler | Kind::Deployment)
    }
    fn delay(&self, _: &Settings) -> Duration {
        Duration::from_millis(300)
    }
    fn act(&mut self, cluster: &mut Cluster, _: Instant) -> Option<Instant> {
        for scaler in cluster.store.list(Kind::HorizontalPodAutoscaler, None) {
            let (namespace, target) = (
                text(&scaler, "/metadata/namespace").to_owned(),
                text(&scaler, "/spec/scaleTargetRef/name").to_owned(),
            );
            let Some(app) = cluster.store.get(Kind::Deployment, &namespace, &target) else {
                continue;
            };
            let size = replicas(&app);
            let wanted = cluster.settings.load_asks_for.unwrap_or(size);
            let (least, most) = (
                number(&scaler, "/spec/minReplicas", 1),
                number(&scaler, "/spec/maxReplicas", i64::MAX),
            );
            let bounded = wanted.max(least).min(most);
            if bounded != size {
                // What does not exist any more needs no size.
                let _ = cluster
                    .store
                    .update(Kind::Deployment, &namespace, &target, by(NAME), |object| {
                        object["spec"]["replicas"] = json!(bounded);
                        Ok(())
                    });
            }
        }
        None
    }
}
