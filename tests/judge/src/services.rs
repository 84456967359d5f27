//! Services drawn at random: of what size they may be, nothing is tuned to them.

use serde::Serialize;

use crate::{
    chance::Chance,
    measure::{Measured, quantile},
    params::{Params, Placement},
    table,
};

/// How many services are drawn.
pub const SERVICES: u32 = 60;

/// A name, what is released on a service, and what must hold over all of them.
type Kind = (
    &'static str,
    fn(&Params, &mut Chance) -> Params,
    &'static [&'static str],
);

const KINDS: [Kind; 4] = [
    ("healthy, shared", |service, _| warm(service), &["rolledBack <= 0.001"]),
    (
        "healthy, cold",
        |service, _| cold(service),
        &[
            "rolledBack <= 0.002",
            "worstRolledBack <= 0.04",
            "overloadMinutes <= 0.01",
        ],
    ),
    ("errors", faulty, &["rolledBack >= 1", "medianP50 <= 75"]),
    (
        "broken cache",
        |service, chance| Params {
            placement: Placement::PerVersion,
            cold: None,
            flat: Some(chance.uniform(0.0, 0.4)),
            ..service.clone()
        },
        &["rolledBack >= 0.99", "medianP50 <= 900"],
    ),
];

/// What one kind of release did over all services.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Over {
    /// What is released.
    pub kind: &'static str,
    /// Releases of all services.
    pub runs: usize,
    /// Share that was rolled back.
    pub rolled_back: f64,
    /// Share that was promoted.
    pub promoted: f64,
    /// The greatest share of one service that was rolled back.
    pub worst_rolled_back: f64,
    /// Mean of the minutes in which a database was asked for more than it can carry.
    pub overload_minutes: f64,
    /// Median of the services' medians of the seconds from the onset to the rollback.
    pub median_p50: Option<f64>,
    /// What does not hold.
    pub broken: Vec<String>,
    /// Services with a rollback that should have none, or the other way round.
    pub odd: Vec<(Params, Measured)>,
}

/// All kinds of releases, each `runs` times on `services` services.
pub fn all(services: u32, runs: u32, seed: u64) -> Result<Vec<Over>, String> {
    let over = |(kind, (name, params, require)): (usize, &Kind)| {
        let measured: Vec<(Params, Measured)> = (0..services)
            .map(|service| {
                let mut chance = Chance::new(seed, u64::from(service));
                let drawn = draw(&mut chance);
                let mut chance = Chance::new(seed, u64::from(service) + 1000 * (kind as u64 + 1));
                let params = params(&drawn, &mut chance);
                let seed = seed
                    .wrapping_mul(1_000_033)
                    .wrapping_add(u64::from(service * 8) + kind as u64);
                let measured = table::releases(&params, runs, seed, |params| {
                    Box::new(crate::engine::Engine::new(params))
                });
                (params, measured)
            })
            .collect();
        summed_up(name, measured, require)
    };
    KINDS.iter().enumerate().map(over).collect()
}

fn summed_up(kind: &'static str, measured: Vec<(Params, Measured)>, require: &[&str]) -> Result<Over, String> {
    let mean = |value: fn(&Measured) -> f64| {
        measured.iter().map(|(_, measured)| value(measured)).sum::<f64>() / measured.len().max(1) as f64
    };
    let medians: Vec<f64> = measured.iter().filter_map(|(_, measured)| measured.p50).collect();
    let wanted = if require.iter().any(|text| text.starts_with("rolledBack >=")) {
        1.0
    } else {
        0.0
    };
    let mut over = Over {
        kind,
        runs: measured.iter().map(|(_, measured)| measured.runs).sum(),
        rolled_back: mean(|measured| measured.rolled_back),
        promoted: mean(|measured| measured.promoted),
        worst_rolled_back: measured
            .iter()
            .map(|(_, measured)| measured.rolled_back)
            .fold(0.0, f64::max),
        overload_minutes: mean(|measured| measured.overload_minutes),
        median_p50: quantile(&medians, 0.5, measured.len()),
        broken: Vec::new(),
        odd: Vec::new(),
    };
    let require: Vec<String> = require.iter().map(ToString::to_string).collect();
    over.broken = table::broken(&require, |name| match name {
        "rolledBack" => Ok(over.rolled_back),
        "worstRolledBack" => Ok(over.worst_rolled_back),
        "overloadMinutes" => Ok(over.overload_minutes),
        "medianP50" => Ok(over.median_p50.unwrap_or(f64::INFINITY)),
        _ => Err(format!("nothing of services is called {name}")),
    })?;
    over.odd = measured
        .into_iter()
        .filter(|(_, measured)| (measured.rolled_back - wanted).abs() > 1e-9)
        .collect();
    Ok(over)
}

/// A service with nothing wrong.
fn draw(chance: &mut Chance) -> Params {
    let rate = chance.log_uniform(60.0, 4000.0);
    Params {
        rate,
        capacity: rate * chance.uniform(0.2, 1.0),
        be: chance.log_uniform(0.0003, 0.006),
        conc: Some(chance.log_uniform(200.0, 20_000.0)),
        cold: Some((chance.log_uniform(1e4, 1e6), chance.uniform(0.7, 1.25))),
        bp: chance.uniform(0.0, 0.03),
        bx: chance.uniform(1.0, 5.0),
        cbp: chance.uniform(0.0, 0.02),
        cbx: chance.uniform(0.0, 0.04),
        ..Params::default()
    }
}

fn warm(service: &Params) -> Params {
    Params {
        cold: None,
        ..service.clone()
    }
}

fn cold(service: &Params) -> Params {
    Params {
        placement: Placement::PerVersion,
        ..service.clone()
    }
}

fn faulty(service: &Params, chance: &mut Chance) -> Params {
    let params = if chance.happens(0.5) {
        cold(service)
    } else {
        warm(service)
    };
    Params {
        err: chance.log_uniform(0.02, 0.5),
        onset: chance.between(2, 59),
        ..params
    }
}

/// A line for each kind of release.
pub fn print(all: &[Over]) -> String {
    let percent = |share: f64| format!("{:.2}%", share * 100.0);
    let mut text = String::new();
    if !all.is_empty() {
        text += "\n| random services | | runs | rolled back | of the worst | promoted | median p50 s | overload min | what does not hold |\n";
        text += "|---|---|---|---|---|---|---|---|---|\n";
    }
    for over in all {
        let cells = [
            over.kind.to_string(),
            if over.broken.is_empty() { "pass" } else { "FAIL" }.to_string(),
            over.runs.to_string(),
            percent(over.rolled_back),
            percent(over.worst_rolled_back),
            percent(over.promoted),
            over.median_p50
                .map_or_else(String::new, |seconds| format!("{seconds:.0}")),
            format!("{:.3}", over.overload_minutes),
            over.broken.join("; "),
        ];
        text.push_str("| ");
        text.push_str(&cells.join(" | "));
        text.push_str(" |\n");
    }
    text
}
