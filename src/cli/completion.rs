//! `completion`: what a shell, or kubectl, needs to complete a command; and the answers, names in the cluster among them.

use std::{io, time::Duration};

use clap::{CommandFactory as _, ValueEnum};
use kube::api::ListParams;

use super::{
    Cli, Frame,
    connect::{self, Cluster},
    exit::Exit,
    flags::Flags,
    print, rollout,
};

/// Options of `completion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For whom: `kubectl` completes `kubectl canary …` in each shell that kubectl completes in, with names in the cluster; the others
    /// complete `kubectl-canary …` without them.
    #[arg(value_enum)]
    shell: Shell,
}

/// Who completes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// The script `kubectl_complete-canary`, which kubectl looks for in PATH.
    Kubectl,
    /// A script for bash.
    Bash,
    /// A script for zsh.
    Zsh,
    /// A script for fish.
    Fish,
    /// A script for PowerShell.
    Powershell,
}

/// Words of the command line as kubectl hands them over, the last one to be completed.
#[derive(Debug, clap::Args)]
pub struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

const SCRIPT: &str = "#!/bin/sh
# Save as `kubectl_complete-canary` in a folder of PATH, executable: kubectl asks it how `kubectl canary` goes on.
exec kubectl-canary __complete \"$@\"
";
/// Names are not waited for longer: nobody waits for a key.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names in one answer.
const MOST: u32 = 500;
/// What cobra, and so kubectl, reads as "no file names".
const NO_FILES: &str = ":4";
/// And as "whatever the shell completes by itself".
const FILES: &str = ":0";

/// Prints the script.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let shell = match args.shell {
        Shell::Kubectl => {
            print::text(SCRIPT)?;
            return Ok(Exit::Reached);
        }
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
    };
    let mut command = Cli::command().bin_name("kubectl-canary");
    clap_complete::generate(shell, &mut command, "kubectl-canary", &mut io::stdout());
    Ok(Exit::Reached)
}

/// What a word may become.
#[derive(Debug, PartialEq, Eq)]
enum Completed {
    /// One of these.
    Words(Vec<String>),
    /// The name of a rollout.
    Rollout,
    /// A file.
    File,
    /// Anything.
    Unknown,
}

/// Answers kubectl. Whatever goes wrong is no answer: a message would stand in the command line.
pub async fn complete(_: &Frame, words: &Words) -> anyhow::Result<Exit> {
    let (before, word) = match words.words.split_last() {
        Some((word, before)) => (before, word.as_str()),
        None => (&[][..], ""),
    };
    let (found, directive) = match completed(before, word) {
        Completed::Words(words) => (words, NO_FILES),
        Completed::Rollout => (names(before).await.unwrap_or_default(), NO_FILES),
        Completed::File => (Vec::new(), FILES),
        Completed::Unknown => (Vec::new(), NO_FILES),
    };
    let mut lines: Vec<String> = found.into_iter().filter(|found| found.starts_with(word)).collect();
    lines.push(directive.to_owned());
    print::lines(&lines)?;
    Ok(Exit::Reached)
}

fn completed(before: &[String], word: &str) -> Completed {
    let mut command = Cli::command();
    command.build();
    let mut awaited: Option<clap::Arg> = None;
    let mut given = 0_usize;
    for word in before {
        if awaited.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            awaited = option(&command, word).filter(|option| option.get_action().takes_values() && !word.contains('='));
        } else if let Some(inner) = command.find_subcommand(word).filter(|_| given == 0).cloned() {
            command = inner;
        } else {
            given = given.saturating_add(1);
        }
    }
    if let Some(option) = awaited {
        return match values(&option) {
            words if words.is_empty() && option.get_id() == "kubeconfig" => Completed::File,
            words if words.is_empty() => Completed::Unknown,
            words => Completed::Words(words),
        };
    }
    if word.starts_with('-') {
        return Completed::Words(options(&command));
    }
    if command.has_subcommands() {
        let visible = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        return Completed::Words(visible.map(described).collect());
    }
    match command.get_positionals().nth(given) {
        Some(next) if next.get_id() == "name" => Completed::Rollout,
        Some(next) if next.get_id() == "files" => Completed::File,
        Some(next) => Completed::Words(values(next)),
        None => Completed::Unknown,
    }
}

/// The option that a word of the command line names.
fn option(command: &clap::Command, word: &str) -> Option<clap::Arg> {
    let name = word.split('=').next().unwrap_or(word);
    let is_it = |option: &&clap::Arg| match name.strip_prefix("--") {
        Some(long) => option.get_long() == Some(long),
        None => option.get_short() == name.chars().nth(1) && name.chars().count() == 2,
    };
    command.get_arguments().find(is_it).cloned()
}

fn options(command: &clap::Command) -> Vec<String> {
    let long = |option: &clap::Arg| {
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        Some(format!("--{}\t{help}", option.get_long()?))
    };
    command
        .get_arguments()
        .filter(|option| !option.is_hide_set())
        .filter_map(long)
        .collect()
}

fn described(command: &clap::Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    format!("{}\t{about}", command.get_name())
}

fn values(option: &clap::Arg) -> Vec<String> {
    let values = option.get_possible_values().into_iter();
    values.map(|value| value.get_name().to_owned()).collect()
}

async fn names(before: &[String]) -> anyhow::Result<Vec<String>> {
    let cluster = connect::connect(&flags(before)).await?;
    tokio::time::timeout(PATIENCE, asked(&cluster)).await?
}

async fn asked(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let some = ListParams::default().limit(MOST);
    let list = cluster
        .ask("listing names", rollout::api(cluster).list_metadata(&some))
        .await?;
    Ok(list.items.iter().map(kube::ResourceExt::name_any).collect())
}

/// Which cluster the words so far mean; they need not be a whole command.
fn flags(before: &[String]) -> Flags {
    let value = |names: &[&str]| {
        before.iter().enumerate().find_map(|(index, word)| {
            if names.contains(&word.as_str()) {
                return before.get(index.saturating_add(1)).cloned();
            }
            let (name, value) = word.split_once('=')?;
            names.contains(&name).then(|| value.to_owned())
        })
    };
    Flags {
        kubeconfig: value(&["--kubeconfig"]).map(Into::into),
        context: value(&["--context"]),
        cluster: value(&["--cluster"]),
        user: value(&["--user"]),
        namespace: value(&["-n", "--namespace"]),
        request_timeout: crate::api::Duration::from_secs(2),
        ..Flags::default()
    }
}

#[cfg(test)]
mod tests;
