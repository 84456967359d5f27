//! Environment variables of the app; faults are among them, so that a bad version is just another value in the pod template.

use std::net::SocketAddr;

use clap::Parser;

/// A product catalog that reads through a cache.
#[derive(Debug, Parser)]
pub struct Config {
    /// Address of the service.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// PostgreSQL, such as `postgres://catalog@postgres/catalog`.
    #[arg(long, env = "DATABASE_URL")]
    pub database_url: String,
    /// Redis, such as `redis://redis/`.
    #[arg(long, env = "REDIS_URL")]
    pub redis_url: String,
    /// Seconds that a product stays in the cache.
    #[arg(long, env = "CACHE_TTL_SECONDS", default_value_t = 600)]
    pub cache_ttl_seconds: u64,
    /// Prefix of keys; another one is a cold cache.
    #[arg(long, env = "CACHE_KEY_PREFIX", default_value = "catalog")]
    pub cache_key_prefix: String,
    /// Told in the header `x-version`.
    #[arg(long, env = "VERSION", default_value = "v1")]
    pub version: String,
    /// Products in the table.
    #[arg(long, env = "PRODUCTS", default_value_t = 10_000)]
    pub products: i32,
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

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(format!("`{text}` is not between 0 and 1")) }
}

impl Config {
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

    fn config(more: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from(["catalog", "--database-url", "postgres://db", "--redis-url", "redis://cache"].iter().chain(more))
    }

    #[test]
    fn the_share_of_errors_is_met_exactly() {
        let config = config(&["--fault-error-share", "0.2"]).unwrap();
        assert_eq!((0..1_000).filter(|number| config.fails(*number)).count(), 200);
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(config(&["--fault-error-share", "1.5"]).is_err());
        assert!(config(&["--fault-cache-never-filled", "perhaps"]).is_err());
        assert!(config(&["--listen", "nowhere"]).is_err());
    }
}
