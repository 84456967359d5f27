//! Autoscalers of the user's Deployment, whose minimum is raised while a release runs.
//!
//! They count both versions' pods, so a cheaper new version would shrink the old one under its traffic.

use serde_json::{Value, json};

use super::text;
use crate::{api::FIELD_MANAGER, router::gateway_api::newest_other_manager};

/// What matters of a HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// Its name.
    pub name: String,
    /// Deployment that it scales.
    pub target: String,
    /// `spec.minReplicas`, 1 where it is left out.
    pub min: i64,
    /// `spec.maxReplicas`.
    pub max: i64,
    /// Metrics of Objects and absolute Values count the new version's pods double.
    pub counts_double: bool,
    /// The manager besides us that changed it last, as far as the object tells.
    pub other_manager: Option<String>,
}

impl Autoscaler {
    /// Reads what matters; `None` if it scales something else than a Deployment.
    pub fn read(object: &Value) -> Option<Self> {
        if text(object, "/spec/scaleTargetRef/kind") != "Deployment" {
            return None;
        }
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        let metrics = object.pointer("/spec/metrics").and_then(Value::as_array);
        let counts_double = metrics.into_iter().flatten().any(|metric| {
            let kind = text(metric, "/type");
            kind == "Object" || (kind == "External" && metric.pointer("/external/target/type").and_then(Value::as_str) == Some("Value"))
        });
        Some(Self {
            name: text(object, "/metadata/name"),
            target: text(object, "/spec/scaleTargetRef/name"),
            min: number("/spec/minReplicas").unwrap_or(1),
            max: number("/spec/maxReplicas").unwrap_or(i64::MAX),
            counts_double,
            other_manager: newest_other_manager(object, FIELD_MANAGER),
        })
    }
}

/// Sets the least number of pods.
pub fn floor(min: i64) -> Vec<Value> {
    vec![json!({"op": "add", "path": "/spec/minReplicas", "value": min})]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_autoscalers_of_deployments_are_read() {
        let with = |kind: &str, metric: Value| {
            Autoscaler::read(
                &json!({"metadata": {"name": "a"}, "spec": {"scaleTargetRef": {"kind": kind, "name": "catalog"}, "maxReplicas": 9, "metrics": [metric]}}),
            )
        };
        assert_eq!(with("StatefulSet", json!({"type": "Resource"})), None);
        let found = with("Deployment", json!({"type": "Resource"})).unwrap();
        assert_eq!((found.min, found.max, found.counts_double), (1, 9, false));
        assert!(with("Deployment", json!({"type": "Object"})).unwrap().counts_double);
        assert!(with("Deployment", json!({"type": "External", "external": {"target": {"type": "Value"}}})).unwrap().counts_double);
    }
}
