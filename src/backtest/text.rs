//! The past for people: a summary, and the sentences that were told.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::report::{Again, Entry, Once, Outcome};
use crate::simulate::report::{clock, share};

/// No more releases that came to the same are told one by one.
const ALIKE: usize = 20;

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Lines of at most so many characters, all but the first indented.
fn wrapped(text: &str, width: usize, indent: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let room = width.saturating_sub(indent.chars().count());
        let Some(line) = lines.last_mut() else { break };
        let length = line
            .chars()
            .count()
            .saturating_add(1)
            .saturating_add(word.chars().count());
        if line.is_empty() {
            line.push_str(word);
        } else if length <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().fold(String::new(), |all, line| all + indent + line + "\n")
}

fn left_out(text: &mut String, names: &[&str], width: usize) {
    if !names.is_empty() {
        let said = format!("Left out, because the past cannot be asked: {}.", names.join(", "));
        text.push_str(&wrapped(&said, width, ""));
    }
}

/// How often the running version would have passed as its own canary.
pub fn again(report: &Again, width: usize) -> String {
    let mut text = String::new();
    let all = report.releases.len();
    let head = format!(
        "{}: the running version as its own canary, {all} releases begun every {} from {} to {} (UTC), seed {}.",
        report.rollout,
        report.every,
        moment(report.from),
        moment(report.to),
        report.seed
    );
    text.push_str(&wrapped(&head, width, ""));
    left_out(&mut text, &report.left_out, width);
    text.push('\n');
    for (outcome, words) in [
        (Outcome::Promoted, "promoted"),
        (Outcome::RolledBack, "rolled back"),
        (Outcome::Paused, "paused in the end"),
        (Outcome::Running, "still going on after the longest time"),
        (Outcome::CutOff, "still going on when the data ended"),
    ] {
        let count = report.of(outcome).count();
        let always = matches!(outcome, Outcome::Promoted | Outcome::RolledBack);
        if count > 0 || always {
            let took = times(report, outcome);
            // A text cannot fail to grow.
            let _ = writeln!(text, "{count:>6} {words}{took}");
        }
    }
    for (outcome, title) in [
        (Outcome::RolledBack, "Rolled back"),
        (Outcome::Paused, "Paused"),
        (Outcome::Running, "Still going on after the longest time"),
        (Outcome::CutOff, "Still going on when the data ended"),
    ] {
        text.push_str(&entries(report, outcome, title, width));
    }
    text.push_str(&waits(report, width));
    text.push('\n');
    text.push_str(&wrapped(&verdict(report), width, ""));
    text
}

/// How long releases took that came to this.
fn times(report: &Again, outcome: Outcome) -> String {
    let mut seconds: Vec<f64> = report.of(outcome).map(|entry| entry.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.get(seconds.len() / 2);
    match (seconds.first(), middle, seconds.last()) {
        (Some(first), Some(middle), Some(last)) if matches!(outcome, Outcome::Promoted | Outcome::RolledBack) => {
            format!(
                " after {} to {}, half of them within {}",
                clock(*first),
                clock(*last),
                clock(*middle)
            )
        }
        _ => String::new(),
    }
}

fn entries(report: &Again, outcome: Outcome, title: &str, width: usize) -> String {
    let found: Vec<&Entry> = report.of(outcome).collect();
    let mut text = String::new();
    let Some((first, rest)) = found.split_first() else {
        return text;
    };
    let _ = writeln!(text, "\n{title}:");
    for entry in std::iter::once(first).chain(rest).take(ALIKE) {
        let _ = writeln!(
            text,
            "  begun {}, {} after {}, {} ({})",
            moment(entry.begun),
            moment(entry.ended),
            clock(entry.seconds),
            format_args!("with {} at most", share(entry.greatest_weight)),
            entry.reason.as_deref().unwrap_or("not over")
        );
        text.push_str(&wrapped(&entry.message, width, "    "));
    }
    let more = found.len().saturating_sub(ALIKE);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more: -o csv has them all");
    }
    text
}

fn waits(report: &Again, width: usize) -> String {
    let mut text = String::new();
    for (number, (cause, (count, first, message))) in report.waits().into_iter().enumerate() {
        if number == 0 {
            text.push_str("\nWaited for, besides more requests:\n");
        }
        let _ = writeln!(text, "  {cause} in {count} releases, first at {}", moment(first));
        text.push_str(&wrapped(message, width, "    "));
    }
    text
}

fn verdict(report: &Again) -> String {
    let count = |outcome| report.of(outcome).count();
    // What still goes on after the longest time is held up as if it were paused.
    let ends = [Outcome::RolledBack, Outcome::Paused, Outcome::Running];
    let stopped = ends.into_iter().map(count).fold(0, usize::saturating_add);
    let unfinished = count(Outcome::CutOff);
    if stopped == 0 && unfinished == 0 {
        return "No release of the running version would have been stopped by these checks.".to_owned();
    }
    if stopped == 0 {
        return format!(
            "No release was stopped, but {unfinished} did not end in the time that was looked at: see what they waited for, or look at a longer time."
        );
    }
    #[allow(clippy::cast_precision_loss, reason = "a few thousand releases")]
    let part = share(stopped as f64 / report.releases.len().max(1) as f64);
    format!(
        "{part} of the releases would have been stopped or held up, and nothing was released: where nothing was wrong with the running version at that time either, these are false alarms, and a limit is too tight for what it does."
    )
}

/// What would have become of two versions that ran side by side.
pub fn once(report: &Once, width: usize) -> String {
    let mut text = String::new();
    let head = format!(
        "{}: two versions side by side from {} to {} (UTC), the new one with {} of the requests.",
        report.rollout,
        moment(report.from),
        moment(report.to),
        report.weight()
    );
    text.push_str(&wrapped(&head, width, ""));
    left_out(&mut text, &report.left_out, width);
    text.push('\n');
    for (at, check, says, message) in report.changes() {
        let _ = writeln!(text, "  {}  {check} {says}", moment(at));
        text.push_str(&wrapped(message, width, "    "));
    }
    text.push('\n');
    text.push_str(&wrapped(&end(report), width, ""));
    text.push_str(&wrapped(&report.message, width, "  "));
    text
}

/// In one sentence: what would have been done, and when.
fn end(report: &Once) -> String {
    let after = |at: Timestamp| clock(at.duration_since(report.from).as_secs_f64());
    let rises = match report.rises {
        Some(at) => format!(
            "By {} ({}) the first hold would have been served, and the weight would have risen. ",
            moment(at),
            after(at)
        ),
        None => "The weight would not have risen. ".to_owned(),
    };
    let reason = report.reason.as_deref().unwrap_or("no reason");
    let at = moment(report.ended);
    let rest = match report.outcome {
        Outcome::RolledBack => format!("Rolled back at {at}, after {} ({reason}).", after(report.ended)),
        Outcome::Paused => format!("Paused in the end ({reason})."),
        Outcome::Promoted | Outcome::Running | Outcome::CutOff => "Not rolled back until the data end.".to_owned(),
    };
    rises + &rest
}
