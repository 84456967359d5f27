//! `history`: the releases that have ended, with their reasons and worst figures.

use jiff::Timestamp;

use super::{
    Frame, ages,
    exit::Exit,
    paint::{Paint, Tone, clean},
    print,
    rollout::{self, Rollout},
    status,
    table::{self, Cell},
    words::wrapped,
};
use crate::api::status::{HistoryEntry, Outcome};

/// Options of `history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the CanaryRollout.
    name: String,
    /// Only this release, by its number.
    #[arg(long, value_name = "NUMBER")]
    run: Option<i64>,
}

/// Prints the newest releases that have ended, at most ten.
pub async fn run(frame: &Frame, args: &Args) -> anyhow::Result<Exit> {
    let cluster = frame.connect().await?;
    let rollout = rollout::get(&cluster, &args.name).await?;
    let entries = entries(&rollout, args.run)?;
    let now = Timestamp::now();
    match frame.data() {
        Some(output) => {
            let names: Vec<String> = entries.iter().map(|entry| entry.run.to_string()).collect();
            print::data(output, &entries, &names)?;
        }
        None if entries.is_empty() => eprintln!("No release of {} has ended yet.", rollout.name()),
        None => print::lines(&lines(&entries, now, status::width(), frame.paint))?,
    }
    Ok(Exit::Reached)
}

fn entries(rollout: &Rollout, run: Option<i64>) -> anyhow::Result<Vec<&HistoryEntry>> {
    let status = rollout
        .status
        .as_ref()
        .map_err(|why| anyhow::anyhow!("{}: {why}", rollout.name()))?;
    let all = status.history.iter();
    let found: Vec<_> = all.filter(|entry| run.is_none_or(|run| entry.run == run)).collect();
    if let (Some(run), true) = (run, found.is_empty()) {
        let known: Vec<String> = status.history.iter().map(|entry| entry.run.to_string()).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        anyhow::bail!(
            "{} remembers no ended release {run}; it remembers {known}",
            rollout.name()
        );
    }
    Ok(found)
}

fn lines(entries: &[&HistoryEntry], now: Timestamp, width: usize, paint: Paint) -> Vec<String> {
    let head = ["RUN", "REVISION", "OUTCOME", "REASON", "BEGAN", "TOOK", "WORST"];
    let rows: Vec<Vec<Cell>> = std::iter::once(head.map(|name| Cell::new(name, Tone::Dim)).to_vec())
        .chain(entries.iter().map(|entry| row(entry, now)))
        .collect();
    let mut drawn = table::lines(&rows, paint).into_iter();
    let mut lines: Vec<String> = drawn.next().into_iter().collect();
    for (line, entry) in drawn.zip(entries) {
        lines.push(line);
        for said in wrapped(&clean(&entry.message), width, 6) {
            lines.push(paint.tone(Tone::Dim, &said));
        }
    }
    lines
}

fn row(entry: &HistoryEntry, now: Timestamp) -> Vec<Cell> {
    let tone = match entry.outcome {
        Outcome::Promoted => Tone::Good,
        Outcome::RolledBack => Tone::Bad,
        Outcome::Superseded | Outcome::Unknown => Tone::Warning,
    };
    let worst: Vec<String> = entry
        .worst
        .iter()
        .map(|(check, value)| format!("{check} {value}"))
        .collect();
    vec![
        entry.run.to_string().into(),
        clean(&entry.revision).into(),
        Cell::new(entry.outcome.to_string(), tone),
        entry.reason.to_string().into(),
        ages::clock(now, entry.from).into(),
        ages::length(entry.to.duration_since(entry.from)).into(),
        clean(&worst.join(", ")).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::scene;

    #[test]
    fn a_release_that_ended_has_its_reason_and_worst_figures() {
        let now = "2027-01-15T08:10:00Z".parse().unwrap();
        let rollout = scene("rolled-back");
        let lines = lines(&entries(&rollout, None).unwrap(), now, 100, Paint::None);
        assert_eq!(
            lines[1],
            "1     wbd5g9f55x   RolledBack   ErrorRateAboveMax   08:00:00Z   13s    error-rate 20.00%"
        );
        assert!(
            lines[2].contains("97 of 486 requests to the new version failed in 12s"),
            "{lines:#?}"
        );
        assert_eq!(entries(&rollout, Some(1)).unwrap().len(), 1);
        let error = entries(&rollout, Some(4)).unwrap_err().to_string();
        assert_eq!(error, "catalog remembers no ended release 4; it remembers 1");
    }
}
