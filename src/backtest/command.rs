//! The command `warmfront backtest`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    file::{self, Stated},
    read::{self, Source},
    report::{Again, Once, Outcome},
    run::{self, Schedule},
    sides::{self, Told},
    table, text,
    times::When,
};
use crate::{
    api::{Duration, Percent, moment::Moment as _},
    engine::judge::ticks,
    provider::{
        Whose,
        shell::{Span, StoreClient},
    },
    simulate,
};

/// Width where there is no terminal.
const WIDTH: u16 = 100;

/// Options of `backtest`.
#[derive(Clone, Debug, clap::Args)]
pub struct Backtest {
    /// YAML with a CanaryRollout, and with its MetricSource if there is one. Other kinds are passed over.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// When to begin: 2026-11-24T14:00:00Z, 2026-11-24 (UTC), or how long ago, such as 168h.
    #[arg(long)]
    pub from: When,
    /// When the data end. Default: now.
    #[arg(long, default_value = "0s")]
    pub to: When,
    /// Where the metrics are.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Which versions are compared.
    #[command(flatten)]
    pub versions: VersionArgs,
    /// Of the running version as its own canary: time from the beginning of one release to that of the next.
    #[arg(long, default_value = "1h")]
    pub every: Duration,
    /// Longest time of one such release: what waits for a person does so for ever.
    #[arg(long, default_value = "6h")]
    pub longest: Duration,
    /// Of the running version as its own canary: by which chance each request falls to one part or the other.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Characters of a line; those of the terminal, or 100, if it is not given.
    #[arg(long)]
    pub width: Option<u16>,
    /// Exit with 2 if anything would have been rolled back.
    #[arg(long)]
    pub fail_on_rollback: bool,
}

/// Where the metrics are; what is stated here goes before a MetricSource in the files.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SourceArgs {
    /// Base URL of a Prometheus, such as http://localhost:9090.
    #[arg(long)]
    pub prometheus: Option<String>,
    /// Whose metrics count requests: app or envoy.
    #[arg(long)]
    pub preset: Option<String>,
    /// Label that has the name of the pod.
    #[arg(long)]
    pub pod_label: Option<String>,
    /// Label that has the namespace of the pod.
    #[arg(long)]
    pub namespace_label: Option<String>,
    /// How often pods, or the gateway, are scraped.
    #[arg(long)]
    pub scrape_interval: Option<Duration>,
    /// A label that every series must have, such as cluster=eu-1. May be repeated.
    #[arg(long = "matcher", value_parser = matcher)]
    pub matchers: Vec<(String, String)>,
}

/// Which versions are compared. Without any the running version is its own canary.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct VersionArgs {
    /// Pods of the new version: a regular expression that their whole names match.
    #[arg(long, conflicts_with = "candidate_hash")]
    pub candidate_pods: Option<String>,
    /// Pods of the old version; without a candidate, of the running one. Default there: those of the Deployment.
    #[arg(long, conflicts_with = "baseline_hash")]
    pub baseline_pods: Option<String>,
    /// The pod-template-hash of the new version.
    #[arg(long)]
    pub candidate_hash: Option<String>,
    /// The pod-template-hash of the old version.
    #[arg(long)]
    pub baseline_hash: Option<String>,
    /// The Service of the new version, for preset envoy.
    #[arg(long)]
    pub candidate_service: Option<String>,
    /// The Service of the old version, for preset envoy. Default: that of the CanaryRollout.
    #[arg(long)]
    pub baseline_service: Option<String>,
    /// The share of the requests that the new version had. Default: what was counted.
    #[arg(long)]
    pub weight: Option<Percent>,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A summary and sentences.
    Text,
    /// For programs: all that was told.
    Json,
    /// A row for each release; of two versions a row for each tick and check.
    Csv,
}

fn matcher(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is no matcher: write label=value, such as cluster=eu-1"))?;
    Ok((name.to_owned(), value.trim_matches('"').to_owned()))
}

impl SourceArgs {
    /// As fields of a MetricSource's spec.
    fn stated(&self) -> Stated {
        let mut stated = Stated::new();
        let mut put = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                stated.insert(field.to_owned(), value);
            }
        };
        put("prometheus", self.prometheus.as_ref().map(|url| json!({"url": url})));
        put("preset", self.preset.as_ref().map(|preset| json!(preset)));
        put("podLabel", self.pod_label.as_ref().map(|label| json!(label)));
        put(
            "namespaceLabel",
            self.namespace_label.as_ref().map(|label| json!(label)),
        );
        put("scrapeInterval", self.scrape_interval.map(|length| json!(length)));
        let matchers = || self.matchers.iter().map(|(name, value)| (name.clone(), json!(value)));
        put(
            "matchers",
            (!self.matchers.is_empty()).then(|| Value::Object(matchers().collect())),
        );
        stated
    }
}

