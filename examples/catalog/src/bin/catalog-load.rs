//! Load for the example app: Zipf-distributed reads at a steady rate, every failed request reported.

#![allow(
    clippy::disallowed_methods,
    reason = "only the engine of Warmfront is fenced off from time and tasks"
)]

#[path = "../duration.rs"]
mod duration;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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
    /// Where to send to, such as `10.77.0.1:8080` or `http://127.0.0.1:8080`: loopback or a private address, nothing else.
    #[arg(long, alias = "url", value_parser = target)]
    target: SocketAddr,
    /// Name of the site.
    #[arg(long, default_value = "catalog.example")]
    host: String,
    /// Requests a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// After this it stops; SIGTERM or SIGINT stops it earlier.
    #[arg(long, alias = "seconds", default_value = "10m", value_parser = duration::parse)]
    duration: Duration,
    /// Number of products.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    products: u32,
    /// Exponent of the distribution.
    #[arg(long, default_value_t = 1.1)]
    exponent: f64,
    /// Repeats the very same reads; without it, every run draws its own.
    #[arg(long)]
    seed: Option<u64>,
    /// Whether connections are kept.
    #[arg(long, value_enum, default_value_t = Connections::KeepAlive)]
    connections: Connections,
    /// Longest wait for one answer.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// Time between lines of progress.
    #[arg(long, default_value = "1s", value_parser = duration::parse)]
    progress_interval: Duration,
    /// File for the counts, replaced every second, so that another program can watch them.
    #[arg(long)]
    summary: Option<PathBuf>,
}

