//! What has to hold before a number means anything: whose series count, which copy of them, and what is missing.

use super::{
    dialects::{CANDIDATE, HTTP, of_app, question, read, reply, source},
    *,
};
use crate::provider::Counts;

/// Labels and samples of a series.
type Raw<'a> = (serde_json::Value, &'a [(f64, f64)]);

/// A reply with series as `(labels, samples)`, the name among the labels; samples are `(seconds, value)` from the tick's start on.
fn raw(series: &[Raw<'_>]) -> String {
    let entry = |(labels, samples): &Raw<'_>| {
        let values: Vec<_> = samples
            .iter()
            .map(|(at, value)| serde_json::json!([1_796_070_210.4 + at, value.to_string()]))
            .collect();
        serde_json::json!({"metric": labels, "values": values}).to_string()
    };
    format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#,
        series.iter().map(entry).collect::<Vec<_>>().join(",")
    )
}

fn labels(more: &serde_json::Value) -> serde_json::Value {
    let mut labels = serde_json::json!({"__name__": "http_requests_total", "namespace": "shop", "pod": format!("{CANDIDATE}-aaaaa"),
        "job": "pods", "instance": "10.0.0.1:8080", "code": "200"});
    for (name, value) in more.as_object().into_iter().flatten() {
        labels[name] = value.clone();
    }
    labels
}

fn total(body: &str) -> f64 {
    of_app(Quantity::Requests, HTTP, body).unwrap().0.total
}

#[test]
fn an_absent_error_series_is_zero_where_requests_are_counted() {
    let ok = r#"http_requests_total{code="200"}"#;
    let (candidate, baseline) =
        of_app(Quantity::Requests, HTTP, &reply(&[("new", ok, 50.0), ("old", ok, 9.0)])).unwrap();
    assert_eq!(candidate, Counts { bad: 0.0, total: 50.0 });
    assert_eq!(baseline, Some(Counts { bad: 0.0, total: 9.0 }));
    let error = of_app(Quantity::Requests, HTTP, &reply(&[])).unwrap_err();
    assert_eq!(error.cause, Cause::Empty, "{}", error.message);
}

