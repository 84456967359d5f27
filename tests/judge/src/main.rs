//! Runs scenarios against the judge and prints what came of them; exits with 1 where something required does not hold.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use warmfront_judge::{
    cost,
    params::Scenario,
    services,
    table::{self, OTHERS, Row},
    trace,
};

/// Runs the judge in a simulated world, thousands of releases, and holds it to what is required.
#[derive(Parser)]
#[command(name = "judge")]
struct Args {
    /// Scenarios: a JSON list of {name, params, runs, seed, require}. Without it: the acceptance table and random services.
    scenarios: Option<PathBuf>,
    /// Releases of each scenario that does not say how many.
    #[arg(long, default_value_t = 1000)]
    runs: u32,
    /// Where chance begins, where a scenario does not say.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only scenarios with one of these names, or names that begin so and go on with a letter; `services` for the random ones.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also what other tools' rules do in the same world.
    #[arg(long)]
    others: bool,
    /// Only one run of each scenario, tick by tick: the run with this number.
    #[arg(long)]
    trace: Option<u32>,
    /// Only what one evaluation of a rollout with five checks costs; of a release build it is what it costs on a cluster.
    #[arg(long)]
    cost: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// So many evaluations are measured.
const EVALUATIONS: u32 = 20_000;

#[derive(Serialize)]
struct All {
    rows: Vec<Row>,
    services: Vec<services::Over>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.cost {
        let cost = cost::of(EVALUATIONS)?;
        println!(
            "one evaluation of five checks: {:.1} us of CPU (mean of {EVALUATIONS}); remembered in the status: {} bytes",
            cost.microseconds, cost.bytes
        );
        return Ok(ExitCode::SUCCESS);
    }
    let text = match &args.scenarios {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?,
        None => include_str!("../rows.json").to_string(),
    };
    let scenarios: Vec<Scenario> = serde_json::from_str(&text).context("read the scenarios")?;
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| is_named(name, only));
    let others: &[_] = if args.others { &OTHERS } else { &[] };
    let mut rows = Vec::new();
    for scenario in scenarios.iter().filter(|scenario| wanted(&scenario.name)) {
        if let Some(run) = args.trace {
            print!("{}", trace::of(scenario, args.seed, run));
            continue;
        }
        eprint!("\r\x1b[K{}", scenario.name);
        let row = table::row(scenario, args.runs, args.seed, others)
            .map_err(|error| anyhow!("{}: {error}", scenario.name))?;
        rows.push(row);
    }
    eprint!("\r\x1b[K");
    let services = if args.scenarios.is_none() && args.trace.is_none() && wanted("services") {
        services::all(services::SERVICES, args.runs.div_ceil(20), args.seed).map_err(anyhow::Error::msg)?
    } else {
        Vec::new()
    };
    if args.trace.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let all = All { rows, services };
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&all)?),
        Output::Table => {
            print!("{}", table::print(&all.rows, others));
            print!("{}", services::print(&all.services));
        }
    }
    let holds =
        all.rows.iter().all(|row| row.broken.is_empty()) && all.services.iter().all(|over| over.broken.is_empty());
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_named(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}
