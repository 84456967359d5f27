//! The command line of releases, `kubectl canary`: it shows them, says why they stand where they stand, and asks for what people want.
//!
//! It reads CanaryRollouts and writes RolloutActions; what a release does the controller decides. One file has one command.

mod ages;
pub mod connect;
pub mod exit;
pub mod flags;
pub mod follow;
mod list;
pub mod paint;
pub mod print;
pub mod rollout;
mod screen;
mod table;
pub mod trouble;
mod version;
pub mod wait;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::{
    connect::Cluster,
    exit::Exit,
    flags::{Flags, Output},
    paint::Paint,
};

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
    /// Print the version of kubectl-canary.
    Version(version::Args),
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
        Command::Version(args) => version::run(frame, &args),
    }
}

fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        text.push_str(&format!("  {}  {}\n", exit.code(), exit.meaning()));
    }
    text
}

#[cfg(test)]
mod tests;
