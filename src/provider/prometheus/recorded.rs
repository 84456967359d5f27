//! Replies recorded from a Prometheus that scraped the example app and Envoy under 200 requests/s,
//! 5% of them to a version that failed 30%; cut to the last 7 s. The counts were added up apart from this code.

use super::*;
use crate::{
    api::metric_source::Preset,
    provider::{Counts, Protocol, Provider, Reading, Subject, Version, shell::StoreClient},
};

pub(super) const CANDIDATE: &str = "catalog-wvd5kzmlpb";
const BASELINE: &str = "catalog-w49sn4rrpk";

pub(super) fn source(preset: Preset) -> MetricSourceSpec {
    let spec = serde_json::json!({"prometheus": {"url": "http://prometheus.monitoring:9090"}, "scrapeInterval": "1s", "preset": if preset == Preset::App { "app" } else { "envoy" }});
    serde_json::from_value(spec).unwrap()
}

pub(super) fn question(quantities: Vec<Quantity>) -> Question {
    let side = |workload: &str, service: &str| Version {
        workload: workload.to_owned(),
        replica_sets: vec![workload.to_owned()],
        service: service.to_owned(),
        ports: [(80, Protocol::Http)].into(),
        hash: String::new(),
    };
    let end: Timestamp = "2026-11-24T06:22:14.979Z".parse().unwrap();
    let start = end - SignedDuration::from_secs(6);
    Question {
        subject: Subject {
            namespace: "shop".to_owned(),
            protocols: [Protocol::Http].into(),
            candidate: side(CANDIDATE, "catalog-canary"),
            baseline: side(BASELINE, "catalog"),
        },
        start,
        end,
        figures_since: start,
        run_started: "2026-11-24T06:21:59.079Z".parse().unwrap(),
        whose: crate::provider::Whose::New,
        quantities,
    }
}

pub(super) fn latency(limit: f64) -> Quantity {
    Quantity::Latency { limit, quantile: 0.99 }
}

/// The recorded body for a query, by the metric it names.
pub(super) fn body(promql: &str) -> &'static str {
    match promql {
        query if query.starts_with("up{") => include_str!("fixtures/app-up.json"),
        query if query.contains("cache_requests_total") => include_str!("fixtures/app-lookups.json"),
        query if query.contains("envoy_cluster_upstream_rq_time_bucket") => include_str!("fixtures/envoy-latency.json"),
        query if query.contains("envoy_cluster_upstream_rq|") => include_str!("fixtures/envoy-requests.json"),
        query if query.contains("_bucket") => include_str!("fixtures/app-latency.json"),
        query if query.contains("_count") => include_str!("fixtures/app-requests.json"),
        _ => include_str!("fixtures/none.json"),
    }
}

fn read(spec: &MetricSourceSpec, quantity: Quantity) -> Result<(Counts, Counts), NoData> {
    let question = question(vec![quantity]);
    let replies = queries(spec, &question)
        .into_iter()
        .map(|(layer, ask)| (layer, parse(200, body(&ask.unwrap().promql).as_bytes())))
        .collect();
    let Interpretation::Done(mut answer) = interpret(spec, &question, &replies, Some(&Known::default())) else {
        panic!("asks again")
    };
    match answer.remove(0)? {
        Reading::Counts {
            candidate, baseline, ..
        } => Ok((candidate, baseline.unwrap_or_default())),
        Reading::Scalar { candidate, .. } => panic!("a scalar: {candidate}"),
    }
}

fn counted(bad: f64, total: f64) -> Counts {
    Counts { bad, total }
}

#[test]
fn counts_are_those_of_the_recording() {
    let (app, envoy) = (source(Preset::App), source(Preset::Envoy));
    assert_eq!(
        read(&app, Quantity::Requests),
        Ok((counted(17.0, 57.0), counted(0.0, 1143.0)))
    );
    assert_eq!(read(&app, latency(0.3)), Ok((counted(0.0, 57.0), counted(0.0, 1143.0))));
    assert_eq!(
        read(&app, latency(0.005)),
        Ok((counted(0.0, 57.0), counted(1.0, 1143.0)))
    );
    assert_eq!(
        read(&app, Quantity::Lookups),
        Ok((counted(4.0, 40.0), counted(110.0, 1143.0)))
    );
    assert_eq!(
        read(&envoy, Quantity::Requests),
        Ok((counted(18.0, 58.0), counted(0.0, 1142.0)))
    );
    // Envoy merges its histograms every 5 s: one merge lies in the window.
    assert_eq!(
        read(&envoy, latency(0.005)),
        Ok((counted(0.0, 56.0), counted(11.0, 953.0)))
    );
    assert_eq!(
        read(&envoy, latency(0.25)),
        Ok((counted(0.0, 56.0), counted(0.0, 953.0)))
    );
}

