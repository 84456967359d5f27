//! How caches warm, and which do not.

use super::*;

fn check(min: Option<f64>, max_drop: Option<f64>) -> CheckKind {
    CheckKind::HitRatio { min, max_drop }
}

fn before(ratio: f64) -> Count {
    Count {
        bad: 100_000.0 * (1.0 - ratio),
        total: 100_000.0,
    }
}

#[test]
fn what_a_healthy_cold_cache_shows() {
    let cache = Cache::default();
    let weights = [0.05, 0.1, 0.25, 0.5];
    for (min, floors) in [
        (None, [0.516_8, 0.549_1, 0.646, 0.807_5]),
        (Some(0.8), [0.486_4, 0.516_8, 0.608, 0.76]),
    ] {
        for (weight, floor) in weights.into_iter().zip(floors) {
            let expected = Expected::of(&check(min, None), &cache, before(0.95), weight).unwrap();
            assert!((expected.floor - floor).abs() < 1e-4, "{expected:?} {floor}");
        }
    }
    let short_lived = Cache {
        ttl: Some(60.0),
        ..cache
    };
    let floor = |weight| Expected::of(&check(None, None), &short_lived, before(0.95), weight).map(|it| it.floor);
    assert!((floor(0.05).unwrap() - 0.2584).abs() < 1e-4);
    assert!((floor(1.0).unwrap() - 0.8075).abs() < 1e-4);
}

#[test]
fn a_target_that_depends_on_the_old_version_waits_for_it() {
    let cache = Cache::default();
    let few = Count {
        bad: 50.0,
        total: 999.0,
    };
    assert_eq!(Expected::of(&check(None, None), &cache, few, 0.05), None);
    assert_eq!(Expected::of(&check(Some(0.8), Some(0.05)), &cache, few, 0.05), None);
    assert!(Expected::of(&check(Some(0.8), None), &cache, few, 0.05).is_some());
    let both = Expected::of(&check(Some(0.8), Some(0.05)), &cache, before(0.95), 0.05);
    assert!((both.unwrap().target - 0.9).abs() < 1e-9);
    let uncached = Cache {
        baseline: BaselineCache::Absent,
        ..cache
    };
    let alone = Expected::of(&check(Some(0.8), None), &uncached, Count::default(), 1.0).unwrap();
    assert!((alone.floor - 0.76).abs() < 1e-9);
}

#[test]
fn bins() {
    for (lookups, place) in [(0.0, 0), (1_500.0, 42), (11_250.0, 53), (120_000.0, 67)] {
        assert_eq!(bin(lookups), place);
    }
}

fn growth(last: (f64, f64), before: (f64, f64)) -> Growth {
    let misses = |(found, total): (f64, f64)| Count {
        bad: total - found,
        total,
    };
    Growth {
        last: misses(last),
        before: misses(before),
    }
}

#[test]
fn dead_is_what_has_stopped_rising() {
    for (last, earlier, greatest, flat) in [
        ((750.0, 15_000.0), (376.0, 7_500.0), 0.004_941, true),
        ((375.0, 7_500.0), (188.0, 3_750.0), 0.007_042, false),
        ((2_325.0, 7_500.0), (975.0, 3_750.0), 0.064_696, false),
    ] {
        let growth = growth(last, earlier);
        assert!((growth.greatest_gain() - greatest).abs() < 1e-6, "{growth:?}");
        assert_eq!(growth.is_flat(), flat, "{growth:?}");
    }
    let few = growth((60.0, 15_000.0), (15.0, 7_500.0));
    assert!((few.greatest_gain() - 0.003_199).abs() < 1e-6 && !few.is_flat());
    let nothing = growth((0.0, 7_500.0), (0.0, 0.0));
    assert!((greatest_ratio(nothing.last) - 0.000_361).abs() < 1e-6 && nothing.is_flat());
    let steady = growth((750.0, 15_000.0), (376.0, 7_500.0));
    assert!((steady.gain() + 0.000_133).abs() < 1e-6);
}

fn tick(found: f64, total: f64) -> Count {
    Count {
        bad: total - found,
        total,
    }
}

fn at_five_percent() -> Expected {
    Expected::of(&check(None, None), &Cache::default(), before(0.95), 0.05).unwrap()
}

#[test]
fn a_cache_that_never_finds_anything_is_broken_and_a_rising_one_is_cold() {
    let mut warmth = Warmth::default();
    let states: Vec<State> = (0..15)
        .map(|number| {
            warmth.add(tick(0.0, 750.0), &[], None, number);
            warmth.judge(at_five_percent(), None)
        })
        .collect();
    assert_eq!(states[12], State::Cold, "fewer than 10,000 lookups");
    assert_eq!(states[13], State::Broken);
    let mut warmth = Warmth::default();
    let mut found = 0.0;
    for number in 0..60 {
        found += 7.0;
        warmth.add(tick(found, 750.0), &[], None, number);
        assert_eq!(warmth.judge(at_five_percent(), None), State::Cold);
    }
}

#[test]
fn a_warm_cache_that_falls_is_judged_from_there() {
    let mut warmth = Warmth::default();
    for number in 0..25 {
        warmth.add(tick(712.0, 750.0), &[], None, number);
        warmth.judge(at_five_percent(), None);
    }
    assert!(warmth.is_warm);
    let mut ticks = 0;
    while warmth.is_warm {
        warmth.add(tick(450.0, 750.0), &[], None, ticks);
        warmth.judge(at_five_percent(), None);
        ticks += 1;
    }
    assert!(ticks < 20 && warmth.lookups < 1.0 && warmth.table.is_empty());
}

#[test]
fn caches_of_pods_are_seen_by_their_own_age() {
    let mut warmth = Warmth::default();
    let pod = |before| PodCache {
        before,
        lookups: 750.0,
        hits: 300.0,
    };
    warmth.add(
        tick(600.0, 1_500.0),
        &[pod(1_125.0), pod(5_000.0)],
        Some(Placement::PerPod),
        1,
    );
    let places: Vec<i32> = warmth.table.iter().map(|bin| bin.place).collect();
    assert_eq!(places, [42, 49], "both in one table, by the lookups of each");
    assert!((warmth.lookups - 5_750.0).abs() < 1e-9);
}

#[test]
fn the_time_to_the_target_doubles_the_lookups_for_each_gain() {
    let warmth = Warmth {
        table: vec![Bin::from((49, 3_750.0, 975.0)), Bin::from((53, 7_500.0, 2_325.0))],
        lookups: 11_250.0,
        ..Warmth::default()
    };
    assert!((warmth.growth().gain() - 0.05).abs() < 1e-9);
    let seconds = warmth.seconds_to(0.41, 50.0).unwrap();
    assert!((seconds - 675.0).abs() < 1e-6, "two doublings: {seconds}");
    assert_eq!(warmth.seconds_to(0.95, 50.0), None);
}
