//! What a version that has lost its traffic leaves behind stays until no request reaches it.

use serde_json::json;
use warmfront::api::{action::Verb, status::Phase};
use warmfront_e2e::{Load, Shop, load::Connections};

use super::{RATE, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn pods_and_canary_service_stay_until_no_request_reaches_them() -> anyhow::Result<()> {
    let mut plan = stays_at(50);
    plan["keepCanary"] = json!("1s");
    let shop = Shop::adopted("quiet", plan).await?;
    let load = Load::start(&shop.host(), RATE, Connections::PerRequest).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let half = shop.at(1, 50).await?;
    let revision = half.run.map(|run| run.revision).unwrap_or_default();
    shop.act(Verb::Abort).await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    assert!(
        status.draining.iter().any(|draining| draining.revision == revision),
        "{status:?}"
    );
    assert!(!shop.pods(Some(&revision)).await?.is_empty(), "they stay");
    let services = shop.core("Service", "services");
    assert!(services.get_opt("catalog-canary").await?.is_some(), "it stays");
    shop.until("no request reaches them", |status| status.draining.is_empty())
        .await?;
    shop.until("keepCanary is over", |status| status.kept.is_empty())
        .await?;
    let told = shop.events("RequestsContinue").await?;
    assert!(told.is_empty(), "{told:?}");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
