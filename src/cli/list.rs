//! `list`: CanaryRollouts and how far their releases have come, one line each.

use std::io::{self, IsTerminal as _};

use jiff::Timestamp;
use kube::api::ListParams;
use serde_json::json;

use super::{
    Frame, ages,
    exit::Exit,
    follow::{Follow, Told},
    paint::{Paint, Tone, clean},
    print,
    rollout::{self, Rollout, condition},
    screen::{self, Screen},
    table::{self, Cell},
};
use crate::api::{
    CanaryRolloutStatus,
    condition::ConditionType,
    status::{NO_FIGURE, Phase},
};

/// Options of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Stay, and show changes: on a terminal in place, otherwise a line for each.
    #[arg(short, long)]
    watch: bool,
}

/// Which columns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    namespace: bool,
    wide: bool,
}

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Prints the list; with `--watch` until it is interrupted.
pub async fn run(frame: &Frame, args: &Args) -> anyhow::Result<Exit> {
    let cluster = frame.connect().await?;
    let api = if args.all_namespaces {
        rollout::api_of_all(&cluster)
    } else {
        rollout::api(&cluster)
    };
    let place = if args.all_namespaces {
        "in any namespace".to_owned()
    } else {
        format!("in namespace {}", cluster.namespace)
    };
    let columns = Columns {
        namespace: args.all_namespaces,
        wide: frame.is_wide(),
    };
    if args.watch {
        return watch(frame, Follow::all(&cluster, api), columns, &place).await;
    }
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let tried = format!("listing CanaryRollouts {place}");
        let list = cluster.ask(&tried, api.list(&page)).await?;
        found.extend(list.items.into_iter().map(Rollout::new));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    if let Some(output) = frame.data() {
        let items: Vec<_> = found.iter().map(|rollout| print::plain(&rollout.object)).collect();
        let names: Vec<_> = found.iter().map(|rollout| rollout::path(&rollout.name())).collect();
        print::data(
            output,
            &json!({"apiVersion": "v1", "kind": "List", "items": items}),
            &names,
        )?;
    } else if found.is_empty() {
        eprintln!("There is no CanaryRollout {place}.");
    } else {
        let mut lines = table(found.iter(), columns, Timestamp::now(), frame.paint);
        if io::stdout().is_terminal() && !columns.wide {
            let (width, _) = screen::size();
            lines = lines.iter().map(|line| screen::clipped(line, width)).collect();
        }
        print::lines(&lines)?;
    }
    Ok(Exit::Reached)
}

async fn watch(frame: &Frame, mut follow: Follow, columns: Columns, place: &str) -> anyhow::Result<Exit> {
    let mut screen = Screen::new();
    let mut shown: Vec<String> = Vec::new();
    loop {
        match follow.next().await? {
            Told::Interrupted(why) => {
                eprintln!("{}; trying again", clean(&why));
                screen.forget();
            }
            Told::Now => {
                let mut lines = table(follow.rollouts(), columns, Timestamp::now(), frame.paint);
                if follow.rollouts().next().is_none() {
                    lines = vec![format!("There is no CanaryRollout {place}.")];
                }
                if io::stdout().is_terminal() {
                    screen.draw(&lines)?;
                } else {
                    let new: Vec<String> = lines.iter().filter(|line| !shown.contains(line)).cloned().collect();
                    print::lines(&new)?;
                    shown = lines;
                }
            }
        }
    }
}

/// The table, with a line of headings.
fn table<'a>(
    rollouts: impl Iterator<Item = &'a Rollout>,
    columns: Columns,
    now: Timestamp,
    paint: Paint,
) -> Vec<String> {
    let mut head = vec!["NAME", "PHASE", "STEP", "WEIGHT", "HIT", "ERRORS", "LATENCY", "AGE"];
    if columns.namespace {
        head.insert(0, "NAMESPACE");
    }
    if columns.wide {
        head.extend(["REVISION", "STABLE", "BASE-HIT", "BASE-ERRORS", "BASE-LATENCY"]);
    }
    head.push("MESSAGE");
    let head = head.into_iter().map(Cell::from).collect();
    let rows: Vec<Vec<Cell>> = std::iter::once(head)
        .chain(rollouts.map(|rollout| row(rollout, columns, now)))
        .collect();
    table::lines(&rows, paint)
}

fn row(rollout: &Rollout, columns: Columns, now: Timestamp) -> Vec<Cell> {
    let none = CanaryRolloutStatus::default();
    let status = rollout.status.as_ref().unwrap_or(&none);
    let figures = &status.figures;
    let mut row: Vec<Cell> = Vec::new();
    if columns.namespace {
        row.push(rollout.namespace().into());
    }
    row.push(rollout.name().into());
    row.push(phase(status));
    row.extend([
        Cell::from(figures.step.as_str()),
        figures.weight.as_str().into(),
        figures.hit_ratio.as_str().into(),
        figures.error_rate.as_str().into(),
        figures.latency.as_str().into(),
    ]);
    let age = rollout.created().map(|created| ages::ago(now, created));
    row.push(age.unwrap_or_else(|| NO_FIGURE.to_owned()).into());
    if columns.wide {
        let run = status.run.as_ref().map_or(NO_FIGURE, |run| run.revision.as_str());
        row.extend([
            Cell::from(run),
            status.stable_revision.as_deref().unwrap_or(NO_FIGURE).into(),
            figures.baseline.hit_ratio.as_str().into(),
            figures.baseline.error_rate.as_str().into(),
            figures.baseline.latency.as_str().into(),
        ]);
    }
    let message = match &rollout.status {
        Ok(status) if status.message.is_empty() => "the controller has not seen it yet".to_owned(),
        Ok(status) => clean(&status.message),
        Err(why) => clean(why),
    };
    row.push(message.into());
    row
}

/// The phase, and why it stands still if it does.
fn phase(status: &CanaryRolloutStatus) -> Cell {
    let refused = condition(status, ConditionType::Accepted).filter(|accepted| accepted.status == "False");
    let paused = status
        .run
        .as_ref()
        .filter(|_| status.is_active())
        .and_then(|run| run.paused_for);
    if let Some(reason) = paused {
        return Cell::new(format!("{}/{reason}", status.phase), Tone::Warning);
    }
    if let Some(refused) = refused {
        return Cell::new(format!("{}/{}", status.phase, clean(&refused.reason)), Tone::Bad);
    }
    let tone = match status.phase {
        Phase::Idle | Phase::Unknown => Tone::Plain,
        Phase::Preparing | Phase::Shifting | Phase::Baking | Phase::Promoting => Tone::Strong,
        Phase::Succeeded => Tone::Good,
        Phase::RollingBack | Phase::RolledBack => Tone::Bad,
    };
    Cell::new(status.phase.to_string(), tone)
}

#[cfg(test)]
mod tests;
