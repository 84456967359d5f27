//! What gateways and pods tell of gRPC calls, and at which ports. The fixtures are described in `dialects`.

use super::{
    dialects::{HTTP, counted, not_readable, of_app, question, read, reply, source},
    *,
};
use crate::provider::Protocol;

const GRPC: &[Protocol] = &[Protocol::Grpc];

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/dialects/", $name, ".json"))
    };
}

#[test]
fn failed_calls_are_seen_in_pods_and_in_envoy() {
    let pods = fixture!("grpc-requests");
    assert_eq!(
        of_app(Quantity::Requests, GRPC, pods),
        counted((14.0, 36.0), (0.0, 64.0))
    );
    let slow = of_app(
        Quantity::Latency {
            limit: 0.5,
            quantile: 0.99,
        },
        GRPC,
        fixture!("grpc-latency"),
    );
    assert_eq!(slow, counted((0.0, 36.0), (0.0, 64.0)));
    let envoy = source("envoy");
    let mut asked = question(Quantity::Requests, GRPC);
    let body = fixture!("envoy-grpc-requests");
    assert_eq!(read(&envoy, &asked, body), counted((7.0, 18.0), (0.0, 32.0)));
    // Its HTTPRoute may bring calls, too.
    let mixed = question(Quantity::Requests, HTTP);
    assert_eq!(read(&envoy, &mixed, body), counted((7.0, 18.0), (0.0, 32.0)));
    // What Envoy answers itself it counts as 503 and as UNAVAILABLE: it is one failure.
    asked.subject.candidate.service = "dead".to_owned();
    assert_eq!(read(&envoy, &asked, body), counted((3.0, 3.0), (0.0, 32.0)));
}

#[test]
fn calls_without_their_status_are_never_success() {
    let envoy = source("envoy");
    let mut asked = question(Quantity::Requests, GRPC);
    asked.subject.namespace = "plain".to_owned();
    let body = fixture!("envoy-plain-requests");
    let told = not_readable(read(&envoy, &asked, body));
    assert!(
        told.contains("port 9090 of a GRPCRoute") && told.contains("grpc_stats"),
        "{told}"
    );
    let http = r#"http_requests_total{code="200"}"#;
    let error = of_app(Quantity::Requests, GRPC, &reply(&[("new", http, 50.0)])).unwrap_err();
    assert_eq!(error.cause, Cause::NotReadable, "{}", error.message);
    let both = of_app(
        Quantity::Requests,
        &[Protocol::Http, Protocol::Grpc],
        &reply(&[
            ("new", http, 50.0),
            ("new", r#"grpc_server_handled_total{grpc_code="Internal"}"#, 5.0),
            ("new", r#"grpc_server_handled_total{grpc_code="OK"}"#, 45.0),
            ("old", http, 50.0),
        ]),
    );
    let (candidate, baseline) = both.unwrap();
    assert_eq!((candidate.bad, candidate.total, baseline), (5.0, 100.0, None));
}

#[test]
fn all_routed_ports_are_asked() {
    let envoy = source("envoy");
    let mut asked = question(Quantity::Requests, HTTP);
    let ports = [(80, Protocol::Http), (9090, Protocol::Grpc)];
    asked.subject.candidate.ports = ports.into();
    asked.subject.baseline.ports = ports.into();
    let asks = queries(&envoy, &asked);
    let promql = &asks[&Layer::Requests].as_ref().unwrap().promql;
    assert!(
        promql.contains(r#"envoy_cluster_name=~"shop_catalog-canary_(80|9090)|shop_catalog_(80|9090)""#),
        "{promql}"
    );
    let cluster = |name: &str, metric: &str, code: &str, count: f64| {
        serde_json::json!({"metric": {"__name__": metric, "envoy_cluster_name": name, "envoy_response_code": code, "job": "envoy", "instance": "a"},
            "values": [[1_796_070_210.0, "0"], [1_796_070_226.0, count.to_string()]]})
    };
    let body = serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": [
        cluster("shop_catalog-canary_80", "envoy_cluster_upstream_rq", "200", 40.0),
        cluster("shop_catalog-canary_9090", "envoy_cluster_upstream_rq", "200", 60.0),
        cluster("shop_catalog-canary_9090", "envoy_cluster_grpc_13", "", 30.0),
        cluster("shop_catalog-canary_9090", "envoy_cluster_grpc_0", "", 30.0),
        cluster("shop_catalog-canary_90", "envoy_cluster_upstream_rq", "500", 7.0),
        cluster("shop_catalog-canary_80_80", "envoy_cluster_upstream_rq", "500", 7.0),
    ]}});
    let (candidate, _) = read(&envoy, &asked, &body.to_string()).unwrap();
    assert_eq!((candidate.bad, candidate.total), (30.0, 100.0));
}
