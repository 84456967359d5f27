//! What objects of users said before Warmfront changed them. It is put back later.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_zero;

/// What objects of users said before Warmfront changed them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Originals {
    /// `spec.paused` of the Deployment when it was taken over; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Whether Kubernetes was still rolling the Deployment out, usually for the first time, when Warmfront first saw it. That version counts as promoted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub first_deploy: bool,
    /// Whether, after the deletion of this rollout or before Warmfront was uninstalled, an Event has said what stays behind.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Minima of autoscalers that are raised during a release. The key is the name of a HorizontalPodAutoscaler, or kind and name, such as `ScaledObject/catalog`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, Floor>,
    /// Weights of the routes. The key is kind and name, such as `HTTPRoute/catalog`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, RouteOriginal>,
}

/// A ConfigMap as it was read last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSeen {
    /// Its `metadata.resourceVersion`.
    pub version: String,
    /// Digest of its contents: it tells whether a new version says anything else.
    pub digest: String,
}

/// The minimum of an autoscaler. During a release it is raised to the Deployment's size, so that the old version does not shrink under its traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// The minimum before the release; if the field was absent, its default.
    pub found: i64,
    /// Whether the field was absent, so that it is removed again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// The minimum during the release: the Deployment's number of replicas when it began, at most the autoscaler's maximum.
    pub raised: i64,
    /// Whether the raised minimum has been seen in the object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands: bool,
    /// How many times somebody else has lowered it. After the fourth time it stays lowered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restored: i32,
}

/// Weights of one route before the release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteOriginal {
    /// The rules in which weights are set.
    #[schemars(length(max = 16))]
    pub rules: Vec<RuleOriginal>,
    /// Whether the canary's entry has been put in since. Weights are remembered anew only once these are seen to be back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub entered: bool,
}

impl RouteOriginal {
    /// The rule with this key. If `only` one rule is looked for, it is found although its owner has changed its name or
    /// matches.
    pub fn of(&self, key: &str, only: bool) -> Option<&RuleOriginal> {
        let known = self.rules.iter().find(|known| known.rule == key);
        let lone = || match self.rules.as_slice() {
            [lone] if only => Some(lone),
            _ => None,
        };
        known.or_else(lone)
    }
}

/// Weights of one rule before the release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleOriginal {
    /// Name of the rule; if it has none, its matches as text.
    pub rule: String,
    /// Its backends in their order, without an entry that Warmfront has added.
    #[schemars(length(max = 16))]
    pub backends: Vec<BackendWeight>,
}

/// Weight of one backend before the release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendWeight {
    /// The backend as `namespace/name:port`, with namespace and port only if the route names them, and after `kind/` if it is not a Service.
    pub backend: String,
    /// Its weight; absent if the route does not say one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
}