fn target(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("`{text}` is not an IP address and port such as `http://10.77.0.1:8080`"))?;
    let allowed = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    if allowed {
        Ok(address)
    } else {
        Err(format!(
            "{address} is neither loopback nor private: this load is for test clusters only"
        ))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Connections {
    KeepAlive,
    PerRequest,
}

/// Requests under way at once; more means that the service does not keep up.
const IN_FLIGHT: usize = 512;

/// How long a kept connection may lie unused. Gateways close theirs after a minute or more; a request sent in that
/// very moment is answered by a reset, which would count as a failure of the release.
const IDLE: Duration = Duration::from_secs(20);

/// The counts that are printed and written.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
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

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// Counts of requests by how long they took, in steps of a tenth of a millisecond: the size does not grow with the load.
#[derive(Default)]
struct Times {
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Times {
    fn add(&mut self, took: Duration) {
        *self
            .counts
            .entry(u64::try_from(took.as_micros() / 100).unwrap_or(u64::MAX))
            .or_default() += 1;
        self.total += 1;
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 53 bits")]
    fn at(&self, per_mille: u64) -> f64 {
        let wanted = (self.total * per_mille).div_ceil(1_000);
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        found.map_or(0.0, |(tenths, _)| *tenths as f64 / 10.0)
    }

    fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.at(500),
            p90: self.at(900),
            p99: self.at(990),
            p999: self.at(999),
            max: self.at(1_000),
        }
    }
}

/// What was counted, in all and since the last line of progress.
#[derive(Default)]
struct Counts {
    all: Summary,
    times: Times,
    recent: Times,
}

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

/// Draws products: the n-th most wanted one with a probability in proportion to n^-exponent.
struct Zipf {
    cumulative: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(products: u32, exponent: f64, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=products).map(|rank| f64::from(rank).powf(-exponent));
        let cumulative = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self {
            cumulative,
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).max(1),
        }
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

type Connection = http1::SendRequest<Empty<Bytes>>;

impl Load {
    async fn request(&self, product: usize, due: Instant) {
        match tokio::time::timeout(self.args.timeout, self.send(product)).await {
            Ok(Ok((status, version))) => self.record(product, &status.to_string(), version, due.elapsed()),
            Ok(Err(error)) => self.record(product, &format!("{error:#}"), None, due.elapsed()),
            Err(_) => self.record(product, "no answer in time", None, due.elapsed()),
        }
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.args.target).await.context("connecting")?;
        stream.set_nodelay(true).context("connecting")?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .context("beginning to talk HTTP")?;
        tokio::spawn(driver);
        Ok(sender)
    }

    async fn send(&self, product: usize) -> anyhow::Result<(u16, Option<String>)> {
        let keep = self.args.connections == Connections::KeepAlive;
        let request = || {
            let request = Request::get(format!("/products/{product}")).header("host", &self.args.host);
            request
                .header("connection", if keep { "keep-alive" } else { "close" })
                .body(Empty::new())
        };
        let mut again = request()?;
        let (response, connection) = loop {
            let kept = lock(&self.idle)
                .pop()
                .filter(|(_, used)| used.elapsed() < IDLE)
                .map(|(connection, _)| connection);
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            match connection.try_send_request(again).await {
                Ok(response) => break (response, connection),
                // A kept connection that the peer had closed: nothing of the request was sent, so another one takes it, as browsers do.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => again = unsent,
                    _ => return Err(error.into_error()).context("sending"),
                },
            }
        };
        let status = response.status().as_u16();
        let version = response
            .headers()
            .get("x-version")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        response.into_body().collect().await.context("reading the answer")?;
        if keep && !connection.is_closed() {
            lock(&self.idle).push((connection, Instant::now()));
        }
        Ok((status, version))
    }

    fn record(&self, product: usize, result: &str, version: Option<String>, took: Duration) {
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

    fn summary(&self) -> Summary {
        let counts = lock(&self.counts);
        Summary {
            latency_ms: counts.times.quantiles(),
            ..counts.all.clone()
        }
    }

    /// One line of progress.
    fn progress(&self, elapsed: Duration) {
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
    fn write(&self) -> anyhow::Result<()> {
        if let Some(path) = &self.args.summary {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, serde_json::to_vec(&self.summary())?)
                .with_context(|| format!("writing {}", fresh.display()))?;
            std::fs::rename(&fresh, path).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_prefers_the_first_as_the_law_says() {
        let mut zipf = Zipf::new(1_000, 1.1, 1);
        let mut seen = vec![0_u32; 1_001];
        for _ in 0..200_000 {
            seen[zipf.draw()] += 1;
        }
        assert_eq!(seen[0], 0, "products are numbered from 1");
        let expected: f64 = 200_000.0 / (1..=1_000).map(|rank| f64::from(rank).powf(-1.1)).sum::<f64>();
        for rank in [1_u32, 2, 10] {
            let wanted = expected * f64::from(rank).powf(-1.1);
            let found = f64::from(seen[rank as usize]);
            assert!(
                (found - wanted).abs() < wanted * 0.05,
                "rank {rank}: {found} of {wanted}"
            );
        }
    }

    #[test]
    fn one_product_is_always_that_one() {
        assert_eq!(Zipf::new(1, 1.1, 0).draw(), 1);
    }

    #[test]
    fn only_loopback_and_private_targets() {
        for text in [
            "127.0.0.1:80",
            "http://10.77.0.1:8080/",
            "192.168.1.1:80",
            "172.16.0.1:80",
            "[::1]:80",
            "[fd00::1]:80",
        ] {
            assert!(target(text).is_ok(), "{text}");
        }
        for text in [
            "8.8.8.8:80",
            "172.32.0.1:80",
            "169.254.169.254:80",
            "[2001:db8::1]:80",
            "example:80",
            "10.0.0.1",
        ] {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantiles_by_nearest_rank() {
        let mut times = Times::default();
        assert!(times.at(990).abs() < f64::EPSILON, "nothing seen yet");
        (1..=100).for_each(|ms| times.add(Duration::from_millis(ms)));
        let found = times.quantiles();
        assert_eq!(
            format!("{found:?}"),
            "Quantiles { p50: 50.0, p90: 90.0, p99: 99.0, p999: 100.0, max: 100.0 }"
        );
    }
}
