//! What is counted has the rates, shares and faults that the parameters say, and nothing appears or goes on the way.

use super::*;
use crate::{
    cache,
    params::{Placement, Start},
};

/// Ticks with data of a world at this weight, sums over `ticks` of them from tick `from` on.
#[derive(Default)]
struct Sum {
    candidate: [f64; 4],
    baseline: [f64; 4],
    requests: [f64; 2],
    load: f64,
    overloaded: u32,
    data: u32,
}

fn world(params: &Params, weight: f64) -> World<'_> {
    let mut world = World::new(params, cache::curve(params), 1);
    for _ in 0..PRE_RUN {
        world.tick();
    }
    world.set_weight(weight);
    world
}

fn sum(params: &Params, weight: f64, from: u32, ticks: u32) -> Sum {
    let mut world = world(params, weight);
    for _ in 0..from {
        world.tick();
    }
    let mut sum = Sum::default();
    for _ in 0..ticks {
        let seen = world.tick();
        sum.overloaded += u32::from(seen.overloaded);
        let Some(requests) = seen.tick.requests else {
            continue;
        };
        sum.data += 1;
        sum.requests[0] += requests.candidate;
        sum.requests[1] += requests.baseline.unwrap();
        sum.load += seen.tick.origin_load.unwrap_or(0.0);
        let lookups = seen.tick.lookups.unwrap();
        for check in 0..4 {
            let sides = match (check, &seen.tick.readings[check]) {
                (checks::HITS, _) => lookups,
                (_, Reading::Counts(sides)) => *sides,
                (_, other) => panic!("{other:?}"),
            };
            for count in [Some(sides.candidate), sides.baseline].into_iter().flatten() {
                assert!(count.bad >= 0.0 && count.bad <= count.total, "{count:?}");
            }
            sum.candidate[check] += sides.candidate.bad;
            sum.baseline[check] += sides.baseline.unwrap_or_default().bad;
        }
    }
    sum
}

impl Sum {
    fn share(&self, check: usize) -> f64 {
        self.candidate[check] / self.requests[0]
    }

    fn baseline_share(&self, check: usize) -> f64 {
        self.baseline[check] / self.requests[1]
    }
}

#[track_caller]
fn near(is: f64, should: f64, within: f64) {
    assert!(
        (is - should).abs() <= within * should.abs().max(1e-9),
        "{is} is not {should}"
    );
}

#[test]
fn requests_are_split_by_the_weight() {
    let params = Params::default();
    for weight in [0.0, 0.05, 0.5, 1.0] {
        let sum = sum(&params, weight, 0, 200);
        near(sum.requests[0] + sum.requests[1], 200.0 * 15_000.0, 0.002);
        near(sum.requests[0], 200.0 * 15_000.0 * weight, 0.01);
    }
    let split = Params {
        split: Some(100.0),
        ..Params::default()
    };
    near(sum(&split, 0.25, 0, 400).requests[0], 400.0 * 3750.0, 0.03);
}

#[test]
fn nothing_is_wrong_unless_it_is_said() {
    let sum = sum(&Params::default(), 0.25, 0, 400);
    let slow = 0.05 * 0.02 + 0.95 * 0.002;
    for (check, share) in [(checks::ERRORS, 0.002), (checks::SLOW, slow), (checks::HITS, 0.05)] {
        near(sum.share(check), share, 0.05);
        near(sum.baseline_share(check), share, 0.05);
    }
    near(sum.load / 400.0, 50.0, 0.01);
    assert_eq!(sum.overloaded, 0);
}

#[test]
fn load_is_what_misses_cost_and_what_others_ask() {
    let params = Params {
        amp: Some((0.25, 10.0)),
        background: Some((0, 99, 100.0)),
        ..Params::default()
    };
    near(sum(&params, 0.10, 0, 100).load / 100.0, 150.0, 0.01);
    near(
        sum(&params, 0.25, 0, 100).load / 100.0,
        12.5 * 10.0 + 37.5 + 100.0,
        0.02,
    );
    near(sum(&params, 0.10, 100, 100).load / 100.0, 50.0, 0.02);
}

