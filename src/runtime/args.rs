//! Command line of `warmfront`.

use std::net::SocketAddr;

use clap::{Parser, Subcommand};

/// Progressive delivery for cached services on Kubernetes.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller.
    Run(Run),
    /// Print the CustomResourceDefinitions as YAML.
    Crd,
    /// Print the controller's ClusterRole rules as YAML, each with its reason.
    Rbac,
}

/// Options of the controller.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "WARMFRONT_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Filter of the log, such as `info` or `warmfront=debug`.
    #[arg(long, env = "WARMFRONT_LOG", default_value = "info")]
    pub log: String,
}
