//! Sentences that commands share: text that is broken into lines, and how a release ended.

use jiff::Timestamp;

use super::{ages, exit::Exit};
use crate::api::status::{Outcome, Run};

/// The text in lines of at most so many characters, each behind `indent` blanks. A word that is longer has a line of its own.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let room = width.saturating_sub(indent).max(20);
    let blanks = " ".repeat(indent);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && longer > room {
            lines.push(format!("{blanks}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(format!("{blanks}{line}"));
    }
    lines
}

/// What became of a release: `was promoted`.
pub fn became(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Promoted => "was promoted",
        Outcome::RolledBack => "was rolled back",
        Outcome::Superseded => "was superseded",
        Outcome::Unknown => "ended in a way that only a newer kubectl-canary knows",
    }
}

/// Exit code of a release that ended so.
pub fn exit(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Promoted => Exit::Reached,
        Outcome::RolledBack => Exit::RolledBack,
        Outcome::Superseded => Exit::Superseded,
        Outcome::Unknown => Exit::Failed,
    }
}

/// How long a release took, or has taken until now.
pub fn took(run: &Run, now: Timestamp) -> String {
    let end = run.ended_at.unwrap_or(now);
    ages::length(end.duration_since(run.started_at))
}

/// `s`, unless it is one.
pub fn plural(count: i32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let lines = wrapped("one two three four five six", 22, 2);
        assert_eq!(lines, ["  one two three four", "  five six"]);
        let long = "x".repeat(30);
        assert_eq!(wrapped(&format!("a {long} b"), 20, 0), ["a", long.as_str(), "b"]);
        assert!(wrapped("", 20, 2).is_empty());
    }
}
