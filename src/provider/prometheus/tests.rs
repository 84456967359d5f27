//! Replies of a metrics store, good and bad, and what they count.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{counter::Window, histogram::Buckets, *};
use crate::api::check::parts;

fn cause(code: u16, body: &str) -> Cause {
    match parse(code, body.as_bytes()).and_then(|value| reply::scalar(&value)) {
        Err(error) => error.cause,
        Ok(value) => panic!("{body} gave {value}"),
    }
}

fn vector(values: &[&str]) -> String {
    let entries: Vec<String> = values
        .iter()
        .map(|value| format!(r#"{{"metric":{{}},"value":[1.0,"{value}"]}}"#))
        .collect();
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
        entries.join(",")
    )
}

#[test]
fn every_way_to_be_no_number_has_its_cause() {
    assert_eq!(
        parse(200, vector(&["0.5"]).as_bytes()).and_then(|value| reply::scalar(&value)),
        Ok(0.5)
    );
    for (code, body, expected) in [
        (200, vector(&[]), Cause::Empty),
        (200, vector(&["NaN"]), Cause::NaN),
        (200, vector(&["+Inf"]), Cause::Inf),
        (200, vector(&["1", "2"]), Cause::SeveralSeries),
        (200, vector(&["many"]), Cause::NotANumber),
        (
            200,
            r#"{"status":"success","data":{"resultType":"string","result":[1.0,"a"]}}"#.to_owned(),
            Cause::NotANumber,
        ),
        (200, "<html>".to_owned(), Cause::BadReply),
        (200, vector(&["1"])[..40].to_owned(), Cause::BadReply),
        (302, String::new(), Cause::BadReply),
        (400, String::new(), Cause::BadQuery),
        (401, String::new(), Cause::Unauthorized),
        (429, String::new(), Cause::ProviderDown),
        (500, String::new(), Cause::ProviderDown),
    ] {
        assert_eq!(cause(code, &body), expected, "{code} {body}");
    }
}

/// A whole reply with something more beside its data.
fn with(more: &str) -> String {
    vector(&["1"]).replace(r#""success","#, &format!(r#""success",{more},"#))
}

#[test]
fn a_reply_is_whole_only_if_nothing_but_the_engine_remarks_on_it() {
    for more in [
        // Thanos, of a store that it cannot read, and of an answer from none.
        r#""warnings":["receive series from Addr: 10.0.0.7:10901 LabelSets: {cluster=\"eu\"} MinTime: 0 MaxTime: 9: rpc error: code = Unavailable desc = connection error"]"#,
        r#""warnings":["No StoreAPIs matched for this query"]"#,
        // Prometheus, of a remote store.
        r#""warnings":["remote_read: remote server http://far/read returned http status 503"]"#,
        r#""warnings":["partial response"]"#,
        r#""infos":["results truncated due to limit"]"#,
        r#""warnings":["PromQL info: metric might not be a counter", "x"]"#,
        // VictoriaMetrics.
        r#""isPartial":true"#,
    ] {
        assert_eq!(cause(200, &with(more)), Cause::PartialReply, "{more}");
    }
    for more in [
        r#""infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"up\" (1:6)"]"#,
        r#""warnings":["PromQL warning: quantile value should be between 0 and 1, got 99 (1:10)"]"#,
        r#""infos":["3 more info annotations omitted"],"warnings":["12 more warning annotations omitted", "2 more annotations omitted"]"#,
        r#""isPartial":false,"stats":{"seriesFetched":"1"}"#,
    ] {
        let value = parse(200, with(more).as_bytes()).and_then(|value| reply::scalar(&value));
        assert_eq!(value, Ok(1.0), "{more}");
    }
}

#[test]
fn a_store_that_gives_no_part_of_an_answer_is_not_a_bad_query() {
    let execution = |error: &str| format!(r#"{{"status":"error","errorType":"execution","error":"{error}"}}"#);
    let unread = execution("expanding series: proxy Series(): rpc error: code = Aborted desc = fetch series: 10.0.0.7");
    assert_eq!(cause(422, &unread), Cause::PartialReply);
    let many = execution("found duplicate series for the match group on the right hand-side");
    assert_eq!(cause(422, &many), Cause::BadQuery);
    assert_eq!(cause(422, "no JSON"), Cause::BadQuery);
    // VictoriaMetrics, asked to deny partial answers.
    assert_eq!(
        cause(
            503,
            r#"{"status":"error","errorType":"503","error":"cannot obtain whole data"}"#
        ),
        Cause::ProviderDown
    );
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn count(samples: &[(f64, f64)], start: i64, end: i64, of_run: bool, targets: Option<&Targets>) -> f64 {
    count_from(0, samples, start, end, of_run, targets)
}

/// As `count`, where the reply begins at `shown_from`.
fn count_from(
    shown_from: i64,
    samples: &[(f64, f64)],
    start: i64,
    end: i64,
    of_run: bool,
    targets: Option<&Targets>,
) -> f64 {
    let series = Series {
        labels: BTreeMap::from([
            ("job".to_owned(), "j".to_owned()),
            ("instance".to_owned(), "i".to_owned()),
        ]),
        samples: samples.to_vec(),
    };
    counter::delta(
        &series,
        &Window {
            shown_from: at(shown_from),
            start: at(start),
            end: at(end),
            run_started: at(5),
            scrape: 10.0,
            targets,
        },
        of_run,
        &mut BTreeSet::new(),
    )
}

#[test]
fn counters_are_subtracted_series_by_series() {
    let steady = [(10.0, 100.0), (20.0, 130.0), (30.0, 150.0)];
    assert!((count(&steady, 10, 30, false, None) - 50.0).abs() < 1e-9);
    assert!(
        count(&steady, 30, 40, false, None).abs() < 1e-9,
        "the same sample twice counts nothing"
    );
    let reset = [(10.0, 100.0), (20.0, 5.0), (30.0, 9.0)];
    assert!((count(&reset, 10, 30, false, None) - 9.0).abs() < 1e-9);
    let new = [(20.0, 7.0)];
    assert!(
        (count(&new, 10, 30, true, None) - 7.0).abs() < 1e-9,
        "a pod of the run counts from its first sample"
    );
    assert!(
        count(&new, 10, 30, false, Some(&Targets::new())).abs() < 1e-9,
        "nobody knows when it counted"
    );
    let scraped = Targets::from([(("j".to_owned(), "i".to_owned()), vec![(3.0, true)])]);
    assert!(
        (count(&new, 10, 30, false, Some(&scraped)) - 7.0).abs() < 1e-9,
        "a first error makes its series"
    );
}

fn scrapes(scrapes: &[(f64, bool)]) -> Targets {
    Targets::from([(("j".to_owned(), "i".to_owned()), scrapes.to_vec())])
}

#[test]
fn what_was_counted_before_a_gap_is_not_counted_again() {
    // The reply begins at 40, the run at 5, the tick at 60; the series is there again from 70 on.
    let back = [(70.0, 1_000.0), (80.0, 1_007.0)];
    let counted = |of_run: bool, up: &[(f64, bool)]| count_from(40, &back, 60, 80, of_run, Some(&scrapes(up)));
    for of_run in [true, false] {
        // Its pod could not be scraped.
        let unreached = counted(of_run, &[(30.0, true), (50.0, false), (60.0, false), (70.0, true)]);
        assert!((unreached - 7.0).abs() < 1e-9, "{unreached}");
        // Prometheus itself was down.
        let down = counted(of_run, &[(20.0, true), (30.0, true), (70.0, true)]);
        assert!((down - 7.0).abs() < 1e-9, "{down}");
        // A scrape of this tick had no such series: it is new.
        let new = counted(of_run, &[(50.0, true), (60.0, true), (70.0, true)]);
        assert!((new - 1_007.0).abs() < 1e-9, "{new}");
    }
    // After the gap, the first error: a scrape that succeeded had none.
    let up = scrapes(&[(30.0, true), (50.0, false), (70.0, true), (80.0, true)]);
    let error = count_from(40, &[(80.0, 1.0)], 60, 80, true, Some(&up));
    assert!((error - 1.0).abs() < 1e-9, "{error}");
    // A pod that came later in the run, at first without listening.
    for up in [&[(70.0, true)][..], &[(55.0, false), (65.0, false), (70.0, true)]] {
        assert!((counted(true, up) - 1_007.0).abs() < 1e-9);
        assert!((counted(false, up) - 7.0).abs() < 1e-9, "nobody knows when it counted");
    }
}

fn series(labels: &[(&str, &str)], samples: &[(f64, f64)]) -> Series {
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Series {
        labels: labels.collect(),
        samples: samples.to_vec(),
    }
}

#[test]
fn a_series_goes_on_under_other_labels() {
    let old = [("pod", "p"), ("instance", "10.0.0.7:80"), ("code", "200")];
    let (before, after) = ([(10.0, 90.0), (20.0, 100.0)], [(30.0, 105.0), (40.0, 110.0)]);
    let counted = |labels: &[(&str, &str)]| {
        let both = vec![series(&old, &before), series(labels, &after)];
        let joined = counter::joined(both, "pod");
        let sum: f64 = joined.iter().map(|one| count(&one.samples, 20, 40, true, None)).sum();
        (joined.len(), sum)
    };
    // A label was added, or the target got another name: 10 came since, not 110.
    let added = [
        ("pod", "p"),
        ("instance", "10.0.0.7:80"),
        ("code", "200"),
        ("zone", "a"),
    ];
    assert_eq!(counted(&added), (1, 10.0));
    assert_eq!(
        counted(&[("pod", "p"), ("instance", "p:80"), ("code", "200")]),
        (1, 10.0)
    );
    // Another pod, and the first error of this one: both are new.
    for other in [
        [("pod", "q"), ("instance", "10.0.0.7:80"), ("code", "200")],
        [("pod", "p"), ("instance", "10.0.0.7:80"), ("code", "500")],
    ] {
        assert_eq!(counted(&other), (2, 110.0));
    }
    // Two series that live side by side stay two.
    let beside = vec![series(&old, &before), series(&added, &[(20.0, 5.0), (30.0, 6.0)])];
    assert_eq!(counter::joined(beside, "pod").len(), 2);
}

fn matrix(series: usize, value: &str) -> String {
    let one = format!(r#"{{"metric":{{"pod":"p"}},"values":[[1,"{value}"]]}}"#);
    format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#,
        vec![one; series].join(",")
    )
}

#[test]
fn samples_that_cannot_be_counted_are_refused() {
    let read = |body: &str| parse(200, body.as_bytes());
    for (value, expected) in [
        ("+Inf", Cause::Inf),
        ("9007199254740994", Cause::Inf),
        ("-1", Cause::NotANumber),
        ("many", Cause::NotANumber),
    ] {
        assert_eq!(read(&matrix(1, value)).unwrap_err().cause, expected, "{value}");
    }
    // A staleness marker is no sample.
    let stale = read(&matrix(1, "NaN")).unwrap();
    assert_eq!(stale, Value::Matrix(vec![series(&[("pod", "p")], &[])]));
    assert!(read(&matrix(10_000, "1")).is_ok());
    assert_eq!(read(&matrix(10_001, "1")).unwrap_err().cause, Cause::BadReply);
    // A store that gives no raw samples: one value per series.
    let vector = read(&vector(&["1"])).unwrap();
    assert_eq!(reply::matrix(&vector).unwrap_err().cause, Cause::BadReply);
}

#[test]
fn slow_requests_are_exact_at_an_edge_and_interpolated_near_one() {
    let edges = [
        ("0.1", 600.0),
        ("0.25", 700.0),
        ("0.5", 740.0),
        ("1.0", 748.0),
        ("+Inf", 750.0),
    ];
    let buckets = Buckets::collect(edges.into_iter(), 1.0).unwrap();
    assert!((buckets.slower_than(0.3).unwrap() - 42.0).abs() < 1e-9);
    assert!((buckets.slower_than(1.0).unwrap() - 2.0).abs() < 1e-9);
    assert_eq!(
        buckets.slower_than(0.01).unwrap_err().cause,
        Cause::ThresholdNotMeasurable
    );
    assert_eq!(
        buckets.slower_than(3.0).unwrap_err().cause,
        Cause::ThresholdNotMeasurable
    );
}

#[test]
fn placeholders_are_known_and_escaped() {
    assert!(parts(r#"max(x{pod=~"{{candidate.pods}}",namespace="{{namespace}}"})"#).is_ok());
    assert!(parts("{{candidate.secrets}}").is_err());
    assert!(parts("{{namespace").is_err());
    assert_eq!(query::literal("a\"b\\c\n"), r#""a\"b\\c\n""#);
}

proptest! {
    /// Ticks that follow one another count every increase once, resets included.
    #[test]
    fn ticks_add_up(increments in proptest::collection::vec((0..50_u32, prop::bool::weighted(0.1)), 2..40), cuts in proptest::collection::btree_set(1..39_i64, 1..6)) {
        let (mut value, mut total, mut samples) = (0.0, 0.0, vec![(0.0, 0.0)]);
        for (second, (increment, reset)) in (1_u32..).zip(&increments) {
            value = if *reset { f64::from(*increment) } else { value + f64::from(*increment) };
            // A reset to a value not below the last one cannot be seen by anybody.
            let last = samples.last().unwrap().1;
            total += if value >= last { value - last } else { value };
            samples.push((f64::from(second), value));
        }
        let end = i64::try_from(increments.len()).unwrap();
        let mut bounds: Vec<i64> = std::iter::once(0).chain(cuts.into_iter().filter(|cut| *cut < end)).collect();
        bounds.push(end);
        let sum: f64 = bounds.windows(2).map(|pair| count(&samples, pair[0], pair[1], false, None)).sum();
        prop_assert!((sum - total).abs() < 1e-6);
    }
}
