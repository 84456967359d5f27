//! Environment variables of the app; faults are among them, so that a bad version is just another value in the pod template.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use axum::http::HeaderValue;
use clap::Parser;

/// A product catalog that reads through a cache.
#[derive(Debug, Parser)]
pub struct Config {
    /// Address of the service.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// PostgreSQL, such as `postgres://catalog@postgres/catalog`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Redis, such as `redis://redis/`.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: String,
    /// How long a product stays in the cache.
    #[arg(long, env = "CACHE_TTL", default_value = "10m", value_parser = lifetime)]
    pub cache_ttl: Duration,
    /// A cache slower than this is worse than the database.
    #[arg(long, env = "CACHE_TIMEOUT", default_value = "50ms", value_parser = patience)]
    pub cache_timeout: Duration,
    /// A database slower than this does not answer.
    #[arg(long, env = "DATABASE_TIMEOUT", default_value = "2s", value_parser = patience)]
    pub database_timeout: Duration,
    /// Prefix of keys; another one is a cold cache.
    #[arg(long, env = "CACHE_KEY_PREFIX", default_value = "catalog")]
    pub cache_key_prefix: String,
    /// Told in the header `x-version`.
    #[arg(long, env = "VERSION", default_value = "v1", value_parser = version)]
    pub version: HeaderValue,
    /// Products in the table.
    #[arg(long, env = "PRODUCTS", default_value_t = 10_000, value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    pub products: i32,
    /// Other products that are shown with one: a request looks up one more than this in the cache.
    #[arg(long, env = "RELATED", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=100))]
    pub related: i32,
    /// Milliseconds for which requests are still answered after SIGTERM.
    #[arg(long, env = "SHUTDOWN_GRACE_MS", default_value_t = 5_000)]
    pub shutdown_grace_ms: u64,
    /// Share of requests that fail, 0 to 1.
    #[arg(long, env = "FAULT_ERROR_SHARE", default_value = "0", value_parser = share)]
    pub fault_error_share: f64,
    /// Milliseconds added to every request.
    #[arg(long, env = "FAULT_LATENCY_MS", default_value_t = 0)]
    pub fault_latency_ms: u64,
    /// The cache is asked, under keys of its own, but never filled.
    #[arg(long, env = "FAULT_CACHE_NEVER_FILLED", default_value_t = false, action = clap::ArgAction::Set)]
    pub fault_cache_never_filled: bool,
    /// Ends with code 3 at start.
    #[arg(long, env = "FAULT_CRASH_AT_START", default_value_t = false, action = clap::ArgAction::Set)]
    pub fault_crash_at_start: bool,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = crate::duration::parse(text)?;
    if lifetime.as_secs() == 0 {
        Err("at least one second is needed".to_owned())
    } else {
        Ok(lifetime)
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let patience = crate::duration::parse(text)?;
    if patience.is_zero() {
        Err("at least one millisecond is needed".to_owned())
    } else {
        Ok(patience)
    }
}

fn version(text: &str) -> Result<HeaderValue, String> {
    text.parse()
        .map_err(|_| "not fit for the header `x-version`: use visible ASCII characters".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(format!("`{text}` is not between 0 and 1"))
    }
}

impl Config {
    /// The products shown with one, the same ones each time: the next ones, and the first again after the last.
    pub fn related_to(&self, id: i32) -> impl Iterator<Item = i32> {
        let products = self.products;
        (0..self.related).map(move |nth| id.saturating_add(nth).rem_euclid(products).saturating_add(1))
    }

    /// Where the database is. Read here and not by the command line, which would repeat a URL with its password in the error.
    pub fn database(&self) -> anyhow::Result<tokio_postgres::Config> {
        self.database_url
            .parse()
            .context("DATABASE_URL is not a PostgreSQL URL such as postgres://catalog@postgres/catalog")
    }

    /// Where the cache is.
    pub fn cache(&self) -> anyhow::Result<redis::Client> {
        redis::Client::open(self.redis_url.as_str()).context("REDIS_URL is not a Redis URL such as redis://redis/")
    }

    /// Whether the n-th request fails: evenly spread, so that even short spans have the share.
    #[allow(clippy::cast_precision_loss, reason = "request numbers fit 53 bits")]
    pub fn fails(&self, number: u64) -> bool {
        let reached = |n: u64| (n as f64 * self.fault_error_share).floor();
        reached(number + 1) > reached(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URLS: [&str; 2] = ["--database-url=postgres://db", "--redis-url=redis://cache"];

    fn config(more: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from(
            ["catalog"]
                .iter()
                .chain(if more.iter().any(|flag| flag.contains("-url")) {
                    &[]
                } else {
                    &URLS[..]
                })
                .chain(more),
        )
    }

    #[test]
    fn the_share_of_errors_is_met_exactly() {
        let config = config(&["--fault-error-share", "0.2"]).unwrap();
        assert_eq!((0..1_000).filter(|number| config.fails(*number)).count(), 200);
    }

    #[test]
    fn related_products_are_among_those_there_are() {
        let config = config(&["--products=10", "--related=3"]).unwrap();
        assert_eq!(config.related_to(1).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(config.related_to(9).collect::<Vec<_>>(), [10, 1, 2]);
        assert_eq!(config.related_to(i32::MAX).count(), 3);
    }

    #[test]
    fn bad_values_are_refused() {
        for (flag, value) in [
            ("--fault-error-share", "1.5"),
            ("--fault-error-share", "NaN"),
            ("--fault-error-share", "-0.1"),
            ("--fault-latency-ms", "slow"),
            ("--fault-cache-never-filled", "perhaps"),
            ("--fault-crash-at-start", "2"),
            ("--listen", "nowhere"),
            ("--cache-ttl", "0s"),
            ("--cache-ttl", "soon"),
            ("--cache-timeout", "0ms"),
            ("--database-timeout", "long"),
            ("--products", "0"),
            ("--related", "-1"),
            ("--shutdown-grace-ms", "-1"),
            ("--version", "v1\n"),
        ] {
            let error = config(&[&format!("{flag}={value}")]).unwrap_err().to_string();
            assert!(error.contains(flag), "{flag}: {error}");
        }
    }

    #[test]
    fn a_bad_url_is_named_without_its_password() {
        let config = config(&[
            "--database-url=postgres://u:secret@db:port/d",
            "--redis-url=http://u:secret@cache",
        ])
        .unwrap();
        let errors = [
            format!("{:#}", config.database().unwrap_err()),
            format!("{:#}", config.cache().err().unwrap()),
        ];
        for (error, name) in errors.iter().zip(["DATABASE_URL", "REDIS_URL"]) {
            assert!(error.contains(name) && !error.contains("secret"), "{error}");
        }
    }
}
