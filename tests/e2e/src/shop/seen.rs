//! What is to be seen of a shop: Events, pods, the history, and objects as they were found.

use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;
use warmfront::controller::kinds::Kinds;

use super::Shop;
use crate::{PATIENCE, until};

impl Shop {
    /// Texts of the Events with this reason, oldest first.
    pub async fn events(&self, reason: &str) -> anyhow::Result<Vec<String>> {
        let events = self
            .core("Event", "events")
            .list(&ListParams::default().fields(&format!("reason={reason},involvedObject.kind=CanaryRollout")))
            .await?;
        // The name ends with the Event's number for this rollout.
        let number = |event: &DynamicObject| {
            event
                .name_any()
                .rsplit('-')
                .next()
                .and_then(|number| number.parse::<i64>().ok())
                .unwrap_or_default()
        };
        let mut told: Vec<_> = events
            .items
            .iter()
            .map(|event| {
                (
                    number(event),
                    event.data["message"].as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        told.sort();
        Ok(told.into_iter().map(|(_, text)| text).collect())
    }

    /// The same, once there is one: an Event is told a moment after the status that it is about.
    pub async fn told(&self, reason: &str) -> anyhow::Result<Vec<String>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let told = self.events(reason).await?;
            if !told.is_empty() {
                return Ok(told);
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "no Event {reason} came within {PATIENCE:?}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Names and UIDs of the pods of one version, or of all.
    pub async fn pods(&self, hash: Option<&str>) -> anyhow::Result<Vec<(String, String)>> {
        let selector = hash.map_or_else(
            || "app=catalog".to_owned(),
            |hash| format!("app=catalog,pod-template-hash={hash}"),
        );
        let pods = self
            .core("Pod", "pods")
            .list(&ListParams::default().labels(&selector))
            .await?;
        let living = pods
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let mut pods: Vec<_> = living
            .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
            .collect();
        pods.sort();
        Ok(pods)
    }

    /// Waits until the spec of an object is as it was found.
    pub async fn as_found(&self, resource: &ApiResource, name: &str, found: &Value) -> anyhow::Result<()> {
        let same = |object: Option<&DynamicObject>| object.is_some_and(|object| object.data["spec"] == *found);
        until(
            &self.api(resource),
            name,
            &format!("{} {name} is as it was found: {found}", resource.kind),
            PATIENCE,
            same,
        )
        .await
        .map(|_| ())
    }

    /// Revision numbers and the value of VERSION of the ReplicaSets that the Deployment owns, as `kubectl rollout history` reads them.
    pub async fn history(&self) -> anyhow::Result<Vec<(i64, String)>> {
        let sets = self
            .api(&Kinds::replica_set())
            .list(&ListParams::default().labels("app=catalog"))
            .await?;
        let owned = sets
            .items
            .iter()
            .filter(|set| set.owner_references().iter().any(|owner| owner.kind == "Deployment"));
        let version = |set: &DynamicObject| {
            let env = set
                .data
                .pointer("/spec/template/spec/containers/0/env")
                .and_then(Value::as_array);
            let version = env.into_iter().flatten().find(|variable| variable["name"] == "VERSION");
            version
                .and_then(|variable| variable["value"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let number = |set: &DynamicObject| {
            set.annotations()
                .get("deployment.kubernetes.io/revision")
                .and_then(|number| number.parse().ok())
                .unwrap_or_default()
        };
        let mut history: Vec<_> = owned.map(|set| (number(set), version(set))).collect();
        history.sort();
        Ok(history)
    }

    /// The spec of an object as it stands.
    pub async fn spec(&self, resource: &ApiResource, name: &str) -> anyhow::Result<Value> {
        Ok(self.api(resource).get(name).await?.data["spec"].clone())
    }
}
