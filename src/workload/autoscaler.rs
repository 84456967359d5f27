//! Autoscalers of the user's Deployment. Their minimum is raised during a release.
//!
//! An autoscaler counts the pods of both versions. If the new version needs less, it would shrink the old one, which still has traffic.

use serde_json::Value;

use crate::{
    api::FIELD_MANAGER,
    kubernetes::{
        json::{list, text},
        managed_fields::newest_other_manager,
        patch::{Patch, add, at, remove},
    },
};

/// API group of KEDA, as it begins an `apiVersion`.
const KEDA: &str = "keda.sh/";

/// Nothing is read of the status, in which what is told of metrics changes all the time.
pub const READ: [(&str, &[&str]); 1] = [("status", &[])];

/// A kind of autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum AutoscalerKind {
    /// That of Kubernetes.
    HorizontalPodAutoscaler,
    /// That of KEDA. KEDA creates a HorizontalPodAutoscaler from it and overwrites that one's minimum, so the ScaledObject must be changed.
    ScaledObject,
}

impl AutoscalerKind {
    /// Name of the field of the spec that has the minimum.
    pub fn minimum(self) -> &'static str {
        match self {
            Self::HorizontalPodAutoscaler => "minReplicas",
            Self::ScaledObject => "minReplicaCount",
        }
    }

    fn maximum(self) -> &'static str {
        match self {
            Self::HorizontalPodAutoscaler => "maxReplicas",
            Self::ScaledObject => "maxReplicaCount",
        }
    }

    /// The default minimum and maximum.
    fn defaults(self) -> (i64, i64) {
        match self {
            Self::HorizontalPodAutoscaler => (1, i64::MAX),
            Self::ScaledObject => (0, 100),
        }
    }

    /// Name of the Deployment that an object of this kind scales; `None` if it scales something else.
    pub fn target(self, object: &Value) -> Option<String> {
        let (kind, version) = (
            text(object, "/spec/scaleTargetRef/kind"),
            text(object, "/spec/scaleTargetRef/apiVersion"),
        );
        let deployment = match self {
            Self::HorizontalPodAutoscaler => kind == "Deployment",
            // In KEDA the kind of the target may be left out and means a Deployment.
            Self::ScaledObject => {
                (kind.is_empty() || kind == "Deployment") && (version.is_empty() || version.starts_with("apps/"))
            }
        };
        let name = text(object, "/spec/scaleTargetRef/name");
        (deployment && !name.is_empty()).then(|| name.to_owned())
    }

    /// Whether the new version's pods count double: the autoscaler compares a total with its target and multiplies the ratio by the number of all pods.
    fn counts_double(self, object: &Value) -> bool {
        match self {
            Self::HorizontalPodAutoscaler => list(object, "/spec/metrics").iter().any(|metric| {
                let kind = text(metric, "/type");
                kind == "Object" || (kind == "External" && text(metric, "/external/target/type") == "Value")
            }),
            // A formula replaces the metrics of the triggers.
            Self::ScaledObject if !text(object, "/spec/advanced/scalingModifiers/formula").is_empty() => {
                text(object, "/spec/advanced/scalingModifiers/metricType") == "Value"
            }
            Self::ScaledObject => list(object, "/spec/triggers")
                .iter()
                .any(|trigger| text(trigger, "/metricType") == "Value"),
        }
    }
}

/// The fields of an autoscaler that decisions need.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// Its kind.
    pub kind: AutoscalerKind,
    /// Its name.
    pub name: String,
    /// Name of the Deployment that it scales.
    pub target: String,
    /// Its minimum; if the field is absent, the default.
    pub min: i64,
    /// Whether the field for the minimum is absent.
    pub min_left_out: bool,
    /// Its maximum; if the field is absent, the default.
    pub max: i64,
    /// Whether one of its metrics counts the new version's pods double.
    pub counts_double: bool,
    /// The field manager, other than us, that changed it last, if the object says so.
    pub other_manager: Option<String>,
}

