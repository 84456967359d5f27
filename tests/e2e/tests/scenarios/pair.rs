//! Pairs: traffic goes from one Deployment to the other, and nothing else is touched.

use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject},
};
use serde_json::{Value, json};
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, load::Connections, until, version};

use super::{RATE, is, last_ended, metrics::another_source, stays_at};

const CANDIDATE: &str = "catalog-cached";

/// Both versions' entries, the candidate's at 0.
fn both() -> Value {
    json!([{"backendRefs": [{"name": "catalog", "port": 80}, {"name": CANDIDATE, "port": 80, "weight": 0}]}])
}

/// Two running apps of three pods in one route, and the spec that names them, with `more` laid over it.
async fn pair(name: &str, candidate: &[(&str, &str)], more: &Value) -> anyhow::Result<(Shop, Value)> {
    let shop = Shop::open(name).await?;
    shop.app(3).await?;
    shop.app_named(CANDIDATE, 3).await?;
    shop.release_named(CANDIDATE, candidate).await?;
    shop.route(both()).await?;
    shop.serving().await?;
    shop.serving_named(CANDIDATE).await?;
    let side = |name: &str| json!({"deployment": name, "service": name});
    let mut spec = more.clone();
    spec["workload"] = json!({"pair": {"baseline": side("catalog"), "candidate": side(CANDIDATE)}});
    Ok((shop, spec))
}

/// What Warmfront must not touch: specs and generations of both sides' objects, and that it owns nothing of them.
async fn hands_off(shop: &Shop) -> anyhow::Result<Value> {
    let mut found = Vec::new();
    for name in ["catalog", CANDIDATE] {
        for resource in [Kinds::deployment(), Kinds::service()] {
            let object = shop.api(&resource).get(name).await?;
            let ours = object
                .managed_fields()
                .iter()
                .any(|entry| entry.manager.as_deref() == Some("warmfront"));
            assert!(!ours, "{} {name} is not Warmfront's", resource.kind);
            found.push(json!([
                resource.kind,
                name,
                object.metadata.generation,
                object.data["spec"]
            ]));
        }
    }
    for set in shop
        .api(&Kinds::replica_set())
        .list(&kube::api::ListParams::default())
        .await?
    {
        assert!(
            !set.labels().contains_key("warmfront.dev/rollout"),
            "{} is held",
            set.name_any()
        );
        found.push(json!([set.name_any(), set.data["spec"]["replicas"]]));
    }
    let services = shop
        .api(&Kinds::service())
        .list(&kube::api::ListParams::default())
        .await?;
    assert_eq!(services.items.len(), 2, "no Service is made");
    Ok(Value::from(found))
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_pair_is_promoted_under_load_and_undone_and_nothing_but_the_route_is_touched() -> anyhow::Result<()> {
    let (shop, spec) = pair("pair-promoted", &[("VERSION", "v2")], &json!({"keepStable": "5m"})).await?;
    let before = hands_off(&shop).await?;
    let route = shop.spec(&Kinds::http_route(), "catalog").await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.rollout(spec).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    is(&status, "Healthy", "True", "Serving");
    assert_eq!(weights.so_far().await?, [0, 25, 50, 100]);
    for _ in 0..20 {
        assert_eq!(version(&shop.host(), None).await?, "v2");
    }
    assert_eq!(hands_off(&shop).await?, before);
    let ours = |route: &DynamicObject| {
        route
            .managed_fields()
            .iter()
            .any(|entry| entry.manager.as_deref() == Some("warmfront"))
    };
    let routes = shop.api(&Kinds::http_route());
    until(
        &routes,
        "catalog",
        "no managedFields entry of ours is left",
        warmfront_e2e::PATIENCE,
        |found: Option<&DynamicObject>| found.is_some_and(|route| !ours(route) && canary_percent(route) == 100),
    )
    .await?;

    assert_eq!(shop.act(Verb::Abort).await?.0, "Applied");
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "Aborted");
    shop.as_found(&Kinds::http_route(), "catalog", &route).await?;
    assert_eq!(weights.so_far().await?, [0, 25, 50, 100, 0]);
    assert_eq!(hands_off(&shop).await?, before);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn errors_of_a_candidate_take_its_traffic_back_as_the_gateway_counts_them() -> anyhow::Result<()> {
    let (sources, _) = another_source("gateway-of-a-pair", json!({"preset": "envoy"})).await?;
    let more =
        json!({"metrics": {"interval": "2s", "source": "gateway-of-a-pair"}, "checks": [{"errorRate": {"max": "2%"}}]});
    let (shop, spec) = pair(
        "pair-errors",
        &[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.25")],
        &more,
    )
    .await?;
    let before = hands_off(&shop).await?;
    let route = shop.spec(&Kinds::http_route(), "catalog").await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.rollout(spec).await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "ErrorRateAboveMax");
    assert_eq!(weights.so_far().await?, [0, 25, 0]);
    shop.as_found(&Kinds::http_route(), "catalog", &route).await?;
    assert_eq!(
        hands_off(&shop).await?,
        before,
        "the candidate's pods stay, and so does everything else"
    );
    let (failed, failures) = load.stop().await?;
    sources.delete("gateway-of-a-pair", &DeleteParams::default()).await?;
    assert!(
        failed > 0 && failures.as_object().is_some_and(|kinds| kinds.len() == 1),
        "only the candidate's own errors: {failures}"
    );
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_changed_candidate_begins_anew_and_a_deletion_leaves_the_route_as_found() -> anyhow::Result<()> {
    let (shop, spec) = pair("pair-changed", &[("VERSION", "v2")], &stays_at(25)).await?;
    // The candidate's entry is put in and taken out.
    let alone = json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"group": "", "kind": "Service", "name": "catalog", "port": 80, "weight": 7}]}]);
    shop.merge(&Kinds::http_route(), "catalog", json!({"spec": {"rules": alone}}))
        .await?;
    let route = shop.spec(&Kinds::http_route(), "catalog").await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.rollout(spec).await?;
    let first = shop.at(1, 25).await?.run.map(|run| run.revision);
    shop.release_named(CANDIDATE, &[("VERSION", "v3")]).await?;
    let again = shop.at(2, 25).await?;
    assert_eq!(
        last_ended(&again),
        ("Superseded".to_owned(), "NewerRevision".to_owned())
    );
    assert_ne!(again.run.map(|run| run.revision), first);
    assert_eq!(weights.so_far().await?, [0, 25, 0, 25]);
    shop.serving_named(CANDIDATE).await?;
    shop.api(&Kinds::rollout())
        .delete("catalog", &DeleteParams::default())
        .await?;
    shop.as_found(&Kinds::http_route(), "catalog", &route).await?;
    until(
        &shop.api(&Kinds::rollout()),
        "catalog",
        "the rollout is gone",
        warmfront_e2e::PATIENCE,
        |found: Option<&DynamicObject>| found.is_none(),
    )
    .await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
