//! What another hand does to the route.

use serde_json::json;

use super::{
    Run,
    given::{CANDIDATE, NAME, NAMESPACE},
};
use crate::apiserver::{
    kinds::Kind,
    lock,
    refusal::Refusal,
    store::{by, status_by},
};

/// The field manager of whoever edits the route by hand.
const HAND: &str = "kubectl-edit";

impl Run {
    /// Writes the new version's share into the route, where it has an entry.
    pub(super) fn set_weight(&mut self, percent: i64) -> anyhow::Result<()> {
        let changed = lock(&self.cluster)
            .store
            .update(Kind::HttpRoute, NAMESPACE, NAME, by(HAND), |route| {
                let versions = [format!("{NAME}-canary"), CANDIDATE.to_owned()];
                if !versions
                    .iter()
                    .any(|version| route["spec"].to_string().contains(version))
                {
                    return Ok(());
                }
                for backend in route["spec"]["rules"]
                    .as_array_mut()
                    .into_iter()
                    .flatten()
                    .filter_map(|rule| rule["backendRefs"].as_array_mut())
                    .flatten()
                {
                    if backend["name"] == NAME {
                        backend["weight"] = json!(100 - percent);
                    } else if versions.iter().any(|version| backend["name"] == **version) {
                        backend["weight"] = json!(percent);
                    }
                }
                Ok(())
            });
        changed.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    /// Changes the route as a JSON Patch says.
    pub(super) fn edit_route(&self, patch: &json_patch::Patch) -> anyhow::Result<()> {
        let changed = lock(&self.cluster)
            .store
            .update(Kind::HttpRoute, NAMESPACE, NAME, by(HAND), |route| {
                json_patch::patch(route, patch).map_err(|error| Refusal::patch(&error.to_string()))
            });
        changed.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    /// Another hand changes the rollout's status.
    pub(super) fn edit_status(&self, patch: &json_patch::Patch) -> anyhow::Result<()> {
        let mut cluster = lock(&self.cluster);
        let changed = cluster
            .store
            .update(Kind::CanaryRollout, NAMESPACE, NAME, status_by(HAND), |rollout| {
                json_patch::patch(&mut rollout["status"], patch).map_err(|error| Refusal::patch(&error.to_string()))
            });
        changed.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }
}
