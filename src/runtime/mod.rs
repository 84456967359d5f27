//! Starts and stops the process: arguments, logs, the admin port, the watches, the lease and the controller.

pub mod admin;
pub mod args;
pub mod generate;
pub mod lease;

use std::{net::IpAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::util::SubscriberInitExt;

use crate::{
    controller::{
        self, Context,
        calls::Calls,
        discovery,
        leadership::{self, Leadership},
        watches,
    },
    log,
    provider::shell::StoreClient,
    webhook,
};
use lease::{Elector, Loss};

/// A connection on which the API server is silent for 6 min is broken: even a quiet watch ends after 290 s.
const LONGEST_SILENCE: Duration = Duration::from_mins(6);

/// Passes that run when the process is told to stop have 20 s to end. The chart's grace period is longer, so that the lease can be
/// given back after that.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the controller until SIGTERM or SIGINT. Why it ends otherwise is its last line in the log.
pub async fn run(args: args::Run) -> ExitCode {
    log::to(&args.log, std::io::stdout).init();
    match work(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log_end(&error);
            ExitCode::FAILURE
        }
    }
}

fn log_end(error: &anyhow::Error) {
    // With all causes, outermost first.
    let error = format!("{error:#}");
    tracing::error!(error, "this process ends; whoever started it is to start it again");
}

async fn work(args: args::Run) -> anyhow::Result<()> {
    // Before anything else: a signal that nobody listens for kills the process, and its lease then has to expire.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let Tasks {
        stop,
        finish,
        mut controller,
        mut election,
        mut admin,
    } = start(args).await?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        ended = &mut controller => { ended.context("the controller ended")?; anyhow::bail!("the controller ended by itself"); }
        ended = &mut election => { ended.context("the election ended")??; anyhow::bail!("the election ended by itself"); }
        ended = &mut admin => { ended.context("the admin port ended")?.context("the admin port ended")?; anyhow::bail!("the admin port ended by itself"); }
    }
    stop.cancel();
    tokio::select! {
        () = drained(&mut controller) => {}
        // The lease is lost, so no pass may be finished.
        ended = &mut election => { ended.context("the election ended")??; anyhow::bail!("the election ended by itself"); }
    }
    // No pass runs any more, so another process may lead.
    finish.cancel();
    election.await.context("giving the lease back")??;
    Ok(())
}

/// What runs until the process ends.
struct Tasks {
    /// Ends the controller, once the passes that run have ended.
    stop: CancellationToken,
    /// Ends the election and the admin port.
    finish: CancellationToken,
    controller: JoinHandle<()>,
    election: JoinHandle<Result<(), Loss>>,
    admin: JoinHandle<std::io::Result<()>>,
}

async fn start(args: args::Run) -> anyhow::Result<Tasks> {
    let mut config = Config::infer()
        .await
        .context("finding the API server: neither a service account nor a kubeconfig tells")?;
    // Retries are the controller's own: hidden ones would make a rollback wait.
    config.default_retry = false;
    // Watches have their own limit; without this one a list that is never answered would keep its watch waiting for ever.
    (config.read_timeout, config.reset_reader_on_write) = (Some(LONGEST_SILENCE), true);

    let api_server = addresses_of(&config).await;
    let leadership = if args.election.leader_election {
        Leadership::by_election()
    } else {
        Leadership::without_election()
    };
    let elector = elector(&args.election, &config, &leadership)?;
    let client = leadership::fenced(config, leadership.clone()).context("setting up the client of the API server")?;

    let (stop, finish, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    let installed = discovery::installed(&client).await;
    let (caches, queue, requests, absent) = watches::open(&client, &tasks, &installed);
    tasks.spawn(discovery::follow(client.clone(), absent));
    let provider = StoreClient::new().context("setting up the client of metrics stores")?;
    let policy = webhook::address::Policy {
        allowed_hosts: args.webhook_allowed_hosts,
        api_server,
    };
    let webhooks = webhook::shell::WebhookClient::new(policy).context("setting up the client of webhooks")?;
    let calls = Calls::new(Arc::new(webhooks), requests);
    let context = Arc::new(Context::new(
        client,
        leadership,
        caches,
        Box::new(provider),
        calls,
        Box::new(jiff::Timestamp::now),
    ));
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listening on {}", args.listen))?;
    Ok(Tasks {
        admin: tokio::spawn(admin::serve(listener, context.clone(), finish.clone())),
        election: tokio::spawn(elect(elector, finish.clone())),
        controller: tokio::spawn(controller::run(context, queue, stop.clone())),
        stop,
        finish,
    })
}

/// Where the API server is: no webhook is sent there.
async fn addresses_of(config: &Config) -> Vec<IpAddr> {
    let url = &config.cluster_url;
    let host = url
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = url.port_u16().unwrap_or(443);
    let found = tokio::net::lookup_host((host, port))
        .await
        .map(|found| found.map(|address| address.ip()).collect());
    let mut addresses: Vec<IpAddr> = found.unwrap_or_default();
    // In a pod the environment has the address of the API server's Service, which the configuration may not name.
    addresses.extend(
        std::env::var("KUBERNETES_SERVICE_HOST")
            .ok()
            .and_then(|host| host.parse::<IpAddr>().ok()),
    );
    addresses
}

fn elector(election: &args::Election, config: &Config, leadership: &Leadership) -> anyhow::Result<Option<Elector>> {
    if !election.leader_election {
        return Ok(None);
    }
    let namespace = election.lease_namespace.as_deref().unwrap_or(&config.default_namespace);
    let identity = election
        .identity()
        .context("finding a name for this process: give one with --identity")?;
    let client = Client::try_from(config.clone()).context("setting up the client of the API server for the lease")?;
    tracing::info!(
        namespace,
        lease = election.lease_name,
        identity,
        "taking part in the election"
    );
    Ok(Some(Elector::new(
        client,
        namespace,
        election.lease_name.clone(),
        identity,
        leadership.clone(),
    )))
}

async fn elect(elector: Option<Elector>, finish: CancellationToken) -> Result<(), Loss> {
    if let Some(elector) = elector {
        return elector.run(finish).await;
    }
    finish.cancelled().await;
    Ok(())
}

/// Waits until the last pass has ended; gives up those that take too long.
async fn drained(controller: &mut JoinHandle<()>) {
    if timeout(DRAIN, &mut *controller).await.is_err() {
        tracing::warn!("passes still run after {DRAIN:?}; they are given up, and done again by who leads next");
        controller.abort();
        // Passes run inside the controller's task, so they end with it.
        let _ = controller.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::captured::capture;

    #[test]
    fn why_a_leader_ends_is_a_line_of_the_log() {
        let (log, _guard) = capture("info");
        let error = Err::<(), _>(Loss::Taken("b".to_owned())).context("the election ended");
        log_end(&error.unwrap_err());
        let line = &log.lines()[0];
        assert_eq!(line["level"], "ERROR");
        let why = line["fields"]["error"].as_str().unwrap();
        assert!(
            why.starts_with("the election ended: the lease was taken") && why.contains(r#""b""#),
            "{why}"
        );
    }
}
