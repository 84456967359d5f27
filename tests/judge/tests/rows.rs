//! Every row of the table holds in a few runs whose chance is fixed; `make judge` runs a thousand.

use warmfront_judge::{params::Scenario, services, table};

/// Releases of each row.
const RUNS: u32 = 10;

/// Where chance begins.
const SEED: u64 = 1;

/// Of the random services so many are drawn.
const SERVICES: u32 = 12;

#[test]
fn every_row_holds() {
    let rows: Vec<Scenario> = serde_json::from_str(include_str!("../rows.json")).unwrap();
    let broken: Vec<String> = rows
        .iter()
        .map(|row| table::row(row, RUNS, SEED, &[]).unwrap())
        .filter(|row| !row.broken.is_empty())
        .map(|row| format!("{}: {}", row.name, row.broken.join("; ")))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn random_services_are_judged_as_they_should_be() {
    let over = services::all(SERVICES, 2, SEED).unwrap();
    let broken: Vec<_> = over.iter().filter(|over| !over.broken.is_empty()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
