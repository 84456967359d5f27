//! Flags that every command has, named as kubectl names them.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::api::Duration;

/// Which cluster is meant, as whom, and how to print.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Flags {
    /// Path of the kubeconfig. Default: the files in KUBECONFIG, merged; without it `~/.kube/config`; inside a pod its service account.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig's context. Default: its current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Name of the kubeconfig's cluster, instead of the context's.
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Name of the kubeconfig's user, instead of the context's.
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Namespace. Default: the context's, or `default`.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Ask as this user; needs the right to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Ask as a member of this group, besides `--as`; may be given several times.
    #[arg(long, global = true, value_name = "GROUP", requires = "as_user")]
    pub as_group: Vec<String>,
    /// How long one request may take, such as `10s`. Watches are not bounded by it.
    #[arg(long, global = true, value_name = "TIME", default_value = "30s")]
    pub request_timeout: Duration,
    /// How to print. Default: for people.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<Output>,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, with more columns.
    Wide,
    /// The objects, or what was found, as JSON.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names only, such as `canaryrollout.warmfront.dev/catalog`.
    Name,
}