#[test]
fn an_overloaded_database_is_slow_and_sheds() {
    let params = Params {
        capacity: 40.0,
        ..Params::default()
    };
    let sum = sum(&params, 0.25, 0, 200);
    assert_eq!(sum.overloaded, 200);
    let rho: f64 = 50.0 / 40.0;
    near(sum.share(checks::ERRORS), 0.002 + 0.05 * (1.0 - 1.0 / rho), 0.05);
    near(sum.baseline_share(checks::SLOW), 0.05 * 0.95 + 0.95 * 0.002, 0.05);
    let small = Params {
        rate: 0.9,
        capacity: 0.001,
        ..Params::default()
    };
    assert_eq!(super::tests::sum(&small, 0.25, 0, 200).overloaded, 0);
}

#[test]
fn faults_begin_at_their_onset_on_their_side() {
    let params = Params {
        err: 0.05,
        poison: 0.03,
        slow: 0.1,
        stale: 0.02,
        onset: 8,
        ..Params::default()
    };
    let before = sum(&params, 0.5, 0, 8);
    near(before.share(checks::ERRORS), 0.002, 0.3);
    near(before.baseline_share(checks::ERRORS), 0.002, 0.3);
    near(before.share(checks::SLOW), 0.0029, 0.3);
    let after = sum(&params, 0.5, 8, 300);
    near(after.share(checks::ERRORS), 0.052, 0.02);
    near(after.baseline_share(checks::ERRORS), 0.032, 0.02);
    near(after.share(checks::SLOW), 0.1029, 0.02);
    near(after.baseline_share(checks::SLOW), 0.0029, 0.1);
    near(after.candidate[checks::STALE], 0.02 * 0.005 * after.requests[0], 0.15);
}

#[test]
fn faults_of_a_weight_begin_with_it() {
    let params = Params {
        err_at: Some((0.5, 0.05)),
        ..Params::default()
    };
    near(sum(&params, 0.25, 0, 100).share(checks::ERRORS), 0.002, 0.1);
    near(sum(&params, 0.5, 0, 100).share(checks::ERRORS), 0.052, 0.05);
}

#[test]
fn noise_has_its_mean() {
    let params = Params {
        be: 0.003,
        conc: Some(1000.0),
        bp: 0.02,
        bx: 5.0,
        cbp: 0.01,
        cbx: 0.03,
        ..Params::default()
    };
    let sum = sum(&params, 0.5, 0, 4000);
    near(sum.baseline_share(checks::ERRORS), 0.003 * (1.0 + 0.02 * 4.0), 0.05);
    near(
        sum.share(checks::ERRORS),
        0.003 * (1.0 + 0.02 * 4.0) + 0.01 * 0.03,
        0.05,
    );
    let fix = Params {
        baseline_errors: Some(1.0),
        conc: Some(1000.0),
        ..Params::default()
    };
    near(
        super::tests::sum(&fix, 0.5, 0, 20).baseline_share(checks::ERRORS),
        1.0,
        0.0,
    );
}

#[test]
fn an_incident_meets_both_sides() {
    let params = Params {
        incident: Some(crate::params::Incident {
            errors: 0.2,
            slow: 0.1,
            ticks: 20,
            start: Start::At(30),
        }),
        ..Params::default()
    };
    for (from, ticks, errors, slow) in [(0, 30, 0.002, 0.0029), (30, 20, 0.202, 0.1029), (50, 30, 0.002, 0.0029)] {
        let sum = sum(&params, 0.5, from, ticks);
        near(sum.share(checks::ERRORS), errors, 0.1);
        near(sum.baseline_share(checks::ERRORS), errors, 0.1);
        near(sum.baseline_share(checks::SLOW), slow, 0.1);
    }
}

#[test]
fn slowness_grows_and_starts() {
    let leak = Params {
        leak: 0.002,
        ..Params::default()
    };
    near(sum(&leak, 0.5, 40, 1).share(checks::SLOW), 0.0029 + 0.02, 0.1);
    let startup = Params {
        startup: 0.1,
        ..Params::default()
    };
    near(sum(&startup, 0.5, 0, 2).share(checks::SLOW), 0.1029, 0.1);
    near(sum(&startup, 0.5, 2, 50).share(checks::SLOW), 0.0029, 0.1);
}

