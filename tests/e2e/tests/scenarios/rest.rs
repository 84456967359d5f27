//! Between releases: every way to change the template begins a release, and other tools call the Deployment healthy.

use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject};
use serde_json::{Value, json};
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Births, Shop, shop::steps, until};

use super::{at_rest, is, stays_at};

/// Waits for the run and fails if a ReplicaSet of the new template was ever the Deployment's.
pub async fn begins(shop: &Shop, run: i64, births: &Births) -> anyhow::Result<()> {
    let known = births.so_far().await?;
    let status = shop
        .until(&format!("run {run} prepares its pods"), |status| {
            status
                .run
                .as_ref()
                .is_some_and(|found| found.number == run && !found.revision.is_empty())
        })
        .await?;
    let revision = status.run.map(|found| found.revision).unwrap_or_default();
    let set = format!("catalog-{revision}");
    until(
        &shop.api(&Kinds::replica_set()),
        &set,
        "the new version's ReplicaSet stands",
        Duration::from_secs(30),
        |set: Option<&DynamicObject>| set.is_some(),
    )
    .await?;
    let mut born = births.so_far().await?;
    born.retain(|name, _| !known.contains_key(name));
    assert!(
        born.values().all(|birth| !birth.owned),
        "Kubernetes made pods of the new version: {born:?}"
    );
    Ok(())
}

