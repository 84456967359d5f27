//! Parts of the cluster that stand still or are cut off in the middle of a release: nothing rises meanwhile, and it goes on by itself.
//!
//! All other scenarios need the same parts, so these run by themselves, one after the other.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use warmfront::api::status::{Cause, Phase};
use warmfront_e2e::{Controllers, Frozen, Partition, Shop, condition};

use super::release::Release;

/// Over before the disturbance is.
const HOLD: u32 = 4;
/// Longer than the hold, the settling and some ticks.
const LONG: Duration = Duration::from_secs(8);

/// The part goes on, and so does the release; how many requests failed, and which.
async fn thaw(release: Release, part: Frozen) -> anyhow::Result<(u64, Value)> {
    drop(part);
    release.second_step().await?;
    release.stop().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn both_controllers_cut_off_from_the_api_server() -> anyhow::Result<()> {
    let controllers = Controllers::new(&Shop::client().await?);
    // New pods: kubelet starts a container again at once only the first time.
    controllers.replace().await?;
    let (leader, _) = controllers.both().await?;
    let release = Release::begin("partition", 12).await?;

    let partition = Partition::of(&controllers.addresses().await?)?;
    let (code, _) = controllers.restarted(&leader.by, 1, Duration::from_secs(25)).await?;
    assert_eq!(code, 1, "a leader that cannot renew ends by itself");
    assert_eq!(
        release.weights.after(LONG).await?,
        [0, 25],
        "the hold is over by now, and nothing has risen"
    );
    let healed = Timestamp::now();
    drop(partition);
    let renewed = |renewed: &str| renewed.parse::<Timestamp>().is_ok_and(|renewed| renewed > healed);
    let next = controllers
        .until("one of them leads again", Duration::from_secs(40), |lease| {
            renewed(&lease.renewed)
        })
        .await?;
    println!(
        "{} leads {} ms after the way is free",
        next.by,
        Timestamp::now().duration_since(healed).as_millis()
    );
    release.end().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_kubelet_that_stands_still() -> anyhow::Result<()> {
    let release = Release::begin("kubelet", HOLD).await?;
    let kubelet = Frozen::new("kubelet")?;
    // The pod that runs is enough for a quarter of the traffic; the next one is bound, and nobody starts it.
    let waiting = release
        .shop
        .until("the pods for the next weight are missing", |status| {
            status.message.contains("1/2 pods Available for 50%")
        })
        .await?;
    assert_eq!(waiting.phase, Phase::Shifting);
    assert_eq!(
        release.weights.after(LONG).await?,
        [0, 25],
        "no weight before the pods that carry it"
    );
    let (failed, failures) = thaw(release, kubelet).await?;
    assert_eq!(failed, 0, "{failures}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_gateway_whose_controller_stands_still() -> anyhow::Result<()> {
    let release = Release::begin("contour", HOLD).await?;
    let contour = Frozen::new("contour")?;
    let waiting = release
        .shop
        .until("acceptance is waited for", |status| {
            status.message.contains("gateway/edge to accept generation")
        })
        .await?;
    let first = waiting.run.clone().and_then(|run| run.step_started_at);
    assert_eq!(release.weights.after(LONG).await?, [0, 25, 50], "the weight is written");
    let still = release
        .shop
        .until("it is waited for", |status| {
            status.message.contains("gateway/edge to accept generation")
        })
        .await?;
    let run = still.run.unwrap_or_else(|| panic!("a run is in progress"));
    assert_eq!(
        (run.weight.to_string().as_str(), run.step_started_at),
        ("25%", first),
        "what nobody serves is not confirmed, and its clock does not start"
    );
    let thawed = Timestamp::now();
    drop(contour);
    release.second_step().await?;
    let half = release.shop.at(1, 50).await?;
    let confirmed = half.run.and_then(|run| run.weight_confirmed_at);
    assert!(
        confirmed > Some(thawed),
        "confirmed at {confirmed:?}, which the gateway accepted after {thawed}"
    );
    let (failed, failures) = release.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_gateway_whose_proxy_stands_still() -> anyhow::Result<()> {
    let release = Release::begin("envoy", HOLD).await?;
    let envoy = Frozen::new("envoy")?;
    // No request reaches any pod.
    let paused = release
        .shop
        .until("the pause", |status| condition(status, "Paused") == ("True", "NoData"))
        .await?;
    assert_eq!(paused.phase, Phase::Shifting, "no reason to go back");
    assert_eq!(release.weights.so_far().await?, [0, 25]);
    let (failed, failures) = thaw(release, envoy).await?;
    assert!(failed > 0, "users saw that: {failures}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_metrics_store_that_stands_still() -> anyhow::Result<()> {
    let release = Release::begin("prometheus", HOLD).await?;
    let prometheus = Frozen::new("prometheus")?;
    let down = release
        .shop
        .until("noData", |status| {
            status.checks.len() == 2
                && status
                    .checks
                    .iter()
                    .all(|check| check.cause == Some(Cause::ProviderDown))
        })
        .await?;
    assert!(
        down.checks
            .iter()
            .all(|check| check.message.contains("did not answer in time")),
        "{:?}",
        down.checks
    );
    // Each pass waits for an answer as long as it may; the pods for the next weight would come after two of them.
    assert_eq!(
        release.weights.after(3 * LONG).await?,
        [0, 25],
        "no rise and no rollback"
    );
    let (failed, failures) = thaw(release, prometheus).await?;
    assert_eq!(failed, 0, "{failures}");
    Ok(())
}
