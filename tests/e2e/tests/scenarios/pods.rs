//! The new version's pods: too few of them, none that stays up.

use serde_json::json;
use warmfront::{api::status::Phase, controller::caches::Kinds};
use warmfront_e2e::{Load, Record, Shop, canary_percent, load::Connections, shop::core};

use super::{RATE, is, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s22_no_weight_before_the_pods_that_carry_it() -> anyhow::Result<()> {
    let shop = Shop::open("s22").await?;
    shop.app(10).await?;
    shop.route(super::plain()).await?;
    shop.serving().await?;
    let quota = core("ResourceQuota", "resourcequotas");
    let limit = |pods: &str| json!({"spec": {"hard": {"pods": pods}}});
    let mut object = limit("12");
    object["metadata"] = json!({"name": "pods"});
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("ResourceQuota");
    shop.create(&quota, object).await?;
    // Kubernetes tries a refused pod again after twice the time each time: up to as long again as the pods took to come.
    let mut plan = stays_at(25);
    plan["progressDeadline"] = json!("5m");
    shop.rollout(plan).await?;
    shop.paused().await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let short = shop.until("two of three pods", |status| status.message.contains("2/3 pods Available") && status.message.contains("exceeded quota")).await?;
    assert_eq!(short.phase, Phase::Preparing);
    assert_eq!(weights.so_far().await?, [0], "not written for two pods");
    shop.merge(&quota, "pods", limit("30")).await?;
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
    shop.release(&[("VERSION", "v2"), ("FAULT_CRASH_AT_START", "true")]).await?;
    let named = shop.until("pod, reason and exit code", |status| status.message.contains("CrashLoopBackOff") && status.message.contains("exit code 3")).await?;
    let revision = named.run.map(|run| run.revision).unwrap_or_default();
    let pods = shop.pods(Some(&revision)).await?;
    assert!(pods.iter().any(|(name, _)| named.message.contains(name)), "{} names one of {pods:?}", named.message);
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "NotReady");
    assert_eq!(weights.so_far().await?, [0]);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
