//! How shared objects were before Warmfront changed them, to be put back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_zero;

/// How shared objects were before Warmfront changed them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Originals {
    /// `spec.paused` of the Deployment; absent until it was adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// The Deployment was met before its first rollout was complete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub first_deploy: bool,
    /// After a deletion: it was said what is left behind.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Minima of autoscalers while they are raised, by a HorizontalPodAutoscaler's name or, such as `ScaledObject/catalog`, by kind and name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, Floor>,
    /// Weights by route, such as `HTTPRoute/catalog`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, RouteOriginal>,
}

/// A ConfigMap as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSeen {
    /// Its resourceVersion.
    pub version: String,
    /// Digest of its contents.
    pub digest: String,
}

/// The minimum of one autoscaler, raised while a release runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// As it was found; where it was left out, what this means.
    pub found: i64,
    /// It was left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// What it is raised to: the Deployment's size when the release began.
    pub raised: i64,
    /// It was seen raised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands: bool,
    /// Times it was lowered by another hand.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restored: i32,
}

/// Weights of one route as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteOriginal {
    /// One entry per rule whose weights are set.
    #[schemars(length(max = 16))]
    pub rules: Vec<RuleOriginal>,
}

/// Weights of one rule as they were found, by backend in the order of the list; `null` where absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleOriginal {
    /// The rule's name; its matches where it has none.
    pub rule: String,
    /// One entry per backend, ours excluded.
    #[schemars(length(max = 16))]
    pub backends: Vec<BackendWeight>,
}

/// Weight of one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendWeight {
    /// `namespace/name:port` of the backend, namespace and port as far as the route names them; its kind comes first if it is no Service.
    pub backend: String,
    /// Absent where the route left it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
}