/// An app at rest, changed in one way.
async fn changed(name: &str, change: impl AsyncFnOnce(&Shop) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let shop = Shop::adopted(name, stays_at(25)).await?;
    let births = Births::start(&shop).await?;
    change(&shop).await?;
    begins(&shop, 1, &births).await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_kubectl_set_image() -> anyhow::Result<()> {
    changed("rest-image", async |shop| {
        shop.kubectl(&["set", "image", "deployment/catalog", "catalog=localhost/catalog:other"])
            .await
            .map(drop)
    })
    .await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_client_side_apply() -> anyhow::Result<()> {
    changed("rest-apply", async |shop| {
        // The first one only makes the object kubectl's own.
        for version in ["v1", "v2"] {
            let file = shop.manifest("catalog", 4, version);
            shop.kubectl_with(&["apply", "-f", "-"], &file).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_server_side_apply() -> anyhow::Result<()> {
    changed("rest-ssa", async |shop| {
        let file = shop.manifest("catalog", 4, "v2");
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=other",
            "-f",
            "-",
        ];
        shop.kubectl_with(&apply, &file).await.map(drop)
    })
    .await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_kubectl_replace() -> anyhow::Result<()> {
    changed("rest-replace", async |shop| {
        let file = shop.manifest("catalog", 4, "v2");
        shop.kubectl_with(&["replace", "-f", "-"], &file).await.map(drop)
    })
    .await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_rollout_restart() -> anyhow::Result<()> {
    changed("rest-restart", async |shop| {
        shop.kubectl(&["rollout", "restart", "deployment/catalog"])
            .await
            .map(drop)
    })
    .await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_helm_upgrade_and_its_wait() -> anyhow::Result<()> {
    changed("rest-helm", async |shop| {
        shop.helm_upgrade(&shop.manifest("catalog", 4, "v1")).await?;
        let status = shop.until("rest", at_rest).await?;
        assert!(status.run.is_none(), "the same manifest starts no release");
        shop.healthy_to_all().await?;
        shop.helm_upgrade(&shop.manifest("catalog", 4, "v2")).await.map(drop)
    })
    .await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_other_tools_call_the_deployment_healthy_and_undo_begins_a_release() -> anyhow::Result<()> {
    let shop = Shop::adopted(
        "rest-tools",
        json!({"steps": steps(&[50, 100]), "checks": [], "unjudged": true, "keepStable": "2s", "keepCanary": "2s", "bake": "1s"}),
    )
    .await?;
    shop.healthy_to_all().await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.ended(1, Phase::Succeeded).await?;
    shop.held().await?;
    shop.healthy_to_all().await?;
    shop.until("the old version is history", |status| status.kept.is_empty())
        .await?;

    let births = Births::start(&shop).await?;
    shop.kubectl(&["rollout", "undo", "deployment/catalog"]).await?;
    begins(&shop, 2, &births).await?;
    let (phase, reason) = shop.act(Verb::Abort).await?;
    assert_eq!(phase, "Applied", "{reason}");
    shop.ended(2, Phase::RolledBack).await?;
    let rejected = shop.spec(&Kinds::deployment(), "catalog").await?;
    assert_eq!(rejected["paused"], true, "what was rejected is not rolled out");
    let opinion = shop.opinion().await?;
    assert_eq!(
        opinion.argocd, "Suspended",
        "without rules nobody knows why: {opinion:?}"
    );
    for (kind, argocd, flux) in [
        (Kinds::deployment(), "Suspended", "InProgress"),
        (Kinds::rollout(), "Degraded", "Failed"),
    ] {
        let opinion = shop.opinion_by_our_rules(&kind).await?;
        assert_eq!(
            (opinion.argocd.as_str(), opinion.flux.as_str()),
            (argocd, flux),
            "{opinion:?}"
        );
    }
    shop.release(&[("VERSION", "v2")]).await?;
    shop.held().await?;
    shop.healthy_to_all().await?;
    for kind in [Kinds::deployment(), Kinds::rollout()] {
        let opinion = shop.opinion_by_our_rules(&kind).await?;
        assert_eq!(
            (opinion.argocd.as_str(), opinion.flux.as_str()),
            ("Healthy", "Current"),
            "{opinion:?}"
        );
    }
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_a_serving_replica_set_that_is_deleted_comes_back() -> anyhow::Result<()> {
    let shop = Shop::adopted("rest-deleted", json!({})).await?;
    a_deleted_set_comes_back(&shop).await?;
    shop.healthy_to_all().await?;
    shop.close().await
}

/// Deletes the ReplicaSet that serves, and waits until the same version serves from a new one.
pub async fn a_deleted_set_comes_back(shop: &Shop) -> anyhow::Result<()> {
    let before = shop.until("rest", at_rest).await?;
    let set = format!("catalog-{}", before.stable_revision.clone().unwrap_or_default());
    let sets = shop.api(&Kinds::replica_set());
    let uid = sets.get(&set).await?.metadata.uid;
    sets.delete(&set, &DeleteParams::default()).await?;
    let healed = move |found: Option<&DynamicObject>| {
        found.is_some_and(|found| found.metadata.uid != uid && found.data["status"]["availableReplicas"] == 4)
    };
    until(&sets, &set, "the same version is back", Duration::from_mins(1), healed).await?;
    shop.serving().await?;
    shop.held().await?;
    let after = shop
        .until("users are served", |status| {
            status
                .conditions
                .iter()
                .any(|condition| condition.type_ == "Healthy" && condition.status == "True")
        })
        .await?;
    assert_eq!(
        after.stable_revision, before.stable_revision,
        "no other version is called stable"
    );
    assert!(after.run.is_none(), "no release starts");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn rest_a_rollout_made_anew_takes_the_template_that_waits_for_its_first_release() -> anyhow::Result<()> {
    let shop = Shop::adopted("rest-anew", stays_at(25)).await?;
    shop.image("localhost/catalog:missing").await?;
    shop.until("run 1", |status| status.run.is_some()).await?;
    let rollouts = shop.api(&Kinds::rollout());
    rollouts.delete("catalog", &DeleteParams::default()).await?;
    until(
        &rollouts,
        "catalog",
        "the rollout is gone",
        Duration::from_mins(1),
        |found: Option<&DynamicObject>| found.is_none(),
    )
    .await?;
    shop.rollout(json!({"checks": [], "unjudged": true, "steps": steps(&[100]), "bake": "1s"}))
        .await?;
    let status = shop.until("its first release", |status| status.run.is_some()).await?;
    is(&status, "Accepted", "True", "Accepted");
    // The fix, while the broken one still waits for its image.
    let image: Value =
        json!([{"name": "catalog", "image": "localhost/catalog:test", "env": [{"name": "VERSION", "value": "v3"}]}]);
    shop.strategic(
        &Kinds::deployment(),
        "catalog",
        json!({"spec": {"template": {"spec": {"containers": image}}}}),
    )
    .await?;
    shop.ended(2, Phase::Succeeded).await?;
    shop.close().await
}
