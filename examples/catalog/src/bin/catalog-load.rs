//! Load for the example app: Zipf-distributed reads at a steady rate, every failed request reported.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::TcpStream, sync::Semaphore, time::MissedTickBehavior};

/// Reads products at a steady rate.
#[derive(Debug, Parser)]
struct Args {
    /// Address to send to: loopback or a private one.
    #[arg(long)]
    target: SocketAddr,
    /// Name of the site.
    #[arg(long, default_value = "catalog.example")]
    host: String,
    /// Requests a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Seconds after which it stops; a signal stops it earlier.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Number of products.
    #[arg(long, default_value_t = 10_000)]
    products: u32,
    /// Exponent of the distribution.
    #[arg(long, default_value_t = 1.1)]
    exponent: f64,
    /// Whether connections are kept.
    #[arg(long, value_enum, default_value_t = Connections::KeepAlive)]
    connections: Connections,
    /// File for the counts, written anew every second.
    #[arg(long)]
    summary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Connections {
    KeepAlive,
    PerRequest,
}

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way at once; more means that the service does not keep up.
const IN_FLIGHT: usize = 512;

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    sent: u64,
    ok: u64,
    failed: u64,
    /// By status or kind of error.
    failures: BTreeMap<String, u64>,
    /// Answers by `x-version`.
    versions: BTreeMap<String, u64>,
    #[serde(skip)]
    slowest: Vec<Duration>,
}

struct Load {
    args: Args,
    summary: Mutex<Summary>,
    idle: Mutex<Vec<http1::SendRequest<Empty<Bytes>>>>,
    permits: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws products: the n-th most wanted one with a probability in proportion to n^-exponent.
struct Zipf {
    cumulative: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(products: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=products).map(|rank| f64::from(rank).powf(-exponent));
        let cumulative = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self { cumulative, state: 0x9E37_79B9_7F4A_7C15 }
    }

    #[allow(clippy::cast_precision_loss, reason = "only 53 bits are used")]
    fn draw(&mut self) -> usize {
        // xorshift64: reproducible, and no test needs better.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let share = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        let wanted = share * self.cumulative.last().copied().unwrap_or_default();
        self.cumulative.partition_point(|sum| *sum < wanted) + 1
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let allowed = match args.target.ip() {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        std::net::IpAddr::V6(ip) => ip.is_loopback(),
    };
    anyhow::ensure!(allowed, "{} is neither loopback nor private: load is for test clusters only", args.target);
    let (rate, end) = (args.rate.max(1), Instant::now() + Duration::from_secs(args.seconds));
    let mut zipf = Zipf::new(args.products.max(1), args.exponent);
    let load = Arc::new(Load { args, summary: Mutex::default(), idle: Mutex::default(), permits: Arc::new(Semaphore::new(IN_FLIGHT)) });

    let mut schedule = tokio::time::interval(Duration::from_secs(1) / rate);
    schedule.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut report = tokio::time::interval(Duration::from_secs(1));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("listening for SIGTERM")?;
    loop {
        tokio::select! {
            _ = schedule.tick() => {
                let Ok(permit) = load.permits.clone().try_acquire_owned() else {
                    load.record("too many requests under way", None, Duration::ZERO);
                    continue;
                };
                let (load, product) = (load.clone(), zipf.draw());
                tokio::spawn(async move {
                    load.request(product).await;
                    drop(permit);
                });
            }
            _ = report.tick() => load.report()?,
            _ = terminate.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
        }
        if Instant::now() >= end {
            break;
        }
    }
    // What is under way still counts.
    let _ = tokio::time::timeout(TIMEOUT, load.permits.acquire_many(u32::try_from(IN_FLIGHT).unwrap_or(u32::MAX))).await;
    load.report()?;
    println!("{}", serde_json::to_string(&*lock(&load.summary))?);
    Ok(())
}

impl Load {
    async fn request(&self, product: usize) {
        let started = Instant::now();
        match tokio::time::timeout(TIMEOUT, self.send(product)).await {
            Ok(Ok((status, version))) => self.record(&status.to_string(), version, started.elapsed()),
            Ok(Err(error)) => self.record(&format!("{error:#}"), None, started.elapsed()),
            Err(_) => self.record("no answer in time", None, started.elapsed()),
        }
    }

    async fn send(&self, product: usize) -> anyhow::Result<(u16, Option<String>)> {
        let keep = self.args.connections == Connections::KeepAlive;
        let kept = if keep { lock(&self.idle).pop().filter(|kept| kept.is_ready()) } else { None };
        let mut connection = match kept {
            Some(kept) => kept,
            None => {
                let stream = TcpStream::connect(self.args.target).await.context("connecting")?;
                let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.context("beginning to talk HTTP")?;
                tokio::spawn(driver);
                sender
            }
        };
        let request =
            Request::get(format!("/products/{product}")).header("host", &self.args.host).header("connection", if keep { "keep-alive" } else { "close" });
        let response = connection.send_request(request.body(Empty::new())?).await.context("sending")?;
        let status = response.status().as_u16();
        let version = response.headers().get("x-version").and_then(|value| value.to_str().ok()).map(str::to_owned);
        response.into_body().collect().await.context("reading the answer")?;
        if keep {
            lock(&self.idle).push(connection);
        }
        Ok((status, version))
    }

    fn record(&self, result: &str, version: Option<String>, took: Duration) {
        let mut summary = lock(&self.summary);
        summary.sent += 1;
        if let Some(version) = &version {
            *summary.versions.entry(version.clone()).or_default() += 1;
        }
        if result == "200" {
            summary.ok += 1;
        } else {
            summary.failed += 1;
            *summary.failures.entry(result.to_owned()).or_default() += 1;
            eprintln!("failed after {} requests: {result} ({}, {} ms)", summary.sent, version.as_deref().unwrap_or("no version"), took.as_millis());
        }
        summary.slowest.push(took);
    }

    /// One line a second, and the file for other programs.
    fn report(&self) -> anyhow::Result<()> {
        let mut summary = lock(&self.summary);
        let mut times = std::mem::take(&mut summary.slowest);
        times.sort_unstable();
        let quantile = |percent: usize| times.get(times.len() * percent / 100).map_or(0, Duration::as_millis);
        eprintln!("{} sent, {} failed, p50 {} ms, p99 {} ms, {:?}", summary.sent, summary.failed, quantile(50), quantile(99), summary.versions);
        if let Some(path) = &self.args.summary {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, serde_json::to_vec(&*summary)?).with_context(|| format!("writing {}", fresh.display()))?;
            std::fs::rename(&fresh, path).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}
