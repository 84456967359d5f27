//! What a database can carry.

use super::*;
use crate::engine::judge::tick::{Cache, Probes, Step};

fn plan(placement: Placement) -> Plan {
    let steps = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0];
    Plan {
        tick: 15.0,
        steps: steps.map(|weight| Step { weight, hold: 300.0 }).to_vec(),
        bake: 300.0,
        checks: Vec::new(),
        cache: Cache {
            placement: Some(placement),
            ..Cache::default()
        },
        split: Split::ByRequest,
        probes: Probes::NotCounted,
        no_data_deadline: 600.0,
        lag: 0.0,
    }
}

fn demand(weight: f64, planned: f64, window: (f64, f64)) -> Demand {
    Demand {
        weight,
        planned,
        window: window.into(),
        baseline_misses: 0.05,
        cold_misses: 1.0,
        warming: Warming::GoesOn,
        past: Past::Quiet,
    }
}

fn carried(capacity: f64, load: f64, per_miss: f64) -> Carried {
    Carried {
        capacity,
        load,
        per_miss,
        lookups: 1_000.0,
    }
}

struct Row(Placement, Demand, Carried, f64, Option<f64>, f64);

fn rows() -> [Row; 5] {
    use Placement::{PerPod, PerVersion, Shared};
    let cold = (9_000.0, 18_000.0);
    let warmer = (25_800.0, 75_000.0);
    let warm = (3_750.0, 75_000.0);
    [
        Row(
            PerVersion,
            demand(0.10, 0.25, cold),
            carried(300.0, 85.0, 1.0),
            5.017_425,
            Some(0.332_191),
            0.25,
        ),
        Row(
            PerVersion,
            demand(0.25, 0.50, warmer),
            carried(300.0, 160.0, 1.0),
            3.265_446,
            Some(0.354_121),
            0.35,
        ),
        Row(
            PerPod,
            demand(0.25, 0.50, warmer),
            carried(300.0, 120.0, 1.0),
            10.45,
            Some(0.324_641),
            0.32,
        ),
        Row(
            PerVersion,
            demand(0.0, 0.05, (0.0, 0.0)),
            carried(120.0, 50.0, 2.0),
            20.9,
            Some(0.013_876),
            0.01,
        ),
        Row(
            Shared,
            demand(0.25, 0.50, warm),
            carried(300.0, 50.0, 1.0),
            0.014_579,
            None,
            0.5,
        ),
    ]
}

#[test]
fn what_a_capacity_carries() {
    for Row(placement, demand, carried, a_point, greatest, next) in rows() {
        let plan = plan(placement);
        assert!(
            (demand.added(&plan, carried) / 100.0 - a_point).abs() < 1e-5,
            "{demand:?}"
        );
        let found = demand.greatest(&plan, Some(carried));
        assert_eq!(found.is_some(), greatest.is_some());
        assert!(
            (found.unwrap_or(0.0) - greatest.unwrap_or(0.0)).abs() < 1e-6,
            "{found:?}"
        );
        assert!((next_weight(demand.planned, found) - next).abs() < 1e-9);
    }
}

#[test]
fn a_busy_database_carries_no_more() {
    let busy = demand(0.25, 0.50, (3_750.0, 75_000.0));
    let greatest = busy.greatest(&plan(Placement::Shared), Some(carried(300.0, 250.0, 1.0)));
    assert!(greatest.unwrap() < 0.25);
}

#[test]
fn what_is_borne_without_a_stated_capacity() {
    use Placement::{PerPod, PerVersion};
    for (placement, weight, window, past, expected) in [
        (PerVersion, 0.05, (5_000.0, 15_000.0), Past::Quiet, 0.163_966),
        (PerVersion, 0.10, (24_000.0, 30_000.0), Past::Quiet, 0.15),
        (PerVersion, 0.10, (24_000.0, 30_000.0), Past::Overloaded, 0.10),
        (PerPod, 0.25, (15_000.0, 75_000.0), Past::Quiet, 0.270_054),
    ] {
        let demand = Demand {
            past,
            ..demand(weight, 1.0, window)
        };
        let greatest = demand.greatest(&plan(placement), None).unwrap();
        assert!((greatest - expected).abs() < 1e-6, "{greatest} {expected}");
        let warm = Demand {
            warming: Warming::Done,
            ..demand
        };
        assert_eq!(warm.greatest(&plan(placement), None), None);
    }
}

#[test]
fn a_weight_that_is_not_worth_a_step() {
    assert!(is_too_near(0.15, 0.16, 0.25));
    assert!(!is_too_near(0.15, 0.17, 0.25));
    assert!(!is_too_near(0.24, 0.25, 0.25), "the planned one always is");
    assert!(is_too_near(0.0, 0.009, 0.05));
    assert!(!is_too_near(0.0, 0.01, 0.05));
    assert!((next_weight(0.05, Some(0.004_7)) - 0.004).abs() < 1e-9);
    assert!(next_weight(0.05, Some(-0.2)) < 1e-9);
}

#[test]
fn what_a_miss_causes_is_measured_before_the_release() {
    let mut origin = Origin::default();
    for _ in 0..40 {
        let lookups = Count {
            bad: 750.0,
            total: 15_000.0,
        };
        origin.add_before(lookups, 15.0, Some(90.0));
    }
    origin.begin();
    assert!((origin.per_miss(&plan(Placement::Shared)) - 1.8).abs() < 1e-9);
    let mut idle = Origin::default();
    idle.add_before(
        Count {
            bad: 29.0,
            total: 2_000.0,
        },
        15.0,
        Some(90.0),
    );
    idle.begin();
    assert!((idle.per_miss(&plan(Placement::Shared)) - 1.0).abs() < 1e-9);
}
