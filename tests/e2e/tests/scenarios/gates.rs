//! Other systems that are asked before a release goes on, and told of it.

use std::time::{Duration, Instant};

use serde_json::json;
use warmfront::{api::action::Verb, api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{Hooks, Load, Shop, condition, load::Connections};

use super::{RATE, is};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s48_a_gate_that_hangs_holds_no_rollback_up() -> anyhow::Result<()> {
    let gate = json!({"name": "smoke-test", "before": "Step", "webhook": {"url": "http://hooks/ask", "timeout": "2s"}, "deadline": "12s"});
    let notify = json!([{"name": "chat", "webhook": {"url": "http://hooks.e2e-s48/tell"}, "events": ["Started", "RolledBack", "Promoted"]}]);
    let shop = Shop::adopted("s48", json!({"gates": [gate], "notify": notify})).await?;
    let hooks = Hooks::open(&shop).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    hooks.answer(None);
    let held = shop
        .until("the gate", |status| condition(status, "Paused") == ("True", "Gate"))
        .await?;
    assert!(
        held.message
            .contains("smoke-test before step 2/3: no whole answer within 2s"),
        "{}",
        held.message
    );
    let late = shop
        .until("the gate's deadline", |status| {
            condition(status, "Paused") == ("True", "GateDeadline")
        })
        .await?;
    assert_eq!(
        (late.phase, late.run.map(|run| run.weight.hundredths())),
        (Phase::Shifting, Some(2_500))
    );

    // It is asked again, hangs again, and a check fails meanwhile: one that no version passes.
    assert_eq!(shop.act(Verb::Resume).await?.0, "Applied");
    shop.merge(
        &Kinds::rollout(),
        "catalog",
        json!({"spec": {"checks": [{"name": "never", "query": {"promql": "vector(1)", "max": 0.5}}]}}),
    )
    .await?;
    let broken = Instant::now();
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "CheckFailed");
    assert!(
        broken.elapsed() < Duration::from_secs(20),
        "three results of two seconds each, not {:?}",
        broken.elapsed()
    );

    hooks.answer(Some(200));
    shop.merge(
        &Kinds::rollout(),
        "catalog",
        json!({"spec": {"checks": [{"errorRate": {"max": "2%"}}]}}),
    )
    .await?;
    shop.release(&[("VERSION", "v3")]).await?;
    shop.ended(2, Phase::Succeeded).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.until("the last notification to be taken", |status| status.outbox.is_empty())
        .await?;
    assert_eq!(hooks.heard("event"), ["Started", "RolledBack", "Started", "Promoted"]);
    assert_eq!(
        hooks.heard("before").len(),
        5,
        "steps 1 and 2 of the first run, all of the second"
    );
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s48_an_address_of_another_namespace_is_refused_before_any_release() -> anyhow::Result<()> {
    let gate = json!({"before": "Start", "webhook": {"url": "http://prometheus.monitoring:9090/-/quit"}});
    let shop = Shop::running("s48-foreign", 1).await?;
    shop.rollout(json!({"gates": [gate]})).await?;
    let status = shop
        .until("the refusal", |status| {
            condition(status, "Accepted") == ("False", "NotPermitted")
        })
        .await?;
    assert!(
        status
            .message
            .contains("prometheus.monitoring is neither a Service of namespace e2e-s48-foreign nor allowed"),
        "{}",
        status.message
    );
    shop.close().await
}
