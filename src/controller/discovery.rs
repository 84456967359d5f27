//! Which kinds of the Gateway API the cluster has: none of them is needed to start, and those that come later are found.

use std::{collections::BTreeSet, time::Duration};

use kube::Client;

use super::watches::Absent;

const API: &str = "gateway.networking.k8s.io/v1";
/// How often a missing kind is looked for while a rollout names it. Otherwise nothing is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// Between attempts while the API server does not answer at start.
const RETRY: Duration = Duration::from_secs(1);

/// Kinds that the cluster has.
async fn ask(client: &Client) -> Result<BTreeSet<String>, kube::Error> {
    match client.list_api_group_resources(API).await {
        Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.kind).collect()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Kinds that the cluster has, once the API server tells.
pub async fn installed(client: &Client) -> BTreeSet<String> {
    loop {
        match ask(client).await {
            Ok(kinds) => return kinds,
            Err(error) => tracing::warn!(%error, "asking the API server for the kinds of {API}; it is tried again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Looks for the missing kinds as long as a rollout names one, and opens their watches.
pub async fn follow(client: Client, mut absent: Absent) {
    absent.caches().wait_until_ready().await;
    while !absent.is_empty() {
        tokio::time::sleep(LOOK_AGAIN).await;
        if !absent.is_wanted() {
            continue;
        }
        match ask(&client).await {
            Ok(kinds) => absent.open(&kinds).await,
            Err(error) => tracing::warn!(%error, "asking the API server for the kinds of {API}; it is tried again"),
        }
    }
}
