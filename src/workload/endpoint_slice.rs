//! EndpointSlices: which pods are ready behind a Service.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What matters of an EndpointSlice, which is all that is kept of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSlice {
    /// `null` where there are none.
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    target_ref: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Conditions>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Target {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Conditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<bool>,
}

impl Endpoint {
    fn pod(&self) -> Option<&str> {
        self.target_ref.as_ref()?.name.as_deref()
    }

    /// A pod of which nobody knows is to be taken for a ready one.
    fn is_ready(&self) -> bool {
        let ready = self.conditions.as_ref().and_then(|conditions| conditions.ready);
        ready.unwrap_or(true)
    }
}

impl EndpointSlice {
    /// Reads what matters; the addresses of what is no pod do not.
    pub fn read(object: &Value) -> Self {
        let mut slice = Self::deserialize(object).unwrap_or_default();
        let endpoints = slice.endpoints.get_or_insert_default();
        endpoints.retain(|endpoint| endpoint.pod().is_some());
        slice
    }

    /// What is to be kept of it.
    pub fn kept(&self) -> Value {
        // Texts and booleans always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Names of its pods, and whether they are ready.
    pub fn pods(&self) -> impl Iterator<Item = (&str, bool)> {
        let endpoints = self.endpoints.iter().flatten();
        endpoints.filter_map(|endpoint| Some((endpoint.pod()?, endpoint.is_ready())))
    }
}
