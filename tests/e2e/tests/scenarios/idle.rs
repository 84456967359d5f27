//! Many rollouts at rest: they cost watches and a lease, also when the controller starts anew.
//!
//! The controller is restarted, which would disturb others, so this runs by itself.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt as _, api::ListParams};
use serde_json::json;
use warmfront::controller::kinds::Kinds;
use warmfront_e2e::{Controllers, PATIENCE, Shop, controllers::asked};

/// Each over a Deployment of its own. One node has no room for so many pods, so the Deployments have none:
/// what is watched and decided at rest is the same.
const ROLLOUTS: usize = 100;
/// Requests of the test under way at once.
const CONCURRENCY: usize = 16;
/// For how long nothing may be asked: twenty ticks of the other scenarios, as five minutes are of ordinary ones.
const QUIET: Duration = Duration::from_secs(40);

async fn bring_up(shop: &Shop, name: &str) -> anyhow::Result<()> {
    let labels = json!({"app": name});
    let container = json!({"name": "app", "image": "localhost/catalog:test"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}});
    shop.create(&Kinds::deployment(), deployment).await?;
    shop.create(&Kinds::service(), service).await?;
    shop.route_named(
        &Kinds::http_route(),
        name,
        &format!("{name}.{}", shop.host()),
        json!([{"backendRefs": [{"name": name, "port": 80}]}]),
    )
    .await?;
    shop.rollout_named(
        name,
        json!({"workload": {"deployment": {"name": name}}, "traffic": {"gatewayAPI": {"routes": [{"name": name}]}}}),
    )
    .await?;
    shop.until_of(name, "adoption", |status| status.stable_revision.is_some())
        .await?;
    shop.held_named(name).await
}

/// Names and versions of all objects that the controller might change.
async fn versions(shop: &Shop) -> anyhow::Result<BTreeSet<(String, Option<String>)>> {
    let mut all = BTreeSet::new();
    for kind in [
        Kinds::rollout(),
        Kinds::deployment(),
        Kinds::replica_set(),
        Kinds::service(),
        Kinds::http_route(),
    ] {
        let found = shop.api(&kind).list(&ListParams::default()).await?;
        all.extend(found.items.into_iter().map(|object| {
            (
                format!("{}/{}", kind.kind, object.name_any()),
                object.metadata.resource_version,
            )
        }));
    }
    Ok(all)
}

/// Waits until Kubernetes has nothing to say of these objects any more.
async fn settled(shop: &Shop) -> anyhow::Result<BTreeSet<(String, Option<String>)>> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = versions(shop).await?;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = versions(shop).await?;
        if now == before {
            return Ok(now);
        }
        anyhow::ensure!(Instant::now() < deadline, "objects change for longer than {PATIENCE:?}");
        before = now;
    }
}

/// Objects that are not what they were.
async fn changed(shop: &Shop, before: &BTreeSet<(String, Option<String>)>) -> anyhow::Result<Vec<String>> {
    let now = versions(shop).await?;
    Ok(now
        .symmetric_difference(before)
        .map(|(name, version)| format!("{name} {version:?}"))
        .collect())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s05_s45_a_hundred_rollouts_at_rest_and_a_restart() -> anyhow::Result<()> {
    let shop = Shop::open("s45").await?;
    let began = Instant::now();
    let names: Vec<String> = (0..ROLLOUTS).map(|number| format!("app-{number}")).collect();
    stream::iter(&names)
        .map(|name| bring_up(&shop, name))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    println!("{ROLLOUTS} are adopted after {} ms", began.elapsed().as_millis());
    let before = settled(&shop).await?;
    assert!(before.len() >= 5 * ROLLOUTS, "{} objects", before.len());

    let controllers = Controllers::new(&shop.client);
    controllers.replace().await?;
    let (leader, standby) = controllers.both().await?;
    controllers.passes(&leader.by, ROLLOUTS).await?;
    assert_eq!(
        changed(&shop, &before).await?,
        [] as [&str; 0],
        "a controller that starts changes nothing"
    );

    // The last of these passes may still tell its Events.
    settled(&shop).await?;
    let rest = Timestamp::now();
    tokio::time::sleep(QUIET).await;
    for pod in [&leader.by, &standby] {
        assert_eq!(
            asked(pod, &shop.namespace, rest)?,
            [] as [&str; 0],
            "{pod} asks nothing but watches and the lease"
        );
    }
    assert_eq!(changed(&shop, &before).await?, [] as [&str; 0], "and writes nothing");
    for name in &names {
        let status = shop.until_of(name, "its status", |_| true).await?;
        assert!(status.run.is_none(), "no release starts: {status:?}");
    }
    shop.close().await
}
