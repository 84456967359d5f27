//! Every sentence as it reads.

use super::*;

#[test]
fn lengths_of_time() {
    for (seconds, text) in [
        (60.0, "60s"),
        (566.0, "9m30s"),
        (432.0, "7m"),
        (1_597.0, "27m"),
        (5_197.0, "1h27m"),
        (7_800.0, "2h10m"),
        (7_200.0, "2h"),
        (f64::INFINITY, "a very long time"),
    ] {
        assert_eq!(duration(seconds), text);
    }
}

#[test]
fn shares_and_counts() {
    let shares = [
        (0.048, "4.8%"),
        (0.01, "1%"),
        (0.002, "0.2%"),
        (0.0025, "0.25%"),
        (0.203, "20.3%"),
        (1.0, "100%"),
    ];
    for (share, text) in shares {
        assert_eq!(percent(share), text);
    }
    assert_eq!((count(144.0), count(11_250.0)), ("144".to_owned(), "11,250".to_owned()));
    assert_eq!(count(1_234_567.0), "1,234,567");
}

fn evidence() -> Evidence {
    Evidence {
        bad: 144.0,
        total: 3_000.0,
        limit: 0.01,
        baseline_bad: 114.0,
        baseline_total: 57_000.0,
        ..Evidence::default()
    }
}

#[test]
fn sentences() {
    let failed = What {
        things: "requests to the new version",
        bad: "failed".to_owned(),
    };
    assert_eq!(
        counted(&failed, &evidence(), 60.0),
        "144 of 3,000 requests to the new version failed in 60s (4.8%, limit 1%); the old version: 0.2%"
    );
    assert_eq!(
        broken_cache(0.051, 11_250.0, 0.5168),
        "hit ratio stopped rising at 5.1% after 11,250 lookups (a healthy cold cache shows 52% here): it is not cold, it does not work"
    );
    assert_eq!(
        warming(0.31, 0.05, 0.8, Some(2_220.0)),
        "hit ratio 31%, +5 points with each doubling of lookups; 80% expected in about 37m"
    );
    assert_eq!(
        few(12.0, 26.8, 0.1, 300.0),
        "12 of 27 requests needed before 10%; about 5m more"
    );
    let close_to = Evidence {
        bad: 45.1,
        total: 4_100.0,
        ..evidence()
    };
    assert_eq!(
        close(&failed, &close_to),
        "1.1% of 4,100 failed (limit 1%): too close to call; Promote accepts it"
    );
    let both = Evidence {
        bad: 203.0,
        total: 1_000.0,
        baseline_bad: 603.0,
        baseline_total: 3_000.0,
        ..evidence()
    };
    assert_eq!(
        both_fail(0.25, &both, 0.1, Again::Ends),
        "both versions fail since the raise to 25% (new 20.3%, old 20.1%): back to 10%; once more ends the release"
    );
    assert_eq!(
        no_room(0.25, 130.0, 210.0, 300.0, 0.17),
        "next 25% would add 130 queries/s (210 of 300 allowed): waiting at 17%"
    );
}

#[test]
fn told_before() {
    let step = |weight, seconds, needed| StepTime {
        weight,
        hold: 300.0,
        seconds,
        needed,
    };
    let told = RunTime {
        rate: 1.0,
        steps: vec![
            step(0.05, 565.7, 26.8),
            step(0.1, 431.8, 67.0),
            step(0.25, 300.0, 134.0),
            step(0.5, 300.0, 268.0),
        ],
        bake: 3_600.0,
        faults: vec![(0.5, 260.0), (0.2, 760.0), (0.05, 7_760.0)],
    };
    assert_eq!(
        started(&told),
        "at 1.0 requests/s: 100% after about 27m, promoted after 1h27m (5% takes 9m30s instead of 5m: 27 requests; 10% 7m); \
         at 5% a fault of 50% is seen after 5m, 20% after 13m, 5% after 2h10m"
    );
}

#[test]
fn a_limit_that_a_cold_cache_raises_is_said_with_the_limit() {
    let slow = What {
        things: "requests to the new version",
        bad: "took longer than 300ms".to_owned(),
    };
    assert_eq!(
        allowed_while_cold(&slow, 0.0406, 0.01),
        "as its cache is cold the limit is 4.1% of requests to the new version that took longer than 300ms; 1% once the cache is warm"
    );
    assert_eq!(limit_when_warm(0.01), "1% once the cache is warm");
}
