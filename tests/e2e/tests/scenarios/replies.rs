//! What the metrics store says when it says nothing useful, and a release without requests, or with few.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use warmfront::{
    api::{
        CanaryRolloutStatus,
        status::{Cause, Phase, Verdict},
    },
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, Store, canary_percent, condition, load::Connections};

use super::{RATE, is, metrics::another_source};

/// One query check per reply, and the cause that it must have.
type Cases = &'static [(&'static str, &'static str, Cause)];

/// Of a store that is told what to say: the query is the name of the reply.
const TOLD: Cases = &[
    ("empty", "empty", Cause::Empty),
    ("nan", "nan", Cause::NaN),
    ("inf", "inf", Cause::Inf),
    ("two", "two", Cause::SeveralSeries),
    ("text", "text", Cause::NotANumber),
    ("html", "html", Cause::BadReply),
    ("error", "error", Cause::ProviderDown),
];

/// Of a real Prometheus, which gives the first five by itself.
const REAL: Cases = &[
    ("empty", "vector(1) > 2", Cause::Empty),
    ("nan", "vector(0) / vector(0)", Cause::NaN),
    ("inf", "vector(1) / vector(0)", Cause::Inf),
    (
        "two",
        "label_replace(vector(1), \"a\", \"1\", \"\", \"\") or label_replace(vector(1), \"a\", \"2\", \"\", \"\")",
        Cause::SeveralSeries,
    ),
    ("text", "\"a text\"", Cause::NotANumber),
    ("refused", "this is no query", Cause::BadQuery),
];

fn reply(query: &str) -> (u16, String) {
    let vector = |values: &[&str]| {
        let result: Vec<Value> = values
            .iter()
            .enumerate()
            .map(|(one, value)| json!({"metric": {"a": one.to_string()}, "value": [1.0, value]}))
            .collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string()
    };
    match query {
        "empty" => (200, vector(&[])),
        "nan" => (200, vector(&["NaN"])),
        "inf" => (200, vector(&["+Inf"])),
        "two" => (200, vector(&["0.5", "0.5"])),
        "text" => (
            200,
            json!({"status": "success", "data": {"resultType": "string", "result": [1.0, "0.5"]}}).to_string(),
        ),
        "html" => (200, "<html><body>0.5</body></html>".to_owned()),
        _ => (500, "0.5".to_owned()),
    }
}

fn checks(cases: Cases) -> Value {
    // Whichever number such a reply were taken for: no limit keeps it, or every limit does.
    cases
        .iter()
        .map(|(name, promql, _)| json!({"name": name, "query": {"promql": promql, "max": 1}, "breaches": 1}))
        .collect()
}

/// What each check said last.
fn said(status: &CanaryRolloutStatus) -> Vec<(String, Verdict, Option<Cause>)> {
    status
        .checks
        .iter()
        .map(|check| (check.name.clone(), check.verdict, check.cause))
        .collect()
}

