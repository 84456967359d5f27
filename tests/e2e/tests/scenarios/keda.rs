//! A ScaledObject of KEDA's, which comes to the cluster while the controller runs; the test makes what KEDA would.

use std::time::Duration;

use anyhow::Context as _;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::{Value, json};
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Shop, until};

use super::stays_at;

/// A kind that was missing is looked for every 15 s while something calls for it.
const FOUND: Duration = Duration::from_secs(30);

/// What the cluster has of KEDA.
const DEFINITION: &str = include_str!("../../keda.yaml");

/// Makes the kind, unless an earlier run did, and waits until it can be used.
async fn install(shop: &Shop) -> anyhow::Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
    ));
    let definitions = Api::<DynamicObject>::all_with(shop.client.clone(), &resource);
    let definition: DynamicObject = serde_yaml::from_str(DEFINITION)?;
    let name = definition.name_any();
    if definitions.get_opt(&name).await?.is_none() {
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .context("defining ScaledObjects")?;
    }
    let established = |found: Option<&DynamicObject>| {
        let conditions = found.and_then(|found| found.data.pointer("/status/conditions")?.as_array());
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
    };
    until(&definitions, &name, "ScaledObjects are known", FOUND, established)
        .await
        .map(|_| ())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s27_a_scaled_object_finds_its_minimum_as_it_was() -> anyhow::Result<()> {
    let shop = Shop::adopted("s27-keda", stays_at(25)).await?;
    install(&shop).await?;
    let (scaled, scalers) = (Kinds::scaled_object(), Kinds::autoscaler());
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"});
    let pause = json!({"autoscaling.keda.sh/paused": "false"});
    let spec = json!({"scaleTargetRef": {"name": "catalog"}, "maxReplicaCount": 9, "triggers": [{"type": "cpu", "metadata": {"value": "60"}}]});
    shop.create(&scaled, json!({"apiVersion": scaled.api_version, "kind": scaled.kind, "metadata": {"name": "catalog", "annotations": pause}, "spec": spec}))
        .await?;
    let uid = shop.api(&scaled).get("catalog").await?.uid();
    let owner = json!({"apiVersion": scaled.api_version, "kind": scaled.kind, "name": "catalog", "uid": uid, "controller": true});
    let bounds = json!({"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9});
    let kept = json!({"apiVersion": scalers.api_version, "kind": scalers.kind, "metadata": {"name": "keda-hpa-catalog", "ownerReferences": [owner]}, "spec": bounds});
    shop.create(&scalers, kept).await?;
    let kept = shop.spec(&scalers, "keda-hpa-catalog").await?;

    let size = shop.spec(&Kinds::deployment(), "catalog").await?["replicas"].clone();
    let raised =
        |found: Option<&DynamicObject>| found.is_some_and(|object| object.data["spec"]["minReplicaCount"] == size);
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    until(
        &shop.api(&scaled),
        "catalog",
        "the minimum is the size at the start",
        FOUND,
        raised,
    )
    .await?;
    let (phase, reason) = shop.act(Verb::Abort).await?;
    assert_eq!(phase, "Applied", "{reason}");
    shop.ended(1, Phase::RolledBack).await?;
    assert_eq!(spec.get("minReplicaCount"), None);
    shop.as_found(&scaled, "catalog", &spec).await?;

    shop.merge(&scaled, "catalog", json!({"spec": {"minReplicaCount": 2}}))
        .await?;
    let found: Value = shop.spec(&scaled, "catalog").await?;
    shop.release(&[("VERSION", "v3")]).await?;
    shop.at(2, 25).await?;
    until(
        &shop.api(&scaled),
        "catalog",
        "the minimum is the size at the start",
        FOUND,
        raised,
    )
    .await?;
    shop.api(&Kinds::rollout())
        .delete("catalog", &DeleteParams::default())
        .await?;
    until(
        &shop.api(&Kinds::rollout()),
        "catalog",
        "the CanaryRollout is gone",
        Duration::from_mins(2),
        |found: Option<&DynamicObject>| found.is_none(),
    )
    .await?;
    assert_eq!(
        shop.spec(&scaled, "catalog").await?,
        found,
        "as found when the rollout is gone"
    );
    assert_eq!(
        json!(shop.api(&scaled).get("catalog").await?.annotations()),
        pause,
        "whether KEDA pauses is not our business"
    );
    assert_eq!(
        shop.spec(&scalers, "keda-hpa-catalog").await?,
        kept,
        "what KEDA keeps is left to it"
    );
    shop.close().await
}