#[test]
fn a_cold_cache_misses_and_warms() {
    let params = Params {
        placement: Placement::PerVersion,
        cold: Some((1e5, 1.0)),
        ..Params::default()
    };
    let curve = Curve::new(1e5, 1.0);
    near(sum(&params, 0.05, 0, 1).share(checks::HITS), 1.0, 0.001);
    let hits = 1.0 - sum(&params, 0.05, 200, 20).share(checks::HITS);
    near(hits, 0.95 * curve.hits(210.0 * 750.0), 0.02);
}

#[test]
fn pods_are_told_one_by_one_and_sum_up() {
    let params = Params {
        placement: Placement::PerPod,
        cold: Some((1e5, 1.0)),
        pod_rps: Some(50.0),
        ..Params::default()
    };
    let mut world = world(&params, 0.05);
    for _ in 0..20 {
        world.tick();
    }
    world.set_weight(0.25);
    let tick = world.tick().tick;
    assert_eq!(tick.pods.len(), 5);
    near(tick.pods[0].before, 20.0 * 15.0 * 50.0, 1e-9);
    near(tick.pods[4].before, 0.0, 0.0);
    let lookups = tick.lookups.unwrap().candidate;
    near(tick.pods.iter().map(|pod| pod.lookups).sum(), lookups.total, 1e-9);
    near(
        tick.pods.iter().map(|pod| pod.hits).sum(),
        lookups.total - lookups.bad,
        1e-9,
    );
    assert!(tick.pods[0].hits > tick.pods[4].hits + 100.0);
}

#[test]
fn what_is_lost_is_seen_by_nobody() {
    let outage = Params {
        outage: Some(20),
        ..Params::default()
    };
    assert_eq!(sum(&outage, 0.05, 0, 119).data, 99);
    let lost = Params {
        lost: 0.2,
        ..Params::default()
    };
    near(f64::from(sum(&lost, 0.05, 0, 1000).data), 800.0, 0.05);
    let resets = Params {
        resets: true,
        ..Params::default()
    };
    let sum = sum(&resets, 0.5, 0, 2000);
    near(sum.requests[0], 2000.0 * 7500.0 * (1.0 - 0.03 * 0.25), 0.002);
    near(sum.requests[1], 2000.0 * 7500.0, 0.002);
}

#[test]
fn requests_that_hang_are_in_flight_and_in_no_count() {
    let params = Params {
        hang: 0.5,
        in_flight: true,
        onset: 8,
        ..Params::default()
    };
    near(sum(&params, 0.05, 0, 8).requests[0], 8.0 * 750.0, 0.05);
    near(sum(&params, 0.05, 8, 100).requests[0], 100.0 * 375.0, 0.02);
    let mut world = world(&params, 0.05);
    let first = world.tick().tick.in_flight.unwrap();
    near(first.candidate, 2.5, 1e-9);
    near(first.baseline.unwrap(), 47.5, 1e-9);
    for _ in 0..7 {
        world.tick();
    }
    near(world.tick().tick.in_flight.unwrap().candidate, 752.5, 1e-9);
}

#[test]
fn the_judge_is_told_of_the_database_only_with_its_capacity() {
    let load = |params: &Params| world(params, 0.05).tick().tick.origin_load;
    assert!(load(&Params::default()).is_some());
    let not_told = Params {
        no_capacity: true,
        ..Params::default()
    };
    assert!(load(&not_told).is_none());
}

#[test]
fn traffic_grows_by_day() {
    let params = Params {
        diurnal: Some(2.0),
        ..Params::default()
    };
    near(sum(&params, 0.5, 355, 10).requests[1], 10.0 * 7500.0 * 1.5, 0.02);
    near(sum(&params, 0.5, 800, 10).requests[1], 10.0 * 7500.0 * 2.0, 0.02);
}

#[test]
fn a_run_comes_again_and_another_is_different() {
    let params = Params::default();
    let first = |seed| World::new(&params, None, seed).tick().tick;
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
}
