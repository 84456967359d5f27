//! How the world behaves: what a scenario gives at its beginning, and changes on the way.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::traffic::PROXIES;

/// How the world behaves.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds until a pod is ready.
    pub pods_ready_after: f64,
    /// Seconds until pods whose node is lost are replaced.
    pub node_replaced_after: f64,
    /// Seconds until an EndpointSlice says what its Service and its pods say.
    pub endpoints_after: f64,
    /// How versions behave, by the tag of their image.
    pub versions: BTreeMap<String, Version>,
    /// The gateway.
    pub gateway: GatewaySettings,
    /// Most pods that may exist.
    pub quota: Option<usize>,
    /// Requests a second through the gateway.
    pub requests: f64,
    /// Requests a second that a monitor sends to each pod, past all Services, and that the metrics count.
    pub probes: f64,
    /// What the metrics store does.
    pub metrics: Metrics,
    /// Seconds until the metrics store has what was counted.
    pub samples_late: f64,
    /// Other systems that answer webhooks, by host; those that are not named cannot be reached.
    pub hooks: BTreeMap<String, Hook>,
    /// Pods for which an autoscaler takes the load; as many as there are, if left out.
    pub load_asks_for: Option<i64>,
}

/// What another system does with a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Hook {
    /// It answers with this HTTP status.
    Answers(u16),
    /// It does something else.
    Does(Silence),
}

/// What else another system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Silence {
    /// It takes the request and never answers.
    Hangs,
}

/// The gateway.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// What it says to new generations.
    pub mood: Mood,
    /// Seconds until it accepts a generation.
    pub accepts_after: f64,
    /// Seconds from then until the first proxy has it …
    pub first_programmed_after: f64,
    /// … and until the last one has.
    pub programmed_after: f64,
    /// By so many seconds more the first and the last proxy are late, each by itself.
    pub proxies_late: [f64; PROXIES],
}

/// What a gateway says to new generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mood {
    /// It accepts and programs them.
    #[default]
    Accepts,
    /// It says nothing.
    Silent,
    /// It refuses them.
    Refuses,
}

/// What the metrics store does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Metrics {
    /// It answers.
    #[default]
    Up,
    /// It does not.
    Down,
    /// It takes questions and does not answer them in time.
    Hangs,
    /// It takes questions and never answers, nor does whoever asks it give up.
    Never,
    /// It answers without any series of the new version.
    Silent,
    /// Its newest samples are older than what it is asked for.
    Late,
    /// It answers, and says that not all of its parts did.
    Partial,
    /// It keeps another cluster's series beside ours, which have the label `cluster: eu`.
    TwoClusters,
    /// Two of its jobs scrape each pod.
    TwoJobs,
}

/// What the metrics of a version lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Lack {
    /// They are not there at all.
    Series,
    /// The label that tells failed requests from others.
    Status,
    /// The histogram's edge at the limit, and two near it.
    Edge,
}

/// How a version behaves.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Version {
    /// Percent of its requests that fail.
    pub errors: f64,
    /// Percent of its requests that are slow.
    pub slow: f64,
    /// Percent of its lookups that miss.
    pub misses: f64,
    /// Percent of its sampled answers that are stale.
    pub stale: f64,
    /// Value of expressions.
    pub value: f64,
    /// What its metrics lack.
    pub lacks: Option<Lack>,
    /// Its pods never become ready, for this reason, such as `ImagePullBackOff`.
    pub never_ready: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pods_ready_after: 2.0,
            // As Kubernetes' own default.
            node_replaced_after: 300.0,
            endpoints_after: 0.03,
            versions: BTreeMap::new(),
            gateway: GatewaySettings::default(),
            quota: None,
            requests: 1000.0,
            probes: 0.0,
            metrics: Metrics::Up,
            samples_late: 0.0,
            hooks: BTreeMap::new(),
            load_asks_for: None,
        }
    }
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            mood: Mood::Accepts,
            accepts_after: 0.2,
            first_programmed_after: 0.05,
            programmed_after: 0.4,
            proxies_late: [0.0; PROXIES],
        }
    }
}

impl GatewaySettings {
    /// Longest from the write of a route until every proxy has it, while it accepts.
    pub fn slowest(&self) -> Duration {
        let late = self.proxies_late.iter().copied().fold(0.0, f64::max);
        seconds(self.accepts_after + self.first_programmed_after.max(self.programmed_after) + late)
    }
}

/// Seconds as a length of time.
pub fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value.max(0.0))
}

impl Settings {
    /// How a version behaves.
    pub fn version(&self, tag: &str) -> Version {
        self.versions.get(tag).cloned().unwrap_or_default()
    }
}
