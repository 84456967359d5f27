//! What is seen of rollouts while they are released.

use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use warmfront::{
    api::{
        CanaryRolloutStatus,
        status::{Phase, Verdict},
    },
    controller::kinds::Kinds,
};

use crate::journal::Journal;

/// What matters of a rollout's status.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its phase.
    pub phase: Phase,
    /// The Deployment is taken over.
    pub adopted: bool,
    /// Number of the run.
    pub run: i64,
    /// The run's weight in hundredths of a percent, once confirmed.
    pub weight: Option<u32>,
    /// Every check passes.
    pub passing: bool,
    /// When it was judged last, as far as that is stored: ticks lie on a fixed grid.
    pub judged: Option<Timestamp>,
}

impl Seen {
    fn read(rollout: &DynamicObject) -> Self {
        let status = rollout.data.get("status").cloned().unwrap_or_default();
        let status: CanaryRolloutStatus = serde_json::from_value(status).unwrap_or_default();
        let run = status.run.as_ref();
        Self {
            phase: status.phase,
            adopted: status.stable_revision.is_some(),
            run: run.map_or(0, |run| run.number),
            weight: run
                .filter(|run| run.intent.is_none())
                .map(|run| run.weight.hundredths()),
            judged: status.checks.iter().filter_map(|check| check.at).max(),
            passing: !status.checks.is_empty() && status.checks.iter().all(|check| check.verdict == Verdict::Pass),
        }
    }

    /// Held at a weight, and judged good there.
    pub fn is_held(&self) -> bool {
        self.phase == Phase::Shifting && self.weight.is_some_and(|weight| weight > 0) && self.passing
    }
}

/// Notes every change of a rollout's status until the process ends.
pub async fn follow(client: Client, rollouts: Arc<Journal<Seen>>) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &Kinds::rollout());
    let mut seen = std::pin::pin!(
        watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    while let Some(rollout) = seen.next().await {
        match rollout {
            Ok(rollout) => rollouts.note(
                format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.name_any()),
                Seen::read(&rollout),
            ),
            Err(error) => eprintln!("the bench lost its watch of rollouts, which starts again: {error}"),
        }
    }
    anyhow::bail!("the watch of rollouts ended")
}
