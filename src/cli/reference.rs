//! The reference of the command line, `docs/reference/cli.md`, as clap knows it.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::{Cli, exit::Exit};

/// All commands and flags, as Markdown.
pub fn markdown() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = "# kubectl canary\n\nGenerated from the program: `make generate`. What it is for stands in [cli.md](../cli.md).\n".to_owned();
    text.push_str("\n## Commands\n\n| command | what it does |\n|---|---|\n");
    let commands: Vec<&Command> = root
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .collect();
    for command in commands.iter().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        let _ = writeln!(text, "| [`{name}`](#{name}) | {} |", cell(&about(command)));
    }
    text.push_str("\n## Options of every command\n\n");
    let global = |arg: &&Arg| arg.is_global_set();
    text.push_str(&options(root.get_arguments().filter(global)));
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "| {} | {} |", exit.code(), exit.meaning());
    }
    for command in commands.iter().filter(|command| command.get_name() != "help") {
        text.push_str(&section(command));
    }
    text
}

fn section(command: &Command) -> String {
    let mut text = format!("\n## {}\n\n{}\n", command.get_name(), about(command));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(text, "\n```\n{}\n```\n", usage.trim());
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        let _ = write!(text, "\nAlso `{}`.\n", aliases.join("`, `"));
    }
    let own = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help";
    let mut own = command.get_arguments().filter(own).peekable();
    if own.peek().is_some() {
        text.push('\n');
        text.push_str(&options(own));
    }
    text
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut text = "| option | meaning |\n|---|---|\n".to_owned();
    for argument in arguments {
        let help = argument.get_long_help().or_else(|| argument.get_help());
        let mut help = help.map(ToString::to_string).unwrap_or_default();
        let values = argument.get_possible_values();
        if argument.get_action().takes_values() && !values.is_empty() {
            let each = |value: &clap::builder::PossibleValue| match value.get_help() {
                Some(meaning) => format!("`{}`: {meaning}", value.get_name()),
                None => format!("`{}`", value.get_name()),
            };
            let values: Vec<String> = values.iter().map(each).collect();
            let _ = write!(help, " {}", values.join("; "));
        }
        let default: Vec<_> = argument
            .get_default_values()
            .iter()
            .filter_map(|value| value.to_str())
            .collect();
        if argument.get_action().takes_values() && !default.is_empty() {
            let _ = write!(help, ". Default `{}`", default.join(" "));
        }
        let _ = writeln!(text, "| `{}` | {} |", spelled(argument), cell(&help));
    }
    text
}

fn spelled(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map(ToString::to_string);
    let value = value.unwrap_or_else(|| argument.get_id().as_str().to_uppercase());
    if argument.is_positional() {
        return value;
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let names = names.join(", ");
    if argument.get_action().takes_values() {
        format!("{names} {value}")
    } else {
        names
    }
}

/// Text in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
