//! The policy that holds Deployments goes and comes back; these tests have the cluster for themselves.

use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::json;
use warmfront::api::status::Phase;
use warmfront_e2e::{Births, Shop, tools::install_controller};

use super::{rest::begins, stays_at};

const BINDING: &str = "warmfront-hold";

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn hold_lost_and_found() -> anyhow::Result<()> {
    let shop = Shop::adopted("hold-lost", stays_at(25)).await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "admissionregistration.k8s.io",
        "v1beta1",
        "MutatingAdmissionPolicyBinding",
    ));
    let bindings = Api::<DynamicObject>::all_with(shop.client.clone(), &kind);
    let mut binding = bindings.get(BINDING).await?;
    bindings.delete(BINDING, &DeleteParams::default()).await?;
    let lost = paused_and_told(&shop).await;
    // The others need it, whatever came of this.
    binding.metadata.resource_version = None;
    binding.metadata.uid = None;
    bindings.create(&PostParams::default(), &binding).await?;
    lost?;
    shop.held().await?;
    let births = Births::start(&shop).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    begins(&shop, 1, &births).await?;
    shop.close().await
}

async fn paused_and_told(shop: &Shop) -> anyhow::Result<()> {
    shop.paused().await?;
    let told = shop.told("HoldLost").await?;
    anyhow::ensure!(told.len() == 1, "told once: {told:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn hold_label_that_another_hand_takes_off_is_put_back() -> anyhow::Result<()> {
    let shop = Shop::adopted("hold-label", stays_at(25)).await?;
    shop.merge(
        &warmfront::controller::kinds::Kinds::deployment(),
        "catalog",
        json!({"metadata": {"labels": {"warmfront.dev/rollout": null}}}),
    )
    .await?;
    shop.held().await?;
    let births = Births::start(&shop).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    begins(&shop, 1, &births).await?;
    shop.close().await
}

/// A promotion and the start of another release while pauses hold the Deployment.
async fn released_under_a_pause() -> anyhow::Result<Shop> {
    // Nobody asks for anything: it is about the Deployment alone.
    let shop = Shop::adopted("hold-pause", json!({"checks": [], "unjudged": true})).await?;
    shop.paused().await?;
    let births = Births::start(&shop).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    begins(&shop, 1, &births).await?;
    shop.ended(1, Phase::Succeeded).await?;
    shop.paused().await?;
    let file = shop.manifest("catalog", 4, "v3");
    shop.kubectl_with(&["apply", "-f", "-"], &file).await?;
    begins(&shop, 2, &births).await?;
    Ok(shop)
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn hold_by_a_pause_where_there_is_no_policy() -> anyhow::Result<()> {
    install_controller(&["--set", "hold=Pause"]).await?;
    let released = released_under_a_pause().await;
    // The others need the policy, whatever came of this; the release that is under way goes on.
    install_controller(&[]).await?;
    let shop = released?;
    shop.ended(2, Phase::Succeeded).await?;
    shop.held().await?;
    shop.close().await
}