#[test]
fn pods_of_other_workloads_are_nobodys() {
    let grown: &[(f64, f64)] = &[(0.0, 0.0), (15.0, 100.0)];
    let of = |pod: &str| (labels(&serde_json::json!({"pod": pod, "instance": pod})), grown);
    let body = raw(&[
        of(&format!("{CANDIDATE}-aaaaa")),
        of(&format!("{CANDIDATE}-worker-aaaaa")),
        of(&format!("{CANDIDATE}x-aaaaa")),
        of("catalog-worker-wvd5kzmlpb-aaaaa"),
        of(CANDIDATE),
        of(""),
    ]);
    assert!((total(&body) - 100.0).abs() < 1e-9);
    // A name may have dots, which a pattern would take for any letter; the label is the one that the source names.
    let mut spec = source("app");
    spec.pod_label = "kubernetes_pod_name".to_owned();
    let mut asked = question(Quantity::Requests, HTTP);
    asked.subject.candidate.replica_sets = vec!["catalog.v2-abc".to_owned()];
    let asks = queries(&spec, &asked);
    let promql = &asks[&Layer::Requests].as_ref().unwrap().promql;
    let pods = r#"kubernetes_pod_name=~"catalog\\.v2-abc-[a-z0-9]+|catalog-w49sn4rrpk-[a-z0-9]+""#;
    assert!(promql.contains(pods), "{promql}");
    asked.quantities = vec![Quantity::Scalar {
        promql: r#"max(x{pod=~"{{candidate.pods}}"})"#.to_owned(),
    }];
    let asks = queries(&spec, &asked);
    let promql = &asks[&Layer::Scalar(0)].as_ref().unwrap().promql;
    assert_eq!(promql, r#"max(x{pod=~"catalog\\.v2-abc-[a-z0-9]+"})"#);
}

#[test]
fn of_several_scrapes_of_a_pod_one_counts() {
    let grown: &[(f64, f64)] = &[(0.0, 0.0), (5.0, 40.0), (15.0, 100.0)];
    let stopped: &[(f64, f64)] = &[(0.0, 0.0), (5.0, 40.0)];
    let of = |more: serde_json::Value, samples| (labels(&more), samples);
    // Two jobs: the one with more series.
    let jobs = raw(&[
        of(serde_json::json!({"job": "annotations"}), grown),
        of(serde_json::json!({"job": "monitor"}), grown),
        of(serde_json::json!({"job": "monitor", "code": "404"}), grown),
    ]);
    assert!((total(&jobs) - 200.0).abs() < 1e-9);
    // Of two replicas of Prometheus the one that goes on, whichever comes first.
    for order in [["a", "b"], ["b", "a"]] {
        let replicas = raw(&[
            of(
                serde_json::json!({"prometheus_replica": order[0]}),
                if order[0] == "a" { stopped } else { grown },
            ),
            of(
                serde_json::json!({"prometheus_replica": order[1]}),
                if order[1] == "a" { stopped } else { grown },
            ),
        ]);
        assert!((total(&replicas) - 100.0).abs() < 1e-9, "{order:?}");
    }
    // A ServiceMonitor that finds the pod through both Services of the release.
    let services = raw(&[
        of(serde_json::json!({"service": "catalog"}), stopped),
        of(serde_json::json!({"service": "catalog-canary"}), grown),
    ]);
    assert!((total(&services) - 100.0).abs() < 1e-9);
    // An app's own label of that name tells series apart.
    let own = raw(&[
        of(serde_json::json!({"service": "search"}), grown),
        of(serde_json::json!({"service": "basket"}), grown),
    ]);
    assert!((total(&own) - 200.0).abs() < 1e-9);
}

#[test]
fn one_envoy_that_two_jobs_scrape_counts_once() {
    let of = |job: &str| {
        let labels = serde_json::json!({"__name__": "envoy_cluster_upstream_rq", "envoy_cluster_name": "shop_catalog-canary_9090",
            "envoy_response_code": "200", "job": job, "instance": "10.0.0.9:8002"});
        let samples: &[(f64, f64)] = &[(0.0, 0.0), (15.0, 100.0)];
        (labels, samples)
    };
    let asked = question(Quantity::Requests, HTTP);
    let (candidate, _) = read(&source("envoy"), &asked, &raw(&[of("a"), of("b")])).unwrap();
    assert!((candidate.total - 100.0).abs() < 1e-9);
}

#[test]
fn a_series_without_samples_is_none() {
    // So a native histogram looks, which has `histograms` instead of values.
    let native = serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": labels(&serde_json::json!({"__name__": "http_request_duration_seconds_bucket"})),
         "histograms": [[1_796_070_226.0, {"count": "10", "sum": "1", "buckets": []}]]}]}});
    let limit = Quantity::Latency {
        limit: 0.5,
        quantile: 0.99,
    };
    let error = of_app(limit, HTTP, &native.to_string()).unwrap_err();
    assert_eq!(error.cause, Cause::Empty, "{}", error.message);
}

