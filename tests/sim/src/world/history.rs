//! The Deployment's history: old ReplicaSets beyond its limit are removed.

use serde_json::Value;

use super::{Object, deployment::NAME, number, text};
use crate::apiserver::{
    kinds::Kind,
    store::{Store, by},
};

/// Removes the oldest ones beyond the limit that have no pods.
pub fn clean(store: &mut Store, deployment: &Value, old: &[Object]) {
    let limit = usize::try_from(number(deployment, "/spec/revisionHistoryLimit", 10)).unwrap_or_default();
    let revision = |set: &Object| {
        text(set, "/metadata/annotations/deployment.kubernetes.io~1revision")
            .parse::<i64>()
            .unwrap_or_default()
    };
    let mut old: Vec<&Object> = old
        .iter()
        .filter(|set| set.pointer("/metadata/deletionTimestamp").is_none())
        .collect();
    old.sort_by_key(|set| revision(set));
    let surplus = old.len().saturating_sub(limit);
    for set in old.into_iter().take(surplus) {
        let idle = number(set, "/spec/replicas", 1) == 0 && number(set, "/status/replicas", 0) == 0;
        if idle && number(set, "/metadata/generation", 0) <= number(set, "/status/observedGeneration", 0) {
            let _ = store.delete(
                Kind::ReplicaSet,
                text(deployment, "/metadata/namespace"),
                text(set, "/metadata/name"),
                None,
                by(NAME),
            );
        }
    }
}
