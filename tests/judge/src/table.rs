//! Scenarios held to what is required of them.

use serde::Serialize;

use crate::{
    cache, drive,
    engine::Engine,
    measure::Measured,
    others::{ArgoRollouts, FiftyRequests, Flagger},
    params::{Params, Scenario},
    rule::Rule,
};

/// A scenario that was run.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// As it stands in the table.
    pub name: String,
    /// Where chance began.
    pub seed: u64,
    /// What the engine's judge did.
    pub measured: Measured,
    /// What was required.
    pub require: Vec<String>,
    /// What of it does not hold, with the value that was measured.
    pub broken: Vec<String>,
    /// What others did, in the order of [`OTHERS`].
    pub others: Vec<Measured>,
}

/// A rule by its name.
pub type Maker = (&'static str, fn(&Params) -> Box<dyn Rule>);

/// What others do by default, or by the example of their documentation.
pub const OTHERS: [Maker; 4] = [
    ("Argo 1m/0", |params| Box::new(ArgoRollouts::new(params, 60.0, 0))),
    ("Argo 5m/3", |params| Box::new(ArgoRollouts::new(params, 300.0, 3))),
    ("Flagger 1m/10", |params| Box::new(Flagger::new(params, 60.0, 10))),
    ("first rule", |params| Box::new(FiftyRequests::new(params))),
];

/// Where chance begins in one of a scenario's runs.
pub fn seed_of(seed: u64, run: u32) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(u64::from(run))
}

/// Runs of one scenario with one rule.
pub fn releases(params: &Params, runs: u32, seed: u64, rule: fn(&Params) -> Box<dyn Rule>) -> Measured {
    let curve = cache::curve(params);
    let runs: Vec<_> = (0..runs)
        .map(|run| {
            drive::release(
                params,
                curve.clone(),
                seed_of(seed, run),
                rule(params).as_mut(),
                &mut |_, _| {},
            )
        })
        .collect();
    Measured::of(&runs)
}

/// One scenario, with `runs` and `seed` where it has none of its own, against `others` too or not.
pub fn row(scenario: &Scenario, runs: u32, seed: u64, others: &[Maker]) -> Result<Row, String> {
    let runs = scenario.runs.unwrap_or(runs);
    let seed = scenario.seed.unwrap_or(seed);
    let measured = releases(&scenario.params, runs, seed, |params| Box::new(Engine::new(params)));
    let others = others
        .iter()
        .map(|(_, rule)| releases(&scenario.params, runs, seed, *rule));
    Ok(Row {
        name: scenario.name.clone(),
        seed,
        broken: broken(&scenario.require, |name| measured.value(name))?,
        require: scenario.require.clone(),
        others: others.collect(),
        measured,
    })
}

/// Which requirements do not hold.
pub fn broken(require: &[String], value: impl Fn(&str) -> Result<f64, String>) -> Result<Vec<String>, String> {
    let mut broken = Vec::new();
    for requirement in require {
        let words: Vec<&str> = requirement.split(' ').collect();
        let [name, relation, bound] = words[..] else {
            return Err(format!("`{requirement}` is not of the form `promoted >= 0.99`"));
        };
        let bound: f64 = bound.parse().map_err(|error| format!("`{requirement}`: {error}"))?;
        let value = value(name)?;
        // Times and minutes are sums of thirds and quarters: they may miss a bound by a rounding.
        let holds = match relation {
            "<=" => value <= bound + 1e-9,
            ">=" => value >= bound - 1e-9,
            _ => return Err(format!("`{requirement}`: only <= and >= are known")),
        };
        if !holds {
            broken.push(format!("{requirement}, is {}", short(value)));
        }
    }
    Ok(broken)
}

/// At most four digits.
fn short(value: f64) -> String {
    if value.is_infinite() {
        "never".into()
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    }
}

/// A line of the table for each row, the first one says what is in it.
pub fn print(rows: &[Row], others: &[Maker]) -> String {
    let mut lines = vec![head(others)];
    lines.extend(rows.iter().map(line));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let padded = |line: &Vec<String>| {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!(
        "|{}|\n",
        widths
            .iter()
            .map(|width| "-".repeat(width + 2))
            .collect::<Vec<_>>()
            .join("|")
    );
    let mut text = padded(&lines[0]) + &rule;
    text.extend(lines[1..].iter().map(padded));
    text
}

fn head(others: &[Maker]) -> Vec<String> {
    let own = [
        "row",
        "",
        "runs",
        "rolled back",
        "promoted",
        "paused",
        "p50 s",
        "p95 s",
        "overload min",
        "step backs",
        "weight %",
        "median min",
        "why",
    ];
    let mut cells: Vec<String> = own.iter().map(ToString::to_string).collect();
    cells.extend(others.iter().map(|(name, _)| (*name).to_string()));
    cells.push("what does not hold".into());
    cells
}

fn line(row: &Row) -> Vec<String> {
    let measured = &row.measured;
    let or_none = |value: Option<f64>| value.map_or_else(String::new, short);
    let mut cells = vec![
        row.name.clone(),
        if row.broken.is_empty() { "pass" } else { "FAIL" }.to_string(),
        measured.runs.to_string(),
        percent(measured.rolled_back),
        percent(measured.promoted),
        percent(measured.paused),
        or_none(measured.p50),
        or_none(measured.p95),
        short(measured.overload_minutes),
        short(measured.step_backs.0),
        short(measured.greatest_weight.0),
        or_none(measured.median_minutes),
        why(measured),
    ];
    cells.extend(row.others.iter().map(|other| match other.p50 {
        Some(seconds) => format!("{} ({} s)", percent(other.rolled_back), short(seconds)),
        None => percent(other.rolled_back),
    }));
    cells.push(row.broken.join("; "));
    cells
}

/// The most common reasons and pauses.
fn why(measured: &Measured) -> String {
    let mut parts: Vec<(f64, String)> = Vec::new();
    for (of, sign) in [(&measured.reasons, ""), (&measured.pauses, "paused ")] {
        parts.extend(
            of.iter()
                .map(|(name, share)| (*share, format!("{sign}{name} {}", percent(*share)))),
        );
    }
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    parts
        .into_iter()
        .take(2)
        .map(|(_, text)| text)
        .collect::<Vec<_>>()
        .join(", ")
}

fn percent(share: f64) -> String {
    format!("{}%", short(share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_told_with_its_value() {
        let require = |text: &str| {
            broken(&[text.to_string()], |name| {
                if name == "p95" { Ok(90.0) } else { Err("no".into()) }
            })
        };
        assert_eq!(require("p95 <= 90").unwrap(), Vec::<String>::new());
        assert_eq!(require("p95 <= 75").unwrap(), ["p95 <= 75, is 90"]);
        assert!(require("p96 <= 75").is_err());
        assert!(require("p95 < 75").is_err());
        assert!(require("p95 <= soon").is_err());
        assert!(require("p95<=75").is_err());
    }

    #[test]
    fn the_tables_are_read_and_ask_for_what_is_measured() {
        let scenarios: Vec<Scenario> = serde_json::from_str(include_str!("../rows.json")).unwrap();
        assert!(scenarios.len() > 50);
        for scenario in &scenarios {
            assert!(!scenario.require.is_empty(), "{}", scenario.name);
            broken(&scenario.require, |name| Measured::default().value(name)).unwrap();
        }
    }
}
