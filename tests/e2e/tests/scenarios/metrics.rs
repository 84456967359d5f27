//! What the figures decide, and what becomes of a release without them.

use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use warmfront::{
    api::{
        CanaryRolloutStatus, MetricSourceSpec,
        status::{Cause, Phase, Verdict},
    },
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, condition, load::Connections, shop::steps};

use super::{RATE, is};

/// Makes a copy of the MetricSource `default` with other fields, and tells its URL.
pub(super) async fn another_source(name: &str, more: Value) -> anyhow::Result<(Api<DynamicObject>, String)> {
    let sources = Api::<DynamicObject>::all_with(Shop::client().await?, &Kinds::source());
    let mut object = sources.get("default").await?;
    object.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    if let (Some(spec), Value::Object(more)) = (object.data["spec"].as_object_mut(), more) {
        spec.extend(more);
    }
    let url = serde_json::from_value::<MetricSourceSpec>(object.data["spec"].clone())?
        .prometheus
        .url;
    // One of an earlier run.
    let _ = sources.delete(name, &DeleteParams::default()).await;
    sources.create(&PostParams::default(), &object).await?;
    Ok((sources, url))
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s29_an_outage_of_the_metrics_holds_and_never_rolls_back() -> anyhow::Result<()> {
    let (source, url) = another_source("outage", json!({})).await?;
    let turn = async |url: &str| -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"spec": {"prometheus": {"url": url}}}));
        source.patch("outage", &PatchParams::default(), &patch).await?;
        Ok(())
    };
    // Nothing listens on the discard port.
    let dead = "http://10.77.0.1:9";

    let shop =
        Shop::adopted("s29", json!({"steps": steps(&[25, 50, 100]), "metrics": {"interval": "2s", "source": "outage"}, "noDataDeadline": "15s"})).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    turn(dead).await?;
    let down = shop
        .until("noData", |status| {
            !status.checks.is_empty()
                && status
                    .checks
                    .iter()
                    .all(|check| check.cause == Some(warmfront::api::status::Cause::ProviderDown))
        })
        .await?;
    is(&down, "Paused", "False", "NotPaused");
    turn(&url).await?;
    shop.at(1, 50).await?;
    assert_eq!(
        weights.so_far().await?,
        [25, 50],
        "a short outage: it stays, then goes on"
    );

    turn(dead).await?;
    let paused = shop
        .until("the pause", |status| condition(status, "Paused") == ("True", "NoData"))
        .await?;
    assert_eq!(paused.phase, Phase::Shifting);
    assert_eq!(weights.so_far().await?, [25, 50], "a long outage rolls nothing back");
    turn(&url).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    source.delete("outage", &DeleteParams::default()).await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s34_errors_above_the_limit_at_a_quarter_as_the_gateway_counts_them() -> anyhow::Result<()> {
    let (sources, _) = another_source("gateway", json!({"preset": "envoy"})).await?;
    let shop = Shop::adopted("s34", json!({"metrics": {"interval": "2s", "source": "gateway"}})).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.25")])
        .await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "ErrorRateAboveMax");
    assert_eq!(weights.so_far().await?, [0, 25, 0]);
    let said = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "RolledBack")
        .map(|condition| condition.message.as_str())
        .unwrap_or_default();
    for part in [
        "error-rate",
        "requests to the new version failed in",
        "limit 2%",
        "the old version: 0%",
    ] {
        assert!(
            said.contains(part),
            "`{said}` names check, samples, limit and what the old version did: {part}"
        );
    }
    let (failed, failures) = load.stop().await?;
    sources.delete("gateway", &DeleteParams::default()).await?;
    assert!(
        failed > 0 && failures.as_object().is_some_and(|kinds| kinds.len() == 1),
        "only the version's own errors: {failures}"
    );
    shop.close().await
}

/// What condition `Accepted` says.
fn accepted(status: &CanaryRolloutStatus) -> &str {
    let mut conditions = status.conditions.iter();
    conditions
        .find(|condition| condition.type_ == "Accepted" && condition.status == "True")
        .map_or("", |condition| condition.message.as_str())
}

/// The errors that a rollout allows, and a limit of its latency that lies beyond all edges of the app's histogram.
fn limits(errors: u32) -> Value {
    json!([{"errorRate": {"max": errors}}, {"latency": {"quantile": "p95", "max": "60s"}}])
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn what_the_running_version_lacks_and_breaks_is_said_at_adoption() -> anyhow::Result<()> {
    let shop = Shop::running("inspected", 4).await?;
    shop.release(&[("FAULT_ERROR_SHARE", "0.25")]).await?;
    shop.serving().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.rollout(json!({"checks": limits(2)})).await?;
    shop.until("the edge that is missing", |status| {
        accepted(status)
            .contains("check latency has no data (ThresholdNotMeasurable): no histogram edge is near the limit of 60s")
    })
    .await?;
    // Prometheus has counted enough requests sooner or later; each edit of a limit asks anew.
    let mut seen = None;
    for errors in 3..13 {
        shop.merge(
            &Kinds::rollout(),
            "catalog",
            json!({"spec": {"checks": limits(errors)}}),
        )
        .await?;
        let threshold = format!("<= {errors}%");
        let status = shop
            .until("another look", |status| {
                status.checks.first().is_some_and(|check| check.threshold == threshold)
            })
            .await?;
        seen = Some(status);
        if seen
            .as_ref()
            .is_some_and(|status| status.checks[0].verdict == Verdict::Fail)
        {
            break;
        }
    }
    let status = seen.unwrap_or_default();
    let (errors, latency) = (&status.checks[0], &status.checks[1]);
    assert_eq!((errors.verdict, errors.cause), (Verdict::Fail, None), "{errors:?}");
    assert_eq!(
        (latency.verdict, latency.cause),
        (Verdict::NoData, Some(Cause::ThresholdNotMeasurable)),
        "{latency:?}"
    );
    let said = accepted(&status);
    assert!(said.contains("the running version itself breaks errors"), "{said}");
    assert!(
        status.run.is_none() && status.inspection.is_some_and(|found| found.broken == ["error-rate"]),
        "it is told and refuses nothing"
    );
    let told = shop.told("StableBreaksLimit").await?;
    assert!(told[0].contains("itself breaks errors"), "{told:?}");
    load.stop().await?;
    shop.close().await
}
