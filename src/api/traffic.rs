//! How traffic reaches the two versions: their Services, the routes that split requests between them, and testers.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// The Services of the two versions and the routes that split requests between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Name of the Service that users' requests go to. Default: the name of the Deployment. A pair names its Services itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// Name of the Service that Warmfront creates for the new version. Default: the name of `service` with `-canary`. A pair names its Services itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub canary_service: Option<String>,
    /// Names of other Services that select the same pods, at most 16. During a release they select pods of the old version only. Not allowed with a pair, whose Services are never changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub also_narrow: Vec<String>,
    /// Labels and annotations of the Service that Warmfront creates for the new version, beside those that it copies from `service`: monitors find it by them. Not allowed with a pair, whose Services are never changed.
    #[serde(default, skip_serializing_if = "ServiceMetadata::is_empty")]
    pub canary_service_metadata: ServiceMetadata,
    /// The routes of the Gateway API in which Warmfront sets weights.
    #[serde(rename = "gatewayAPI")]
    pub gateway_api: GatewayApi,
    /// Requests with one of these headers, at most 8, always reach the new version while a release runs and its pods are ready, also at weight 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(
        validation = ("self.all(t, self.exists_one(o, o.header.lowerAscii() == t.header.lowerAscii()))", "each tester needs a header of its own: names of headers do not depend on case")
    )]
    pub testers: Vec<Tester>,
    /// How long to wait, after the gateway has confirmed a weight, before requests count for checks. Proxies take the weight over a little later than the gateway says so. Where requests cannot be counted, Service and pods of a version without traffic stay five times as long, and at least a minute. At most `1h`, default `2s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) <= duration('1h')", "settle must be at most 1h"))]
    pub settle: Option<Duration>,
}

/// What a Service carries besides what is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMetadata {
    /// Labels, at most 32. One that is copied too gets this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32), extend("additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[x_kube(
        validation = ("!self.exists(k, k.startsWith('warmfront.dev/'))", "labels that begin with warmfront.dev/ are Warmfront's own")
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations, at most 32, with values of at most 4096 characters. One that is copied too gets this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32), extend("additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(
        validation = ("!self.exists(k, k.startsWith('warmfront.dev/'))", "annotations that begin with warmfront.dev/ are Warmfront's own")
    )]
    pub annotations: BTreeMap<String, String>,
}

impl ServiceMetadata {
    /// Nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// Routes of the Gateway API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApi {
    /// Routes in this namespace that have the Service as a backend, 1 to 8. All of them get the same weight at every step.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(
        validation = ("self.all(r, self.exists_one(o, o.name == r.name && (has(o.kind) ? o.kind : 'HTTPRoute') == (has(r.kind) ? r.kind : 'HTTPRoute')))",
            "each route may be named once: list all its rules there")
    )]
    pub routes: Vec<RouteRef>,
}

/// A route, and which of its rules are meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// `HTTPRoute` or `GRPCRoute`. Default `HTTPRoute`.
    #[serde(default, skip_serializing_if = "RouteKind::is_default")]
    pub kind: RouteKind,
    /// Name of the route.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Names of the rules whose weights are set, at most 16; `*` alone means all rules that have the Service as a backend. Default: the only rule that has it; required if several do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(
        validation = ("self.all(r, r.matches('^([*]|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$'))", "the name of a rule consists of a-z, 0-9, - and ., and begins and ends with a letter or digit; `*` stands for all rules"),
        validation = ("self.size() < 2 || !self.exists(r, r == '*')", "`*` stands for all rules: name no others beside it"),
        validation = ("self.all(r, self.exists_one(o, o == r))", "each rule may be named once"),
        validation = ("!self.exists(r, r.startsWith('warmfront-'))", "rules whose names begin with warmfront- are Warmfront's own")
    )]
    pub rules: Vec<String>,
}

/// A kind of route.
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
    /// Routes HTTP requests.
    #[default]
    #[serde(rename = "HTTPRoute")]
    #[strum(serialize = "HTTPRoute")]
    Http,
    /// Routes gRPC calls.
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

/// A header that marks the requests of testers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tester {
    /// Name of the header, in any case.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = (r#"self.matches(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")"#, "the name of a header consists of letters, digits and the signs !#$%&'*+-.^_`|~, such as X-Canary"))]
    pub header: String,
    /// The value that the header must have, exactly.
    #[schemars(length(min = 1, max = 4096))]
    pub equals: String,
}
