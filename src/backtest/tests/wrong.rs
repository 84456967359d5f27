//! What cannot be answered says what was tried, why not, and what to do.

use serde_json::json;

use super::{
    super::{command::code, file},
    ROLLOUT, told, two_versions, version,
};

/// Options, and what is said of them.
const WRONG: [(&[&str], &str); 9] = [
    (&["--from", "2h", "--to", "3h"], "is not before --to"),
    (
        &["--from", "2026-11-23", "--namespace-label", "ns"],
        "no pod whose name matches catalog-[a-z0-9]+-[a-z0-9]+ has metrics of requests in namespace shop",
    ),
    (
        &["--from", "2020-01-01", "--to", "2020-01-02"],
        "does this Prometheus keep metrics for so long?",
    ),
    (
        &["--from", "2026-11-23", "--preset", "envoy", "--to", "1h"],
        "no check has any data between",
    ),
    (
        &[
            "--from",
            "2026-11-23",
            "--preset",
            "app",
            "--candidate-service",
            "catalog-canary",
        ],
        "preset app tells versions by their pods",
    ),
    (
        &["--from", "2026-11-23", "--candidate-hash", "5c4d3b2a1"],
        "both versions must be told: give --candidate-pods and --baseline-pods",
    ),
    (
        &[
            "--from",
            "2026-11-23",
            "--candidate-hash",
            "5c4d3b2a1",
            "--baseline-pods",
            "catalog-[a-z0-9]+-[a-z0-9]+",
        ],
        "pods of ReplicaSet catalog-5c4d3b2a1 are told as both versions",
    ),
    (
        &[
            "--from",
            "2010-01-01",
            "--scrape-interval",
            "5s",
            "--baseline-hash",
            "7f8b9c6d5",
        ],
        "shorten the time between --from and --to",
    ),
    (
        &["--from", "2026-11-23", "--every", "10s", "--to", "47h"],
        "--every 10s is too short: write 1m or more",
    ),
];

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said() {
    let (url, _) = super::store(two_versions(&|_| 0.001, &|_| 0.001)).await;
    let only_errors = ROLLOUT.replace(", {name: queue, query: {promql: queue, max: 9}}", "");
    for (options, says) in WRONG {
        let all = [options, &["--prometheus", &url]].concat();
        let why = format!("{:#}", told(&only_errors, &all).await.unwrap_err());
        assert!(why.contains(says), "{options:?}: {why}\ndoes not say {says}");
    }
    let why = format!("{:#}", told(ROLLOUT, &["--from", "2h"]).await.unwrap_err());
    assert!(why.contains("give --prometheus URL, or a MetricSource named"), "{why}");
    let gone = ["--from", "2h", "--prometheus", "http://127.0.0.1:1"];
    let why = format!("{:#}", told(ROLLOUT, &gone).await.unwrap_err());
    assert!(
        why.contains("Prometheus at http://127.0.0.1:1 cannot be reached"),
        "{why}"
    );
}

#[tokio::test]
async fn a_query_that_is_refused_is_named() {
    let mut series = version(&|_| 0.001);
    series.retain(|made| made.labels["__name__"] != "queue");
    let (url, _) = super::store(series).await;
    // The other check has data: it is judged, and this one is without.
    let options = [
        "--prometheus",
        &url,
        "--from",
        "2026-11-23",
        "--to",
        "2026-11-23T02:00",
        "--every",
        "2h",
    ];
    let text = told(ROLLOUT, &options).await.unwrap().text;
    assert!(
        text.contains("Empty in 1 releases")
            && text.contains("1 did not end in the time")
            && text.contains("Still going on when the data ended:"),
        "{text}"
    );
}

#[test]
fn what_is_stated_goes_before_the_metric_source_of_the_file() {
    let source = |name: &str| {
        format!(
            "---\napiVersion: warmfront.dev/v1alpha1\nkind: MetricSource\nmetadata: {{name: {name}}}\nspec: {{prometheus: {{url: 'http://{name}'}}, podLabel: kube_pod, matchers: {{cluster: a}}}}\n"
        )
    };
    let two = format!(
        "{ROLLOUT}  metrics: {{source: mine}}\n{}{}",
        source("other"),
        source("mine")
    );
    let read = file::parse(&two, &json!({})).unwrap().source;
    assert_eq!(
        (read.prometheus.url.as_str(), read.pod_label.as_str()),
        ("http://mine", "kube_pod")
    );
    let read = file::parse(
        &two,
        &json!({"prometheus": {"url": "http://stated"}, "preset": "envoy"}),
    )
    .unwrap()
    .source;
    assert_eq!(
        (read.prometheus.url.as_str(), read.matchers["cluster"].as_str()),
        ("http://stated", "a")
    );
    let wrong = file::parse(&two, &json!({"preset": "nginx"})).unwrap_err();
    assert!(format!("{wrong:#}").contains("nginx"), "{wrong:#}");
    let unjudged = ROLLOUT.replace(
        "checks: [{errorRate: {max: 1%}}, {name: queue, query: {promql: queue, max: 9}}]",
        "unjudged: true",
    );
    let wrong = file::parse(&unjudged, &json!({"prometheus": {"url": "http://a"}})).unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("has no checks, so nothing would have been judged"),
        "{wrong:#}"
    );
}

#[test]
fn a_pipeline_fails_on_a_rollback_if_it_is_to() {
    assert_eq!(
        [
            code(false, false),
            code(false, true),
            code(true, false),
            code(true, true)
        ],
        [0, 0, 0, 2]
    );
}
