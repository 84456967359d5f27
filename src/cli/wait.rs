//! `wait`: for pipelines. It ends when the release has, with an exit code that says how.

pub mod order;
mod says;
pub mod waiter;
mod workload;

use std::time::Duration as Pause;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use self::{
    order::{Goal, Order, Seen, Wanted},
    waiter::Waiter,
};
use super::{
    Frame,
    connect::Cluster,
    exit::Exit,
    follow::{Follow, Told},
    print,
};
use crate::api::Duration;

/// Options of `wait`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the CanaryRollout. It need not exist yet.
    name: String,
    /// What is waited for: `promoted`, the new version serves all users; `paused`, the release stands still; `finished`, it has ended in
    /// either way.
    #[arg(long = "for", value_enum, value_name = "STATE", default_value = "promoted")]
    goal: Goal,
    /// How long to wait, such as `30m`.
    #[arg(long, value_name = "TIME", default_value = "2h")]
    timeout: Duration,
    /// Wait for the release of this revision (a `pod-template-hash`) and no other: another one that takes its place ends the wait.
    #[arg(long, value_name = "HASH", conflicts_with = "image")]
    revision: Option<String>,
    /// Wait for the release of the template that has this image, written as in the Deployment, and no other. Needs `get deployments`.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// End with code 3 when the release is paused and only a person can let it go on.
    #[arg(long)]
    fail_on_pause: bool,
}

impl Args {
    fn order(&self) -> Order {
        let wanted = match (&self.revision, &self.image) {
            (Some(revision), _) => Wanted::Revision(revision.clone()),
            (None, Some(image)) => Wanted::Image(image.clone()),
            (None, None) => Wanted::Any,
        };
        Order {
            goal: self.goal,
            wanted,
            fail_on_pause: self.fail_on_pause,
        }
    }
}

/// First wait before a cluster that did not answer is tried again; each doubles it.
const FIRST_PAUSE: Pause = Pause::from_millis(500);
/// Longest wait of that kind.
const LONGEST_PAUSE: Pause = Pause::from_secs(15);
/// How often a Deployment is read that does not exist, or is not the one that is waited for.
const EVERY: Pause = Pause::from_secs(2);

/// Waits, and prints a line for each change.
pub async fn run(frame: &Frame, args: &Args) -> anyhow::Result<Exit> {
    // What is wrong with the kubeconfig from the start does not heal.
    let mut first = Some(frame.connect().await?);
    let connect = async || match first.take() {
        Some(cluster) => Ok(cluster),
        None => frame.connect().await,
    };
    let timeout = Pause::from_millis(args.timeout.as_millis());
    wait(connect, &args.name, args.order(), timeout, |line| {
        print::lines(&[line.to_owned()])
    })
    .await
}

/// How one connection ended.
enum Ended {
    /// The wait is over.
    Over(Exit),
    /// The cluster did not answer, or refused; after `answered` it had done so before.
    Lost { why: String, answered: bool },
}

/// Waits over as many connections as it takes: each reads the kubeconfig and its credentials anew.
async fn wait(
    mut connect: impl AsyncFnMut() -> anyhow::Result<Cluster>,
    name: &str,
    order: Order,
    timeout: Pause,
    mut print: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let over = sleep(timeout);
    tokio::pin!(over);
    let mut waiter = Waiter::new(order);
    let (mut pause, mut failures) = (FIRST_PAUSE, 0_u32);
    loop {
        let one = async {
            match connect().await {
                Ok(cluster) => connection(&cluster, name, &mut waiter, &mut print).await,
                Err(error) => Ok(Ended::Lost {
                    why: format!("{error:#}"),
                    answered: false,
                }),
            }
        };
        let ended = tokio::select! {
            ended = one => ended?,
            () = &mut over => Ended::Over(step(&mut waiter, &Seen::Over, &mut print)?.unwrap_or(Exit::TimedOut)),
        };
        let (why, answered) = match ended {
            Ended::Over(exit) => return Ok(exit),
            Ended::Lost { why, answered } => (why, answered),
        };
        if answered {
            (pause, failures) = (FIRST_PAUSE, 0);
        }
        failures = failures.saturating_add(1);
        // A watch ends now and then, and the next one goes on.
        if failures > 1 {
            step(&mut waiter, &Seen::Trouble(why), &mut print)?;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = &mut over => return Ok(step(&mut waiter, &Seen::Over, &mut print)?.unwrap_or(Exit::TimedOut)),
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Follows the rollout until the wait is over or the cluster does not answer.
async fn connection(
    cluster: &Cluster,
    name: &str,
    waiter: &mut Waiter,
    print: &mut impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Ended> {
    let mut follow = Follow::one(cluster, name);
    let (mut answered, mut read_at) = (false, Instant::now());
    loop {
        let told = tokio::select! {
            told = follow.next() => Some(told),
            () = sleep_until(read_at), if answered && waiter.wants_workload() => None,
        };
        let rollout = match told {
            Some(Ok(Told::Now)) => {
                answered = true;
                let rollout = follow.rollouts().next();
                if let Some(exit) = step(waiter, &Seen::Rollout(rollout), print)? {
                    return Ok(Ended::Over(exit));
                }
                rollout
            }
            None => follow.rollouts().next(),
            Some(Ok(Told::Interrupted(why))) => return Ok(Ended::Lost { why, answered }),
            Some(Err(error)) => {
                let why = format!("{error:#}");
                return Ok(Ended::Lost { why, answered });
            }
        };
        let Some(rollout) = rollout.filter(|_| waiter.wants_workload() && Instant::now() >= read_at) else {
            continue;
        };
        let seen = match workload::read(cluster, rollout).await {
            Ok(seen) => seen,
            Err(error) => {
                let why = format!("{error:#}");
                return Ok(Ended::Lost { why, answered });
            }
        };
        read_at = Instant::now().checked_add(EVERY).unwrap_or(read_at);
        for seen in [seen, Seen::Rollout(Some(rollout))] {
            if matches!(seen, Seen::Rollout(_)) && waiter.wants_workload() {
                // What is said of it already is the news.
                continue;
            }
            if let Some(exit) = step(waiter, &seen, print)? {
                return Ok(Ended::Over(exit));
            }
        }
    }
}

fn step(
    waiter: &mut Waiter,
    seen: &Seen<'_>,
    print: &mut impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Exit>> {
    let step = waiter.step(seen, Timestamp::now());
    if let Some(line) = step.line {
        print(&line)?;
    }
    Ok(step.exit)
}

#[cfg(test)]
mod tests;
