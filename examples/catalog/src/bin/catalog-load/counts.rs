//! What became of requests: counted, printed and written.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    Load,
    args::Args,
    lock, now,
    times::{Quantiles, Times},
};

/// The counts that are printed and written.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    sent: u64,
    ok: u64,
    failed: u64,
    /// By status or kind of error.
    failures: BTreeMap<String, u64>,
    /// By `x-version`; `none` where there was no answer.
    failures_by_version: BTreeMap<String, u64>,
    /// Milliseconds since 1970.
    first_failure: Option<u64>,
    last_failure: Option<u64>,
    /// Answers by `x-version`.
    versions: BTreeMap<String, u64>,
    /// Of all requests so far, from the moment each was due.
    latency_ms: Quantiles,
}

/// What was counted, in all and since the last line of progress.
#[derive(Default)]
pub struct Counts {
    all: Summary,
    times: Times,
    recent: Times,
}

impl Load {
    pub fn record(&self, product: usize, result: &str, version: Option<String>, took: Duration) {
        let mut counts = lock(&self.counts);
        counts.times.add(took);
        counts.recent.add(took);
        let all = &mut counts.all;
        all.sent += 1;
        if let Some(version) = &version {
            *all.versions.entry(version.clone()).or_default() += 1;
        }
        if result == "200" {
            all.ok += 1;
            return;
        }
        let version = version.unwrap_or_else(|| "none".to_owned());
        let now = now();
        let Args { target, host, .. } = &self.args;
        eprintln!(
            "failed at {now}: http://{target}/products/{product} ({host}): {result} (version {version}, {} ms)",
            took.as_millis()
        );
        all.failed += 1;
        *all.failures.entry(result.to_owned()).or_default() += 1;
        *all.failures_by_version.entry(version).or_default() += 1;
        all.first_failure.get_or_insert(now);
        all.last_failure = Some(now);
    }

    pub fn summary(&self) -> Summary {
        let counts = lock(&self.counts);
        Summary {
            latency_ms: counts.times.quantiles(),
            ..counts.all.clone()
        }
    }

    /// One line of progress.
    pub fn progress(&self, elapsed: Duration) {
        let mut counts = lock(&self.counts);
        let recent = std::mem::take(&mut counts.recent);
        let Summary {
            sent, failed, versions, ..
        } = &counts.all;
        let answers = versions.values().sum::<u64>().max(1);
        let shares: Vec<_> = versions
            .iter()
            .map(|(version, count)| format!("{version} {}%", count * 100 / answers))
            .collect();
        eprintln!(
            "{} s: {sent} sent, {failed} failed, p50 {} ms, p99 {} ms, {}",
            elapsed.as_secs(),
            recent.at(500),
            recent.at(990),
            shares.join(", ")
        );
    }

    /// The file for other programs: never seen half written.
    pub fn write(&self) -> anyhow::Result<()> {
        if let Some(path) = &self.args.summary {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, serde_json::to_vec(&self.summary())?)
                .with_context(|| format!("writing {}", fresh.display()))?;
            std::fs::rename(&fresh, path).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}
