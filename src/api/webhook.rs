//! Other systems to which a release talks over HTTP: gates are asked before it goes on, notifiers are told about it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// A system that is asked, by a POST, before the release goes on. 2xx lets it go on. 4xx rolls it back, except 408, 425 and 429. After anything else, or no answer, it is asked again, every 30s at the latest, until the deadline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Name in the status and in messages, unique among the gates. Default: `start`, `step` or `promote`, by the value of `before`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')", "a name consists of a-z, 0-9 and -, and begins and ends with a letter or digit"))]
    pub name: Option<String>,
    /// When it is asked: `Start`, once, before any pod of the new version is created; `Step`, before each weight, the first one included; `Promote`, once, after the bake and before the promotion.
    pub before: Before,
    /// Where to send the question.
    pub webhook: Webhook,
    /// If there is no 2xx within this time, the release is paused, a Warning Event tells people, and the gate is not asked any more until a Resume action. At most `720h`, default `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
}

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Before {
    /// Once, before any pod of the new version is created.
    Start,
    /// Before each weight, the first one included.
    Step,
    /// Once, after the bake and before the new version is promoted.
    Promote,
}

/// Where a POST with a JSON body is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// An `http` or `https` URL, 8 to 2048 characters. The host is a Service in this namespace that selects pods, or one that the chart's `webhooks.allowedHosts` names.
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = ("self.matches('^https?://[^/@]+(/.*)?$')", "a URL begins with http:// or https:// and a host, without user or password, such as http://hooks.shop:8080/gate"))]
    pub url: String,
    /// How long to wait for the whole answer, `1s` to `5m`, at most the chart's `webhooks.longestCall`. Default `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('5m')", "the timeout must be 1s to 5m"))]
    pub timeout: Option<Duration>,
    /// The key that signs each call (HMAC-SHA256, as Standard Webhooks says). Left out: calls are not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key_from: Option<SigningKeyFrom>,
    /// Certificates of authorities, as PEM, for `https`. Left out: those that the controller's image trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_from: Option<CaFrom>,
}

/// A system that is told, by a POST, what becomes of a release. It is tried again until a 2xx, for an hour at most; a release never waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notifier {
    /// Name in the status and in messages, unique among the notifiers.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')", "a name consists of a-z, 0-9 and -, and begins and ends with a letter or digit"))]
    pub name: String,
    /// Where to send the notification.
    pub webhook: NotifierWebhook,
    /// What it is told about. Default: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub events: Vec<Occasion>,
}

/// Where a notification is sent: exactly one of `url` and `urlFrom`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.url) != has(self.urlFrom)", "name exactly one of url and urlFrom"))]
pub struct NotifierWebhook {
    /// An `http` or `https` URL, 8 to 2048 characters. The host is a Service in this namespace that selects pods, or one that the chart's `webhooks.allowedHosts` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = ("self.matches('^https?://[^/@]+(/.*)?$')", "a URL begins with http:// or https:// and a host, without user or password, such as http://hooks.shop:8080/gate"))]
    pub url: Option<String>,
    /// Where the URL is kept, if it contains a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_from: Option<UrlFrom>,
    /// How long to wait for the whole answer, `1s` to `5m`, at most the chart's `webhooks.longestCall`. Default `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('5m')", "the timeout must be 1s to 5m"))]
    pub timeout: Option<Duration>,
    /// The key that signs each call (HMAC-SHA256, as Standard Webhooks says). Left out: calls are not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key_from: Option<SigningKeyFrom>,
    /// Certificates of authorities, as PEM, for `https`. Left out: those that the controller's image trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_from: Option<CaFrom>,
}

/// Where a URL is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UrlFrom {
    /// An entry of a Secret in this namespace. The controller may read it only if the chart's `webhooks.secrets` names it.
    pub secret_key_ref: SecretKey,
}

/// Where the key is kept that signs calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeyFrom {
    /// An entry of a Secret in this namespace: the key's bytes, or `whsec_` and their base64.
    pub secret_key_ref: SecretKey,
}

/// Where certificates of authorities are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaFrom {
    /// An entry of a ConfigMap in this namespace.
    pub config_map_key_ref: ConfigMapKey,
}

/// One entry of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the entry.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// One entry of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the entry.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What a notifier can be told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Occasion {
    /// A release has started.
    Started,
    /// A release is paused: by a person, or because a person is needed, or until a window opens.
    Paused,
    /// A release was rolled back: the old version has all traffic.
    RolledBack,
    /// A release was promoted: the new version has all traffic.
    Promoted,
}
