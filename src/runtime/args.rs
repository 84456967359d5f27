//! Command line of `warmfront`.

use std::net::SocketAddr;

use clap::{Parser, Subcommand};

use crate::{api::Duration, backtest::command::Backtest, controller::calls::LONGEST_CALL, simulate::command::Simulate};

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
    /// Give every workload back before Warmfront is uninstalled: routes, Services, ReplicaSets and autoscalers are as found, and no
    /// CanaryRollout keeps the finalizer. The CanaryRollouts stay. Ends when that is done.
    ReleaseAll(ReleaseAll),
    /// Show what Warmfront does with a CanaryRollout in a simulated world: its traffic, its caches, its database and what goes wrong
    /// there are made up, the engine and its judge are the real ones. Needs no cluster.
    Simulate(Simulate),
    /// Show what Warmfront would have done with a CanaryRollout in the past of a Prometheus: whether the running version would have
    /// passed as its own canary, or what would have become of two versions that ran side by side. Needs no cluster, and only reads.
    Backtest(Box<Backtest>),
    /// Print the CustomResourceDefinitions as YAML.
    Crd,
    /// Print the rules of the controller's ClusterRole, or of the Role in its own namespace, as YAML, each with its reason.
    Rbac {
        /// Those of the Role in its own namespace.
        #[arg(long)]
        own_namespace: bool,
    },
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
    /// Hosts outside of a rollout's own namespace that its gates and notifications may reach, separated by commas: names, addresses, or `*.example.com`.
    #[arg(long, env = "WARMFRONT_WEBHOOK_ALLOWED_HOSTS", value_delimiter = ',')]
    pub webhook_allowed_hosts: Vec<String>,
    /// Longest time of one call of a gate or notification, whatever its rollout says.
    #[arg(long, env = "WARMFRONT_WEBHOOK_LONGEST_CALL", default_value_t = LONGEST_CALL)]
    pub webhook_longest_call: Duration,
    /// Watch ConfigMaps, so that one that changes in place during a release is told of.
    #[arg(long, env = "WARMFRONT_CONFIG_MAPS", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub config_maps: bool,
    /// Who leads.
    #[command(flatten)]
    pub election: Election,
}

/// Options of the process that gives every workload back.
#[derive(Debug, clap::Args)]
pub struct ReleaseAll {
    /// Name of the controller's Deployment, in the namespace of the lease: it is scaled to 0 first, and back if not everything could
    /// be given back. Without it the controller must be stopped before.
    #[arg(long)]
    pub deployment: Option<String>,
    /// How long it may take, such as `4m`.
    #[arg(long, default_value = "4m")]
    pub deadline: Duration,
    /// As the controller.
    #[command(flatten)]
    pub run: Run,
}

/// Name of the lease, unless another one is given; the generated Role names it.
pub const LEASE: &str = "warmfront";

/// Options of leader election.
#[derive(Debug, clap::Args)]
pub struct Election {
    /// Of several processes let only the one that holds the lease work. Without it there must be one process at most.
    #[arg(long, env = "WARMFRONT_LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub leader_election: bool,
    /// Name of the lease.
    #[arg(long, env = "WARMFRONT_LEASE_NAME", default_value = LEASE)]
    pub lease_name: String,
    /// Namespace of the lease; that of the service account or the kubeconfig, if it is not given.
    #[arg(long, env = "POD_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of this process in the lease, different from that of every other process that runs; the host's name, if it is not given.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
}

impl Election {
    /// Name of this process in the lease.
    pub fn identity(&self) -> std::io::Result<String> {
        match &self.identity {
            Some(identity) => Ok(identity.clone()),
            None => Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned()),
        }
    }
}
