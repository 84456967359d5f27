//! How traffic reaches the two versions: Services and the router between them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// The Services of the workload and the router that splits requests between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traffic {
    /// Service that users' requests go to. Default: the workload's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// Service that Warmfront makes for the new version. Default: the Service's name with `-canary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub canary_service: Option<String>,
    /// Other Services on the same pods that must not see the new version during a release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub also_narrow: Vec<String>,
    /// Gateway API routes whose weights are set.
    #[serde(rename = "gatewayAPI")]
    pub gateway_api: GatewayApi,
    /// Wait after the router's confirmation before samples count. Default `2s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle: Option<Duration>,
}

/// Gateway API routes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayApi {
    /// HTTPRoutes of the same namespace in which the Service is a backend.
    #[schemars(length(min = 1, max = 8))]
    pub routes: Vec<RouteRef>,
}

/// One HTTPRoute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
