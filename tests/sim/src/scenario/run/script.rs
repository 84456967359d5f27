//! Plays a script, step by step, and waits: until facts are true, or until nothing moves any more.

use std::time::Duration;

use tokio::time::Instant;
use warmfront::api::status::Phase;

use super::Run;
use crate::{
    apiserver::lock,
    scenario::{Facts, Scenario, Step},
};

/// Longest that anything is waited for, unless a step says otherwise.
const PATIENCE: Duration = Duration::from_mins(10);
/// Nothing may move for so long before a scenario is at rest: longer than a call may hang.
const REST: Duration = Duration::from_secs(75);
/// Longest that coming to rest may take.
const LONGEST: Duration = Duration::from_mins(20);
/// How often facts are looked at.
const LOOK: Duration = Duration::from_millis(50);

impl Run {
    /// Plays the script alone, and leaves everything as it is then.
    pub async fn script(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        if self.given.adopted && self.given.running && !self.given.pair {
            let adopted = Facts {
                rests: Some(true),
                labelled: Some(true),
                conditions: [("Promoted".to_owned(), "True/Adopted".to_owned())].into(),
                ..Facts::default()
            };
            self.wait(&adopted, PATIENCE)
                .await
                .map_err(|error| error.context("adoption"))?;
        }
        self.begun = Instant::now();
        for (number, step) in scenario.script.iter().enumerate() {
            self.step(step)
                .await
                .map_err(|error| error.context(format!("step {} of the script", number + 1)))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        if let Some(at) = step.at {
            tokio::time::sleep_until(self.begun + Duration::from_secs_f64(at)).await;
        }
        if let Some(when) = &step.when {
            // With something going wrong it may take longer, but must come.
            let within = step.within.map(Duration::from_secs_f64).filter(|_| !self.disturbed);
            self.wait(when, within.unwrap_or(PATIENCE)).await?;
        }
        if let Some(after) = step.after {
            tokio::time::sleep(Duration::from_secs_f64(after)).await;
        }
        for deed in &step.deeds {
            self.perform(deed)?;
        }
        if let Some(expected) = &step.expect {
            let wrong = self.differences(expected);
            anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        }
        if let Some(always) = &step.always {
            let end = Instant::now() + Duration::from_secs_f64(step.length.unwrap_or_default());
            let mut seen = 0;
            while Instant::now() < end {
                if self.moved(&mut seen) {
                    let wrong = self.differences(always);
                    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Waits until facts are true.
    pub async fn wait(&self, facts: &Facts, within: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + within;
        let mut seen = 0;
        loop {
            if !self.moved(&mut seen) && Instant::now() < end {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let wrong = self.differences(facts);
            if wrong.is_empty() {
                return Ok(());
            }
            let status = self
                .status()
                .map(|status| format!("{}: {}", status.phase, status.message))
                .unwrap_or_default();
            anyhow::ensure!(
                Instant::now() < end,
                "not within {within:?}: {} ({status})",
                wrong.join("; ")
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether anything has changed since the version that was seen last.
    fn moved(&self, seen: &mut u64) -> bool {
        let version = lock(&self.cluster).store.version();
        std::mem::replace(seen, version) != version
    }

    /// Waits until nothing moves any more; returns the calls besides watches meanwhile.
    pub async fn rest(&self) -> anyhow::Result<usize> {
        let end = Instant::now() + LONGEST;
        loop {
            let before = lock(&self.cluster).store.version();
            let calls = || self.controller.lives().iter().filter_map(|life| life.last_call()).max();
            let last = calls();
            tokio::time::sleep(REST).await;
            let still = lock(&self.cluster).store.version() == before;
            let resting = self.status().is_none_or(|status| {
                let phase = matches!(status.phase, Phase::Idle | Phase::Succeeded | Phase::RolledBack);
                phase && status.kept.is_empty() && status.draining.is_empty()
            });
            if still && resting {
                return Ok(usize::from(calls() != last));
            }
            let status = self
                .status()
                .map(|status| format!("{}: {}", status.phase, status.message))
                .unwrap_or_default();
            anyhow::ensure!(Instant::now() < end, "it does not come to rest ({status})");
        }
    }
}
