//! Uninstalling the chart gives every workload back, and a later install takes it up again. These tests have the cluster for themselves.

use kube::ResourceExt;
use serde_json::Value;
use warmfront::{api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{
    Load, Shop,
    load::Connections,
    tools::{install_controller, uninstall_controller},
};

use super::{RATE, stays_at};

/// An app under a rollout, with its route and Service as they were before.
async fn taken_over(name: &str) -> anyhow::Result<(Shop, Value, Value)> {
    let shop = Shop::running(name, 4).await?;
    let route = shop.spec(&Kinds::http_route(), "catalog").await?;
    let service = shop.spec(&Kinds::service(), "catalog").await?;
    shop.rollout(stays_at(25)).await?;
    shop.held().await?;
    Ok((shop, route, service))
}

/// Uninstalls, looks, and installs again, whatever was seen: the other scenarios need the controller.
async fn without_controller(look: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let uninstalled = uninstall_controller().await;
    let seen = match &uninstalled {
        Ok(_) => look().await,
        Err(_) => Ok(()),
    };
    install_controller(&[]).await?;
    uninstalled?;
    seen
}

/// Nothing of Warmfront is left on any object of the app.
async fn given_back(shop: &Shop, route: &Value, service: &Value) -> anyhow::Result<()> {
    shop.as_found(&Kinds::http_route(), "catalog", route).await?;
    shop.as_found(&Kinds::service(), "catalog", service).await?;
    let rollout = shop.api(&Kinds::rollout()).get("catalog").await?;
    assert_eq!(
        rollout.finalizers(),
        [] as [&str; 0],
        "the CanaryRollout stays, without a finalizer"
    );
    let canary = shop.api(&Kinds::service()).get_opt("catalog-canary").await?;
    assert!(canary.is_none(), "the canary's Service is gone");
    let deployment = shop.api(&Kinds::deployment()).get("catalog").await?;
    let ours = |labels: &std::collections::BTreeMap<String, String>| labels.contains_key("warmfront.dev/rollout");
    assert!(!ours(deployment.labels()), "{:?}", deployment.labels());
    for set in shop
        .api(&Kinds::replica_set())
        .list(&kube::api::ListParams::default())
        .await?
    {
        assert!(
            !ours(set.labels()),
            "ReplicaSet {} is held: {:?}",
            set.name_any(),
            set.labels()
        );
    }
    Ok(())
}

async fn paused(shop: &Shop) -> anyhow::Result<bool> {
    let deployment = shop.spec(&Kinds::deployment(), "catalog").await?;
    Ok(deployment["paused"] == true)
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn uninstalled_at_rest_no_deployment_stays_paused() -> anyhow::Result<()> {
    let (shop, route, service) = taken_over("uninstall").await?;
    let load = Load::start(&shop.host(), RATE, Connections::PerRequest).await?;
    without_controller(async || {
        given_back(&shop, &route, &service).await?;
        assert!(!paused(&shop).await?, "Kubernetes rolls it out from now on");
        shop.kubectl(&["set", "env", "deployment/catalog", "VERSION=v2"])
            .await?;
        shop.kubectl(&["rollout", "status", "deployment/catalog", "--timeout=60s"])
            .await?;
        Ok(())
    })
    .await?;
    // It is taken up again, and releases as before.
    shop.held().await?;
    shop.release(&[("VERSION", "v3")]).await?;
    shop.at(1, 25).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn uninstalled_mid_way_the_release_goes_back_first() -> anyhow::Result<()> {
    let (shop, route, service) = taken_over("uninstall-mid").await?;
    let load = Load::start(&shop.host(), RATE, Connections::PerRequest).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    without_controller(async || {
        given_back(&shop, &route, &service).await?;
        assert!(
            paused(&shop).await?,
            "unpausing would ship a version that nobody judged"
        );
        let told = shop.told("LeftPaused").await?;
        assert_eq!(told.len(), 1, "and that is said: {told:?}");
        Ok(())
    })
    .await?;
    let again = shop.at(2, 25).await?;
    assert_eq!(again.phase, Phase::Shifting, "the version is released anew");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
