//! A quota with room for two versions, whose second place pods of an ended run hold.

use serde_json::json;
use warmfront::api::status::Phase;
use warmfront_e2e::{Load, Shop, load::Connections, shop::core};

use super::{RATE, is};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn room_for_the_fix_while_the_failed_version_is_kept() -> anyhow::Result<()> {
    let shop = Shop::open("room").await?;
    shop.create(
        &core("ResourceQuota", "resourcequotas"),
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two-versions"}, "spec": {"hard": {"pods": "8"}}}),
    )
    .await?;
    shop.app(4).await?;
    shop.route(super::plain()).await?;
    shop.serving().await?;
    // Kubernetes tries a refused pod again after twice the time each time.
    shop.rollout(json!({"steps": [{"weight": 100, "hold": "4s"}], "keepCanary": "1h", "progressDeadline": "5m"}))
        .await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.3")]).await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "ErrorRateAboveMax");
    assert_eq!(shop.pods(None).await?.len(), 8, "the failed version is kept");
    shop.release(&[("VERSION", "v3"), ("FAULT_ERROR_SHARE", "0")]).await?;
    let status = shop.ended(2, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    drop(load);
    shop.close().await
}
