//! `status`: one release as a whole, once or for as long as it runs.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Frame, ages,
    exit::Exit,
    follow::{Follow, Told},
    paint::clean,
    print,
    rollout::{self, Rollout},
    screen::{self, Screen},
    words,
};
use crate::api::status::NO_FIGURE;

mod checks;
mod steps;
mod view;
mod waits;

pub use view::workload;
pub use waits::waits;

/// Options of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the CanaryRollout.
    name: String,
    /// Stay until the release ends: on a terminal in place, otherwise a line for each change. The exit code says how it ended. Without a
    /// release under way it says how the last one ended, at once.
    #[arg(short, long)]
    watch: bool,
}

/// Columns of text that is not for a terminal.
const WIDTH: usize = 100;
/// More are no easier to read.
const WIDEST: usize = 140;
/// Times on the screen are so much behind at most.
const REDRAW: Duration = Duration::from_secs(1);

/// Prints the status; with `--watch` until the release has ended.
pub async fn run(frame: &Frame, args: &Args) -> anyhow::Result<Exit> {
    let cluster = frame.connect().await?;
    let rollout = rollout::get(&cluster, &args.name).await?;
    if args.watch {
        return watch(frame, Follow::one(&cluster, &args.name), &rollout).await;
    }
    match frame.data() {
        Some(output) => print::data(
            output,
            &print::plain(&rollout.object),
            &[rollout::path(&rollout.name())],
        )?,
        None => print::lines(&view::lines(&rollout, Timestamp::now(), width(), frame.paint))?,
    }
    Ok(Exit::Reached)
}

async fn watch(frame: &Frame, mut follow: Follow, first: &Rollout) -> anyhow::Result<Exit> {
    let terminal = io::stdout().is_terminal();
    let mut screen = Screen::new();
    let mut seen = first.clone();
    let mut told = String::new();
    loop {
        let now = Timestamp::now();
        let ended = ended(first, &seen);
        let lines = || view::lines(&seen, now, width(), frame.paint);
        if terminal && ended.is_some() {
            screen.leave(&lines())?;
        } else if terminal {
            screen.draw(&lines())?;
        } else {
            let line = line(&seen);
            if line != told {
                print::lines(&[format!("{} {line}", now.strftime("%H:%M:%SZ"))])?;
                told = line;
            }
        }
        if let Some(exit) = ended {
            return Ok(exit);
        }
        let next = tokio::time::timeout(REDRAW, follow.next()).await;
        match next {
            // Only the time has changed.
            Err(_) => {}
            Ok(next) => match next? {
                Told::Now => {
                    let found = follow.rollouts().next().cloned();
                    seen =
                        found.ok_or_else(|| anyhow::anyhow!("CanaryRollout {} was deleted meanwhile", first.name()))?;
                }
                Told::Interrupted(why) => {
                    eprintln!("{}; trying again", clean(&why));
                    screen.forget();
                }
            },
        }
    }
}

/// How the release that ran at the first look has ended; without one, how the last one has. `None` while it runs.
fn ended(first: &Rollout, seen: &Rollout) -> Option<Exit> {
    let (Ok(first), Ok(seen)) = (&first.status, &seen.status) else {
        return None;
    };
    let Some(followed) = &first.run else {
        return (!seen.is_active()).then_some(Exit::Reached);
    };
    match &seen.run {
        Some(run) if run.number == followed.number && seen.is_active() => None,
        Some(run) if run.number == followed.number => Some(run.outcome.map_or(Exit::Failed, words::exit)),
        Some(_) | None => {
            let past = seen.history.iter().find(|entry| entry.run == followed.number);
            Some(past.map_or(Exit::Superseded, |entry| words::exit(entry.outcome)))
        }
    }
}

/// One line for a log.
fn line(seen: &Rollout) -> String {
    match &seen.status {
        Ok(status) => {
            let figures = &status.figures;
            let place = [figures.step.as_str(), figures.weight.as_str()];
            let place: Vec<&str> = place.into_iter().filter(|text| *text != NO_FIGURE).collect();
            let place = if place.is_empty() {
                String::new()
            } else {
                format!(" {}", place.join(" "))
            };
            format!("{}{place}: {}", status.phase, clean(&status.message))
        }
        Err(why) => clean(why),
    }
}

/// Columns to write in.
pub fn width() -> usize {
    if io::stdout().is_terminal() {
        screen::size().0.min(WIDEST)
    } else {
        WIDTH
    }
}

/// A moment of the release, with how long it is until then or ago.
fn moment(now: Timestamp, at: Timestamp) -> String {
    ages::until(now, at)
}

#[cfg(test)]
mod tests;
