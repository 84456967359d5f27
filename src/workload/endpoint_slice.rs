//! EndpointSlices: which pods are behind a Service, at which of its ports, and which of them can answer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What matters of an EndpointSlice, which is all that is kept of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSlice {
    /// `null` where there are none.
    endpoints: Option<Vec<Endpoint>>,
    /// Ports of the Service that these pods have; `null` where they have none of them.
    #[serde(default, skip_serializing_if = "Ports::are_unknown")]
    ports: Ports,
}

/// The ports of a slice; `None` if it says nothing about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ports(Option<Vec<Port>>);

impl Ports {
    fn are_unknown(&self) -> bool {
        self.0.is_none()
    }
}

impl Serialize for Ports {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// A field that is there and `null` says that there are none: absent is another thing.
impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ports: Option<Vec<Port>> = Option::deserialize(from)?;
        Ok(Self(Some(ports.unwrap_or_default())))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Port {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<bool>,
}

impl Endpoint {
    fn pod(&self) -> Option<&str> {
        self.target_ref.as_ref()?.name.as_deref()
    }

    /// Requests are sent to it. A pod of which nobody knows is to be taken for a ready one.
    fn is_ready(&self) -> bool {
        let ready = self.conditions.as_ref().and_then(|conditions| conditions.ready);
        ready.unwrap_or(true)
    }

    /// It can answer them. Where a Service asks for pods that are not ready (`publishNotReadyAddresses`) all are called ready.
    fn serves(&self) -> bool {
        let serving = self.conditions.as_ref().and_then(|conditions| conditions.serving);
        self.is_ready() && serving.unwrap_or(true)
    }
}

/// A pod in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod<'a> {
    /// Its name.
    pub name: &'a str,
    /// Requests are sent to it.
    pub ready: bool,
    /// It can answer them.
    pub serves: bool,
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

    /// Its pods.
    pub fn pods(&self) -> impl Iterator<Item = Pod<'_>> {
        let endpoints = self.endpoints.iter().flatten();
        endpoints.filter_map(|endpoint| {
            Some(Pod {
                name: endpoint.pod()?,
                ready: endpoint.is_ready(),
                serves: endpoint.serves(),
            })
        })
    }

    /// Names of the Service's ports that its pods have, empty for one without a name; `None` if that is not told.
    pub fn ports(&self) -> Option<impl Iterator<Item = &str>> {
        let Ports(Some(ports)) = &self.ports else { return None };
        Some(ports.iter().map(|port| port.name.as_deref().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(endpoint: &Value) -> Vec<(String, bool, bool)> {
        let slice = EndpointSlice::read(&json!({"endpoints": [endpoint]}));
        let again = EndpointSlice::read(&slice.kept());
        assert_eq!(slice, again, "what is kept reads the same");
        slice
            .pods()
            .map(|pod| (pod.name.to_owned(), pod.ready, pod.serves))
            .collect()
    }

    #[test]
    fn only_pods_that_can_answer_serve() {
        let of = |conditions: Value| read(&json!({"targetRef": {"name": "a"}, "conditions": conditions}));
        let one = |ready, serves| vec![("a".to_owned(), ready, serves)];
        assert_eq!(of(json!({"ready": true, "serving": true})), one(true, true));
        assert_eq!(of(json!({})), one(true, true), "whoever says nothing is ready");
        assert_eq!(
            of(json!({"ready": false, "serving": true, "terminating": true})),
            one(false, false),
            "it is about to go"
        );
        assert_eq!(
            of(json!({"ready": true, "serving": false})),
            one(true, false),
            "publishNotReadyAddresses"
        );
        assert_eq!(
            read(&json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}})),
            [],
            "another's endpoint"
        );
    }

    #[test]
    fn a_slice_without_ports_is_not_one_that_says_nothing_of_them() {
        let ports = |slice: Value| {
            let slice = EndpointSlice::read(&EndpointSlice::read(&slice).kept());
            slice.ports().map(|names| names.map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(ports(json!({"endpoints": null})), None);
        assert_eq!(ports(json!({"ports": null})), Some(vec![]));
        assert_eq!(
            ports(json!({"ports": [{"name": "http", "port": 1}, {"port": 2}]})),
            Some(vec!["http".to_owned(), String::new()])
        );
    }
}