/// Recorded from Prometheus 2.42 with native histograms, of a pod that exposes one without classic buckets.
#[test]
fn native_histograms_are_named_as_what_is_there_instead() {
    let none = include_str!("fixtures/none.json");
    let limit = Quantity::Latency {
        limit: 0.3,
        quantile: 0.99,
    };
    for quantity in [limit, Quantity::Requests] {
        let (spec, asked) = (source("app"), question(quantity, HTTP));
        let (layer, _) = queries(&spec, &asked).into_iter().next().unwrap();
        let replies = Replies::from([(layer, parse(200, none.as_bytes()))]);
        let Interpretation::Ask(unknown) = interpret(&spec, &asked, &replies, None) else {
            panic!("does not ask")
        };
        assert!(unknown.native && unknown.pods);
        let ask = ask_native(&spec, &asked).promql;
        assert!(
            ask.starts_with(r#"count(histogram_count({__name__=~""#) && ask.contains("|http_request_duration_seconds|"),
            "{ask}"
        );
        let reply = parse(200, include_str!("fixtures/native-count.json").as_bytes());
        let known = Known {
            native: read_native(&reply.unwrap()),
            ..Known::default()
        };
        let Interpretation::Done(answer) = interpret(&spec, &asked, &replies, Some(&known)) else {
            panic!("asks again")
        };
        let error = answer[0].clone().unwrap_err();
        assert_eq!(error.cause, Cause::ThresholdNotMeasurable);
        assert!(
            error.message.starts_with("the new version has native histograms"),
            "{}",
            error.message
        );
    }
    assert!(!read_native(&parse(200, none.as_bytes()).unwrap()));
}

/// The running version's series: its name, labels and how much it counted.
fn of_running(quantity: Quantity, series: &[(&str, &str, f64)]) -> Result<Counts, NoData> {
    let mut asked = question(quantity, HTTP);
    asked.whose = crate::provider::Whose::Running;
    asked.subject.candidate = asked.subject.baseline.clone();
    asked.run_started = asked.end;
    read(&source("app"), &asked, &reply(series)).map(|(counts, _)| counts)
}

#[test]
fn the_running_version_is_asked_about_by_itself() {
    let ok = r#"http_requests_total{code="200"}"#;
    let bad = r#"http_requests_total{code="500"}"#;
    let counts = of_running(
        Quantity::Requests,
        &[("old", ok, 90.0), ("old", bad, 10.0), ("new", bad, 7.0)],
    );
    assert_eq!(
        counts,
        Ok(Counts {
            bad: 10.0,
            total: 100.0
        })
    );
    let mut asked = question(Quantity::Requests, HTTP);
    asked.subject.candidate = asked.subject.baseline.clone();
    let asks = queries(&source("app"), &asked);
    let promql = &asks[&Layer::Requests].as_ref().unwrap().promql;
    assert!(promql.contains(r#"pod=~"catalog-w49sn4rrpk-[a-z0-9]+""#), "{promql}");
    let edges = |edge: &str| format!("http_request_duration_seconds_bucket{{le=\"{edge}\"}}");
    let (lower, upper, all) = (edges("0.1"), edges("1"), edges("+Inf"));
    let limit = Quantity::Latency {
        limit: 0.3,
        quantile: 0.99,
    };
    let error = of_running(limit, &[("old", &lower, 5.0), ("old", &upper, 9.0), ("old", &all, 9.0)]).unwrap_err();
    assert_eq!(error.cause, Cause::ThresholdNotMeasurable);
    let error = of_running(Quantity::Requests, &[("old", r#"http_requests_total{path="/"}"#, 9.0)]).unwrap_err();
    assert_eq!(error.cause, Cause::NotReadable);
    assert!(
        error.message.contains("failed requests of the running version"),
        "{}",
        error.message
    );
    // Nothing of it is there: in `read` its pods are not known to be scraped.
    let error = of_running(Quantity::Requests, &[("new", ok, 9.0)]).unwrap_err();
    assert_eq!(error.cause, Cause::Empty);
    assert!(
        error.message.contains("no series of the running version"),
        "{}",
        error.message
    );
}

#[test]
fn a_pod_that_two_jobs_scrape_is_named_with_them() {
    let grown: &[(f64, f64)] = &[(0.0, 0.0), (15.0, 100.0)];
    let of = |more: &serde_json::Value| (labels(more), grown);
    let told = |series: &[Raw<'_>]| {
        let asked = question(Quantity::Requests, HTTP);
        let replies = Replies::from([(Layer::Requests, parse(200, raw(series).as_bytes()))]);
        scraped_twice(&source("app"), &asked, &replies)
    };
    let twice = told(&[
        of(&serde_json::json!({"job": "annotations"})),
        of(&serde_json::json!({"job": "monitor"})),
        of(&serde_json::json!({"job": "monitor", "code": "404"})),
    ]);
    let pod = format!("{CANDIDATE}-aaaaa is scraped by jobs annotations and monitor: of them monitor counts");
    assert!(twice.clone().unwrap_or_default().starts_with(&pod), "{twice:?}");
    // Replicas of one Prometheus, and a job that was renamed, are one.
    let replicas = ["a", "b"].map(|replica| of(&serde_json::json!({"prometheus_replica": replica})));
    assert_eq!(told(&replicas), None);
    let (before, after): (&[_], &[_]) = (&[(0.0, 0.0), (5.0, 40.0)], &[(10.0, 60.0), (15.0, 100.0)]);
    let renamed = [
        (labels(&serde_json::json!({"job": "old"})), before),
        (labels(&serde_json::json!({"job": "new"})), after),
    ];
    assert_eq!(told(&renamed), None);
}

fn buckets(series: &[(&str, &str, f64)]) -> Result<Counts, Cause> {
    let names: Vec<(String, f64)> = series
        .iter()
        .map(|(path, edge, count)| {
            (
                format!("http_request_duration_seconds_bucket{{path=\"{path}\",le=\"{edge}\"}}"),
                *count,
            )
        })
        .collect();
    let body: Vec<_> = names
        .iter()
        .map(|(name, count)| ("new", name.as_str(), *count))
        .collect();
    let limit = Quantity::Latency {
        limit: 0.5,
        quantile: 0.99,
    };
    of_app(limit, HTTP, &reply(&body))
        .map(|(candidate, _)| candidate)
        .map_err(|error| error.cause)
}

#[test]
fn each_histogram_is_read_by_its_own_edges() {
    let counts = |bad, total| Ok(Counts { bad, total });
    // The same edge in two spellings.
    assert_eq!(
        buckets(&[
            ("/a", "0.5", 90.0),
            ("/a", "+Inf", 100.0),
            ("/b", "0.50", 90.0),
            ("/b", "Inf", 100.0)
        ]),
        counts(20.0, 200.0)
    );
    // One has no edge at 0.5 but two near it; added up by edge the others would hide its slow requests.
    assert_eq!(
        buckets(&[
            ("/a", "0.5", 100.0),
            ("/a", "+Inf", 100.0),
            ("/b", "0.4", 0.0),
            ("/b", "0.6", 100.0),
            ("/b", "+Inf", 100.0)
        ]),
        counts(50.0, 200.0)
    );
    // Counts that fall with rising edges lag behind: the greatest so far is meant.
    assert_eq!(
        buckets(&[("/a", "0.5", 100.0), ("/a", "1", 97.0), ("/a", "+Inf", 99.0)]),
        counts(0.0, 100.0)
    );
    for (series, cause) in [
        (
            vec![("/a", "0.5", 100.0), ("/a", "1", 100.0)],
            Cause::ThresholdNotMeasurable,
        ),
        (
            vec![("/a", "0.1", 100.0), ("/a", "+Inf", 100.0)],
            Cause::ThresholdNotMeasurable,
        ),
        (
            vec![
                ("/a", "0.5", 100.0),
                ("/a", "+Inf", 100.0),
                ("/b", "5", 9.0),
                ("/b", "+Inf", 9.0),
            ],
            Cause::ThresholdNotMeasurable,
        ),
        (vec![("/a", "0.5", 100.0), ("/a", "NaN", 100.0)], Cause::BadReply),
        (
            vec![("/a", "0.5", 100.0), ("/a", "", 100.0), ("/a", "+Inf", 100.0)],
            Cause::BadReply,
        ),
        (vec![("/a", "0.5s", 100.0), ("/a", "+Inf", 100.0)], Cause::BadReply),
    ] {
        assert_eq!(buckets(&series), Err(cause), "{series:?}");
    }
}

#[test]
fn a_name_says_the_unit() {
    for (name, units) in [
        ("http_request_duration_seconds_bucket", 1.0),
        ("http_server_duration_milliseconds_bucket", 1_000.0),
        ("op_latency_ms_bucket", 1_000.0),
        ("op_latency_usec_bucket", 1_000_000.0),
        ("envoy_cluster_upstream_rq_time_bucket", 1_000.0),
    ] {
        assert!((names::units_in_a_second(name) - units).abs() < f64::EPSILON, "{name}");
    }
}
