//! How releases begin: adoption, a first release, what starts one and what does not.

use std::time::Duration;

use anyhow::Context as _;
use kube::ResourceExt as _;
use serde_json::json;
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, load::Connections, shop::steps, until};

use super::{RATE, at_rest, is, last_ended, plain, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s01_a_first_deploy_is_left_to_kubernetes() -> anyhow::Result<()> {
    let shop = Shop::open("s01").await?;
    shop.route(plain()).await?;
    shop.app(2).await?;
    let held_before_complete = |deployment: &kube::api::DynamicObject| {
        (deployment.data["spec"]["paused"] == true || deployment.labels().contains_key("warmfront.dev/rollout"))
            && deployment.data["status"]["availableReplicas"] != deployment.data["spec"]["replicas"]
    };
    let early = Record::start(shop.api(&Kinds::deployment()), "catalog", held_before_complete).await?;
    shop.rollout(json!({})).await?;
    let status = shop
        .until("adoption", |status| status.stable_revision.is_some())
        .await?;
    is(&status, "Promoted", "True", "FirstDeploy");
    shop.held().await?;
    assert_eq!(early.so_far().await?, [false], "held only when complete");
    let status = shop.until("rest", |status| status.originals.paused.is_some()).await?;
    assert!(
        status.run.is_none() && status.checks.iter().all(|check| check.value.is_none()),
        "no step, and no check of a new version: {status:?}"
    );
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s02_s04_adopted_and_promoted_with_a_connection_per_request() -> anyhow::Result<()> {
    let shop = Shop::running("s04", 4).await?;
    let load = Load::start(&shop.host(), 200, Connections::PerRequest).await?;
    let found = [Kinds::deployment(), Kinds::service(), Kinds::http_route()];
    let mut before = Vec::new();
    for kind in &found {
        before.push(shop.spec(kind, "catalog").await?);
    }
    let first_pods = shop.pods(None).await?;

    let hold = |weight: i32| json!({"weight": weight, "hold": "3s"});
    let plan: Vec<_> = [5, 10, 25, 50, 100].map(hold).into();
    shop.rollout(json!({"steps": plan, "keepStable": "5s", "checks": [{"errorRate": {"max": "1%"}}, {"latency": {"quantile": "p95", "max": "1s"}}, {"hitRatio": {"min": "50%"}}]}))
        .await?;
    let status = shop
        .until("adoption", |status| status.stable_revision.is_some())
        .await?;
    shop.held().await?;
    is(&status, "Promoted", "True", "Adopted");
    assert!(status.run.is_none(), "adoption starts no release");
    assert_eq!(shop.pods(None).await?, first_pods, "adoption restarts no pod");
    assert_eq!(
        shop.spec(&found[0], "catalog").await?,
        before[0],
        "nothing of the Deployment's spec differs"
    );
    assert_eq!(load.failed().await?, 0, "adoption fails no request");

    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let full = shop.at(1, 100).await?;
    let canary = shop.pods(full.run.as_ref().map(|run| run.revision.as_str())).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(
        weights.so_far().await?,
        [0, 5, 10, 25, 50, 100, 0],
        "weights in order, and the route given back"
    );
    assert_eq!(
        shop.pods(status.stable_revision.as_deref()).await?,
        canary,
        "the canary's pods are the Deployment's now"
    );
    shop.serving().await?;
    let after = shop.spec(&found[0], "catalog").await?;
    for (key, value) in before[0].as_object().into_iter().flatten() {
        assert!(
            key == "template" || after[key] == *value,
            "spec.{key} of the Deployment was changed to {}",
            after[key]
        );
    }
    let confirmed = shop.events("WeightConfirmed").await?;
    assert_eq!(confirmed.len(), 5, "{confirmed:?}");
    shop.until("keepStable is over", |status| status.kept.is_empty())
        .await?;
    let given = |found: Option<&kube::api::DynamicObject>| {
        found.is_some_and(|set| set.owner_references().iter().any(|owner| owner.kind == "Deployment"))
    };
    let old = format!(
        "catalog-{}",
        status
            .run
            .as_ref()
            .map(|run| run.stable_revision.as_str())
            .unwrap_or_default()
    );
    until(
        &shop.api(&Kinds::replica_set()),
        &old,
        "the old version is in the history",
        Duration::from_mins(3),
        given,
    )
    .await?;
    shop.as_found(&found[1], "catalog", &before[1]).await?;
    shop.as_found(&found[2], "catalog", &before[2]).await?;
    assert_eq!(shop.history().await?, [(1, "v1".to_owned()), (2, "v2".to_owned())]);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s07_a_rejected_revision_starts_again_only_by_retry() -> anyhow::Result<()> {
    let shop = Shop::adopted("s07", stays_at(25)).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let bad = [("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.5")];
    shop.release(&bad).await?;
    let first = shop.ended(1, Phase::RolledBack).await?;
    is(&first, "RolledBack", "True", "ErrorRateAboveMax");

    shop.release(&bad).await?;
    shop.restart_controller().await?;
    // The answer proves that the new controller has looked at this rollout.
    let (phase, reason) = shop.act(Verb::Resume).await?;
    assert_eq!(phase, "Rejected", "{reason}");
    let status = shop.until("rest", at_rest).await?;
    assert_eq!(
        status.run.as_ref().map(|run| run.number),
        Some(1),
        "re-applied and restarted, nothing starts"
    );
    assert!(
        status.message.contains("was rejected") && status.message.contains("Retry"),
        "{}",
        status.message
    );

    let (phase, reason) = shop.act(Verb::Retry).await?;
    assert_eq!(phase, "Applied", "{reason}");
    let again = shop.at(2, 25).await?;
    let (run, before) = (
        again.run.context("the second run")?,
        first.run.context("the first run")?,
    );
    assert_eq!((run.step, run.revision == before.revision), (1, true));
    assert!(
        run.started_at > before.started_at && run.step_started_at > before.ended_at,
        "fresh clocks"
    );
    shop.ended(2, Phase::RolledBack).await?;
    load.stop().await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s08_a_fix_after_an_image_that_cannot_be_pulled() -> anyhow::Result<()> {
    let shop = Shop::adopted("s08", json!({"steps": steps(&[50, 100]), "progressDeadline": "15s"})).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.image("localhost/nothing:none").await?;
    let said = shop
        .until("the reason in the message", |status| {
            status.message.contains("localhost/nothing:none")
        })
        .await?;
    assert_eq!(said.phase, Phase::Preparing);
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "NotReady");
    shop.image("localhost/catalog:test").await?;
    shop.release(&[("VERSION", "v3")]).await?;
    let promoted = shop
        .until("the fix is promoted", |status| status.phase == Phase::Succeeded)
        .await?;
    is(&promoted, "Promoted", "True", "Promoted");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s09_a_newer_revision_at_half_of_the_traffic() -> anyhow::Result<()> {
    let shop = Shop::adopted(
        "s09",
        json!({"steps": [{"weight": 25, "hold": "2s"}, {"weight": 50, "hold": "1h"}, {"weight": 100}]}),
    )
    .await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let half = shop.at(1, 50).await?;
    let second = half.run.map(|run| run.revision).unwrap_or_default();
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let selected = Record::start(shop.api(&Kinds::service()), "catalog-canary", |service| {
        service.data["spec"]["selector"]["pod-template-hash"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    })
    .await?;
    shop.release(&[("VERSION", "v3")]).await?;
    let third = shop.at(2, 25).await?.run.map(|run| run.revision).unwrap_or_default();

    assert_eq!(
        weights.so_far().await?[..3],
        [50, 0, 25],
        "back to 0 first, then from the first step"
    );
    let at_zero = weights
        .versions()
        .await?
        .iter()
        .find(|(_, weight)| *weight == 0)
        .map(|(version, _)| *version);
    let turned = selected
        .versions()
        .await?
        .iter()
        .find(|(_, hash)| *hash == third)
        .map(|(version, _)| *version);
    assert!(
        at_zero.is_some() && at_zero < turned,
        "weight 0 at {at_zero:?} before the Service selects the newer pods at {turned:?}"
    );
    let status = shop.until("history", |status| !status.history.is_empty()).await?;
    assert_eq!(status.history[0].revision, second);
    assert_eq!(
        last_ended(&status),
        ("Superseded".to_owned(), "NewerRevision".to_owned())
    );
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s10_the_stable_template_again_takes_everything_back() -> anyhow::Result<()> {
    let shop = Shop::adopted("s10", stays_at(25)).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v1")]).await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    assert_eq!(weights.so_far().await?, [25, 0]);
    assert_eq!(last_ended(&status), ("RolledBack".to_owned(), "Reverted".to_owned()));
    is(&status, "Promoted", "True", "AtStable");
    is(&status, "RolledBack", "False", "NotRolledBack");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
