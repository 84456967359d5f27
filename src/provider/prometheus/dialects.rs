//! What client libraries and gateways call a failed request, a slow one and a miss.
//!
//! The fixtures of `fixtures/dialects` are replies of Prometheus 3.16 that scraped real processes: an app with
//! prometheus-fastapi-instrumentator 8.1, starlette_exporter 0.24 and OpenTelemetry 1.45 (new and old conventions), a gRPC
//! server with py-grpc-prometheus 0.8, and Envoy 1.40 in front of it, with and without the filter `grpc_stats`. In the tick the
//! old version got 30 requests and 2 for what does not exist; the new one got 10, 1 for what does not exist, 6 that it answered
//! with 500 and 3 in which it threw an exception. Of calls the new one got 10, and 8 that ended as `INTERNAL` (4), `UNAVAILABLE`
//! (2), `INVALID_ARGUMENT` and `UNKNOWN`; the pods got them twice, since both Envoys brought them. Prometheus' own requests count
//! where a library counts them. Other names are from the libraries' documentation.

use super::*;
use crate::provider::{Counts, Protocol, Reading, Subject, Version};

pub(super) const CANDIDATE: &str = "catalog-wvd5kzmlpb";
const BASELINE: &str = "catalog-w49sn4rrpk";
pub(super) const HTTP: &[Protocol] = &[Protocol::Http];

pub(super) fn source(preset: &str) -> MetricSourceSpec {
    let spec =
        serde_json::json!({"prometheus": {"url": "http://prometheus:9090"}, "scrapeInterval": "1s", "preset": preset});
    serde_json::from_value(spec).unwrap()
}

pub(super) fn question(quantity: Quantity, protocols: &[Protocol]) -> Question {
    let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
    let side = |workload: &str, service: &str| Version {
        workload: workload.to_owned(),
        replica_sets: vec![workload.to_owned()],
        service: service.to_owned(),
        ports: protocols.iter().map(|protocol| (9090, *protocol)).collect(),
        hash: String::new(),
    };
    Question {
        subject: Subject {
            namespace: "shop".to_owned(),
            protocols: protocols.iter().copied().collect(),
            candidate: side(CANDIDATE, "catalog-canary"),
            baseline: side(BASELINE, "catalog"),
        },
        start: at(1_796_070_210_424),
        end: at(1_796_070_226_359),
        figures_since: at(1_796_070_210_424),
        run_started: at(1_796_070_207_000),
        whose: crate::provider::Whose::New,
        quantities: vec![quantity],
    }
}

pub(super) type Sides = (Counts, Option<Counts>);

pub(super) fn read(spec: &MetricSourceSpec, question: &Question, body: &str) -> Result<Sides, NoData> {
    let (layer, ask) = queries(spec, question).into_iter().next().unwrap();
    assert!(ask.is_ok());
    let replies = Replies::from([(layer, parse(200, body.as_bytes()))]);
    // All targets were scraped every second, before the tick and in it.
    let start = question.start.as_duration().as_secs_f64();
    let scrapes: Vec<_> = (-60..=60).map(|second| (start + f64::from(second), true)).collect();
    let known = match interpret(spec, question, &replies, None) {
        Interpretation::Ask(unknown) => Known {
            ages: unknown
                .ages_of
                .into_iter()
                .map(|target| (target, scrapes.clone()))
                .collect(),
            up: BTreeMap::from([(format!("{CANDIDATE}-aaaaa"), true)]),
            native: false,
        },
        Interpretation::Done(_) => Known::default(),
    };
    let Interpretation::Done(mut answer) = interpret(spec, question, &replies, Some(&known)) else {
        panic!("asks again")
    };
    match answer.remove(0)? {
        Reading::Counts {
            candidate, baseline, ..
        } => Ok((candidate, baseline)),
        Reading::Scalar { candidate, .. } => panic!("a scalar: {candidate}"),
    }
}

pub(super) fn of_app(quantity: Quantity, protocols: &[Protocol], body: &str) -> Result<Sides, NoData> {
    read(&source("app"), &question(quantity, protocols), body)
}

