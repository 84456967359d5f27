//! The command `warmfront simulate`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::ValueEnum;

use super::{expected, file, picture, picture::Colours, release, report::Report, svg, table};

/// Options of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Simulate {
    /// YAML with a CanaryRollout and a document `kind: Simulation`, in one file or in several. Other kinds are passed over.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Another seed than the Simulation's: other chance, the same world.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Characters of a line; those of the terminal, or 80, if it is not given.
    #[arg(long)]
    pub width: Option<u16>,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A picture of characters, and what was told.
    Text,
    /// A picture for documents.
    Svg,
    /// For programs: what became of it, what was told, and a row for each tick.
    Json,
    /// A row for each tick.
    Csv,
}

/// Width where there is no terminal.
const WIDTH: u16 = 80;

/// Simulates a release and prints it: 1 where the release does not end as `expect` says, 2 where the files cannot be used.
pub fn simulate(args: &Simulate) -> ExitCode {
    match print(args) {
        Ok(ended) => ended,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn print(args: &Simulate) -> anyhow::Result<ExitCode> {
    let mut subject = file::read(&args.files)?;
    subject.simulation.seed = args.seed.unwrap_or(subject.simulation.seed);
    let release = release::run(&subject)?;
    let report = Report::new(&subject, &release);
    let text = match args.output {
        Output::Text => picture::draw(&report, width(args), colours()),
        Output::Svg => svg::draw(&report),
        Output::Json => table::json(&report.summary()).context("printing JSON")?,
        Output::Csv => table::csv(&report),
    };
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("printing")?,
    }
    let expect = subject.simulation.expect.as_ref();
    let broken = expect.map_or_else(Vec::new, |expect| expected::broken(expect, &release));
    for line in &broken {
        eprintln!("{line}");
    }
    Ok(if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn width(args: &Simulate) -> u16 {
    let terminal = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    args.width.or_else(terminal).unwrap_or(WIDTH)
}

/// Only for a terminal, and not where somebody does not want them (<https://no-color.org>).
fn colours() -> Colours {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !unwanted {
        Colours::Ansi
    } else {
        Colours::None
    }
}
