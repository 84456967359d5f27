//! `helm upgrade` from the version before, with its definitions, while a release is under way. These tests have the cluster for themselves.

use std::time::Duration;

use warmfront::{
    api::{
        action::Verb,
        status::{Phase, Run},
    },
    controller::kinds::Kinds,
};
use warmfront_e2e::{
    Controllers, Load, Record, Shop, canary_percent,
    load::Connections,
    tools::{CHART, chart_before, definitions_are_of, install_chart, install_controller, uninstall_controller},
};

use super::{RATE, stays_at};

/// Longest wait for a new pod to lead: the old one gives its lease back, or it expires.
const SUCCESSION: Duration = Duration::from_secs(40);

/// Begins a release under the version before, upgrades, and promotes it under this one.
async fn upgraded_at_a_quarter(shop: &Shop) -> anyhow::Result<()> {
    let before = chart_before()?;
    install_chart(&before, &["--set", "image.tag=before"]).await?;
    definitions_are_of(&before).await?;
    shop.rollout(stays_at(25)).await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::PerRequest).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let old = shop.at(1, 25).await?.run;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let controllers = Controllers::new(&Shop::client().await?);
    let old_pods = controllers.names().await?;

    install_controller(&[]).await?;
    definitions_are_of(CHART).await?;
    controllers
        .until("a pod of the new version leads", SUCCESSION, |held| {
            !held.by.is_empty() && !old_pods.contains(&held.by)
        })
        .await?;
    let (phase, reason) = shop.act(Verb::PromoteFully).await?;
    assert_eq!(phase, "Applied", "the new version answers: {reason}");
    let status = shop.ended(1, Phase::Succeeded).await?;

    let about = |run: Option<Run>| run.map(|run| (run.started_at, run.replica_set, run.stable_revision));
    assert_eq!(
        about(status.run),
        about(old),
        "it is the release that the version before has begun"
    );
    let weights = weights.so_far().await?;
    assert_eq!(weights, [25, 100, 0], "the upgrade takes no traffic back");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn upgraded_mid_way_the_release_goes_on() -> anyhow::Result<()> {
    let shop = Shop::running("upgrade", 4).await?;
    uninstall_controller().await?;
    let done = upgraded_at_a_quarter(&shop).await;
    // Whatever became of it: the other scenarios need the controller of this version.
    install_controller(&[]).await?;
    done?;
    shop.close().await
}