fn requests(series: &[(&str, &str, f64)]) -> Result<Sides, NoData> {
    of_app(Quantity::Requests, HTTP, &reply(series))
}

fn lookups(series: &[(&str, &str, f64)]) -> Result<Sides, NoData> {
    of_app(Quantity::Lookups, HTTP, &reply(series))
}

/// A reply with series of both versions (`new`, `old`) that counted from 0 to this; `metric{label="value"}` as Prometheus writes it.
pub(super) fn reply(series: &[(&str, &str, f64)]) -> String {
    let entries: Vec<String> = series
        .iter()
        .map(|(side, name, count)| {
            let set = if *side == "new" { CANDIDATE } else { BASELINE };
            let (metric, labels) = name.trim_end_matches('}').split_once('{').unwrap();
            let mut object = serde_json::json!({"__name__": metric, "namespace": "shop", "pod": format!("{set}-aaaaa"), "job": "pods", "instance": set});
            for (label, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                object[label] = value.trim_matches('"').into();
            }
            serde_json::json!({"metric": object, "values": [[1_796_070_210.0, "0"], [1_796_070_226.0, count.to_string()]]}).to_string()
        })
        .collect();
    format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#,
        entries.join(",")
    )
}

#[allow(clippy::unnecessary_wraps, reason = "it is compared with an answer")]
pub(super) fn counted(candidate: (f64, f64), baseline: (f64, f64)) -> Result<Sides, NoData> {
    let counts = |(bad, total)| Counts { bad, total };
    Ok((counts(candidate), Some(counts(baseline))))
}

pub(super) fn not_readable(answer: Result<Sides, NoData>) -> String {
    let error = answer.unwrap_err();
    assert_eq!(error.cause, Cause::NotReadable, "{}", error.message);
    error.message
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/dialects/", $name, ".json"))
    };
}

#[test]
fn failed_requests_are_seen_whatever_the_library_calls_them() {
    for (body, candidate, baseline) in [
        // The histogram has no status: the counter has, as `5xx`.
        (fixture!("instrumentator-requests"), (9.0, 36.0), (0.0, 48.0)),
        (fixture!("starlette-requests"), (9.0, 36.0), (0.0, 48.0)),
        // A request that ended in an exception has no status at all.
        (fixture!("otel-requests"), (9.0, 20.0), (0.0, 32.0)),
        (fixture!("otel-old-requests"), (9.0, 20.0), (0.0, 32.0)),
    ] {
        assert_eq!(of_app(Quantity::Requests, HTTP, body), counted(candidate, baseline));
    }
}

#[test]
fn documented_names_tell_failed_requests() {
    for (good, bad) in [
        (
            r#"http_server_requests_seconds_count{status="200",outcome="SUCCESS"}"#,
            r#"http_server_requests_seconds_count{status="500",outcome="SERVER_ERROR"}"#,
        ),
        (
            r#"http_requests_total{code="200"}"#,
            r#"http_requests_total{code="503"}"#,
        ),
        (
            r#"http_requests_received_total{code="404"}"#,
            r#"http_requests_received_total{code="500"}"#,
        ),
        (
            r#"http_server_requests_total{code="200"}"#,
            r#"http_server_requests_total{code="502"}"#,
        ),
        (
            r#"django_http_responses_total_by_status_total{status="302"}"#,
            r#"django_http_responses_total_by_status_total{status="500"}"#,
        ),
        (
            r#"rails_requests_total{status="200"}"#,
            r#"rails_requests_total{status="500"}"#,
        ),
        (
            r#"ruby_http_requests_total{status="200"}"#,
            r#"ruby_http_requests_total{status="500"}"#,
        ),
        (
            r#"flask_http_request_total{status="200"}"#,
            r#"flask_http_request_total{status="500"}"#,
        ),
        (
            r#"http_request_duration_seconds_count{outcome="CLIENT_ERROR"}"#,
            r#"http_request_duration_seconds_count{outcome="SERVER_ERROR"}"#,
        ),
        // Of two labels that contradict each other one tells of a failure.
        (
            r#"http_requests_total{status="200",outcome="SUCCESS"}"#,
            r#"http_requests_total{status="200",outcome="SERVER_ERROR"}"#,
        ),
        // Spellings are mixed within one version.
        (
            r#"http_requests_total{status="2XX"}"#,
            r#"http_requests_total{code="500 Internal Server Error"}"#,
        ),
    ] {
        let series = [("new", good, 60.0), ("new", bad, 40.0), ("old", good, 900.0)];
        assert_eq!(requests(&series), counted((40.0, 100.0), (0.0, 900.0)), "{bad}");
    }
}