/// Whether an owner with this `apiVersion` and kind is a ScaledObject of KEDA. KEDA overwrites the minimum of what it owns, so we must change the ScaledObject.
pub fn is_scaled_object(api_version: &str, kind: &str) -> bool {
    api_version.starts_with(KEDA) && kind == "ScaledObject"
}

impl Autoscaler {
    /// Reads an autoscaler; `None` if it does not scale a Deployment, or if a ScaledObject owns it.
    pub fn read(kind: AutoscalerKind, object: &Value) -> Option<Self> {
        let mut owners = list(object, "/metadata/ownerReferences").iter();
        if owners.any(|owner| is_scaled_object(text(owner, "/apiVersion"), text(owner, "/kind"))) {
            return None;
        }
        let number = |field: &str| object.pointer("/spec")?.get(field)?.as_i64();
        let (found, (least, most)) = (number(kind.minimum()), kind.defaults());
        Some(Self {
            kind,
            name: text(object, "/metadata/name").to_owned(),
            target: kind.target(object)?,
            min: found.unwrap_or(least),
            min_left_out: found.is_none(),
            max: number(kind.maximum()).unwrap_or(most),
            counts_double: kind.counts_double(object),
            other_manager: newest_other_manager(object, FIELD_MANAGER),
        })
    }

    /// Its key in the status: the name of a HorizontalPodAutoscaler; for other kinds, kind and name with a `/`, which no name contains.
    pub fn key(&self) -> String {
        match self.kind {
            AutoscalerKind::HorizontalPodAutoscaler => self.name.clone(),
            AutoscalerKind::ScaledObject => format!("{}/{}", self.kind, self.name),
        }
    }

    /// Sets its minimum; `None` removes the field, which must be there.
    pub fn with_minimum(&self, min: Option<i64>) -> Patch {
        let at = at!["spec", self.kind.minimum()];
        vec![match min {
            Some(min) => add(at, min),
            None => remove(at),
        }]
    }
}

#[cfg(test)]
mod tests {
    use AutoscalerKind::{HorizontalPodAutoscaler, ScaledObject};

    use serde_json::json;

    use super::*;

    fn read(kind: AutoscalerKind, spec: &Value) -> Option<Autoscaler> {
        Autoscaler::read(kind, &json!({"metadata": {"name": "a"}, "spec": spec}))
    }

    #[test]
    fn only_autoscalers_of_deployments_are_read() {
        let with = |kind: &str, metric: Value| {
            read(
                HorizontalPodAutoscaler,
                &json!({"scaleTargetRef": {"kind": kind, "name": "catalog"}, "maxReplicas": 9, "metrics": [metric]}),
            )
        };
        assert_eq!(with("StatefulSet", json!({"type": "Resource"})), None);
        let found = with("Deployment", json!({"type": "Resource"})).unwrap();
        assert_eq!(
            (found.min, found.min_left_out, found.max, found.counts_double),
            (1, true, 9, false)
        );
        assert!(with("Deployment", json!({"type": "Object"})).unwrap().counts_double);
        assert!(
            with(
                "Deployment",
                json!({"type": "External", "external": {"target": {"type": "Value"}}})
            )
            .unwrap()
            .counts_double
        );
        let scaled = |target: Value| read(ScaledObject, &json!({"scaleTargetRef": target})).map(|scaler| scaler.target);
        let catalog = Some("catalog".to_owned());
        assert_eq!(scaled(json!({"name": "catalog"})), catalog);
        assert_eq!(scaled(json!({"name": "catalog", "kind": "Deployment"})), catalog);
        assert_eq!(
            scaled(json!({"name": "catalog", "kind": "Deployment", "apiVersion": "apps/v1"})),
            catalog
        );
        assert_eq!(scaled(json!({"name": "catalog", "kind": "StatefulSet"})), None);
        assert_eq!(
            scaled(json!({"name": "catalog", "kind": "Deployment", "apiVersion": "example.dev/v1"})),
            None
        );
    }

