//! What Warmfront costs with many rollouts: measures one size on a running control plane, or reports what was measured.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the fence is the engine's"
)]

mod audit;
mod controller;
mod figures;
mod histogram;
mod journal;
mod measure;
mod report;
mod standins;
mod world;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use figures::Size;

#[derive(Parser)]
#[command(about)]
enum Command {
    /// Measure one size on the control plane that tests/bench/up has brought up.
    Measure(Measure),
    /// Print what was measured as Markdown.
    Report(Report),
}

/// What is measured, and for how long.
#[derive(clap::Args)]
pub struct Measure {
    /// Number of rollouts; with `-idle` behind it only what they cost at rest is measured.
    #[arg(long)]
    size: Size,
    /// Folder of the control plane.
    #[arg(long)]
    state: PathBuf,
    /// The rules of the controller's ClusterRole.
    #[arg(long)]
    rules: PathBuf,
    /// The controller's binary.
    #[arg(long)]
    controller: PathBuf,
    /// Folder to which the figures are written.
    #[arg(long)]
    results: PathBuf,
    /// Seconds for which rollouts are watched at rest.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
    /// Seconds for which releases are watched.
    #[arg(long, default_value_t = 120)]
    active_seconds: u64,
    /// Metrics that are flipped for each row.
    #[arg(long, default_value_t = 20)]
    flips: usize,
    /// Seconds for which the metrics store is down.
    #[arg(long, default_value_t = 120)]
    outage_seconds: u64,
    /// Deployments that no rollout names, in namespaces of others.
    #[arg(long, default_value_t = 0)]
    foreign: usize,
    /// Measure nothing but these: idle, hostile, active, flip, release, kill, outage, beside (a hostile namespace).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(clap::Args)]
struct Report {
    /// What was measured.
    #[arg(long)]
    commit: String,
    /// Folder with the figures.
    #[arg(long)]
    results: PathBuf,
    /// The sizes, one column each.
    sizes: Vec<Size>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Report(report) => {
            print!("{}", report::markdown(&report.commit, &report.results, &report.sizes)?);
            Ok(())
        }
        Command::Measure(measure) => {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            provider
                .install_default()
                .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
            let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
            // Whichever way this ends, the controller is killed when its handle goes.
            tokio::select! {
                done = measure::run(&measure) => done,
                _ = terminate.recv() => anyhow::bail!("SIGTERM"),
            }
        }
    }
}
