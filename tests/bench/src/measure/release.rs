//! A whole release, while all other apps stay held: how long it takes and what it writes.

use std::time::{Duration, Instant};

use warmfront::api::status::Phase;

use super::{Bench, PATIENCE};
use crate::{
    audit::{Request, by_name},
    figures::Release,
    world::{App, Plan},
};

/// What follows a promotion is written within this time.
const AFTERWARDS: Duration = Duration::from_secs(8);

impl Bench {
    /// Through 5, 10, 25, 50, 75 and 100% with 5 s at each weight below the last.
    pub(super) async fn whole_release(&mut self) -> anyhow::Result<Release> {
        let app = App::single("release");
        let hold = |weight| {
            if weight == 100 {
                "0s".to_owned()
            } else {
                "5s".to_owned()
            }
        };
        let steps = [5, 10, 25, 50, 75, 100].map(|weight| (weight, hold(weight))).to_vec();
        self.adopt(
            &app,
            &Plan {
                steps,
                interval: "1s",
                settle: Some("0s"),
                one_bad_answer: true,
                checks: 1,
            },
        )
        .await?;
        self.quiet_in(&app.namespace).await?;
        let (place, from, key) = (self.audit.end()?, Instant::now(), app.key());
        let namespace = app.namespace.clone();
        self.release(&[app]).await?;
        let first = self
            .weights
            .first(&key, from, "weight 5%", PATIENCE, |weight| *weight == 500)
            .await?;
        let promoted = self
            .rollouts
            .first(&key, from, "promotion", PATIENCE, |seen| seen.phase == Phase::Succeeded)
            .await?;
        tokio::time::sleep(AFTERWARDS).await;
        let requests = self.audit.since(place)?;
        let writes = requests
            .iter()
            .filter(|request: &&Request| request.is_in(&namespace) && request.is_write());
        Ok(Release {
            seconds: promoted.duration_since(first).as_secs_f64(),
            writes: by_name(writes),
        })
    }

    /// Waits until the controller has changed nothing in a namespace for some seconds.
    async fn quiet_in(&self, namespace: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let place = self.audit.end()?;
            tokio::time::sleep(Duration::from_secs(3)).await;
            if !self
                .audit
                .since(place)?
                .iter()
                .any(|request| request.is_in(namespace) && request.is_write())
            {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the controller did not come to rest in {namespace} within {PATIENCE:?}"
            );
        }
    }
}
