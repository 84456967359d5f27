//! Pairs of counters, and expressions that are asked of both versions.

use super::{
    dialects::{HTTP, Sides, counted, question, read, reply, source},
    *,
};
use crate::provider::Reading;

const BAD: &str = "cache_stale_total{cache=\"a\"}";
const TOTAL: &str = "cache_stale_sampled_total{cache=\"a\"}";
const OTHER: &str = "cache_stale_sampled_total{cache=\"b\"}";

fn ratio() -> Quantity {
    Quantity::Ratio {
        bad: "cache_stale_total".to_owned(),
        total: "cache_stale_sampled_total".to_owned(),
    }
}

/// Whatever counts the requests, such counters are the pods' own.
fn of_both_presets(series: &[(&str, &str, f64)]) -> Result<Sides, NoData> {
    let of = |preset| read(&source(preset), &question(ratio(), HTTP), &reply(series));
    let answer = of("app");
    assert_eq!(answer, of("envoy"));
    answer
}

#[test]
fn two_counters_are_added_up_by_version() {
    let series = [
        ("new", BAD, 3.0),
        ("new", TOTAL, 100.0),
        ("new", OTHER, 20.0),
        ("old", TOTAL, 900.0),
        ("old", OTHER, 100.0),
    ];
    assert_eq!(
        of_both_presets(&series),
        counted((3.0, 120.0), (0.0, 1_000.0)),
        "an absent counter of bad ones is 0"
    );
    let more_bad_than_all = [("new", BAD, 30.0), ("new", TOTAL, 20.0), ("old", TOTAL, 1.0)];
    assert_eq!(of_both_presets(&more_bad_than_all), counted((20.0, 20.0), (0.0, 1.0)));
}

#[test]
fn without_a_counter_of_all_nothing_is_known() {
    for series in [
        &[("new", BAD, 3.0), ("old", BAD, 3.0), ("old", TOTAL, 90.0)][..],
        &[("old", TOTAL, 90.0)],
        &[],
    ] {
        let error = of_both_presets(series).unwrap_err();
        assert_eq!(error.cause, Cause::Empty, "{}", error.message);
        assert!(error.message.contains("cache_stale_sampled_total"), "{}", error.message);
    }
}

#[test]
fn an_old_version_without_the_counters_is_none_to_compare_with() {
    let (candidate, baseline) = of_both_presets(&[("new", BAD, 3.0), ("new", TOTAL, 100.0)]).unwrap();
    assert!((candidate.total - 100.0).abs() < 1e-9 && baseline.is_none());
}

fn promql(asked: &Question) -> Vec<String> {
    let asks = queries(&source("app"), asked).into_values();
    asks.map(|ask| ask.unwrap().promql).collect()
}

#[test]
fn what_several_checks_ask_alike_is_asked_once() {
    let mut asked = question(ratio(), HTTP);
    let queue = Quantity::Scalar {
        promql: "max(queue)".to_owned(),
    };
    asked.quantities = vec![ratio(), queue.clone(), ratio(), queue];
    let asks = promql(&asked);
    assert_eq!(asks.len(), 2, "{asks:?}");
    assert!(
        asks[0].starts_with(r#"{__name__=~"cache_stale_total|cache_stale_sampled_total",namespace="shop",pod=~"#),
        "{}",
        asks[0]
    );
    let spec = source("app");
    let series = reply(&[("new", TOTAL, 7.0), ("old", TOTAL, 70.0)]);
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"4"]}]}}"#;
    let replies = queries(&spec, &asked).into_keys().map(|layer| {
        let body = if matches!(layer, Layer::Ratio(_)) {
            series.as_str()
        } else {
            vector
        };
        (layer, parse(200, body.as_bytes()))
    });
    let Interpretation::Done(answer) = interpret(&spec, &asked, &replies.collect(), Some(&Known::default())) else {
        panic!("asks again")
    };
    assert!(answer.iter().all(Result::is_ok), "{answer:?}");
    assert_eq!((&answer[0], &answer[1]), (&answer[2], &answer[3]));
}

#[test]
fn an_expression_that_names_the_new_version_is_asked_of_the_old_one_as_well() {
    let expression = |promql: &str| Quantity::Scalar {
        promql: promql.to_owned(),
    };
    let asked = question(
        expression(r#"max(q{pod=~"{{candidate.pods}}"}) / {{x}}"#.replace("{{x}}", "2").as_str()),
        HTTP,
    );
    assert_eq!(
        promql(&asked),
        [
            r#"max(q{pod=~"catalog-wvd5kzmlpb-[a-z0-9]+"}) / 2"#,
            r#"max(q{pod=~"catalog-w49sn4rrpk-[a-z0-9]+"}) / 2"#
        ]
    );
    let mut of_one = asked.clone();
    of_one.subject.candidate = of_one.subject.baseline.clone();
    assert_eq!(promql(&of_one).len(), 1, "of the running version alone");
    let mut alone = asked.clone();
    alone.subject.baseline.replica_sets.clear();
    assert_eq!(
        promql(&alone).len(),
        1,
        "nothing would match every series without a pod"
    );
    for other in ["max(q)", r#"max(q{pod=~"{{baseline.pods}}"})"#] {
        assert_eq!(promql(&question(expression(other), HTTP)).len(), 1, "{other}");
    }
    let value = |text: &str| {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"{text}"]}}}}"#);
        parse(200, body.as_bytes())
    };
    for (own, other, expected) in [
        ("4", "5", Some((4.0, Some(5.0)))),
        ("4", "NaN", Some((4.0, None))),
        ("NaN", "5", None),
    ] {
        let replies = Replies::from([
            (Layer::Scalar(0), value(own)),
            (Layer::ScalarOfBaseline(0), value(other)),
        ]);
        let Interpretation::Done(answer) = interpret(&source("app"), &asked, &replies, None) else {
            panic!("asks again")
        };
        let read = answer[0].as_ref().ok().map(|reading| match reading {
            Reading::Scalar { candidate, baseline } => (*candidate, *baseline),
            Reading::Counts { .. } => panic!("counts"),
        });
        assert_eq!(read, expected);
    }
}
