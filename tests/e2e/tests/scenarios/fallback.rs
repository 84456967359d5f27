//! The same cluster with an API server that has no policy to hold Deployments: a pause is the mark between releases.

use serde_json::json;
use warmfront::{api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{Births, Load, Shop, load::Connections, shop::steps};

use super::{
    RATE,
    rest::{a_deleted_set_comes_back, begins},
};

/// What the docs tell users of Argo CD and Flux.
const DOCS: &str = include_str!("../../../../docs/rest.md");

/// The rule for Argo CD in the docs that looks past the pause.
fn rule() -> String {
    DOCS.lines()
        .skip_while(|line| *line != "resource.customizations.health.apps_Deployment: |")
        .skip(1)
        .map_while(|line| line.strip_prefix("  "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn fallback_releases_are_held_by_a_pause() -> anyhow::Result<()> {
    let shop = Shop::adopted(
        "fallback",
        json!({"steps": steps(&[50, 100]), "keepStable": "2s", "bake": "1s"}),
    )
    .await?;
    assert!(
        !shop.holds_by_policy().await?,
        "the API server was started without policies"
    );
    assert_eq!(shop.spec(&Kinds::deployment(), "catalog").await?["paused"], true);
    let opinion = shop.opinion(None).await?;
    assert_eq!(opinion.argocd, "Suspended", "why the rule is shipped: {opinion:?}");
    let rule = rule();
    assert!(!rule.is_empty(), "docs/rest.md has the rule");
    let opinion = shop.opinion(Some(&rule)).await?;
    assert_eq!(opinion.argocd, "Healthy", "{opinion:?}");
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let births = Births::start(&shop).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    begins(&shop, 1, &births).await?;
    shop.ended(1, Phase::Succeeded).await?;
    shop.held().await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn fallback_a_serving_replica_set_that_is_deleted_comes_back() -> anyhow::Result<()> {
    let shop = Shop::adopted("fallback-deleted", json!({})).await?;
    a_deleted_set_comes_back(&shop).await?;
    shop.close().await
}
