//! Load on one app: the example's generator as a process of its own.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::{Child, Command};

/// Runs until it is stopped or dropped, and by itself for ten minutes at most.
pub struct Load {
    _child: Child,
    summary: PathBuf,
}

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Kept for further requests.
    KeepAlive,
    /// A new one each time.
    PerRequest,
}

impl Load {
    /// Starts and waits for the first answers.
    pub async fn start(host: &str, rate: u32, connections: Connections) -> anyhow::Result<Self> {
        let variable = |name: &str| {
            std::env::var(name).with_context(|| format!("{name} is not set: run these tests by `make test`"))
        };
        let summary = std::env::temp_dir().join(format!("load-{host}-{}.json", std::process::id()));
        let connections = if connections == Connections::KeepAlive {
            "keep-alive"
        } else {
            "per-request"
        };
        let child = Command::new(variable("WF_LOAD")?)
            .args([
                "--target",
                &variable("WF_GATEWAY")?,
                "--host",
                host,
                "--rate",
                &rate.to_string(),
                "--duration",
                "10m",
                "--connections",
                connections,
            ])
            .arg("--summary")
            .arg(&summary)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting catalog-load")?;
        let load = Self { _child: child, summary };
        load.settled().await?;
        Ok(load)
    }

    async fn read(&self) -> Option<Value> {
        serde_json::from_slice(&tokio::fs::read(&self.summary).await.ok()?).ok()
    }

    /// Waits until what was answered before the call is in the summary, which is written every second.
    async fn settled(&self) -> anyhow::Result<Value> {
        let sent = |summary: &Value| summary["sent"].as_u64().unwrap_or_default();
        let from = self.read().await.as_ref().map_or(0, sent);
        let mut written = 0;
        let mut last = from;
        for _ in 0..200 {
            if let Some(summary) = self.read().await.filter(|summary| sent(summary) > last) {
                (last, written) = (sent(&summary), written + 1);
                if written == 2 {
                    return Ok(summary);
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the load generator writes no summary: {}", self.summary.display())
    }

    /// Failed requests so far.
    pub async fn failed(&self) -> anyhow::Result<u64> {
        Ok(self.settled().await?["failed"].as_u64().unwrap_or_default())
    }

    /// Stops it and tells how many requests failed, by kind.
    pub async fn stop(self) -> anyhow::Result<(u64, Value)> {
        let summary = self.settled().await?;
        Ok((
            summary["failed"].as_u64().unwrap_or_default(),
            summary["failures"].clone(),
        ))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // The process ends when its handle is dropped.
        let _ = std::fs::remove_file(&self.summary);
    }
}
