//! The metrics store is down while the holds of several releases end: none may fall, none may rise.

use std::time::{Duration, Instant};

use super::{Bench, PATIENCE, Seen};
use crate::{
    figures::Outage,
    world::{App, Plan},
};

/// Releases that go through the outage.
const TRIES: usize = 5;

impl Bench {
    /// Default limits, at 5%; the holds end at different moments of the outage.
    pub(super) async fn outage(&mut self, length: Duration) -> anyhow::Result<Outage> {
        let apps: Vec<App> = (0..TRIES).map(|n| App::single(&format!("outage-{n}"))).collect();
        for (n, app) in apps.iter().enumerate() {
            // Until all are held, and the first tick of the outage has had no answer, a minute may pass: whose hold ends before that
            // may rise by the answers it has. The holds end in different parts of the outage.
            let hold = Duration::from_mins(1) + length.mul_f64((0.5 + f64::from(u32::try_from(n)?)) / 6.0);
            let steps = vec![
                (5, format!("{}s", hold.as_secs())),
                (50, "6h".to_owned()),
                (100, "0s".to_owned()),
            ];
            self.adopt(
                app,
                &Plan {
                    steps,
                    interval: "10s",
                    settle: None,
                    one_bad_answer: false,
                    checks: 1,
                },
            )
            .await?;
        }
        self.release(&apps).await?;
        for app in &apps {
            self.rollouts
                .until(&app.key(), "being held", PATIENCE, Seen::is_held)
                .await?;
        }
        let down = Instant::now();
        self.store.down().await?;
        tokio::time::sleep(length).await;
        let blind: Vec<Vec<u32>> = apps.iter().map(|app| self.weights.since(&app.key(), down)).collect();
        let up = Instant::now();
        self.store.up().await?;
        let rolled_back = blind.iter().filter(|weights| weights.contains(&0)).count();
        let raised = blind
            .iter()
            .filter(|weights| weights.iter().any(|weight| *weight > 500))
            .count();
        let mut went_on = Vec::new();
        for (app, weights) in apps.iter().zip(&blind) {
            if weights.is_empty() {
                let at = self
                    .weights
                    .first(&app.key(), up, "the next weight", PATIENCE, |weight| *weight > 500)
                    .await?;
                went_on.push(at.duration_since(up).as_secs_f64());
            }
        }
        Ok(Outage {
            tries: TRIES,
            rolled_back,
            raised,
            went_on,
        })
    }
}
