//! The cache behind a release: who shares it with whom, and how long an entry lives.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// The cache of the two versions. What is said here is used to tell a cold cache from a broken one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Who shares a cache with whom. Default: it is not known. Then the new version's cache is taken for one of its own, and is given the time to warm; errors of the old version that begin with the release hold it and do not end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// How long an entry lives, such as `24h`, at most `720h`. A cache with few requests cannot be warmer than this allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
}

/// Who shares a cache with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Placement {
    /// Both versions use the same entries: there is nothing to warm, and what one writes the other reads.
    Shared,
    /// Each version has entries of its own, such as by a prefix of the key.
    PerVersion,
    /// Each pod has its own, such as in its memory.
    PerPod,
}