#[test]
fn a_status_that_cannot_be_read_is_never_success() {
    let plain = r#"http_request_duration_seconds_count{handler="/"}"#;
    let told = not_readable(requests(&[("new", plain, 100.0), ("old", plain, 900.0)]));
    assert!(
        told.contains("http_request_duration_seconds_count has no label with a status (status, code, "),
        "{told}"
    );
    let ok = r#"http_requests_total{status="200"}"#;
    let word = r#"http_requests_total{status="error"}"#;
    let told = not_readable(requests(&[("new", ok, 50.0), ("new", word, 50.0), ("old", ok, 900.0)]));
    assert!(
        told.contains(r#"http_requests_total says status="error", which is no code"#),
        "{told}"
    );
    // It harms nobody as long as it counts nothing.
    assert_eq!(
        requests(&[("new", ok, 50.0), ("new", word, 0.0), ("old", ok, 900.0)]),
        counted((0.0, 50.0), (0.0, 900.0))
    );
    let told = not_readable(requests(&[
        ("new", ok, 50.0),
        ("new", "http_requests_total{path=\"/\"}", 50.0),
        ("old", ok, 900.0),
    ]));
    assert!(
        told.contains("http_requests_total has series without a status"),
        "{told}"
    );
    // The old version's are only shown.
    let (candidate, baseline) = requests(&[("new", ok, 50.0), ("old", word, 900.0)]).unwrap();
    assert_eq!((candidate.total, baseline), (50.0, None));
    for odd in ["0", "000", "200.0", "-1", "700", "success", "ok", "xx", "é5x"] {
        let odd = format!("http_requests_total{{status=\"{odd}\"}}");
        not_readable(requests(&[("new", &odd, 50.0)]));
    }
}

#[test]
fn what_takes_the_place_of_an_unreadable_metric_counts_the_same_requests() {
    let plain = r#"http_request_duration_seconds_count{handler="/"}"#;
    let sidecar = r#"http_requests_total{code="200"}"#;
    let told = not_readable(requests(&[("new", plain, 1_000.0), ("new", sidecar, 20.0)]));
    assert!(told.contains("http_requests_total counts other requests"), "{told}");
}

#[test]
fn a_metric_that_the_new_version_has_renamed_is_found() {
    let old = r#"http_requests_total{code="200"}"#;
    let (new, failed) = (
        r#"http_server_requests_seconds_count{status="200"}"#,
        r#"http_server_requests_seconds_count{status="500"}"#,
    );
    assert_eq!(
        requests(&[("new", new, 50.0), ("new", failed, 50.0), ("old", old, 900.0)]),
        counted((50.0, 100.0), (0.0, 900.0))
    );
    let buckets = |side: &'static str, name: &str, edges: &[(&str, f64)]| {
        let series = |(edge, count): &(&str, f64)| (side, format!("{name}{{le=\"{edge}\"}}"), *count);
        edges.iter().map(series).collect::<Vec<_>>()
    };
    let mut all = buckets(
        "new",
        "http_server_duration_milliseconds_bucket",
        &[("250", 60.0), ("500", 90.0), ("+Inf", 100.0)],
    );
    all.extend(buckets(
        "old",
        "http_request_duration_seconds_bucket",
        &[("0.5", 900.0), ("+Inf", 900.0)],
    ));
    let all: Vec<_> = all
        .iter()
        .map(|(side, name, count)| (*side, name.as_str(), *count))
        .collect();
    let limit = Quantity::Latency {
        limit: 0.5,
        quantile: 0.99,
    };
    assert_eq!(of_app(limit, HTTP, &reply(&all)), counted((10.0, 100.0), (0.0, 900.0)));
    // Under a name that nobody knows a version that is scraped has no requests, and the judge waits.
    assert_eq!(requests(&[("old", old, 900.0)]), counted((0.0, 0.0), (0.0, 900.0)));
}

