//! Load for the example app: Zipf-distributed reads at a steady rate, every failed request reported.

#![allow(
    clippy::disallowed_methods,
    reason = "only the engine of Warmfront is fenced off from time and tasks"
)]

#[path = "../../duration.rs"]
mod duration;

mod args;
mod counts;
mod send;
mod times;
mod zipf;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use clap::Parser;
use tokio::{sync::Semaphore, time::MissedTickBehavior};

use args::Args;
use counts::Counts;
use send::Connection;
use zipf::Zipf;

/// Requests under way at once; more means that the service does not keep up.
const IN_FLIGHT: usize = 512;

struct Load {
    args: Args,
    counts: Mutex<Counts>,
    /// Kept connections and when each was last used; the last used one is taken first.
    idle: Mutex<Vec<(Connection, Instant)>>,
    permits: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
fn now() -> u64 {
    u64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis(),
    )
    .unwrap_or_default()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (rate, started) = (args.rate, Instant::now());
    let (end, timeout) = (started + args.duration, args.timeout);
    let mut zipf = Zipf::new(args.products, args.exponent, args.seed.unwrap_or_else(now));
    let mut progress = tokio::time::interval(args.progress_interval.max(Duration::from_millis(100)));
    progress.reset();
    let load = Arc::new(Load {
        args,
        counts: Mutex::default(),
        idle: Mutex::default(),
        permits: Arc::new(Semaphore::new(IN_FLIGHT)),
    });

    let mut schedule = tokio::time::interval(Duration::from_secs(1) / rate);
    schedule.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut rewrite = tokio::time::interval(Duration::from_secs(1));
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).context("listening for SIGINT")?;
    loop {
        tokio::select! {
            // The time at which the request was due, not the one at which there was time for it.
            due = schedule.tick() => {
                let product = zipf.draw();
                let Ok(permit) = load.permits.clone().try_acquire_owned() else {
                    load.record(product, &format!("more than {IN_FLIGHT} requests under way"), None, Duration::ZERO);
                    continue;
                };
                let load = load.clone();
                tokio::spawn(async move {
                    load.request(product, due.into_std()).await;
                    drop(permit);
                });
            }
            _ = progress.tick() => load.progress(started.elapsed()),
            _ = rewrite.tick() => load.write()?,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = tokio::time::sleep_until(end.into()) => break,
        }
    }
    // What is under way still counts.
    let _ = tokio::time::timeout(
        timeout + Duration::from_secs(1),
        load.permits.acquire_many(u32::try_from(IN_FLIGHT).unwrap_or(u32::MAX)),
    )
    .await;
    load.progress(started.elapsed());
    load.write()?;
    println!("{}", serde_json::to_string(&load.summary())?);
    Ok(())
}
