//! The controller is killed in a 30 s step and comes back 5 s later, as a container does.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::try_join_all;

use super::{Bench, PATIENCE};
use crate::world::{App, Plan};

/// Releases that go through one kill, a second apart.
const TRIES: u64 = 3;
/// From the kill to the restart.
const AWAY: Duration = Duration::from_secs(5);

/// What became of one step.
pub(super) struct Killed {
    /// Its length in seconds, between the confirmations of its weight and of the next one.
    pub step: f64,
    /// From the restart of the controller until the next weight was confirmed.
    pub after_restart: f64,
}

impl Bench {
    /// Kills the controller so long after the first step of the first release began.
    pub(super) async fn kill(&mut self, name: &str, after: Duration) -> anyhow::Result<Vec<Killed>> {
        let apps: Vec<App> = (0..TRIES).map(|n| App::single(&format!("kill-{name}-{n}"))).collect();
        let steps = vec![(5, "30s".to_owned()), (50, "6h".to_owned()), (100, "0s".to_owned())];
        let plan = Plan {
            steps,
            interval: "10s",
            settle: Some("0s"),
            one_bad_answer: true,
            checks: 1,
        };
        for app in &apps {
            self.adopt(app, &plan).await?;
        }
        let from = Instant::now();
        for app in apps.chunks(1) {
            self.release(app).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let weights = self.weights.clone();
        let reached = |weight: u32| {
            let (apps, weights) = (&apps, &weights);
            try_join_all(apps.iter().map(move |app| {
                let key = app.key();
                async move {
                    weights
                        .first(
                            &key,
                            from,
                            &format!("{weight} hundredths of a percent"),
                            PATIENCE,
                            |seen| *seen == weight,
                        )
                        .await
                }
            }))
        };
        let begun = reached(500).await?;
        let first = begun.iter().min().context("no release was started")?;
        tokio::time::sleep_until((*first + after).into()).await;
        self.controller.take().context("the controller does not run")?.kill()?;
        tokio::time::sleep(AWAY).await;
        let restarted = self.start_controller().await?;
        let ended = reached(5_000).await?;
        let killed = begun.iter().zip(&ended).map(|(begun, ended)| Killed {
            step: ended.duration_since(*begun).as_secs_f64(),
            // A step whose time was not over when the controller came back goes on later by right.
            after_restart: ended
                .duration_since(restarted.max(*begun + Duration::from_secs(30)))
                .as_secs_f64(),
        });
        Ok(killed.collect())
    }
}
