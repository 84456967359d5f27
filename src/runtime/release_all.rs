//! Gives every workload back before Warmfront is uninstalled: by the controller itself, as the only one that runs.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{interval, sleep},
};
use tracing_subscriber::util::SubscriberInitExt;

use super::{Purpose, args, config, start};
use crate::{
    api::FIELD_MANAGER,
    controller::{Context, panics},
    log,
};

/// How often it is looked whether everything is given back.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks it is logged what is left.
const TOLD_EVERY: u32 = 10;

/// Gives every workload back. Why that failed is the last line in the log.
pub async fn release_all(args: args::ReleaseAll) -> ExitCode {
    log::to(&args.run.log, std::io::stdout).init();
    panics::install();
    match stop_and_give_back(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "not everything is given back");
            ExitCode::FAILURE
        }
    }
}

async fn stop_and_give_back(args: args::ReleaseAll) -> anyhow::Result<()> {
    let config = config().await?;
    let stopped = match &args.deployment {
        Some(name) => Some(Stopped::stop(&config, &args.run.election, name).await?),
        None => None,
    };
    let result = give_back(config, args).await;
    if let (Err(_), Some(stopped)) = (&result, stopped) {
        stopped.start().await?;
    }
    result
}

async fn give_back(config: Config, args: args::ReleaseAll) -> anyhow::Result<()> {
    let deadline = sleep(Duration::from(args.deadline));
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut tasks = start(config, args.run, Purpose::GiveBack).await?;
    let context = tasks.context.clone();
    let result = tokio::select! {
        () = given_back(&context) => Ok(()),
        ended = tasks.ended() => return ended,
        _ = terminate.recv() => Err(left(&context, "it was told to stop")),
        () = deadline => Err(left(&context, &format!("the deadline of {} is over", args.deadline))),
    };
    tasks.stop().await?;
    result
}

/// Waits until no rollout has the finalizer.
async fn given_back(context: &Context) {
    let (mut looks, mut clock) = (0_u32, interval(LOOK));
    loop {
        clock.tick().await;
        let in_sync = context.readiness.is_ready() && context.leadership.is_held();
        let left = context.not_let_go();
        if in_sync && left.is_empty() {
            tracing::info!("every workload is given back");
            return;
        }
        if looks.is_multiple_of(TOLD_EVERY) {
            if in_sync {
                tracing::info!(
                    "{} CanaryRollouts are to be given back: {}",
                    left.len(),
                    left.join("; ")
                );
            } else {
                tracing::info!("waiting for the watches, and for the lease");
            }
        }
        looks = looks.saturating_add(1);
    }
}

fn left(context: &Context, why: &str) -> anyhow::Error {
    let left = context.not_let_go();
    if left.is_empty() {
        return anyhow::anyhow!("{why}, and the watches are not in sync, or another process holds the lease");
    }
    anyhow::anyhow!(
        "{why}, and {} CanaryRollouts still hold their workloads: settle what they wait for and try again, or delete them: {}",
        left.len(),
        left.join("; ")
    )
}

/// The controller's Deployment while it is scaled to 0.
struct Stopped {
    api: Api<Deployment>,
    name: String,
    replicas: i32,
}

impl Stopped {
    async fn stop(config: &Config, election: &args::Election, name: &str) -> anyhow::Result<Self> {
        let client = Client::try_from(config.clone()).context("setting up the client of the API server")?;
        let namespace = election.lease_namespace.as_deref().unwrap_or(&config.default_namespace);
        let api: Api<Deployment> = Api::namespaced(client, namespace);
        let found = api
            .get_opt(name)
            .await
            .with_context(|| format!("reading Deployment {namespace}/{name}"))?;
        let replicas = found.map_or(0, |found| found.spec.and_then(|spec| spec.replicas).unwrap_or(1));
        let stopped = Self {
            api,
            name: name.to_owned(),
            replicas,
        };
        if replicas > 0 {
            stopped.scale(0).await?;
        }
        Ok(stopped)
    }

    /// Lets the controller run again.
    async fn start(&self) -> anyhow::Result<()> {
        if self.replicas > 0 {
            self.scale(self.replicas).await?;
        }
        Ok(())
    }

    async fn scale(&self, replicas: i32) -> anyhow::Result<()> {
        let name = &self.name;
        tracing::info!(name, replicas, "scaling the controller's Deployment");
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let scaled = self.api.patch(name, &params, &patch).await;
        scaled.with_context(|| format!("scaling Deployment {name} to {replicas}"))?;
        Ok(())
    }
}
