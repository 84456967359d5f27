//! The canary's Service under other hands, while users are sent to it.

use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject};
use serde_json::json;
use warmfront::{api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{Load, Shop, load::Connections, until};

use super::{RATE, is, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn services_a_deleted_canary_service_is_back_at_once() -> anyhow::Result<()> {
    let shop = Shop::adopted("services", stays_at(25)).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let services = shop.api(&Kinds::service());
    let uid = services.get("catalog-canary").await?.metadata.uid;
    let before = load.failed().await?;
    services.delete("catalog-canary", &DeleteParams::default()).await?;
    let back = move |found: Option<&DynamicObject>| found.is_some_and(|found| found.metadata.uid != uid);
    until(
        &services,
        "catalog-canary",
        "the Service is back",
        Duration::from_secs(10),
        back,
    )
    .await?;
    let status = shop.at(1, 25).await?;
    assert!(matches!(status.phase, Phase::Shifting | Phase::Preparing), "{status:?}");
    let after = load.failed().await?;
    // A quarter of 100 a second for the moment in which the gateway has no endpoints: it was minutes.
    assert!(after - before < 100, "{} requests failed", after - before);
    drop(load);
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn services_kubectl_apply_prune_leaves_the_canary_service_alone() -> anyhow::Result<()> {
    let shop = Shop::running("services-prune", 4).await?;
    let file = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "catalog"}, "spec": {"selector": {"app": "catalog"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
    let apply = ["apply", "-f", "-", "--prune", "--applyset=catalog"];
    shop.kubectl_with(&apply, &file).await?;
    shop.rollout(stays_at(25)).await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let services = shop.api(&Kinds::service());
    let uid = services.get("catalog-canary").await?.metadata.uid;
    shop.kubectl_with(&apply, &file).await?;
    assert_eq!(
        services.get("catalog-canary").await?.metadata.uid,
        uid,
        "it was not pruned"
    );
    let status = shop.at(1, 25).await?;
    is(&status, "Healthy", "True", "Serving");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
