//! Backtests of made-up weeks in a small Prometheus: what is healthy passes, what is not is shown as what it is.

mod fake;
mod reading;
mod wrong;

use std::{path::PathBuf, sync::Arc};

use clap::Parser;
use jiff::Timestamp;
use serde_json::Value;

use super::command::{Backtest, Done, run};
use fake::{HOUR, Kept, MONDAY, Made, Pod, gauge, serve};

const ROLLOUT: &str = "
apiVersion: warmfront.dev/v1alpha1
kind: CanaryRollout
metadata: {name: catalog, namespace: shop}
spec:
  workload: {deployment: {name: catalog}}
  traffic: {gatewayAPI: {routes: [{name: catalog}]}}
  steps: [{weight: 20, hold: 2m, approval: true}, {weight: 100}]
  bake: 1m
  checks: [{errorRate: {max: 1%}}, {name: queue, query: {promql: queue, max: 9}}]
  gates: [{before: Start, webhook: {url: 'https://gate.example.com/'}}]
";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Backtest,
}

/// A file that is there as long as its test.
struct File(PathBuf);

impl File {
    fn of(text: &str) -> Self {
        let name = format!("warmfront-backtest-{}-{:x}.yaml", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the command with these options behind its file, on Wednesday at midnight.
async fn told(rollout: &str, options: &[&str]) -> anyhow::Result<Done> {
    let file = File::of(rollout);
    let path = file.0.to_string_lossy().into_owned();
    let line = ["warmfront", &path].into_iter().chain(options.iter().copied());
    let line = Line::try_parse_from(line)?;
    run(&line.args, Timestamp::from_second(MONDAY + 48 * HOUR).unwrap()).await
}

async fn json(rollout: &str, options: &[&str]) -> Value {
    let all: Vec<&str> = options.iter().copied().chain(["-o", "json"]).collect();
    serde_json::from_str(&told(rollout, &all).await.unwrap().text).unwrap()
}

/// Two pods of one version that are alike, and a queue.
fn version(errors: &dyn Fn(i64) -> f64) -> Vec<Made> {
    let pods = ["catalog-7f8b9c6d5-x2x4z", "catalog-7f8b9c6d5-bbbbb"];
    let series = pods.map(|name| {
        let pod = Pod {
            name,
            errors,
            ..Pod::default()
        };
        pod.series().0
    });
    series.into_iter().flatten().chain([gauge("queue", |_| 3.0)]).collect()
}

/// The same, and a pod of the next version that gets a tenth of the requests.
fn two_versions(old: &dyn Fn(i64) -> f64, new: &dyn Fn(i64) -> f64) -> Vec<Made> {
    let canary = Pod {
        name: "catalog-5c4d3b2a1-c2c4z",
        requests: 166.0,
        errors: new,
        ..Pod::default()
    };
    version(old).into_iter().chain(canary.series().0).collect()
}

async fn store(series: Vec<Made>) -> (String, Arc<Kept>) {
    let kept = Arc::new(Kept {
        series,
        ..Kept::default()
    });
    (serve(kept.clone()).await, kept)
}

const INCIDENT: std::ops::Range<i64> = 10 * HOUR..10 * HOUR + 600;

fn incident(at: i64) -> f64 {
    if INCIDENT.contains(&at) { 0.3 } else { 0.001 }
}

#[tokio::test]
async fn a_healthy_version_passes_as_its_own_canary() {
    let (url, kept) = store(version(&|_| 0.001)).await;
    let options = [
        "--prometheus",
        &url,
        "--from",
        "2026-11-23",
        "--to",
        "24h",
        "--every",
        "3h",
    ];
    let report = json(ROLLOUT, &options).await;
    assert_eq!(report["counts"], serde_json::json!({"Promoted": 8}), "{report}");
    assert_eq!(report["leftOut"], serde_json::json!(["gates", "approvals"]));
    let seconds = report["releases"][0]["seconds"].as_f64().unwrap();
    assert!((200.0..420.0).contains(&seconds), "{seconds}");
    let all = std::sync::atomic::Ordering::SeqCst;
    let (asked, at_once) = (kept.asked.load(all), kept.most_at_once.load(all));
    // A day and what is before it has more than 6,000 scrapes.
    assert!(asked < 30 && at_once == 1, "{asked} requests, {at_once} at once");
    let text = told(ROLLOUT, &options).await.unwrap();
    assert!(
        !text.rolled_back && text.text.contains("8 promoted after"),
        "{}",
        text.text
    );
    assert!(
        text.text
            .contains("No release of the running version would have been stopped"),
        "{}",
        text.text
    );
    let csv = told(ROLLOUT, &[options.as_slice(), &["-o", "csv"]].concat())
        .await
        .unwrap()
        .text;
    assert_eq!(csv.lines().count(), 9, "{csv}");
}

#[tokio::test]
async fn a_limit_that_is_too_tight_is_shown_as_false_alarms() {
    let (url, _) = store(version(&|_| 0.005)).await;
    let options = [
        "--prometheus",
        &url,
        "--from",
        "2026-11-23",
        "--to",
        "2026-11-23T12:00",
        "--every",
        "3h",
        "--longest",
        "1h",
    ];
    let tight = ROLLOUT.replace("max: 1%", "max: 0.3%");
    let report = json(&tight, &options).await;
    assert_eq!(report["counts"]["Promoted"], Value::Null, "{report}");
    // The same chance gives the same figures, another one others.
    assert_eq!(json(&tight, &options).await, report);
    let other = json(&tight, &[options.as_slice(), &["--seed", "2"]].concat()).await;
    assert_ne!(other["releases"], report["releases"]);
    let text = told(&tight, &options).await.unwrap().text;
    assert!(
        text.contains("100% of the releases would have been stopped or held up, and nothing was released"),
        "{text}"
    );
    let queue = ROLLOUT.replace("max: 9", "max: 2");
    let text = told(&queue, &options).await.unwrap();
    assert!(text.rolled_back && text.text.contains("queue"), "{}", text.text);
}

#[tokio::test]
async fn an_incident_of_the_running_version_is_shown_as_one() {
    let (url, _) = store(version(&incident)).await;
    let options = [
        "--prometheus",
        &url,
        "--from",
        "2026-11-23T09:00",
        "--to",
        "2026-11-23T13:00",
        "--every",
        "29m30s",
    ];
    let report = json(ROLLOUT, &options).await;
    let text = told(ROLLOUT, &options).await.unwrap().text;
    assert!(
        text.contains("SharedIncident in 1 releases, first at 2026-11-23 10:"),
        "{text}\n{report}"
    );
    assert_eq!(
        report["counts"]["Promoted"], 9,
        "the one in whose time it falls waits for its end: {text}"
    );
}

#[tokio::test]
async fn two_versions_are_judged_as_a_release_of_that_time() {
    let versions = [
        "--candidate-hash",
        "5c4d3b2a1",
        "--baseline-pods",
        "catalog-7f8b9c6d5-[a-z0-9]+",
    ];
    let time = ["--from", "2026-11-23T09:30", "--to", "2026-11-23T10:30"];
    let (url, _) = store(two_versions(&|_| 0.001, &incident)).await;
    let options = [versions.as_slice(), &time, &["--prometheus", &url]].concat();
    let report = json(ROLLOUT, &options).await;
    assert_eq!(
        (&report["outcome"], &report["reason"]),
        (&"RolledBack".into(), &"ErrorRateAboveMax".into()),
        "{report}"
    );
    let weight = report["weight"].as_f64().unwrap();
    assert!((weight - 0.1).abs() < 0.005, "{weight}");
    let (rises, ended) = (report["rises"].as_str().unwrap(), report["ended"].as_str().unwrap());
    assert!(
        rises.starts_with("2026-11-23T09:3") && ended.starts_with("2026-11-23T10:0"),
        "{rises} {ended}"
    );
    let done = told(ROLLOUT, &options).await.unwrap();
    assert!(
        done.rolled_back && done.text.contains("Rolled back at 2026-11-23 10:0"),
        "{}",
        done.text
    );
    let csv = told(ROLLOUT, &[options.as_slice(), &["-o", "csv"]].concat())
        .await
        .unwrap()
        .text;
    assert!(csv.lines().count() > 100 && csv.contains(",error-rate,fail,"), "{csv}");

    let (url, _) = store(two_versions(&incident, &incident)).await;
    let options = [versions.as_slice(), &time, &["--prometheus", &url]].concat();
    let done = told(ROLLOUT, &options).await.unwrap();
    assert!(
        !done.rolled_back && done.text.contains("waits (SharedIncident)"),
        "{}",
        done.text
    );
}
