//! What the controller uses while nothing changes: at rest, or with releases held and judged.

use std::time::{Duration, Instant};

use super::Bench;
use crate::{
    audit::{Request, by_name},
    figures::Load,
};

impl Bench {
    /// Watches for a while.
    pub(super) async fn load(&self, length: Duration) -> anyhow::Result<Load> {
        let controller = self.controller()?;
        let passes = controller.passes().await?;
        let (started, usage, place, queries) = (
            Instant::now(),
            controller.usage()?,
            self.audit.end()?,
            self.store.queries(),
        );
        tokio::time::sleep(length).await;
        let after = controller.usage()?;
        let minutes = started.elapsed().as_secs_f64() / 60.0;
        let (requests, queries_after) = (self.audit.since(place)?, self.store.queries());
        let passes = controller.passes().await?.since(&passes);

        let per_minute = |number: f64| number / minutes;
        let (lease, others): (Vec<Request>, Vec<Request>) = requests.into_iter().partition(Request::is_lease);
        let number = |requests: &[Request]| per_minute(u32::try_from(requests.len()).map_or(f64::INFINITY, f64::from));
        let milliseconds = |share: f64| passes.quantile(share).map(|seconds| seconds * 1_000.0);
        #[allow(clippy::cast_precision_loss, reason = "counts of some minutes are far below 2^52")]
        Ok(Load {
            cpu: per_minute(after.cpu - usage.cpu),
            resident: after.resident,
            requests: by_name(&others)
                .into_iter()
                .map(|(name, count)| (name, per_minute(count as f64)))
                .collect(),
            requests_total: number(&others),
            lease: number(&lease),
            queries: per_minute((queries_after - queries) as f64),
            passes: per_minute(passes.count()),
            pass: milliseconds(0.5).zip(milliseconds(0.99)),
        })
    }
}