#[test]
fn misses_are_seen_whatever_the_counter_calls_them() {
    for (hit, miss) in [
        (r#"result="hit""#, r#"result="miss""#),
        (r#"result="HIT""#, r#"result="MISS""#),
        (r#"status="hit""#, r#"status="miss""#),
        (r#"outcome="Hit""#, r#"outcome="Miss""#),
        (r#"hit="true""#, r#"hit="false""#),
        (r#"hit="1""#, r#"hit="0""#),
        (r#"cache_status="STALE""#, r#"cache_status="EXPIRED""#),
        (r#"result="hit",status="ok""#, r#"status="ok",result="miss""#),
        (r#"result="stale""#, r#"result="error""#),
    ] {
        let series = [
            ("new", format!("cache_requests_total{{{hit}}}"), 10.0),
            ("new", format!("cache_requests_total{{{miss}}}"), 90.0),
            ("new", r#"cache_requests_total{result="Bypass"}"#.to_owned(), 7.0),
            ("old", format!("cache_requests_total{{{hit}}}"), 900.0),
        ];
        let series: Vec<_> = series
            .iter()
            .map(|(side, name, count)| (*side, name.as_str(), *count))
            .collect();
        assert_eq!(lookups(&series), counted((90.0, 100.0), (0.0, 900.0)), "{miss}");
    }
}

#[test]
fn a_result_that_is_not_known_is_never_a_hit() {
    let hit = r#"cache_requests_total{result="hit"}"#;
    let told = not_readable(lookups(&[
        ("new", hit, 10.0),
        ("new", r#"cache_requests_total{result="absent"}"#, 90.0),
    ]));
    assert!(
        told.contains(r#"cache_requests_total says result="absent", which is not known"#),
        "{told}"
    );
    let told = not_readable(lookups(&[("new", r#"cache_requests_total{cache="a"}"#, 90.0)]));
    assert!(told.contains("without any of the labels result, hit, "), "{told}");
    // Who calls the app may choose what a message says: it is short and harmless.
    let names: Vec<String> = (0..9)
        .map(|n| format!("cache_requests_total{{result=\"<b>\u{1b}[31m{n}{}\"}}", "x".repeat(500)))
        .collect();
    let series: Vec<_> = names.iter().map(|name| ("new", name.as_str(), 1.0)).collect();
    let told = not_readable(lookups(&series));
    assert!(
        told.contains("?b???31m0xxxxxxxxxxxxxxx...") && told.contains(" and 5 more"),
        "{told}"
    );
    assert!(told.len() < 400 && told.is_ascii(), "{told}");
}

#[test]
fn a_histogram_that_has_an_edge_near_the_limit_is_taken() {
    let latency = |limit| Quantity::Latency { limit, quantile: 0.99 };
    // The first histogram has the edges 0.1, 0.5 and 1; the one without labels many more.
    let body = fixture!("instrumentator-latency");
    for limit in [0.5, 0.075] {
        let (candidate, baseline) = of_app(latency(limit), HTTP, body).unwrap();
        let expected = if limit > 0.1 { (36.0, 48.0) } else { (37.0, 49.0) };
        assert!((candidate.total - expected.0).abs() < 2.0, "{candidate:?}");
        assert!((baseline.unwrap().total - expected.1).abs() < 2.0, "{baseline:?}");
    }
    // Edges in milliseconds.
    let (candidate, _) = of_app(latency(0.25), HTTP, fixture!("otel-old-latency")).unwrap();
    assert_eq!((candidate.bad, candidate.total), (0.0, 20.0));
    let error = of_app(latency(3_000.0), HTTP, fixture!("otel-old-latency")).unwrap_err();
    assert_eq!(error.cause, Cause::ThresholdNotMeasurable);
}
