//! Versions that traffic has left: requests may reach them for a while yet, and their pods may stay.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{super::Duration, is_zero_count};

/// A revision without traffic whose pods stay for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The revision, a `pod-template-hash`.
    pub revision: String,
    /// When its pods may be removed. While requests may still reach it (`draining`) this moves.
    pub until: Timestamp,
    /// Whether it is the old version after a promotion: its pods stay at full size, and an Abort brings it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
}

/// A revision that has lost its traffic, while proxies that lag may still send it requests: what they reach is not removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// The revision, a `pod-template-hash`.
    pub revision: String,
    /// What such requests need.
    pub needs: Needed,
    /// When the gateway confirmed that it gets no traffic, or when its pods left the user's Services.
    pub since: Timestamp,
    /// How long its pods stay once no request reaches them.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub keep_for: Duration,
    /// End of the last window of metrics in which requests were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// End of the last window in which there were some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// How many there were in it.
    #[serde(default, skip_serializing_if = "is_zero_count")]
    pub requests: i64,
}

/// What the requests of proxies that lag need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Needed {
    /// The canary Service and the pods behind it: after a way back.
    ServiceAndPods,
    /// The canary Service; its pods serve on: after a promotion.
    Service,
    /// The pods, which the user's Services selected: after a promotion, or one that was undone.
    Pods,
    /// Written by a newer version: everything stays.
    #[serde(other)]
    Unknown,
}

impl Draining {
    /// Its pods may be in use.
    pub fn holds_pods(&self) -> bool {
        match self.needs {
            Needed::ServiceAndPods | Needed::Pods | Needed::Unknown => true,
            Needed::Service => false,
        }
    }

    /// The canary Service, and its entry in the routes, may be in use.
    pub fn holds_service(&self) -> bool {
        match self.needs {
            Needed::ServiceAndPods | Needed::Service | Needed::Unknown => true,
            Needed::Pods => false,
        }
    }
}