    #[test]
    fn bounds_that_are_left_out_are_what_kubernetes_and_keda_take_them_for() {
        // Spec, minimum, whether it is left out, maximum.
        let table = [
            (
                HorizontalPodAutoscaler,
                json!({"minReplicas": 2, "maxReplicas": 9}),
                (2, false, 9),
            ),
            (HorizontalPodAutoscaler, json!({"maxReplicas": 9}), (1, true, 9)),
            (
                HorizontalPodAutoscaler,
                json!({"minReplicas": 0, "maxReplicas": 9}),
                (0, false, 9),
            ),
            (ScaledObject, json!({}), (0, true, 100)),
            (ScaledObject, json!({"minReplicaCount": 0}), (0, false, 100)),
            (
                ScaledObject,
                json!({"minReplicaCount": 3, "maxReplicaCount": 9}),
                (3, false, 9),
            ),
            (
                ScaledObject,
                json!({"minReplicaCount": 2, "idleReplicaCount": 0, "maxReplicaCount": 9}),
                (2, false, 9),
            ),
            // Each kind has its own names of the fields.
            (
                ScaledObject,
                json!({"minReplicas": 3, "maxReplicas": 9}),
                (0, true, 100),
            ),
        ];
        for (kind, mut spec, wanted) in table {
            spec["scaleTargetRef"] = json!({"kind": "Deployment", "name": "catalog"});
            let found = read(kind, &spec).unwrap();
            assert_eq!((found.min, found.min_left_out, found.max), wanted, "{kind} {spec}");
        }
    }

    #[test]
    fn what_a_scaled_object_keeps_is_left_to_it() {
        let owned = |version: &str, kind: &str| {
            let owner = json!({"apiVersion": version, "kind": kind, "name": "catalog", "uid": "u", "controller": true});
            let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}, "maxReplicas": 9});
            Autoscaler::read(
                HorizontalPodAutoscaler,
                &json!({"metadata": {"name": "keda-hpa-catalog", "ownerReferences": [owner]}, "spec": spec}),
            )
        };
        assert_eq!(owned("keda.sh/v1alpha1", "ScaledObject"), None);
        assert!(owned("keda.sh/v1alpha1", "Other").is_some() && owned("example.dev/v1", "ScaledObject").is_some());
    }

    #[test]
    fn values_are_divided_by_all_pods_and_averages_are_not() {
        let with = |more: Value| {
            let mut spec = json!({"scaleTargetRef": {"name": "catalog"}});
            json_patch::merge(&mut spec, &more);
            read(ScaledObject, &spec).unwrap().counts_double
        };
        let trigger = |kind: &str| json!({"type": "prometheus", "metricType": kind, "metadata": {}});
        let modifiers = |kind: &str| json!({"scalingModifiers": {"formula": "a + b", "metricType": kind}});
        assert!(!with(
            json!({"triggers": [{"type": "cpu", "metricType": "Utilization"}, {"type": "prometheus"}]})
        ));
        assert!(!with(json!({"triggers": [trigger("AverageValue")]})));
        assert!(with(json!({"triggers": [trigger("AverageValue"), trigger("Value")]})));
        assert!(with(
            json!({"triggers": [trigger("AverageValue")], "advanced": modifiers("Value")})
        ));
        assert!(!with(
            json!({"triggers": [trigger("Value")], "advanced": modifiers("AverageValue")})
        ));
    }

    #[test]
    fn each_kind_has_its_key_and_its_field() {
        let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}});
        let (plain, keda) = (
            read(HorizontalPodAutoscaler, &spec).unwrap(),
            read(ScaledObject, &spec).unwrap(),
        );
        assert_eq!((plain.key(), keda.key()), ("a".to_owned(), "ScaledObject/a".to_owned()));
        assert_eq!(plain.with_minimum(Some(4)), [add(at!["spec", "minReplicas"], 4)]);
        assert_eq!(keda.with_minimum(Some(4)), [add(at!["spec", "minReplicaCount"], 4)]);
        assert_eq!(keda.with_minimum(None), [remove(at!["spec", "minReplicaCount"])]);
    }
}
