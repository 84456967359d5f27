//! The owner's ways round a release: undoing a promotion, unpausing by hand, scaling, deleting the namespace.

use std::time::Duration;

use kube::{
    Api,
    api::{DeleteParams, DynamicObject},
};
use serde_json::json;
use warmfront::{
    api::{
        action::Verb,
        status::{EndReason, Phase},
    },
    controller::kinds::Kinds,
};
use warmfront_e2e::{
    Load, Record, Shop, canary_percent,
    load::Connections,
    shop::{core, steps},
    until,
};

use super::{RATE, is, last_ended, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s11_the_old_template_within_keep_stable_brings_the_old_pods_back() -> anyhow::Result<()> {
    let shop = Shop::adopted(
        "s11",
        json!({"steps": steps(&[50, 100]), "keepStable": "5m", "keepCanary": "5s"}),
    )
    .await?;
    let old = shop.pods(None).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.ended(1, Phase::Succeeded).await?;
    let all = shop.pods(None).await?;
    shop.release(&[("VERSION", "v1")]).await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    assert_eq!(last_ended(&status), ("RolledBack".to_owned(), "Reverted".to_owned()));
    is(&status, "Promoted", "True", "AtStable");
    let now = shop.pods(None).await?;
    assert!(
        now.iter().all(|pod| all.contains(pod)),
        "no pod is created: {now:?}, before {all:?}"
    );
    assert!(
        old.iter().all(|pod| now.contains(pod)),
        "the old pods serve: {old:?} in {now:?}"
    );
    shop.serving().await?;
    shop.until("the undone version's pods go", |status| status.kept.is_empty())
        .await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s21_unpaused_by_hand_at_a_quarter_of_the_traffic() -> anyhow::Result<()> {
    let shop = Shop::adopted("s21", stays_at(25)).await?;
    let route = shop.spec(&Kinds::http_route(), "catalog").await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let quarter = shop.at(1, 25).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.merge(&Kinds::deployment(), "catalog", json!({"spec": {"paused": null}}))
        .await?;
    let status = shop
        .until("the run ends", |status| {
            status
                .history
                .first()
                .is_some_and(|entry| entry.reason == EndReason::Unpaused)
        })
        .await?;
    assert_eq!(last_ended(&status), ("Superseded".to_owned(), "Unpaused".to_owned()));
    shop.as_found(&Kinds::http_route(), "catalog", &route).await?;
    assert_eq!(weights.so_far().await?, [25, 0]);
    let native = shop
        .until("the native rollout's revision serves", |status| {
            status.stable_revision != quarter.stable_revision
        })
        .await?;
    shop.held().await?;
    shop.serving().await?;
    is(&native, "Accepted", "True", "Accepted");
    let told = shop.told("Unpaused").await?;
    assert!(
        told.len() == 1 && told[0].contains("e2e"),
        "names the manager: {told:?}"
    );
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s06_s28_what_is_no_release_and_scaling_in_the_middle_of_one() -> anyhow::Result<()> {
    let shop = Shop::adopted("s28", stays_at(25)).await?;
    shop.merge(
        &Kinds::deployment(),
        "catalog",
        json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"note": "x"}}, "spec": {"replicas": 3}}),
    )
    .await?;
    shop.serving().await?;
    let (phase, reason) = shop.act(Verb::Resume).await?;
    assert_eq!((phase.as_str(), reason.as_str()), ("Rejected", "NotPaused"));
    let status = shop.until("rest", super::at_rest).await?;
    assert!(status.run.is_none(), "labels, annotations and size start no release");

    let env = json!([{"name": "VERSION", "value": "v2"}]);
    let template =
        json!({"spec": {"replicas": 4, "template": {"spec": {"containers": [{"name": "catalog", "env": env}]}}}});
    shop.strategic(&Kinds::deployment(), "catalog", template).await?;
    let quarter = shop.at(1, 25).await?;
    let (canary, stable) = (
        quarter.run.map(|run| run.revision).unwrap_or_default(),
        quarter.stable_revision.unwrap_or_default(),
    );
    assert_eq!(
        (
            shop.pods(Some(&canary)).await?.len(),
            shop.pods(Some(&stable)).await?.len()
        ),
        (1, 4),
        "the new size counts"
    );
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.merge(&Kinds::deployment(), "catalog", json!({"spec": {"replicas": 8}}))
        .await?;
    for (hash, wanted) in [(&canary, 2), (&stable, 8)] {
        let grown =
            |set: Option<&DynamicObject>| set.is_some_and(|set| set.data["status"]["availableReplicas"] == wanted);
        until(
            &shop.api(&Kinds::replica_set()),
            &format!("catalog-{hash}"),
            &format!("{wanted} pods"),
            Duration::from_mins(1),
            grown,
        )
        .await?;
    }
    assert_eq!(weights.so_far().await?, [25], "the weight stays throughout");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s27_an_autoscaler_finds_its_minimum_as_it_was() -> anyhow::Result<()> {
    let shop = Shop::adopted("s27", stays_at(25)).await?;
    let scalers = Kinds::autoscaler();
    let spec = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"}, "minReplicas": 2, "maxReplicas": 9});
    shop.create(&scalers, json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "catalog"}, "spec": spec})).await?;
    let size = shop.spec(&Kinds::deployment(), "catalog").await?["replicas"].clone();
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    assert_eq!(
        shop.spec(&scalers, "catalog").await?["minReplicas"],
        size,
        "as large as stable was at the start"
    );
    let (phase, reason) = shop.act(Verb::Abort).await?;
    assert_eq!(phase, "Applied", "{reason}");
    shop.ended(1, Phase::RolledBack).await?;
    let as_found =
        |scaler: Option<&DynamicObject>| scaler.is_some_and(|scaler| scaler.data["spec"]["minReplicas"] == 2);
    until(
        &shop.api(&scalers),
        "catalog",
        "the minimum as found",
        Duration::from_mins(1),
        as_found,
    )
    .await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s47_a_namespace_that_is_deleted_goes_without_help() -> anyhow::Result<()> {
    let shop = Shop::adopted("s47", stays_at(25)).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let namespaces = Api::<DynamicObject>::all_with(shop.client.clone(), &core("Namespace", "namespaces"));
    namespaces.delete(&shop.namespace, &DeleteParams::default()).await?;
    until(
        &namespaces,
        &shop.namespace,
        "the namespace is gone",
        Duration::from_mins(2),
        |found: Option<&DynamicObject>| found.is_none(),
    )
    .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s25_lost_pods_take_the_traffic_off_and_it_begins_again() -> anyhow::Result<()> {
    let shop = Shop::adopted("s25", stays_at(25)).await?;
    let load = Load::start(&shop.host(), RATE, Connections::PerRequest).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let mut at = shop.at(1, 25).await?;
    let revision = at.run.as_ref().map(|run| run.revision.clone()).unwrap_or_default();
    for time in 1..=3 {
        let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
        let pods = shop.core("Pod", "pods");
        for (name, _) in shop.pods(Some(&revision)).await? {
            pods.delete(
                &name,
                &DeleteParams {
                    grace_period_seconds: Some(0),
                    ..DeleteParams::default()
                },
            )
            .await?;
        }
        if time < 3 {
            shop.until("the loss is counted", |status| {
                status.run.as_ref().is_some_and(|run| run.capacity_lost == time)
            })
            .await?;
            at = shop.at(1, 25).await?;
            assert_eq!(weights.so_far().await?, [25, 0, 25], "back to 0 first");
        }
    }
    assert_eq!(at.run.as_ref().map(|run| run.step), Some(1));
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "CapacityLost");
    assert_eq!(shop.events("CapacityLost").await?.len(), 3);
    load.stop().await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s12_a_config_map_that_changes_in_place_lets_the_step_begin_anew() -> anyhow::Result<()> {
    let shop = Shop::open("s12").await?;
    let configs = core("ConfigMap", "configmaps");
    let config = |value: &str| json!({"data": {"GREETING": value}});
    let mut object = config("hello");
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("ConfigMap");
    object["metadata"] = json!({"name": "settings"});
    shop.create(&configs, object).await?;
    shop.app(2).await?;
    let read = json!([{"name": "catalog", "envFrom": [{"configMapRef": {"name": "settings"}}]}]);
    shop.strategic(
        &Kinds::deployment(),
        "catalog",
        json!({"spec": {"template": {"spec": {"containers": read}}}}),
    )
    .await?;
    shop.route(super::plain()).await?;
    shop.serving().await?;
    shop.rollout(stays_at(50)).await?;
    shop.held().await?;
    shop.until("its contents are known", |status| {
        status.configs.contains_key("settings")
    })
    .await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 50).await?;
    // Nobody asks for anything here, which the first tick finds.
    let judged = shop
        .until("the first tick", |status| {
            status.run.as_ref().is_some_and(|run| run.no_data_since.is_some())
        })
        .await?;
    let before = judged.run.and_then(|run| run.step_started_at);
    shop.merge(&configs, "settings", config("goodbye")).await?;
    let after = shop
        .until("the step begins anew", |status| {
            status.run.as_ref().is_some_and(|run| run.step_started_at > before)
        })
        .await?;
    assert_eq!(
        after.run.map(|run| (run.number, run.step)),
        Some((1, 1)),
        "no new run and no other step"
    );
    let told = shop.told("ConfigChanged").await?;
    assert!(told.len() == 1 && told[0].contains("settings"), "{told:?}");
    shop.close().await
}
