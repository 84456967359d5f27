//! What RolloutActions may and may not do: they waive waits, never evidence.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use kube::api::{DeleteParams, DynamicObject};
use serde_json::json;
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, condition, load::Connections, shop::steps, until};

use super::{RATE, is, metrics::another_source, stays_at};

/// Three ticks: whatever the figures allow has happened by then.
const TICKS: Duration = Duration::from_secs(6);

fn seconds(length: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(length).unwrap_or(i64::MAX))
}

fn available(set: &DynamicObject) -> i64 {
    set.data["status"]["availableReplicas"].as_i64().unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s14_abort_without_a_metric_source_and_with_an_invalid_spec() -> anyhow::Result<()> {
    let (sources, _) = another_source("forgotten", json!({})).await?;
    let mut plan = stays_at(25);
    plan["metrics"] = json!({"interval": "5s", "source": "forgotten"});
    let shop = Shop::adopted("s14", plan).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    sources.delete("forgotten", &DeleteParams::default()).await?;
    shop.until("its absence is told", |status| {
        condition(status, "Accepted") == ("False", "MetricSourceNotFound")
    })
    .await?;
    // What only the controller can know to be wrong, the API server lets in.
    let invalid = json!([{"name": "queue", "query": {"promql": "{{candidate.queue}}", "max": 1}}]);
    shop.merge(&Kinds::rollout(), "catalog", json!({"spec": {"checks": invalid}}))
        .await?;
    let refused = shop
        .until("the refusal", |status| {
            condition(status, "Accepted") == ("False", "InvalidSpec")
        })
        .await?;
    assert_eq!(refused.phase, Phase::Shifting, "the last valid plan stays in force");

    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let asked = std::time::Instant::now();
    let (phase, reason) = shop.act(Verb::Abort).await?;
    assert_eq!(phase, "Applied", "{reason}");
    let back = |route: Option<&DynamicObject>| route.is_some_and(|route| canary_percent(route) == 0);
    until(
        &shop.api(&Kinds::http_route()),
        "catalog",
        "weight 0 within one evaluation",
        Duration::from_secs(5),
        back,
    )
    .await?;
    println!("weight 0 after {} ms", asked.elapsed().as_millis());
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "Aborted");
    assert_eq!(weights.so_far().await?, [25, 0]);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s15_nothing_to_abort_once_the_old_pods_are_gone() -> anyhow::Result<()> {
    let shop = Shop::adopted(
        "s15",
        json!({"steps": [{"weight": 100, "hold": "1s"}], "bake": "0s", "keepStable": "1s"}),
    )
    .await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.ended(1, Phase::Succeeded).await?;
    let status = shop
        .until("the old version is no longer kept", |status| status.kept.is_empty())
        .await?;
    let run = status.run.unwrap_or_else(|| panic!("a run has ended"));
    let size = |object: &DynamicObject| {
        (
            object.data["spec"]["replicas"].as_i64(),
            object.data["status"]["replicas"].as_i64().unwrap_or_default(),
        )
    };
    let (old, new) = (
        format!("catalog-{}", run.stable_revision),
        format!("catalog-{}", run.revision),
    );
    let sets = shop.api(&Kinds::replica_set());
    until(
        &sets,
        &old,
        "the old pods are gone",
        warmfront_e2e::PATIENCE,
        |set: Option<&DynamicObject>| set.is_some_and(|set| size(set) == (Some(0), 0)),
    )
    .await?;
    let (before, after) = (
        Record::start(sets.clone(), &old, size).await?,
        Record::start(sets, &new, size).await?,
    );
    let deployment = Record::start(shop.api(&Kinds::deployment()), "catalog", size).await?;

    let (phase, reason) = shop.act(Verb::Abort).await?;
    assert_eq!((phase.as_str(), reason.as_str()), ("Rejected", "NothingToAbort"));
    assert_eq!(before.after(TICKS).await?, [(Some(0), 0)], "no replica count changes");
    assert_eq!(after.so_far().await?, [(Some(4), 4)]);
    assert_eq!(deployment.so_far().await?, [(Some(4), 4)]);
    let status = shop.until("rest", super::at_rest).await?;
    assert_eq!((status.phase, status.history.len()), (Phase::Succeeded, 1));
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s16_promote_waives_a_hold_and_no_evidence() -> anyhow::Result<()> {
    let mut plan = json!({"steps": [{"weight": 10, "hold": "1h"}, {"weight": 100, "hold": "1h"}]});
    plan["noDataDeadline"] = json!("1h");
    let shop = Shop::adopted("s16", plan).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 10).await?;
    let (phase, reason) = shop.act(Verb::Promote).await?;
    assert_eq!(phase, "Applied", "{reason}");
    assert_eq!(
        weights.after(TICKS).await?,
        [0, 10],
        "nobody asks for anything, so nothing passes"
    );
    let waiting = shop
        .until("the wait is explained", |status| {
            status.message.starts_with("no data since")
        })
        .await?;
    assert!(waiting.run.is_some_and(|run| run.hold_waived));

    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let full = shop.at(1, 100).await?;
    assert!(
        full.run.is_some_and(|run| run.step == 2 && !run.hold_waived),
        "it counts for one step"
    );
    assert_eq!(weights.after(TICKS).await?, [0, 10, 100], "it rises once");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s18_a_pause_longer_than_every_deadline_costs_nothing() -> anyhow::Result<()> {
    const HOLD: u64 = 16;
    const DEADLINE: u64 = 15;
    let shop = Shop::adopted(
        "s18",
        json!({
            // One pod carries either of the first two weights.
            "steps": [{"weight": 20, "hold": format!("{HOLD}s")}, {"weight": 25, "hold": "1h"}, {"weight": 100}],
            "progressDeadline": format!("{DEADLINE}s"), "noDataDeadline": format!("{DEADLINE}s"),
        }),
    )
    .await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 20).await?;
    // A part of the hold is served before.
    weights.after(TICKS).await?;
    let (phase, reason) = shop.act(Verb::Pause).await?;
    assert_eq!(phase, "Applied", "{reason}");
    let paused = shop
        .until("the pause", |status| condition(status, "Paused") == ("True", "User"))
        .await?;
    assert_eq!(
        weights.after(Duration::from_secs(DEADLINE + 2)).await?,
        [0, 20],
        "the weight stays"
    );
    let (phase, reason) = shop.act(Verb::Resume).await?;
    assert_eq!(phase, "Applied", "{reason}");
    let resumed = shop
        .until("it goes on", |status| {
            status.run.as_ref().is_some_and(|run| run.paused_for.is_none())
        })
        .await?;
    let next = shop.at(1, 25).await?;

    let (paused, resumed, next) = (
        paused.run,
        resumed.run,
        next.run.and_then(|run| run.weight_confirmed_at),
    );
    let (began, lasted) = resumed
        .as_ref()
        .and_then(|run| Some((run.step_started_at?, run.paused_total)))
        .unwrap_or_else(|| panic!("{resumed:?}"));
    let (paused, next) = paused
        .and_then(|run| run.paused_at)
        .zip(next)
        .unwrap_or_else(|| panic!("times of the pause and of the next weight"));
    assert!(lasted.signed() >= seconds(DEADLINE), "paused for {lasted}");
    let held = next.duration_since(began) - lasted.signed();
    assert!(
        held >= seconds(HOLD),
        "the pause does not count as served: held for {held}"
    );
    let rest = next.duration_since(paused) - lasted.signed();
    assert!(rest < seconds(HOLD), "what was served before counts: {rest} more");
    assert_eq!(weights.so_far().await?, [0, 20, 25]);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s19_promote_fully_waits_for_a_pass_and_for_all_pods() -> anyhow::Result<()> {
    let mut plan =
        json!({"steps": [{"weight": 10, "hold": "1h"}, {"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "1s"}]});
    plan["noDataDeadline"] = json!("1h");
    let shop = Shop::adopted("s19", plan).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let phases = Record::start(shop.api(&Kinds::rollout()), "catalog", |rollout| {
        rollout.data["status"]["phase"].clone()
    })
    .await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let tenth = shop.at(1, 10).await?;
    let set = tenth.run.map(|run| run.replica_set).unwrap_or_default();
    let pods = Record::start(shop.api(&Kinds::replica_set()), &set, available).await?;
    let (phase, reason) = shop.act(Verb::PromoteFully).await?;
    assert_eq!(phase, "Applied", "{reason}");
    assert_eq!(weights.after(TICKS).await?, [0, 10], "nothing passes without requests");

    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    let weights = weights.versions().await?;
    assert_eq!(
        weights.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(),
        [0, 10, 100, 0],
        "the remaining steps are dropped"
    );
    let all = pods
        .versions()
        .await?
        .iter()
        .find(|(_, pods)| *pods == 4)
        .map(|(version, _)| *version);
    let full = weights
        .iter()
        .find(|(_, weight)| *weight == 100)
        .map(|(version, _)| *version);
    assert!(
        all.is_some() && all < full,
        "all pods at {all:?} before all traffic at {full:?}"
    );
    let phases = phases.so_far().await?;
    assert!(phases.contains(&json!("Baking")), "then it bakes: {phases:?}");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s20_an_action_for_another_step_expires() -> anyhow::Result<()> {
    let mut plan = json!({"steps": steps(&[25, 50, 75, 100])});
    plan["steps"][2]["hold"] = json!("1h");
    let shop = Shop::adopted("s20", plan).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let third = shop.at(1, 75).await?;
    assert_eq!(third.run.as_ref().map(|run| run.step), Some(3));
    let (phase, reason) = shop.act_with(Verb::Promote, json!({"step": 2})).await?;
    assert_eq!((phase.as_str(), reason.as_str()), ("Expired", "OtherStep"));
    assert_eq!(weights.after(TICKS).await?, [0, 25, 50, 75], "nothing moves");
    let still = shop.at(1, 75).await?;
    assert!(
        still
            .run
            .is_some_and(|run| !run.hold_waived && !run.approved && run.step == 3),
        "and nothing is waived"
    );
    // The same action with the step that the run is at.
    let (phase, reason) = shop.act_with(Verb::Promote, json!({"step": 3})).await?;
    assert_eq!(phase, "Applied", "{reason}");
    shop.ended(1, Phase::Succeeded).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
