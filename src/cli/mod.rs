//! The command line of releases, `kubectl canary`: it shows them, says why they stand where they stand, and asks for what people want.
//!
//! It reads CanaryRollouts and writes RolloutActions; what a release does the controller decides. One file has one command.

use std::fmt::Write as _;

mod act;
mod ages;
mod completion;
pub mod connect;
pub mod exit;
pub mod flags;
pub mod follow;
mod history;
mod list;
pub mod paint;
pub mod print;
pub mod reference;
mod restart;
pub mod rollout;
mod screen;
mod status;
mod table;
mod template;
pub mod trouble;
mod undo;
mod version;
pub mod wait;
mod why;
mod words;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::{
    connect::Cluster,
    exit::Exit,
    flags::{Flags, Output},
    paint::Paint,
};
use crate::api::action::Verb;

/// Follow and steer releases of Warmfront: the plugin `kubectl canary`.
#[derive(Debug, Parser)]
#[command(name = "kubectl-canary", bin_name = "kubectl canary", version, about, after_help = exit_codes())]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

/// One command, in the order of the help.
#[derive(Debug, Subcommand)]
enum Command {
    /// List CanaryRollouts, with how far their releases have come.
    #[command(visible_alias = "ls")]
    List(list::Args),
    /// Wait until a release has ended, or stands still, with an exit code that says how.
    Wait(wait::Args),
    /// Show a release as a whole: steps, traffic, pods, checks, and what it waits for until when.
    Status(status::Args),
    /// Say why a release stands where it stands, or why the last one ended, and what can be done now, as commands to copy.
    Why(why::Args),
    /// List the releases that have ended, at most ten, with their worst figures.
    History(history::Args),
    /// End what holds the release at its step: a pause by a person, the hold, the missing approval; with `--step` also what is too close to
    /// call. Checks must still pass.
    Promote(act::Promote),
    /// Keep the weight until `resume` or `promote`. Checks go on, and one that fails still rolls back.
    Pause(act::Request),
    /// End a pause: one by a person, or one for a failed check, a gate, or a contested route or Service.
    Resume(act::Request),
    /// Give all traffic back to the old version; also after a promotion, for as long as its pods are kept.
    Abort(act::Request),
    /// Release the Deployment's revision again, from the first step, although it was rolled back.
    Retry(act::Request),
    /// Give the Deployment an earlier pod template back. During a release that takes the release back at once; between releases it begins one.
    /// Where the Deployment comes from Git, change it there instead: the next sync would bring the template back.
    /// Needs get and patch on deployments, and list on replicasets.
    Undo(undo::Args),
    /// Replace the pods by new ones of the same version, by a release. Needs get and patch on deployments.
    Restart(restart::Args),
    /// Print a completion script.
    Completion(completion::Args),
    /// Print the version of kubectl-canary.
    Version(version::Args),
    #[command(name = "__complete", hide = true)]
    Complete(completion::Words),
}

/// What commands share.
pub struct Frame {
    flags: Flags,
    paint: Paint,
}

impl Frame {
    /// The cluster that the flags name.
    pub async fn connect(&self) -> anyhow::Result<Cluster> {
        connect::connect(&self.flags).await
    }

    /// How a program wants it printed; `None` for people.
    pub fn data(&self) -> Option<Output> {
        self.flags.output.filter(|output| *output != Output::Wide)
    }

    /// Whether people want more columns.
    pub fn is_wide(&self) -> bool {
        self.flags.output == Some(Output::Wide)
    }
}

/// Runs the command that the arguments name, and says with which code the process ends.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for a wrong argument, 2, means here that a release was rolled back.
            let exit = if error.use_stderr() {
                Exit::Failed
            } else {
                Exit::Reached
            };
            let _ = error.print();
            return exit.into();
        }
    };
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {}", paint::clean(&format!("{error:#}")));
            Exit::Failed.into()
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the async runtime failed")?;
    let frame = Frame {
        flags: cli.flags,
        paint: Paint::of_stdout(),
    };
    let ended = runtime.block_on(dispatch(&frame, cli.command));
    runtime.shutdown_background();
    ended
}

async fn dispatch(frame: &Frame, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list::run(frame, &args).await,
        Command::Wait(args) => wait::run(frame, &args).await,
        Command::Status(args) => status::run(frame, &args).await,
        Command::Why(args) => why::run(frame, &args).await,
        Command::History(args) => history::run(frame, &args).await,
        Command::Promote(args) => {
            let (verb, request) = args.parts();
            act::run(frame, verb, request).await
        }
        Command::Pause(request) => act::run(frame, Verb::Pause, &request).await,
        Command::Resume(request) => act::run(frame, Verb::Resume, &request).await,
        Command::Abort(request) => act::run(frame, Verb::Abort, &request).await,
        Command::Retry(request) => act::run(frame, Verb::Retry, &request).await,
        Command::Undo(args) => undo::run(frame, &args).await,
        Command::Restart(args) => restart::run(frame, &args).await,
        Command::Completion(args) => completion::run(&args),
        Command::Version(args) => version::run(frame, &args),
        Command::Complete(words) => completion::complete(frame, &words).await,
    }
}

fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {}  {}", exit.code(), exit.meaning());
    }
    text
}

#[cfg(test)]
mod tests;
