//! How traffic reaches the two versions: Services, the router between them, and who tests the new one first.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// The Services of the workload and the router that splits requests between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Service that users' requests go to. Default: the Deployment's name. Not with a pair, which names its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// Service that Warmfront makes for the new version. Default: the Service's name with `-canary`. Not with a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub canary_service: Option<String>,
    /// Other Services on the same pods that must not see the new version during a release. Not with a pair, whose Services never change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub also_narrow: Vec<String>,
    /// Gateway API routes whose weights are set.
    #[serde(rename = "gatewayAPI")]
    pub gateway_api: GatewayApi,
    /// Requests with one of these headers reach the new version while a release runs and its pods are ready, from weight 0 on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(
        validation = ("self.all(t, self.exists_one(o, o.header.lowerAscii() == t.header.lowerAscii()))", "each tester needs a header of its own: names of headers do not depend on case")
    )]
    pub testers: Vec<Tester>,
    /// Wait after the router's confirmation before samples count. Default `2s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle: Option<Duration>,
}

/// Gateway API routes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApi {
    /// Routes of the same namespace in which the Service is a backend. All of them get every weight.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(
        validation = ("self.all(r, self.exists_one(o, o.name == r.name && (has(o.kind) ? o.kind : 'HTTPRoute') == (has(r.kind) ? r.kind : 'HTTPRoute')))",
            "each route may be named once: list all its rules there")
    )]
    pub routes: Vec<RouteRef>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// `HTTPRoute` or `GRPCRoute`. Default `HTTPRoute`.
    #[serde(default, skip_serializing_if = "RouteKind::is_default")]
    pub kind: RouteKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Names of the rules whose weights are set, or `*` for all that have the Service as a backend. Needed only where several have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$")
        )
    )]
    #[x_kube(
        validation = ("self.size() < 2 || !self.exists(r, r == '*')", "`*` stands for all rules: name no others beside it"),
        validation = ("self.all(r, self.exists_one(o, o == r))", "each rule may be named once"),
        validation = ("!self.exists(r, r.startsWith('warmfront-'))", "rules whose names begin with warmfront- are Warmfront's own")
    )]
    pub rules: Vec<String>,
}

/// Kinds of routes that split requests.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::IntoStaticStr,
)]
pub enum RouteKind {
    /// Requests of HTTP.
    #[default]
    #[serde(rename = "HTTPRoute")]
    #[strum(serialize = "HTTPRoute")]
    Http,
    /// Calls of gRPC.
    #[serde(rename = "GRPCRoute")]
    #[strum(serialize = "GRPCRoute")]
    Grpc,
}

impl RouteKind {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A header by which testers are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tester {
    /// Name of the header.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$"))]
    pub header: String,
    /// Its exact value.
    #[schemars(length(min = 1, max = 4096))]
    pub equals: String,
}