#[test]
fn a_side_without_series_is_told_apart_by_its_targets() {
    let spec = source(Preset::App);
    let mut question = question(vec![Quantity::Lookups]);
    question.subject.candidate.replica_sets = vec!["catalog-wnewer2345".to_owned()];
    let replies: Replies = queries(&spec, &question)
        .into_iter()
        .map(|(layer, ask)| (layer, parse(200, body(&ask.unwrap().promql).as_bytes())))
        .collect();
    let unknown = FollowUp {
        pods: true,
        ..FollowUp::default()
    };
    assert_eq!(
        interpret(&spec, &question, &replies, None),
        Interpretation::Ask(unknown)
    );
    let cause = |up: &[(&str, bool)]| {
        let known = Known {
            up: up.iter().map(|(pod, up)| ((*pod).to_owned(), *up)).collect(),
            ..Known::default()
        };
        match interpret(&spec, &question, &replies, Some(&known)) {
            Interpretation::Done(answer) => answer[0].clone().unwrap_err().cause,
            Interpretation::Ask(_) => panic!("asks again"),
        }
    };
    // `up` has other names of pods: it tells nothing.
    assert_eq!(cause(&[]), Cause::NoTraffic);
    assert_eq!(cause(&[("gateway-0", true)]), Cause::NoTraffic);
    assert_eq!(cause(&[("catalog-w49sn4rrpk-5bnr8", true)]), Cause::ProviderDown);
    assert_eq!(cause(&[("catalog-wnewer2345-aaaaa", false)]), Cause::ProviderDown);
    assert_eq!(
        cause(&[("catalog-wnewer2345-aaaaa", false), ("catalog-wnewer2345-bbbbb", true)]),
        Cause::NoTraffic
    );
    let up = read_up(
        &spec,
        &parse(200, include_str!("fixtures/app-up.json").as_bytes()).unwrap(),
    );
    assert_eq!(up.len(), 5);
    assert!(up.values().all(|up| *up));
}

/// A server on loopback that answers its n-th request with the n-th of these, and the last one for ever.
async fn server(replies: Vec<(u16, String)>) -> String {
    use axum::{Form, Router, extract::State, http::StatusCode, routing::post};
    use std::sync::{Arc, Mutex};
    type Left = Arc<Mutex<Vec<(u16, String)>>>;
    let answer = async |State(left): State<Left>, Form(form): Form<BTreeMap<String, String>>| {
        assert!(form["time"].parse::<Timestamp>().is_ok(), "{form:?}");
        let whole = ["partial_response", "deny_partial_response"].map(|name| form[name].as_str());
        assert_eq!(whole, ["false", "1"], "part of an answer is none");
        let mut left = left.lock().unwrap();
        let (code, reply) = if left.len() > 1 {
            left.remove(0)
        } else {
            left[0].clone()
        };
        let reply = if reply.is_empty() {
            body(&form["query"]).to_owned()
        } else {
            reply
        };
        (StatusCode::from_u16(code).unwrap(), reply)
    };
    let router = Router::new()
        .route("/api/v1/query", post(answer))
        .with_state(Arc::new(Mutex::new(replies)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn the_shell_asks_over_http_and_every_failure_has_its_cause() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let shell = StoreClient::new().unwrap();
    let ask = async |url: String| {
        let mut spec = source(Preset::App);
        spec.prometheus.url = url;
        shell.ask(&spec, &question(vec![Quantity::Requests])).await.remove(0)
    };
    let recorded = || (200, String::new());
    let Ok(Reading::Counts { candidate, .. }) = ask(server(vec![recorded()]).await).await else {
        panic!("no counts")
    };
    assert_eq!(candidate, counted(17.0, 57.0));
    assert!(
        ask(server(vec![(503, "busy".to_owned()), recorded()]).await)
            .await
            .is_ok(),
        "an overloaded store is asked once more"
    );
    let html = "<html>login</html>".to_owned();
    let huge = format!(r#"{{"status":"success","data":"{}"}}"#, "x".repeat(5 << 20));
    for (reply, expected) in [
        ((503, "busy".to_owned()), Cause::ProviderDown),
        ((500, "broken".to_owned()), Cause::ProviderDown),
        ((401, "no".to_owned()), Cause::Unauthorized),
        ((422, "no".to_owned()), Cause::BadQuery),
        ((302, "elsewhere".to_owned()), Cause::BadReply),
        ((200, html), Cause::BadReply),
        ((200, huge), Cause::BadReply),
    ] {
        let error = ask(server(vec![reply.clone()]).await).await.unwrap_err();
        assert_eq!(error.cause, expected, "{}", reply.0);
        assert!(
            !error.message.contains("login"),
            "the body is not told: {}",
            error.message
        );
    }
    // A port that was free a moment ago.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        ask(format!("http://{free}")).await.unwrap_err().cause,
        Cause::ProviderDown
    );
}

/// A server on loopback that answers one request with these bytes and hangs up.
async fn raw(reply: Vec<u8>) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(&reply).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    url
}

#[tokio::test]
async fn answers_that_end_early_or_are_packed_are_none() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let shell = StoreClient::new().unwrap();
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"status\":\"success\"".to_vec();
    let packed = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00".to_vec();
    for (reply, expected, said) in [
        (cut, Cause::ProviderDown, "broke off"),
        (packed, Cause::BadReply, "not that of Prometheus"),
    ] {
        let mut spec = source(Preset::App);
        spec.prometheus.url = raw(reply).await;
        let error = shell
            .ask(&spec, &question(vec![Quantity::Requests]))
            .await
            .remove(0)
            .unwrap_err();
        assert_eq!(error.cause, expected, "{}", error.message);
        assert!(error.message.contains(said), "{}", error.message);
    }
}
