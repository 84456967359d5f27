//! The new version's pods: too few of them, none that stays up.

use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::json;
use warmfront::{api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{Load, Record, Shop, canary_percent, condition, load::Connections, shop::core};

use super::{RATE, is, metrics::another_source, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s22_no_weight_before_the_pods_that_carry_it() -> anyhow::Result<()> {
    let shop = Shop::running("s22", 10).await?;
    let quota = core("ResourceQuota", "resourcequotas");
    let limit = |pods: &str| json!({"spec": {"hard": {"pods": pods}}});
    let mut object = limit("12");
    object["metadata"] = json!({"name": "pods"});
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("ResourceQuota");
    shop.create(&quota, object).await?;
    let mut plan = stays_at(25);
    plan["progressDeadline"] = json!("5m");
    shop.rollout(plan).await?;
    shop.held().await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let short = shop
        .until("two of three pods", |status| {
            status.message.contains("2/3 pods Available") && status.message.contains("exceeded quota")
        })
        .await?;
    assert_eq!(short.phase, Phase::Preparing);
    assert_eq!(weights.so_far().await?, [0], "not written for two pods");
    shop.merge(&quota, "pods", limit("30")).await?;
    // Kubernetes tries a refused pod again after twice the time each time, and at once when the ReplicaSet changes.
    let set = short.run.map(|run| run.replica_set).unwrap_or_default();
    let touched = json!({"metadata": {"annotations": {"e2e/quota": "raised"}}});
    shop.merge(&Kinds::replica_set(), &set, touched).await?;
    shop.at(1, 25).await?;
    assert_eq!(weights.so_far().await?, [0, 25]);
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s23_a_crash_loop_never_gets_traffic() -> anyhow::Result<()> {
    let mut plan = stays_at(25);
    plan["progressDeadline"] = json!("25s");
    let shop = Shop::adopted("s23", plan).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_CRASH_AT_START", "true")])
        .await?;
    let named = shop
        .until("pod and exit code", |status| status.message.contains("exit code 3"))
        .await?;
    let revision = named.run.map(|run| run.revision).unwrap_or_default();
    let pods = shop.pods(Some(&revision)).await?;
    assert!(
        pods.iter().any(|(name, _)| named.message.contains(name)),
        "{} names one of {pods:?}",
        named.message
    );
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "NotReady");
    assert_eq!(weights.so_far().await?, [0]);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s26_lost_stable_pods_are_not_the_canarys_fault() -> anyhow::Result<()> {
    // As the gateway counts, which sees the errors of both sides.
    let (sources, _) = another_source("both-sides", json!({"preset": "envoy"})).await?;
    let shop = Shop::adopted(
        "s26",
        json!({"steps": [{"weight": 25, "hold": "4s"}, {"weight": 100, "hold": "2s"}], "metrics": {"interval": "2s", "source": "both-sides"}}),
    )
    .await?;
    let load = Load::start(&shop.host(), RATE, Connections::PerRequest).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let quarter = shop.at(1, 25).await?;
    let canary = quarter.run.map(|run| run.revision).unwrap_or_default();
    let of_canary = shop.pods(Some(&canary)).await?;
    // There is no room for new ones.
    let quota = core("ResourceQuota", "resourcequotas");
    shop.create(&quota, json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}})).await?;
    let pods = shop.core("Pod", "pods");
    for (name, _) in shop.pods(quarter.stable_revision.as_deref()).await? {
        pods.delete(
            &name,
            &DeleteParams {
                grace_period_seconds: Some(0),
                ..DeleteParams::default()
            },
        )
        .await?;
    }
    let lost = shop
        .until("stable is gone", |status| {
            condition(status, "Healthy") == ("False", "StableUnavailable")
        })
        .await?;
    assert_eq!(lost.phase, Phase::Shifting);
    // Longer than the hold and the samples that a pass needs.
    let sizes = Record::start(
        shop.api(&Kinds::replica_set()),
        &format!("catalog-{}", quarter.stable_revision.unwrap_or_default()),
        |set| set.data["spec"]["replicas"].clone(),
    )
    .await?;
    assert_eq!(
        weights.after(Duration::from_secs(12)).await?,
        [0, 25],
        "no rise and no fall because of it"
    );
    let still = shop
        .until("the checks pass", |status| {
            status.checks.len() == 2 && status.checks.iter().all(|check| check.verdict.to_string() == "pass")
        })
        .await?;
    is(&still, "Healthy", "False", "StableUnavailable");
    assert!(
        still.message.starts_with("no ready pod of stable revision "),
        "{}",
        still.message
    );
    assert_eq!(shop.pods(Some(&canary)).await?, of_canary, "the canary's pods stay");
    assert_eq!(sizes.so_far().await?, [json!(4)], "nothing is scaled down");
    assert_eq!(shop.told("StableUnavailable").await?.len(), 1);

    shop.core("ResourceQuota", "resourcequotas")
        .delete("pods", &DeleteParams::default())
        .await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(weights.so_far().await?, [0, 25, 100, 0]);
    let (failed, failures) = load.stop().await?;
    assert!(failed > 0, "users of the lost pods saw that: {failures}");
    sources.delete("both-sides", &DeleteParams::default()).await?;
    shop.close().await
}