fn expected(cases: Cases) -> Vec<(String, Verdict, Option<Cause>)> {
    cases
        .iter()
        .map(|(name, _, cause)| ((*name).to_owned(), Verdict::NoData, Some(*cause)))
        .collect()
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s30_replies_that_are_no_numbers_pass_and_fail_nothing() -> anyhow::Result<()> {
    let store = Store::start(reply).await?;
    let (sources, _) = another_source("told", json!({"prometheus": {"url": store.url}})).await?;
    let shop = Shop::adopted(
        "s30",
        json!({"steps": [{"weight": 25, "hold": "2s"}, {"weight": 100}], "checks": checks(TOLD), "metrics": {"interval": "1s", "source": "told"}, "noDataDeadline": "8s"}),
    )
    .await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let verdicts = Record::start(shop.api(&Kinds::rollout()), "catalog", |rollout| {
        let checks = rollout
            .data
            .pointer("/status/checks")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        checks
            .iter()
            .any(|check| check["verdict"] == "pass" || check["verdict"] == "fail")
    })
    .await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.until("each has its own cause", |status| said(status) == expected(TOLD))
        .await?;
    let paused = shop
        .until("the pause", |status| condition(status, "Paused") == ("True", "NoData"))
        .await?;
    assert_eq!(said(&paused), expected(TOLD), "it stays so");

    shop.merge(
        &Kinds::rollout(),
        "catalog",
        json!({"spec": {"checks": checks(REAL), "metrics": {"source": "default"}}}),
    )
    .await?;
    let real = shop
        .until("each has its own cause from Prometheus too", |status| {
            said(status) == expected(REAL)
        })
        .await?;
    assert_eq!(real.phase, Phase::Shifting);
    assert_eq!(weights.so_far().await?, [0, 25], "nothing moves");
    assert_eq!(verdicts.so_far().await?, [false], "none passes or fails");

    // A number ends it.
    let number = json!([{"name": "number", "query": {"promql": "vector(0.5)", "max": 1}}]);
    shop.merge(&Kinds::rollout(), "catalog", json!({"spec": {"checks": number}}))
        .await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    sources.delete("told", &kube::api::DeleteParams::default()).await?;
    shop.close().await
}

fn causes(status: &CanaryRolloutStatus) -> Vec<Option<Cause>> {
    status.checks.iter().map(|check| check.cause).collect()
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s31_s33_without_requests_in_a_step_nothing_passes_and_nothing_fails() -> anyhow::Result<()> {
    let mut plan =
        json!({"steps": [{"weight": 25, "hold": "2s"}, {"weight": 50, "hold": "2s"}, {"weight": 100, "hold": "2s"}]});
    // Requests of the moment between the confirmation and the end of the load are over when the step begins.
    plan["traffic"] = json!({"gatewayAPI": {"routes": [{"name": "catalog"}]}, "settle": "4s"});
    plan["noDataDeadline"] = json!("8s");
    let shop = Shop::adopted("s31", plan).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let silent = shop
        .until("the pause", |status| condition(status, "Paused") == ("True", "NoData"))
        .await?;
    assert_eq!(
        causes(&silent),
        [Some(Cause::Empty); 2],
        "neither version has a series yet"
    );
    assert_eq!(weights.so_far().await?, [0, 25]);

    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.at(1, 50).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    let waiting = shop
        .until("the wait", |status| causes(status) == [Some(Cause::NoTraffic); 2])
        .await?;
    assert!(
        waiting.checks.iter().all(|check| check.verdict == Verdict::Wait),
        "what was good before the confirmation passes nothing: {:?}",
        waiting.checks
    );
    let paused = shop
        .until("the pause", |status| condition(status, "Paused") == ("True", "NoData"))
        .await?;
    assert_eq!(paused.phase, Phase::Shifting);
    assert!(
        paused.checks.iter().all(|check| check.verdict == Verdict::Wait),
        "{:?}",
        paused.checks
    );
    assert_eq!(weights.so_far().await?, [0, 25, 50], "no rollback and no advance");

    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(weights.so_far().await?, [0, 25, 50, 100, 0], "it goes on by itself");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

/// `promoted after 1m23s`.
fn told(message: &str) -> Option<SignedDuration> {
    let text = message.split("promoted after ").nth(1)?;
    let end = text
        .find(|letter: char| !letter.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn two_requests_a_second_go_through_in_the_time_told() -> anyhow::Result<()> {
    // A fifth may fail, so that minutes of this traffic are enough evidence.
    let shop = Shop::adopted("few-requests", json!({"checks": [{"errorRate": {"max": "20%"}}]})).await?;
    let load = Load::start(&shop.host(), 2, Connections::KeepAlive).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    // What was asked in the minute before says how long it will take.
    assert_eq!(weights.after(Duration::from_secs(40)).await?, [0]);
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let began = Timestamp::now();
    let said = shop.events("CanaryReady").await?.pop().unwrap_or_default();
    let told = told(&said)
        .with_context(|| format!("no time is told in `{said}`"))?
        .as_secs_f64();
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    let took = Timestamp::now().duration_since(began).as_secs_f64();
    println!("told {told} s, took {took:.0} s: {said}");
    assert!(told > 20.0, "the traffic asks for more than the holds: {said}");
    assert!(took < 1.5 * told + 15.0, "it took {took:.0} s: {said}");
    assert_eq!(weights.so_far().await?, [0, 25, 50, 100, 0]);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
