//! What the judge makes of a small fault, and of an incident that both versions share.
//!
//! They need 200 requests/s, or the database that all others need too, so they run by themselves. Little traffic and none are in
//! `replies.rs`, a cold cache and a broken one in `tests/cluster/releases`.

use std::time::Duration;

use anyhow::Context as _;
use kube::{Api, ResourceExt, api::ListParams, core::DynamicObject};
use serde_json::json;
use warmfront::{
    api::status::{Cause, Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Frozen, Load, Record, Shop, canary_percent, load::Connections};

use super::{RATE, is};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn two_percent_errors_at_200_requests_a_second() -> anyhow::Result<()> {
    // Twice the limit: half of the traffic shows it after some 4,000 requests, which is within the hold.
    let steps = json!([{"weight": 50, "hold": "2m"}, {"weight": 100}]);
    let shop = Shop::adopted(
        "small-fault",
        json!({"steps": steps, "checks": [{"errorRate": {"max": "1%"}}]}),
    )
    .await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let load = Load::start(&shop.host(), 200, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.02")])
        .await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "ErrorRateAboveMax");
    assert_eq!(weights.so_far().await?, [0, 50, 0]);
    let run = status.run.context("the run")?;
    let took = run
        .ended_at
        .zip(run.step_started_at)
        .map(|(end, start)| end.duration_since(start).as_secs());
    println!(
        "rolled back {took:?} s after the weight was confirmed: {}",
        status.message
    );
    let (failed, failures) = load.stop().await?;
    assert!(
        failed > 0 && failures.as_object().is_some_and(|kinds| kinds.len() == 1),
        "only the version's own errors: {failures}"
    );
    shop.close().await
}

/// The pod of the database that all scenarios share.
async fn database(shop: &Shop) -> anyhow::Result<String> {
    let pods =
        Api::<DynamicObject>::namespaced_with(shop.client.clone(), "shop", &warmfront_e2e::shop::core("Pod", "pods"));
    let found = pods.list(&ListParams::default().labels("app=postgres")).await?;
    found
        .items
        .first()
        .and_then(ResourceExt::uid)
        .context("no pod of the database in namespace shop")
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_database_that_stands_still_blames_neither_version() -> anyhow::Result<()> {
    let shop = Shop::running("incident", 4).await?;
    // What the cache holds is soon gone, and what the database does not answer soon fails.
    shop.release(&[("CACHE_TTL", "1s"), ("DATABASE_TIMEOUT", "500ms")])
        .await?;
    shop.serving().await?;
    let steps = json!([{"weight": 25, "hold": "30s"}, {"weight": 50, "hold": "4s"}, {"weight": 100}]);
    shop.rollout(json!({"steps": steps, "checks": [{"errorRate": {"max": "2%"}}]}))
        .await?;
    shop.until("adoption", |status| status.stable_revision.is_some())
        .await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let before = load.failed().await?;
    assert_eq!(before, 0);
    // Right after a raise it could be the new version that overloads the database: ten ticks.
    assert_eq!(weights.after(Duration::from_secs(22)).await?, [0, 25]);

    let frozen = Frozen::pod(&database(&shop).await?)?;
    let shared = shop
        .until("an incident of both versions", |status| {
            status
                .checks
                .iter()
                .any(|check| check.cause == Some(Cause::SharedIncident))
        })
        .await?;
    println!("{}", shared.message);
    assert_eq!(
        weights.after(Duration::from_secs(20)).await?,
        [0, 25],
        "nobody is blamed, and nothing rises"
    );
    drop(frozen);

    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(weights.so_far().await?, [0, 25, 50, 100, 0]);
    let (failed, failures) = load.stop().await?;
    println!("{failed} requests failed meanwhile: {failures}");
    assert!(failed > 0, "the database was needed");
    shop.close().await
}
