//! Other systems that are asked before a release goes on, and told of it.

use std::time::{Duration, Instant};

use serde_json::json;
use warmfront::{api::action::Verb, api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{Hooks, Load, Shop, condition, load::Connections};

use super::{RATE, is};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s48_a_gate_that_hangs_holds_no_rollback_up() -> anyhow::Result<()> {
    let hooks = Hooks::open().await?;
    let gate = json!({"name": "smoke-test", "before": "Step", "webhook": {"url": hooks.url("/ask"), "timeout": "2s"}, "deadline": "12s"});
    let notify = json!([{"name": "chat", "webhook": {"url": hooks.url("/tell")}, "events": ["Started", "RolledBack", "Promoted"]}]);
    let shop = Shop::adopted("s48", json!({"gates": [gate], "notify": notify})).await?;
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

/// A gate before the start that asks `host`.
fn asks(host: &str) -> serde_json::Value {
    json!({"gates": [{"before": "Start", "webhook": {"url": format!("http://{host}/healthz"), "timeout": "2s"}, "deadline": "10m"}]})
}

/// Begins a release whose gate asks `host`. The rollout is made with the first one, v2.
async fn begin(shop: &Shop, host: &str, version: &str) -> anyhow::Result<()> {
    if version == "v2" {
        shop.rollout(asks(host)).await?;
        shop.held().await?;
    } else {
        shop.merge(&Kinds::rollout(), "catalog", json!({"spec": asks(host)}))
            .await?;
    }
    shop.release(&[("VERSION", version)]).await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn fence_a_gate_behind_an_external_name_is_not_asked() -> anyhow::Result<()> {
    let victim = Shop::running("fence-victim", 1).await?;
    let shop = Shop::running("fence-external", 1).await?;
    let leads = format!("catalog.{}.svc.cluster.local", victim.namespace);
    let ports = json!([{"port": 80}]);
    let service = |name: &str, spec: serde_json::Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    let external = json!({"type": "ExternalName", "externalName": leads, "ports": ports});
    shop.create(&Kinds::service(), service("gate", external)).await?;
    // The same by addresses that are written by hand.
    let theirs = victim.api(&Kinds::service()).get("catalog").await?;
    shop.create(&Kinds::service(), service("by-hand", json!({"ports": ports})))
        .await?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "by-hand", "labels": {"kubernetes.io/service-name": "by-hand"}},
        "ports": [{"port": 80, "protocol": "TCP"}],
        "endpoints": [{"addresses": [theirs.data["spec"]["clusterIP"]], "conditions": {"ready": true}}],
    });
    shop.create(&Kinds::endpoint_slice(), slice).await?;
    for (host, version, why) in [
        (
            "gate",
            "v2",
            "Service gate: it is of type ExternalName and may lead anywhere",
        ),
        ("by-hand", "v3", "Service by-hand: it has no selector"),
    ] {
        begin(&shop, host, version).await?;
        let held = shop
            .until("the gate", |status| {
                condition(status, "Paused") == ("True", "Gate") && status.message.contains(host)
            })
            .await?;
        assert!(held.message.contains(why), "{}", held.message);
        assert_eq!(shop.act(Verb::Abort).await?.0, "Applied");
        shop.until("the end", |status| status.phase == Phase::RolledBack)
            .await?;
    }
    victim.close().await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn fence_a_gate_behind_services_that_select_pods_is_asked() -> anyhow::Result<()> {
    let shop = Shop::running("fence-services", 1).await?;
    let ports = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    let headless = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "selector": {"app": "catalog"}, "ports": ports}});
    shop.create(&Kinds::service(), headless).await?;
    // The app takes no POST, which is a no: it was asked.
    for (number, (host, version)) in [("catalog", "v2"), ("headless", "v3")].into_iter().enumerate() {
        let run = i64::try_from(number)? + 1;
        begin(&shop, host, version).await?;
        let status = shop.ended(run, Phase::RolledBack).await?;
        is(&status, "RolledBack", "True", "GateRejected");
        assert!(status.message.contains("HTTP 405"), "{}", status.message);
    }
    shop.close().await
}
