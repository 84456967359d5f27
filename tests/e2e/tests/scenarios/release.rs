//! A release under load that something disturbs in its first step, and all about it that must not change by that.

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use warmfront::{
    api::{CanaryRolloutStatus, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, load::Connections};

use super::RATE;

/// A release in its first step, and everything about it that must not change by what happens to it.
pub struct Release {
    /// Its app.
    pub shop: Shop,
    /// What the route gave the canary, in percent.
    pub weights: Record<i64>,
    load: Load,
    clocks: Record<(i64, String)>,
    hold: u32,
}

/// Number of the step and when its clock began.
fn clock(rollout: &DynamicObject) -> (i64, String) {
    let run = &rollout.data["status"]["run"];
    (
        run["step"].as_i64().unwrap_or_default(),
        run["stepStartedAt"].as_str().unwrap_or_default().to_owned(),
    )
}

fn began(status: &CanaryRolloutStatus) -> Option<Timestamp> {
    status
        .run
        .as_ref()
        .filter(|run| run.step == 1 && run.intent.is_none())
        .and_then(|run| run.step_started_at)
}

impl Release {
    /// Up to the moment when the first step's clock runs.
    pub async fn begin(name: &str, hold: u32) -> anyhow::Result<Self> {
        let steps = json!([{"weight": 25, "hold": format!("{hold}s")}, {"weight": 50, "hold": "2s"}, {"weight": 100, "hold": "2s"}]);
        let shop = Shop::adopted(name, json!({"steps": steps})).await?;
        let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
        let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
        let clocks = Record::start(shop.api(&Kinds::rollout()), "catalog", clock).await?;
        shop.release(&[("VERSION", "v2")]).await?;
        shop.until("the first step's clock runs", |status| began(status).is_some())
            .await?;
        Ok(Self {
            shop,
            weights,
            load,
            clocks,
            hold,
        })
    }

    /// Goes on to its end as if nothing had happened: no step repeated, skipped or shortened, no request failed.
    pub async fn end(self) -> anyhow::Result<()> {
        self.second_step().await?;
        self.shop.ended(1, Phase::Succeeded).await?;
        assert_eq!(self.weights.so_far().await?, [0, 25, 50, 100, 0]);
        assert_eq!(self.shop.events("WeightConfirmed").await?.len(), 3);
        assert_eq!(self.shop.events("RouteDrift").await?, [] as [&str; 0]);
        let (failed, failures) = self.stop().await?;
        assert_eq!(failed, 0, "{failures}");
        Ok(())
    }

    /// Goes on to the second step, and was not in a hurry to get there.
    pub async fn second_step(&self) -> anyhow::Result<()> {
        let half = self.shop.at(1, 50).await?;
        let mut clocks = self.clocks.so_far().await?;
        // The number of a step is stored before its clock begins; the disturbance falls into the first.
        clocks.retain(|(step, since)| *step < 3 && !since.is_empty());
        clocks.dedup_by(|later, earlier| later.1 == earlier.1);
        assert_eq!(
            clocks.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
            [1, 2],
            "each step's clock begins once: {clocks:?}"
        );
        let first: Timestamp = clocks[0].1.parse()?;
        let held = half
            .run
            .and_then(|run| run.weight_confirmed_at)
            .context("50% is confirmed")?
            .duration_since(first);
        assert!(held.as_secs_f64() >= f64::from(self.hold), "held for {held} only");
        Ok(())
    }

    /// Ends the load, and tells how many requests failed, by kind.
    pub async fn stop(self) -> anyhow::Result<(u64, Value)> {
        let failed = self.load.stop().await?;
        self.shop.close().await?;
        Ok(failed)
    }
}
