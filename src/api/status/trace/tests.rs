//! Traces stay short and even, and survive copies that lack them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn percent(weight: u32) -> Percent {
    Percent::from_hundredths(weight * 100).unwrap()
}

fn traced(seconds: impl IntoIterator<Item = (i64, u32)>) -> Vec<TracePoint> {
    let mut trace = Vec::new();
    for (second, weight) in seconds {
        add(&mut trace, TracePoint::new(at(second), percent(weight)));
    }
    trace
}

#[test]
fn a_full_trace_is_halved_and_stays_even() {
    let trace = traced((0..10_000).map(|tick| (tick * 15, 25)));
    assert!(
        trace.len() <= MOST_POINTS && trace.len() > MOST_POINTS / 3,
        "{}",
        trace.len()
    );
    assert_eq!(trace.first().map(|point| point.t), Some(at(0)));
    assert_eq!(
        trace.last().map(|point| point.t),
        Some(at(9_999 * 15)),
        "the newest is there"
    );
    let gaps: Vec<i64> = trace
        .windows(2)
        .map(|two| two[1].t.duration_since(two[0].t).as_secs())
        .collect();
    let inner = &gaps[..gaps.len() - 1];
    let (least, most) = (inner.iter().min().unwrap(), inner.iter().max().unwrap());
    assert!(*most <= least * 6, "{gaps:?}");
}

#[test]
fn a_short_trace_has_every_tick_and_no_point_comes_twice() {
    assert_eq!(traced((0..40).map(|tick| (tick * 15, 25))).len(), 40);
    assert_eq!(traced([(30, 5), (30, 10), (15, 10), (45, 10)]).len(), 2);
}

#[test]
fn a_change_of_the_weight_is_not_crowded_out() {
    let long = (0..60).map(|tick| (tick * 600, 25));
    let trace = traced(long.chain([(35_401, 50), (35_402, 50), (35_403, 50)]));
    assert!(
        trace
            .iter()
            .any(|point| point.t == at(35_401) && point.w == percent(50))
    );
    assert_eq!(trace.last().map(|point| point.t), Some(at(35_403)));
}

proptest! {
    #[test]
    fn a_trace_is_never_longer_and_always_in_order(steps in prop::collection::vec((-30_i64..4_000, 0_u32..=100), 0..400)) {
        let mut now = 0;
        let trace = traced(steps.into_iter().map(|(step, weight)| { now += step; (now, weight) }));
        prop_assert!(trace.len() <= MOST_POINTS);
        prop_assert!(trace.windows(2).all(|two| two[0].t < two[1].t));
    }
}

#[test]
fn figures_are_rounded_and_are_numbers() {
    assert_eq!(
        (share(0.831_234), share(f64::NAN), share(2.0)),
        (Some(83.12), None, Some(100.0))
    );
    assert_eq!(
        (milliseconds(0.182_34), milliseconds(f64::INFINITY)),
        (Some(182.3), None)
    );
    let point = TracePoint {
        h: share(0.831),
        l: milliseconds(0.182),
        ..TracePoint::new(at(0), percent(25))
    };
    assert_eq!(
        json!(point),
        json!({"t": "2027-01-15T08:00:00Z", "w": "25%", "h": 83.1, "l": 182.0})
    );
}

/// A status in the text of the API server: its last run and the one before, each with this many points.
fn stored(phase: &str) -> Value {
    let trace = |from: i64| -> Vec<Value> {
        (0..3)
            .map(|second| json!(TracePoint::new(at(from + second), percent(5))))
            .collect()
    };
    json!({"phase": phase, "run": {"number": 2, "trace": trace(100)},
        "history": [{"run": 2}, {"run": 1, "trace": trace(0)}]})
}

#[test]
fn copies_of_quiet_statuses_lack_their_traces_and_nothing_else_does() {
    for (phase, left_out) in [
        ("Succeeded", true),
        ("Idle", true),
        ("RolledBack", true),
        ("Shifting", false),
        ("Later", false),
    ] {
        let whole = stored(phase);
        let mut copy = whole.clone();
        leave_out(&mut copy);
        assert_eq!(copy.pointer("/run/trace").is_none(), left_out, "{phase}");
        assert_eq!(copy.pointer("/history/1/trace").is_none(), left_out, "{phase}");
        put_back(&mut copy, &whole);
        assert_eq!(copy, whole, "{phase}");
    }
    let mut kept = stored("Succeeded");
    kept["kept"] = json!([{}]);
    let whole = kept.clone();
    leave_out(&mut kept);
    assert_eq!(kept, whole);
}

#[test]
fn a_new_release_leaves_the_trace_of_the_last_one_in_the_history() {
    let whole = stored("Succeeded");
    let mut next = json!({"phase": "Preparing", "run": {"number": 3}, "history": [{"run": 2}, {"run": 1}]});
    put_back(&mut next, &whole);
    assert_eq!(next.pointer("/history/0/trace"), whole.pointer("/run/trace"));
    assert_eq!(
        (next.pointer("/history/1/trace"), next.pointer("/run/trace")),
        (None, None)
    );
}

#[test]
fn a_release_that_goes_on_goes_on_with_its_trace() {
    let whole = stored("Succeeded");
    let point = json!(TracePoint::new(at(200), Percent::ZERO));
    let mut next = json!({"phase": "RollingBack", "run": {"number": 2, "trace": [whole["run"]["trace"][2], point]}, "history": [{"run": 2}, {"run": 1}]});
    put_back(&mut next, &whole);
    let trace = next["run"]["trace"].as_array().unwrap();
    assert_eq!((trace.len(), &trace[3]), (4, &point));
    assert_eq!(next.pointer("/history/1/trace"), whole.pointer("/history/1/trace"));
}
