//! From the moment at which a metric turns bad until the gateway has confirmed weight 0.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;

use super::{Bench, PATIENCE};
use crate::world::{App, Plan, Seen};

/// Multiples of the golden ratio fall evenly into an interval: few tries give the median that many at random would.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Rollouts of a hostile namespace.
const HOSTILE: usize = 10;

impl Bench {
    /// Flips one metric after another, each at another moment between two ticks of its own, while all other apps stay held.
    pub(super) async fn flips(&mut self, apps: &[App], number: usize, interval: Duration) -> anyhow::Result<Vec<f64>> {
        let mut seconds = Vec::with_capacity(number);
        let mut moment = 0.0_f64;
        for flip in 0..number {
            let app = &apps[flip * apps.len() / number.max(1) % apps.len()];
            let key = app.key();
            self.rollouts.until(&key, "being held", PATIENCE, Seen::is_held).await?;
            moment = (moment + GOLDEN).fract();
            let judged = self
                .rollouts
                .last(&key)
                .and_then(|seen| seen.judged)
                .with_context(|| format!("when was {key} judged?"))?;
            let since = Timestamp::now().duration_since(judged).as_secs_f64();
            let length = interval.as_secs_f64();
            tokio::time::sleep(Duration::from_secs_f64((moment * length - since).rem_euclid(length))).await;

            let flipped = Instant::now();
            self.store.spoil(&key);
            let zero = self
                .weights
                .first(&key, flipped, "weight 0", PATIENCE, |weight| *weight == 0)
                .await?;
            seconds.push(zero.duration_since(flipped).as_secs_f64());
            eprintln!(
                "   {} of {number}: {:.2} s",
                flip + 1,
                zero.duration_since(flipped).as_secs_f64()
            );

            let run = self.rollouts.last(&key).map_or(0, |seen| seen.run);
            self.rollouts
                .until(&key, "the rollback", PATIENCE, |seen| {
                    seen.run == run && !seen.is_held() && seen.weight == Some(0)
                })
                .await?;
            self.store.heal(&key);
            self.release(std::slice::from_ref(app)).await?;
            // Not before the new run is held is the next flip of the same app.
            self.rollouts
                .until(&key, "the next run", PATIENCE, |seen| seen.run > run)
                .await?;
        }
        Ok(seconds)
    }

    /// The same, beside a namespace of ten rollouts that ask 16 slow queries each, over and over.
    pub(super) async fn flips_beside_a_hostile_namespace(
        &mut self,
        apps: &[App],
        number: usize,
        interval: Duration,
    ) -> anyhow::Result<Vec<f64>> {
        let hostile: Vec<App> = (0..HOSTILE).map(App::hostile).collect();
        for app in &hostile {
            self.adopt(app, &Plan::hostile()).await?;
        }
        self.release(&hostile).await?;
        // Until their ticks are all under way.
        tokio::time::sleep(Duration::from_secs(30)).await;
        self.flips(apps, number, interval).await
    }

    /// One app with the fastest settings there are.
    pub(super) async fn fast_flips(&mut self, number: usize) -> anyhow::Result<Vec<f64>> {
        let app = App::single("fast");
        self.adopt(
            &app,
            &Plan {
                interval: "1s",
                settle: Some("0s"),
                ..Plan::held()
            },
        )
        .await?;
        let apps = [app];
        self.release(&apps).await?;
        self.flips(&apps, number, Duration::from_secs(1)).await
    }
}
