//! What is seen of a stage: it must come about, and stay.

use std::{collections::BTreeSet, time::Duration};

use kube::api::ListParams;
use warmfront::{controller::kinds::Kinds, workload::replica_set::ReplicaSet};

use super::{
    Step,
    Step::{Complete, Numbers, Owns, SamePods, Serves, Sizes},
    stage::{APP, Pods, Stage, plain, version},
};

fn differs(is: &str, wanted: &str) -> Option<String> {
    (is != wanted).then(|| format!("{is} instead of {wanted}"))
}

impl Stage {
    pub(super) async fn comes_and_stays(&self, step: &Step, remembered: &Pods) -> anyhow::Result<()> {
        let begun = tokio::time::Instant::now();
        let mut since = None;
        loop {
            let now = tokio::time::Instant::now();
            match self.differs(step, remembered).await? {
                None if since.is_some_and(|since| now.duration_since(since) >= self.stays) => return Ok(()),
                None => drop(since.get_or_insert(now)),
                Some(difference) => {
                    since = None;
                    anyhow::ensure!(now.duration_since(begun) < self.patience, "{difference}");
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn differs(&self, step: &Step, remembered: &Pods) -> anyhow::Result<Option<String>> {
        Ok(match step {
            Sizes(wanted) => self.sizes_differ(wanted).await?,
            Owns(wanted) => differs(&format!("{:?}", self.owned().await?), &format!("{wanted:?}")),
            Serves(wanted) => differs(&format!("{:?}", self.serving().await?), &format!("{wanted:?}")),
            SamePods(version) => differs(
                &format!("{:?}", self.names().await?.get(*version)),
                &format!("{:?}", remembered.get(*version)),
            ),
            Complete(wanted) => differs(&self.deployment().await?.complete().to_string(), &wanted.to_string()),
            Numbers(wanted) => {
                let mut is = Vec::new();
                for (version, _) in *wanted {
                    is.push((*version, self.set(version).await?.revision.unwrap_or_default()));
                }
                differs(&format!("{is:?}"), &format!("{wanted:?}"))
            }
            other => Some(format!("{other:?} is nothing to be seen")),
        })
    }

    async fn sizes_differ(&self, wanted: &[(&str, i64)]) -> anyhow::Result<Option<String>> {
        let mut is = Vec::new();
        for (version, size) in wanted {
            let sets = self.sets(version).await?;
            let total: u32 = sets.iter().map(|(set, _)| set.replicas).sum();
            let ready: u32 = sets.iter().map(|(set, _)| set.ready).sum();
            is.push(((*version, i64::from(total)), i64::from(ready) == *size));
        }
        let sizes: Vec<_> = is.iter().map(|(size, _)| *size).collect();
        let difference = differs(&format!("{sizes:?}"), &format!("{wanted:?}")).or_else(|| {
            is.iter()
                .any(|(_, ready)| !ready)
                .then(|| format!("not all ready of {wanted:?}"))
        });
        Ok(difference)
    }

    /// Versions whose ReplicaSets the Deployment owns.
    async fn owned(&self) -> anyhow::Result<Vec<String>> {
        let uid = self.deployment().await?.uid;
        let all = self.api(&Kinds::replica_set()).list(&ListParams::default()).await?;
        let mut is: Vec<String> = all
            .iter()
            .map(plain)
            .filter(|set| ReplicaSet::read(set).owned_by(&uid))
            .map(|set| version(&set))
            .collect();
        is.sort();
        Ok(is)
    }

    /// Versions behind the Service.
    async fn serving(&self) -> anyhow::Result<Vec<String>> {
        let slices = self
            .api(&Kinds::endpoint_slice())
            .list(&ListParams::default().labels(&format!("kubernetes.io/service-name={APP}")))
            .await?;
        let pods = self.names().await?;
        let endpoints = slices
            .items
            .iter()
            .filter_map(|slice| slice.data["endpoints"].as_array())
            .flatten();
        let ready = endpoints
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .filter_map(|endpoint| endpoint["targetRef"]["name"].as_str());
        let is: BTreeSet<String> = ready
            .filter_map(|pod| pods.iter().find(|(_, names)| names.contains(pod)))
            .map(|(version, _)| version.clone())
            .collect();
        Ok(Vec::from_iter(is))
    }
}
