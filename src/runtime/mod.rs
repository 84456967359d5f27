//! Starts and stops the process: arguments, logs, the admin port, the watches and the controller.

pub mod admin;
pub mod args;
pub mod generate;
pub mod metrics;

use std::sync::Arc;

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    controller::{
        self, Context,
        caches::Readiness,
        context::{Backoff, Told},
        watches,
    },
    provider::shell::Shell,
};

/// Runs the controller until SIGTERM or SIGINT.
pub async fn run(args: args::Run) -> anyhow::Result<()> {
    tracing_subscriber::fmt().json().with_env_filter(tracing_subscriber::EnvFilter::new(&args.log)).init();
    let mut config = Config::infer().await.context("finding the API server: neither a service account nor a kubeconfig tells")?;
    // Retries are the controller's own: hidden ones would make a rollback wait.
    config.default_retry = false;
    let client = Client::try_from(config).context("setting up the client of the API server")?;

    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (caches, queue) = watches::open(&client, &tasks);
    let context = Arc::new(Context {
        client,
        caches,
        provider: Box::new(Shell::new().context("setting up the client of metrics stores")?),
        clock: Box::new(jiff::Timestamp::now),
        metrics: metrics::Metrics::default(),
        readiness: Readiness::default(),
        backoff: Backoff::default(),
        told: Told::default(),
    });
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("listening on {}", args.listen))?;
    let admin = tokio::spawn(admin::serve(listener, context.clone(), stop.clone()));
    let controller = tokio::spawn(controller::run(context, queue, stop.clone()));

    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        ended = controller => { ended.context("the controller ended")?; anyhow::bail!("the controller ended by itself"); }
        ended = admin => { ended.context("the admin port ended")?.context("the admin port ended")?; anyhow::bail!("the admin port ended by itself"); }
    }
    stop.cancel();
    Ok(())
}