impl VersionArgs {
    fn candidate(&self) -> Told {
        Told {
            pods: self.candidate_pods.clone(),
            hash: self.candidate_hash.clone(),
            service: self.candidate_service.clone(),
        }
    }

    fn baseline(&self) -> Told {
        Told {
            pods: self.baseline_pods.clone(),
            hash: self.baseline_hash.clone(),
            service: self.baseline_service.clone(),
        }
    }
}

/// What is printed, and whether anything would have been rolled back.
#[derive(Clone, Debug)]
pub struct Done {
    /// The text.
    pub text: String,
    /// Something would have been rolled back.
    pub rolled_back: bool,
}

/// Looks at the past and prints it: 0 where that could be done, 1 where not, and 2 where something would have been rolled back and
/// that is to fail.
pub async fn backtest(args: Backtest) -> ExitCode {
    let printed = match run(&args, Timestamp::now()).await {
        Ok(done) => match io::stdout().write_all(done.text.as_bytes()) {
            // Whoever reads it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(done.rolled_back),
            written => written.context("printing").map(|()| done.rolled_back),
        },
        Err(error) => Err(error),
    };
    match printed {
        Ok(rolled_back) => ExitCode::from(code(rolled_back, args.fail_on_rollback)),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The exit code of a backtest that could be made.
pub fn code(rolled_back: bool, fail_on_rollback: bool) -> u8 {
    if rolled_back && fail_on_rollback { 2 } else { 0 }
}

/// Looks at the past, at this moment.
pub async fn run(args: &Backtest, now: Timestamp) -> anyhow::Result<Done> {
    let subject = file::read(&args.files, &args.source.stated())?;
    // Parts of a second are nobody's meaning.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let (from, to) = (args.from.moment(now), args.to.moment(now).min(now));
    if from >= to {
        bail!("--from {from} is not before --to {to}: nothing lies between");
    }
    let store = StoreClient::new().context("setting up HTTP")?;
    let (candidate, baseline) = (args.versions.candidate(), args.versions.baseline());
    let sides = sides::find(&store, &subject, &candidate, &baseline, Span { start: from, end: to }).await?;
    let plan = &subject.rollout.plan;
    let interval = ticks::interval(plan, subject.source.scrape_interval);
    // The old version is looked back on before the first release.
    let span = Span {
        start: from.minus(read::look_back(interval)),
        end: to,
    };
    let source = Source {
        store: &store,
        spec: &subject.source,
        sides: &sides,
        checks: &plan.checks,
    };
    let past = read::read(&source, span, &mut progress).await?;
    match sides.whose {
        Whose::Running => {
            let schedule = Schedule {
                from,
                to,
                every: args.every,
                longest: args.longest,
                seed: args.seed,
            };
            let report = Again::new(&subject, &schedule, run::again(&subject, &past, &schedule)?);
            again(args, &report)
        }
        Whose::New => {
            let judged = run::once(&subject, &past, args.versions.weight, (from, to))?;
            once(args, &Once::new(&subject, (from, to), judged))
        }
    }
}

fn again(args: &Backtest, report: &Again) -> anyhow::Result<Done> {
    Ok(Done {
        text: match args.output {
            Output::Text => text::again(report, width(args)),
            Output::Json => simulate::table::json(report).context("printing JSON")?,
            Output::Csv => table::releases(report),
        },
        rolled_back: report.of(Outcome::RolledBack).next().is_some(),
    })
}

fn once(args: &Backtest, report: &Once) -> anyhow::Result<Done> {
    Ok(Done {
        text: match args.output {
            Output::Text => text::once(report, width(args)),
            Output::Json => simulate::table::json(report).context("printing JSON")?,
            Output::Csv => table::ticks(report),
        },
        rolled_back: report.outcome == Outcome::RolledBack,
    })
}

/// What is being read, for whoever sits in front of it.
fn progress(what: &str, part: f64) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
        if part < 1.0 {
            eprint!("reading {what}: {:.0}%", part * 100.0);
        }
    }
}

fn width(args: &Backtest) -> usize {
    let terminal = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    usize::from(args.width.or_else(terminal).unwrap_or(WIDTH))
}
