//! What is told of stores that fail, and that no namespace's queries keep another's waiting.

use axum::{Form, Router, extract::State, routing::post};
use tokio::net::TcpListener;

use std::collections::BTreeMap;

use super::*;
use crate::{
    fair::measured::{grown_by, peak_kib},
    log::captured::capture,
};

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_told_twice_however_often_it_is_asked() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (log, _guard) = capture("info");
    let shell = StoreClient::new().unwrap();
    let source = "http://prometheus:9090";
    let answer = |cause: Cause| {
        Err(NoData {
            cause,
            message: "requests by status: Prometheus answered 503".to_owned(),
        })
    };
    for _ in 0..50 {
        shell.log(source, &answer(Cause::ProviderDown));
        tokio::time::advance(Duration::from_secs(2)).await;
        // Another rollout's query is answered all the same, and another store knows nothing of it.
        shell.log(source, &answer(Cause::BadQuery));
        shell.log("http://other:9090", &Ok(Value::Scalar(1.0)));
    }
    for _ in 0..50 {
        tokio::time::advance(Duration::from_secs(2)).await;
        shell.log(source, &Ok(Value::Scalar(1.0)));
    }
    let told = [
        "WARN a metrics store fails: until it works, ticks bring no data and releases wait; look at the store, or at the MetricSource that names it",
        "INFO the metrics store works again",
    ];
    assert_eq!(log.messages(), told);
    let lines = log.lines();
    assert_eq!(
        lines[0]["fields"]["error"],
        "requests by status: Prometheus answered 503"
    );
    let fields = &lines[1]["fields"];
    assert_eq!(
        (&fields["source"], &fields["lasted_ms"]),
        (&source.into(), &100_000.into())
    );
    assert_eq!(fields["tries"], 50);
}

/// How long slow queries take here.
const SLOW: Duration = Duration::from_millis(400);

/// A store in which expressions that say so are slow, and the last form that it was sent.
async fn store() -> (MetricSourceSpec, std::sync::Arc<Mutex<BTreeMap<String, String>>>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let last = std::sync::Arc::default();
    let answer = |State(last): State<std::sync::Arc<Mutex<BTreeMap<String, String>>>>,
                  Form(form): Form<BTreeMap<String, String>>| async move {
        let slow = form.get("query").is_some_and(|query| query.contains("slow"));
        *lock(&last) = form;
        if slow {
            tokio::time::sleep(SLOW).await;
        }
        r#"{"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}"#
    };
    let app = Router::new()
        .route("/api/v1/query", post(answer))
        .with_state(std::sync::Arc::clone(&last));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let spec = serde_json::from_value(serde_json::json!({"prometheus": {"url": url}})).unwrap();
    (spec, last)
}

fn question(namespace: &str, promql: &str, number: usize) -> Question {
    let version = |hash: &str| crate::provider::Version {
        workload: format!("app-{hash}"),
        replica_sets: vec![format!("app-{hash}")],
        service: "app".to_owned(),
        ports: std::collections::BTreeSet::new(),
        hash: hash.to_owned(),
    };
    let now = Timestamp::now();
    Question {
        subject: crate::provider::Subject {
            namespace: namespace.to_owned(),
            protocols: [crate::provider::Protocol::Http].into(),
            candidate: version("new"),
            baseline: version("old"),
        },
        start: now,
        end: now,
        figures_since: now,
        run_started: now,
        whose: crate::provider::Whose::New,
        quantities: (0..number)
            .map(|number| crate::provider::Quantity::Scalar {
                promql: format!("{promql}_{number}"),
            })
            .collect(),
    }
}

#[tokio::test]
async fn slow_queries_of_one_namespace_keep_no_other_one_waiting() {
    let (spec, last) = store().await;
    let shell = std::sync::Arc::new(StoreClient::new().unwrap());
    let victims = question("victim", "quick", 3);
    let asked = Instant::now();
    assert!(shell.ask(&spec, &victims).await.iter().all(Result::is_ok));
    let alone = asked.elapsed();
    assert_eq!(lock(&last).get("timeout").map(String::as_str), Some("10s"));

    // Ten rollouts of 16 checks each.
    let hostile: Vec<_> = (0..10)
        .map(|_| {
            let (shell, spec) = (shell.clone(), spec.clone());
            tokio::spawn(async move { shell.ask(&spec, &question("hostile", "slow", 16)).await })
        })
        .collect();
    tokio::time::sleep(SLOW / 2).await;
    let asked = Instant::now();
    assert!(shell.ask(&spec, &victims).await.iter().all(Result::is_ok));
    let beside = asked.elapsed();
    assert!(hostile.iter().all(|one| !one.is_finished()));
    assert!(beside < alone + SLOW / 2, "alone {alone:?}, beside {beside:?}");
}

#[tokio::test(start_paused = true)]
async fn a_query_that_gets_no_permit_in_time_has_no_data() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let shell = StoreClient::new().unwrap();
    let mut held = Vec::new();
    for _ in 0..CONCURRENCY_OF_ONE {
        held.push(shell.permits.acquire("busy").await);
    }
    let spec: MetricSourceSpec =
        serde_json::from_value(serde_json::json!({"prometheus": {"url": "http://127.0.0.1:1"}})).unwrap();
    let asked = Instant::now();
    let answer = shell.ask(&spec, &question("busy", "up", 2)).await;
    assert_eq!((answer.len(), asked.elapsed()), (2, TICK));
    for reading in answer {
        let no_data = reading.unwrap_err();
        assert_eq!(no_data.cause, Cause::ProviderDown);
        assert!(
            no_data.message.contains("not asked within 25s: of namespace busy"),
            "{}",
            no_data.message
        );
    }
}

/// A store whose answer is as large in memory as any can be, or comes late where the expression says so.
async fn hostile_store() -> MetricSourceSpec {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let labels = |from: usize| {
        (from..from + 99)
            .map(|number| format!("\"l{number}\":\"\""))
            .collect::<Vec<_>>()
            .join(",")
    };
    let series = format!("{{\"metric\":{{{}}},\"values\":[[1,\"1\"]]}}", labels(1_000));
    let all = vec![series; 1_000].join(",");
    let body = format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{all}]}}}}");
    let body: &'static str = body.leak();
    let answer = move |Form(form): Form<BTreeMap<String, String>>| async move {
        let slow = form.get("query").is_some_and(|query| query.ends_with("_1"));
        if slow {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        axum::body::Bytes::from_static(body.as_bytes())
    };
    let app = Router::new().route("/api/v1/query", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    serde_json::from_value(serde_json::json!({"prometheus": {"url": url}})).unwrap()
}

#[tokio::test]
#[ignore = "measures the process, which must be one of its own"]
async fn measured_by_itself() {
    let spec = hostile_store().await;
    let shell = StoreClient::new().unwrap();
    let before = peak_kib();
    let ticks = (0..50).map(|number| {
        let (shell, spec) = (&shell, &spec);
        async move { shell.ask(spec, &question(&format!("hostile-{number}"), "any", 2)).await }
    });
    let answers = join_all(ticks).await;
    assert!(answers.iter().all(|answer| answer.len() == 2));
    assert_eq!(shell.replies.taken(), 0);
    println!("grew by {} KiB", peak_kib() - before);
}

/// What the budget bounds, a reply that is being read, and what the connections of both sides hold.
const MOST_KIB: u64 = 160 << 10;

#[test]
fn fifty_hostile_stores_at_once_take_no_more_than_the_budget() {
    let grew = grown_by("provider::shell::tests::measured_by_itself");
    assert!(grew <= MOST_KIB, "the process grew by {grew} KiB");
}
