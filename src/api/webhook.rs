//! Other systems that a release asks or tells over HTTP: gates before it goes on, and notifications.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// Asked before the release goes on: 2xx lets it, 4xx rolls it back, anything else is asked again until the deadline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Default: `start`, `step` or `promote`, after what it stands before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// What it stands before: `Start`, any pod of the new version; `Step`, each weight; `Promote`, the Deployment's takeover.
    pub before: Before,
    /// Whom to ask.
    pub webhook: Webhook,
    /// Without a 2xx for this long a person is called: the release is paused, and asks no more until Resume. Default `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
}

/// What a gate stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Before {
    /// Before any pod of the new version is made.
    Start,
    /// Before each weight, the first one included.
    Step,
    /// Before the Deployment takes the new version over.
    Promote,
}

/// An address that a POST with a JSON body goes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// `http` or `https`; a Service of the rollout's own namespace, or a host that the controller's allow-list names.
    #[schemars(length(min = 8, max = 2048), regex(pattern = "^https?://[^/@]+(/.*)?$"))]
    pub url: String,
    /// The whole answer must be there within this time, `1s` to `5m`. Default `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('5m')", "the timeout must be 1s to 5m"))]
    pub timeout: Option<Duration>,
}

/// Told of what becomes of a release; tried again for an hour until it is taken with a 2xx.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notifier {
    /// For messages; unique among the notifiers.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whom to tell.
    pub webhook: NotifierWebhook,
    /// What to tell of. Default: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub events: Vec<Occasion>,
}

/// An address, or where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.url) != has(self.urlFrom)", "name exactly one of url and urlFrom"))]
pub struct NotifierWebhook {
    /// As with a gate's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = "^https?://[^/@]+(/.*)?$"))]
    pub url: Option<String>,
    /// Where the address stands, if it must not be read by everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_from: Option<UrlFrom>,
    /// The whole answer must be there within this time, `1s` to `5m`. Default `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('5m')", "the timeout must be 1s to 5m"))]
    pub timeout: Option<Duration>,
}

/// Where an address stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UrlFrom {
    /// A Secret of the rollout's own namespace. The controller may read Secrets only if the chart's `webhooks.readSecrets` says so.
    pub secret_key_ref: SecretKey,
}

/// One entry of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What notifiers are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum Occasion {
    /// A release begins.
    Started,
    /// It is held, by a person or because one is needed.
    Paused,
    /// The old version has all traffic again.
    RolledBack,
    /// The new version is what users have.
    Promoted,
}
