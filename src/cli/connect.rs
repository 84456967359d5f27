//! The client, from the user's kubeconfig as kubectl reads it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{flags::Flags, trouble};

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    /// Sends requests to it.
    pub client: Client,
    /// The namespace that is meant where none is named.
    pub namespace: String,
    /// What errors call it, such as `https://10.0.0.1:6443`.
    pub server: String,
    /// How long one request may take.
    pub timeout: Duration,
}

impl Cluster {
    /// Waits for the answer to one request; `tried` says what it is for, as errors call it.
    pub async fn ask<T>(&self, tried: &str, request: impl Future<Output = kube::Result<T>>) -> anyhow::Result<T> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(answer) => answer.map_err(|error| trouble::explain(&self.server, tried, &error)),
            Err(_) => bail!(
                "{tried} failed: {} has not answered within {} s; is it up, and is the context right (--context)? --request-timeout \
                 waits longer",
                self.server,
                self.timeout.as_secs_f64()
            ),
        }
    }
}

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// Connects as the flags say. It makes no request; a credential plugin of the kubeconfig runs at the first one.
pub async fn connect(flags: &Flags) -> anyhow::Result<Cluster> {
    let mut config = impersonating(config(flags).await?, flags);
    if let Some(namespace) = &flags.namespace {
        config.default_namespace.clone_from(namespace);
    }
    config.connect_timeout = Some(CONNECT);
    let namespace = config.default_namespace.clone();
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = Client::try_from(config).with_context(|| {
        format!(
            "making a client for {server} failed; `kubectl config view --minify` shows the user and the proxy that it was to use \
             (of auth providers only `exec` is supported, and no proxy-url)"
        )
    })?;
    Ok(Cluster {
        client,
        namespace,
        server,
        timeout: Duration::from_millis(flags.request_timeout.as_millis()),
    })
}

fn impersonating(mut config: Config, flags: &Flags) -> Config {
    if let Some(user) = &flags.as_user {
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_groups = Some(flags.as_group.clone()).filter(|groups| !groups.is_empty());
    }
    config
}

async fn config(flags: &Flags) -> anyhow::Result<Config> {
    let place = place(flags);
    let read = match &flags.kubeconfig {
        Some(path) => Kubeconfig::read_from(path).map(Some),
        None if files().is_empty() => Ok(None),
        None => Kubeconfig::read().map(Some),
    };
    let read = read.with_context(|| format!("reading {place} failed; name another file with --kubeconfig"))?;
    let Some(kubeconfig) = read else {
        return in_cluster(flags);
    };
    let known: Vec<&str> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.as_str())
        .collect();
    let known = if known.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", known.join(", "))
    };
    let meant = flags.context.clone().or_else(|| kubeconfig.current_context.clone());
    if meant.as_deref().is_none_or(str::is_empty) && (flags.cluster.is_none() || flags.user.is_none()) {
        bail!(
            "{place} has no current context; name one with --context ({known}), or run `kubectl config use-context NAME`"
        );
    }
    let options = KubeConfigOptions {
        context: flags.context.clone(),
        cluster: flags.cluster.clone(),
        user: flags.user.clone(),
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .with_context(|| {
            let meant = meant.unwrap_or_default();
            format!("reading context {meant:?} of {place} failed; name another one with --context ({known})")
        })
}

/// Inside a pod its service account says where the cluster is.
fn in_cluster(flags: &Flags) -> anyhow::Result<Config> {
    if flags.context.is_some() || flags.cluster.is_some() || flags.user.is_some() {
        bail!(
            "there is no kubeconfig: KUBECONFIG names no file that exists, and there is no ~/.kube/config; name one with --kubeconfig"
        );
    }
    Config::incluster().map_err(|error| {
        anyhow!(
            "there is no kubeconfig (KUBECONFIG names no file that exists, and there is no ~/.kube/config), and this is not a pod \
             with a service account ({error}); name a kubeconfig with --kubeconfig"
        )
    })
}

/// Files of the kubeconfig that exist.
fn files() -> Vec<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").filter(|named| !named.is_empty());
    let files = match named {
        Some(named) => std::env::split_paths(&named).collect(),
        None => std::env::home_dir()
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect::<Vec<_>>(),
    };
    files.into_iter().filter(|file| file.exists()).collect()
}

/// What errors call the kubeconfig.
fn place(flags: &Flags) -> String {
    let files = flags.kubeconfig.clone().map_or_else(files, |path| vec![path]);
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    format!("the kubeconfig {}", files.join(", "))
}

#[cfg(test)]
mod tests;
