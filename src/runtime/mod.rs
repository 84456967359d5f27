//! Starts and stops the process: arguments, logs, the admin port, the watches, the lease and the controller.

pub mod admin;
pub mod args;
pub mod generate;
pub mod lease;
pub mod release_all;

use std::{net::IpAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::util::SubscriberInitExt;

use crate::{
    controller::{
        self, Context,
        calls::{Calls, Rules},
        discovery,
        kinds::Kinds,
        leadership::{self, Leadership},
        panics, watches,
    },
    log,
    provider::shell::StoreClient,
    webhook,
};
use lease::Elector;

/// A connection on which the API server is silent for 6 min is broken: even a quiet watch ends after 290 s.
const LONGEST_SILENCE: Duration = Duration::from_mins(6);

/// Passes that run when the process is told to stop have 20 s to end. The chart's grace period is longer, so that the lease can be
/// given back after that.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the controller until SIGTERM or SIGINT. Why it ends otherwise is its last line in the log.
pub async fn run(args: args::Run) -> ExitCode {
    log::to(&args.log, std::io::stdout).init();
    panics::install();
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
    let mut tasks = start(config().await?, args, Purpose::Work).await?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        ended = tasks.ended() => return ended,
    }
    tasks.stop().await
}

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Releases.
    Work,
    /// To give every workload back.
    GiveBack,
}

/// What runs until the process ends.
struct Tasks {
    /// Ends the controller, once the passes that run have ended.
    stop: CancellationToken,
    /// Ends the election and the admin port.
    finish: CancellationToken,
    controller: JoinHandle<()>,
    election: JoinHandle<anyhow::Result<()>>,
    admin: JoinHandle<std::io::Result<()>>,
    /// Looks for kinds that the cluster lacks.
    discovery: JoinHandle<()>,
    context: Arc<Context>,
}

impl Tasks {
    /// Waits until one of them ends, which none does by itself.
    async fn ended(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            // It ends by itself when no kind is missing any more.
            Err(panicked) = &mut self.discovery => Err(panicked).context("looking for kinds that the cluster lacked ended"),
            ended = &mut self.controller => { ended.context("the controller ended")?; anyhow::bail!("the controller ended by itself"); }
            ended = &mut self.election => { ended.context("the election ended")??; anyhow::bail!("the election ended by itself"); }
            ended = &mut self.admin => { ended.context("the admin port ended")?.context("the admin port ended")?; anyhow::bail!("the admin port ended by itself"); }
        }
    }

    /// Lets the passes that run end, and gives the lease back.
    async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        tokio::select! {
            () = drained(&mut self.controller) => {}
            // The lease is lost, so no pass may be finished.
            ended = &mut self.election => { ended.context("the election ended")??; anyhow::bail!("the election ended by itself"); }
        }
        // No pass runs any more, so another process may lead.
        self.finish.cancel();
        self.election.await.context("giving the lease back")??;
        Ok(())
    }
}

/// How the API server is reached.
async fn config() -> anyhow::Result<Config> {
    let mut config = Config::infer()
        .await
        .context("finding the API server: neither a service account nor a kubeconfig tells")?;
    // Retries are the controller's own: hidden ones would make a rollback wait.
    config.default_retry = false;
    // Watches have their own limit; without this one a list that is never answered would keep its watch waiting for ever.
    (config.read_timeout, config.reset_reader_on_write) = (Some(LONGEST_SILENCE), true);
    Ok(config)
}

async fn start(config: Config, args: args::Run, purpose: Purpose) -> anyhow::Result<Tasks> {
    let api_server = addresses_of(&config).await;
    let leadership = if args.election.leader_election {
        Leadership::by_election()
    } else {
        Leadership::without_election()
    };
    let (stop, finish, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    let lease = (args.election, config.clone(), leadership.clone());
    let client = leadership::fenced(config, leadership.clone()).context("setting up the client of the API server")?;

    let mut installed = discovery::installed(&client).await;
    if !args.config_maps {
        installed.leave_out(Kinds::config_map().kind);
    }
    let (caches, queue, requests, absent) = watches::open(&client, &tasks, &installed);
    let discovery = tokio::spawn(discovery::follow(client.clone(), absent));
    let provider = StoreClient::new().context("setting up the client of metrics stores")?;
    let rules = Rules {
        policy: webhook::address::Policy {
            allowed_hosts: args.webhook_allowed_hosts,
            api_server,
        },
        longest: args.webhook_longest_call,
    };
    let calls = Calls::new(Arc::new(webhook::shell::WebhookClient::default()), rules, requests);
    let context = Context::new(
        client,
        leadership,
        caches,
        Box::new(provider),
        calls,
        Box::new(jiff::Timestamp::now),
    );
    let context = Arc::new(match purpose {
        Purpose::Work => context,
        Purpose::GiveBack => context.to_uninstall(),
    });
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listening on {}", args.listen))?;
    Ok(Tasks {
        admin: tokio::spawn(admin::serve(listener, context.clone(), finish.clone())),
        election: elect(lease, finish.clone())?,
        controller: tokio::spawn(controller::run(context.clone(), queue, stop.clone())),
        stop,
        finish,
        discovery,
        context,
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

/// Takes part in the election, in a thread of its own: passes that keep their worker busy do not keep the lease from being renewed.
/// Whether they are stuck for good is for the liveness probe, which that worker answers, to find out.
fn elect(
    (election, config, leadership): (args::Election, Config, Leadership),
    finish: CancellationToken,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let held = async move {
        match elector(&election, &config, &leadership)? {
            Some(elector) => elector.run(finish).await?,
            None => finish.cancelled().await,
        }
        anyhow::Ok(())
    };
    aside(held)
}

/// Runs it in a thread of its own.
fn aside(
    held: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the async runtime of the lease")?;
    let (ends, ended) = oneshot::channel();
    let thread = move || {
        // Nobody waits for it any more when the process ends.
        let _ = ends.send(runtime.block_on(held));
    };
    std::thread::Builder::new()
        .name("lease".to_owned())
        .spawn(thread)
        .context("starting the thread of the lease")?;
    Ok(tokio::spawn(async move {
        ended.await.context("the thread of the lease panicked")?
    }))
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
mod tests;
