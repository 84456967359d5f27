//! What the metrics tell of the running version before a release, and when they were looked at.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A look at the metrics of the running version: whether each check can be measured, and whether that version itself keeps its limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// When they were looked at.
    pub at: Timestamp,
    /// The version, a `pod-template-hash`.
    pub revision: String,
    /// Digest of the checks and the MetricSource with which they were looked at: others are looked at anew.
    pub basis: String,
    /// Number of the release at whose beginning they were looked at last; 0 if none has begun since.
    #[serde(default, skip_serializing_if = "super::is_zero_count")]
    pub run: i64,
    /// How many looks in a row have read nothing.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub unread: i32,
    /// When they are looked at again, if nothing could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Timestamp>,
    /// Names of the checks whose limit the running version was seen to break. An Event tells of each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// A pod that several jobs scrape, in a sentence for people. An Event tells of it once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scraped_twice: String,
    /// What was found, in a sentence with numbers: it stands in the condition `Accepted` as well.
    pub message: String,
}
