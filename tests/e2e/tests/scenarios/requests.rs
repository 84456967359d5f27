//! What people ask for while a release runs: abort, pause, deletion.

use std::time::Duration;

use serde_json::json;
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, load::Connections, until};

use super::{RATE, is, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s13_abort_keeps_the_pods_for_a_while() -> anyhow::Result<()> {
    let shop = Shop::adopted("s13", stays_at(50)).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let half = shop.at(1, 50).await?;
    let revision = half.run.map(|run| run.revision).unwrap_or_default();
    let pods = shop.pods(Some(&revision)).await?;
    let (phase, reason) = shop.act(Verb::Abort).await?;
    assert_eq!(phase, "Applied", "{reason}");
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "Aborted");
    assert!(
        condition_text(&status, "RolledBack").contains("scenario"),
        "the reason that was given: {status:?}"
    );
    assert_eq!(canary_percent(&shop.api(&Kinds::http_route()).get("catalog").await?), 0);
    assert_eq!(shop.pods(Some(&revision)).await?, pods, "kept to be looked at");
    shop.until("keepCanary is over", |status| status.kept.is_empty())
        .await?;
    let empty = |found: Option<&kube::api::DynamicObject>| {
        found.is_none_or(|set| set.data["spec"]["replicas"] == 0 && set.data["status"]["replicas"] == 0)
    };
    until(
        &shop.api(&Kinds::replica_set()),
        &format!("catalog-{revision}"),
        "the canary's pods are gone",
        Duration::from_mins(1),
        empty,
    )
    .await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

fn condition_text(status: &warmfront::api::CanaryRolloutStatus, kind: &str) -> String {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .map(|condition| condition.message.clone())
        .unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s17_a_breach_goes_back_although_a_person_has_paused() -> anyhow::Result<()> {
    let mut plan = stays_at(25);
    plan["checks"] = json!([{"errorRate": {"max": "40%"}}]);
    let shop = Shop::adopted("s17", plan).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.1")]).await?;
    shop.at(1, 25).await?;
    let (phase, reason) = shop.act(Verb::Pause).await?;
    assert_eq!(phase, "Applied", "{reason}");
    let paused = shop
        .until("the pause", |status| {
            warmfront_e2e::condition(status, "Paused") == ("True", "User")
        })
        .await?;
    assert_eq!(paused.phase, Phase::Shifting);
    // The version did not change: what is tolerated did.
    shop.merge(
        &Kinds::rollout(),
        "catalog",
        json!({"spec": {"checks": [{"errorRate": {"max": "1%"}}]}}),
    )
    .await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "ErrorRateAboveMax");
    assert_eq!(canary_percent(&shop.api(&Kinds::http_route()).get("catalog").await?), 0);
    let resumed = shop.events("Resumed").await?;
    assert!(resumed.is_empty(), "it was paused to the end: {resumed:?}");
    load.stop().await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s46_deletion_at_half_of_the_traffic() -> anyhow::Result<()> {
    let shop = Shop::running("s46", 4).await?;
    let route = shop.spec(&Kinds::http_route(), "catalog").await?;
    let service = shop.spec(&Kinds::service(), "catalog").await?;
    shop.rollout(stays_at(50)).await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let half = shop.at(1, 50).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.api(&Kinds::rollout())
        .delete("catalog", &kube::api::DeleteParams::default())
        .await?;
    let gone = |found: Option<&kube::api::DynamicObject>| found.is_none();
    until(
        &shop.api(&Kinds::rollout()),
        "catalog",
        "the CanaryRollout is gone",
        Duration::from_mins(2),
        gone,
    )
    .await?;

    assert_eq!(weights.so_far().await?, [50, 0]);
    assert_eq!(
        shop.spec(&Kinds::http_route(), "catalog").await?,
        route,
        "the route is as found"
    );
    assert_eq!(
        shop.spec(&Kinds::service(), "catalog").await?,
        service,
        "the Service is as found"
    );
    assert_eq!(
        shop.spec(&Kinds::deployment(), "catalog").await?["paused"],
        true,
        "unpausing would ship what was not judged"
    );
    assert!(
        shop.api(&Kinds::service()).get_opt("catalog-canary").await?.is_none(),
        "our Service is gone"
    );
    assert_eq!(shop.told("LeftPaused").await?.len(), 1);
    let stable = shop.pods(half.stable_revision.as_deref()).await?;
    assert_eq!(stable.len(), 4, "stable serves");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
