//! The release machine under every failure: scenarios, crashes, faults, two leaders, random worlds.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these are tests; the fence is the engine's"
)]

mod conformance;
mod crash;
mod faults;
mod idle;
mod leaders;
mod moments;
mod random;
mod scenarios;

use std::io::Write as _;

use warmfront_sim::{scenario::Scenario, sweep::Report};

/// The releases that are played again for every call.
const RELEASES: [&str; 15] = [
    "04-promoted",
    "34-errors",
    "09-superseded",
    "10-reverted",
    "13-aborted",
    "13-aborted-while-promoting",
    "46-deleted-mid-way",
    "46-deleted-at-bake",
    "23-never-ready",
    "gated",
    "pair-promoted",
    "pair-candidate-changed",
    "pair-undone",
    "27-autoscaler-rolled-back",
    "27-keda-rolled-back",
];

fn releases() -> Vec<(String, Scenario)> {
    RELEASES
        .iter()
        .map(|name| ((*name).to_owned(), Scenario::named(name).unwrap()))
        .collect()
}

/// A whole number from the environment: how much more than the ordinary test is done.
fn from_environment(name: &str, ordinary: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ordinary)
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints a line also where the output of tests that pass is not shown.
fn say(text: &str) {
    // A closed standard error loses nothing but the line.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what a sweep did, and fails if it found anything.
fn conclude(name: &str, what: &str, report: &Report) {
    say(&format!(
        "{name}: {} releases, {} {what}, {} differences",
        report.scenarios,
        thousands(report.runs),
        report.differences.len()
    ));
    assert!(
        report.differences.is_empty(),
        "{} differences, the first ones:\n{}",
        report.differences.len(),
        report
            .differences
            .iter()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
}
