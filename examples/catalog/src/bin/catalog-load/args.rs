//! What is asked of the load, and where it may be sent.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, ValueEnum};

use crate::duration;

/// Reads products at a steady rate.
#[derive(Debug, Parser)]
pub struct Args {
    /// Where to send to, such as `10.77.0.1:8080` or `http://127.0.0.1:8080`: loopback or a private address, nothing else.
    #[arg(long, alias = "url", value_parser = target)]
    pub target: SocketAddr,
    /// Name of the site.
    #[arg(long, default_value = "catalog.example")]
    pub host: String,
    /// Requests a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub rate: u32,
    /// After this it stops; SIGTERM or SIGINT stops it earlier.
    #[arg(long, alias = "seconds", default_value = "10m", value_parser = duration::parse)]
    pub duration: Duration,
    /// Number of products.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub products: u32,
    /// Exponent of the distribution.
    #[arg(long, default_value_t = 1.1)]
    pub exponent: f64,
    /// Repeats the very same reads; without it, every run draws its own.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Whether connections are kept.
    #[arg(long, value_enum, default_value_t = Connections::KeepAlive)]
    pub connections: Connections,
    /// Longest wait for one answer.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Time between lines of progress.
    #[arg(long, default_value = "1s", value_parser = duration::parse)]
    pub progress_interval: Duration,
    /// File for the counts, replaced every second, so that another program can watch them.
    #[arg(long)]
    pub summary: Option<PathBuf>,
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
pub enum Connections {
    KeepAlive,
    PerRequest,
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
