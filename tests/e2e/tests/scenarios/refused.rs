//! Writes that the cluster refuses: they are told, and hold up nothing else.

use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::json;
use tokio::time::Instant;
use warmfront::{api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{Load, Record, Refusal, Shop, canary_percent, load::Connections, until};

use super::{RATE, is, last_ended, plain, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn refused_writes_of_an_autoscaler_do_not_delay_a_rollback() -> anyhow::Result<()> {
    let shop = Shop::adopted("refused-hpa", stays_at(25)).await?;
    let scalers = Kinds::autoscaler();
    let spec = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"}, "minReplicas": 2, "maxReplicas": 9});
    shop.create(&scalers, json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "catalog"}, "spec": spec})).await?;
    let refusal = Refusal::start(&shop, &scalers, "catalog").await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.5")]).await?;
    shop.at(1, 25).await?;
    let at = Instant::now();
    let status = shop
        .until("it goes back", |status| {
            matches!(status.phase, Phase::RollingBack | Phase::RolledBack)
        })
        .await?;
    let took = at.elapsed();
    // Three bad ticks of 2 s and a moment; with a backoff in between it took half a minute and more.
    assert!(took < Duration::from_secs(20), "went back after {took:?}: {status:?}");
    refusal.stop().await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "ErrorRateAboveMax");
    drop(load);
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn refused_writes_of_one_route_do_not_keep_the_weight_of_the_other() -> anyhow::Result<()> {
    let shop = Shop::open("refused-route").await?;
    shop.app(4).await?;
    shop.route(plain()).await?;
    let second = format!("second.{}", shop.host());
    shop.route_named(&Kinds::http_route(), "second", &second, plain())
        .await?;
    shop.serving().await?;
    let routes = json!({"gatewayAPI": {"routes": [{"name": "catalog"}, {"name": "second"}]}, "settle": "500ms"});
    let mut spec = stays_at(25);
    spec["traffic"] = routes;
    shop.rollout(spec).await?;
    shop.held().await?;
    let load = Load::start(&second, RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "second", canary_percent).await?;
    let refusal = Refusal::start(&shop, &Kinds::http_route(), "catalog").await?;
    let (phase, reason) = shop.act(warmfront::api::action::Verb::Abort).await?;
    assert_eq!(phase, "Applied", "{reason}");
    let off = |route: Option<&DynamicObject>| route.is_some_and(|route| canary_percent(route) == 0);
    until(
        &shop.api(&Kinds::http_route()),
        "second",
        "the second route takes the canary off",
        Duration::from_secs(10),
        off,
    )
    .await?;
    assert_eq!(weights.so_far().await?, [25, 0]);
    let told = shop
        .until("the refusal is told", |status| {
            status.message.contains("frozen by the platform team")
        })
        .await?;
    assert_eq!(
        told.phase,
        Phase::RollingBack,
        "the first route still sends users there"
    );
    refusal.stop().await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    assert_eq!(last_ended(&status), ("RolledBack".to_owned(), "Aborted".to_owned()));
    drop(load);
    shop.close().await
}
