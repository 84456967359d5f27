//! Several controllers, one of which works: a leader that goes, dies or sleeps in the middle of a release.
//!
//! They disturb every other scenario, so they run by themselves, one after the other.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::json;
use warmfront::{
    api::{CanaryRolloutStatus, status::Phase},
    controller::caches::Kinds,
};
use warmfront_e2e::{Controllers, Load, Record, Shop, canary_percent, controllers::writes, load::Connections};

use super::RATE;

/// Longer than any of the disturbances that fall into the first step.
const HOLD: &str = "25s";

/// A release in its first step, and everything about it that a change of leaders must not disturb.
struct Release {
    shop: Shop,
    load: Load,
    weights: Record<i64>,
    clocks: Record<(i64, String)>,
}

/// Number of the step and when its clock began.
fn clock(rollout: &DynamicObject) -> (i64, String) {
    let run = &rollout.data["status"]["run"];
    (run["step"].as_i64().unwrap_or_default(), run["stepStartedAt"].as_str().unwrap_or_default().to_owned())
}

fn began(status: &CanaryRolloutStatus) -> Option<Timestamp> {
    status.run.as_ref().filter(|run| run.step == 1 && run.intent.is_none()).and_then(|run| run.step_started_at)
}

impl Release {
    /// Up to the moment when the first step's clock runs.
    async fn begin(name: &str) -> anyhow::Result<Self> {
        let steps = json!([{"weight": 25, "hold": HOLD}, {"weight": 50, "hold": "2s"}, {"weight": 100, "hold": "2s"}]);
        let shop = Shop::adopted(name, json!({"steps": steps})).await?;
        let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
        let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
        let clocks = Record::start(shop.api(&Kinds::rollout()), "catalog", clock).await?;
        shop.release(&[("VERSION", "v2")]).await?;
        shop.until("the first step's clock runs", |status| began(status).is_some()).await?;
        Ok(Self { shop, load, weights, clocks })
    }

    /// Goes on to its end as if nothing had happened: no step repeated, skipped or shortened, no request failed.
    async fn end(self) -> anyhow::Result<()> {
        let half = self.shop.at(1, 50).await?;
        self.shop.ended(1, Phase::Succeeded).await?;
        assert_eq!(self.weights.so_far().await?, [0, 25, 50, 100, 0]);
        let mut clocks = self.clocks.so_far().await?;
        // The number of a step is stored before its clock begins; the disturbance falls into the first.
        clocks.retain(|(step, since)| *step < 3 && !since.is_empty());
        clocks.dedup_by(|later, earlier| later.1 == earlier.1);
        assert_eq!(clocks.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2], "each step's clock begins once: {clocks:?}");
        let first: Timestamp = clocks[0].1.parse()?;
        let held = half.run.and_then(|run| run.weight_confirmed_at).context("50% is confirmed")?.duration_since(first);
        assert!(held.as_secs_f64() >= 25.0, "held for {held} only");
        assert_eq!(self.shop.events("WeightConfirmed").await?.len(), 3);
        assert_eq!(self.shop.events("RouteDrift").await?, [] as [&str; 0]);
        let (failed, failures) = self.load.stop().await?;
        assert_eq!(failed, 0, "{failures}");
        self.shop.close().await
    }
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_deleted_leader_is_followed_within_seconds() -> anyhow::Result<()> {
    let controllers = Controllers::new(&Shop::client().await?);
    controllers.replace().await?;
    let (_, standby) = controllers.both().await?;
    let release = Release::begin("follow").await?;
    let leader = controllers.lease().await?;
    assert_eq!(writes(&standby, Timestamp::UNIX_EPOCH)?, [] as [&str; 0], "a standby writes nothing");

    let deleted = Instant::now();
    controllers.delete(&leader.by).await?;
    let next = controllers.until("another pod leads", Duration::from_secs(5), |lease| !lease.by.is_empty() && lease.by != leader.by).await?;
    println!("followed {} ms after the deletion", deleted.elapsed().as_millis());
    assert_eq!(next.transitions, leader.transitions + 1);
    release.end().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_killed_container_has_its_own_lease_back() -> anyhow::Result<()> {
    let controllers = Controllers::new(&Shop::client().await?);
    // New pods: kubelet starts a container again at once only the first time.
    controllers.replace().await?;
    let (leader, _) = controllers.both().await?;
    let release = Release::begin("killed").await?;

    let killed = (Instant::now(), Timestamp::now());
    controllers.process(&leader.by).await?.signal("KILL").await?;
    let (_, signal) = controllers.restarted(&leader.by, 1, Duration::from_secs(15)).await?;
    assert!(signal == 9 || signal == 0, "ended by signal {signal}");
    let again = controllers
        .until("the lease is renewed", Duration::from_secs(15), |lease| lease.renewed.parse::<Timestamp>().is_ok_and(|renewed| renewed > killed.1))
        .await?;
    println!("renewed {} ms after the kill", killed.0.elapsed().as_millis());
    assert_eq!((&again.by, again.transitions, &again.since), (&leader.by, leader.transitions, &leader.since), "the same holder all the time");
    release.end().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_frozen_leader_is_replaced_and_wakes_without_a_word() -> anyhow::Result<()> {
    let controllers = Controllers::new(&Shop::client().await?);
    controllers.replace().await?;
    let (leader, standby) = controllers.both().await?;
    let release = Release::begin("frozen").await?;

    let process = controllers.process(&leader.by).await?;
    let frozen = Instant::now();
    process.signal("STOP").await?;
    let next = controllers.until("the standby leads", Duration::from_secs(20), |lease| lease.by == standby).await;
    println!("replaced {} ms after the freeze", frozen.elapsed().as_millis());
    let woken = Timestamp::now();
    process.signal("CONT").await?;
    assert_eq!(next?.transitions, leader.transitions + 1);
    let (code, _) = controllers.restarted(&leader.by, 1, Duration::from_mins(1)).await?;
    assert_eq!(code, 1, "it ends by itself, and says so");
    release.end().await?;
    assert_eq!(controllers.lease().await?.by, standby, "it does not come back into the lead");
    assert_eq!(writes(&leader.by, woken)?, [] as [&str; 0], "whoever slept through the end of his term writes nothing");
    Ok(())
}
