//! The user's route: other hands, other rules, other backends.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use warmfront::{
    api::status::{EndReason, Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, condition, load::Connections, shop::steps};

use super::{RATE, is, plain, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s38_a_weight_raised_by_hand_is_put_back() -> anyhow::Result<()> {
    let shop = Shop::adopted("s38", stays_at(25)).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let mut rules = shop.spec(&Kinds::http_route(), "catalog").await?["rules"].clone();
    for backend in rules[0]["backendRefs"].as_array_mut().into_iter().flatten() {
        backend["weight"] = json!(if backend["name"] == "catalog-canary" { 60 } else { 40 });
    }
    shop.merge(&Kinds::http_route(), "catalog", json!({"spec": {"rules": rules}}))
        .await?;
    let status = shop
        .until("the drift is counted", |status| status.drift.corrected == 1)
        .await?;
    let back = |route: Option<&kube::api::DynamicObject>| route.is_some_and(|route| canary_percent(route) == 25);
    warmfront_e2e::until(
        &shop.api(&Kinds::http_route()),
        "catalog",
        "25% again",
        std::time::Duration::from_mins(1),
        back,
    )
    .await?;
    assert_eq!(weights.so_far().await?, [25, 60, 25]);
    assert_eq!(
        status.run.map(|run| (run.number, run.step)),
        Some((1, 1)),
        "no step is counted"
    );
    let told = shop.told("RouteDrift").await?;
    assert!(
        told.len() == 1 && told[0].contains("60%") && told[0].contains("25%") && told[0].contains("e2e"),
        "names values and manager: {told:?}"
    );
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

/// Share of the third backend in the rule that is shared with the app, in hundredths of a percent.
fn third_share(route: &kube::api::DynamicObject) -> i64 {
    let backends: Vec<&Value> = route.data["spec"]["rules"][1]["backendRefs"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let weight = |backend: &&Value| backend["weight"].as_i64().unwrap_or(1);
    let total: i64 = backends.iter().map(weight).sum();
    let third: i64 = backends
        .iter()
        .filter(|backend| backend["name"] == "legacy")
        .map(weight)
        .sum();
    10_000 * third / total.max(1)
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s40_everything_else_in_the_route_stays() -> anyhow::Result<()> {
    let shop = Shop::open("s40").await?;
    shop.app(4).await?;
    // Another Service of the same pods: it must not see the new version either.
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "legacy"}, "spec": {"selector": {"app": "catalog"}, "ports": [{"port": 80, "targetPort": "http"}]}});
    shop.create(&Kinds::service(), service).await?;
    let header = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-rule", "value": "kept"}]}}]);
    shop.route(json!([
        {"matches": [{"path": {"type": "PathPrefix", "value": "/legacy"}}], "filters": header, "timeouts": {"request": "7s"}, "backendRefs": [{"name": "legacy", "port": 80, "weight": 3}]},
        {"filters": header, "timeouts": {"request": "5s"}, "backendRefs": [{"name": "catalog", "port": 80, "weight": 80}, {"name": "legacy", "port": 80, "weight": 20}]},
    ]))
    .await?;
    shop.serving().await?;
    let before = shop.spec(&Kinds::http_route(), "catalog").await?;
    let legacy = shop.spec(&Kinds::service(), "legacy").await?;
    shop.rollout(
        json!({"steps": steps(&[25, 50, 100]), "keepStable": "5s", "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}, "settle": "500ms", "alsoNarrow": ["legacy"]}}),
    )
    .await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let shares = Record::start(shop.api(&Kinds::http_route()), "catalog", third_share).await?;
    let others = Record::start(shop.api(&Kinds::http_route()), "catalog", |route| {
        let rules = &route.data["spec"]["rules"];
        (
            rules[0].clone(),
            rules[1]["filters"].clone(),
            rules[1]["timeouts"].clone(),
        )
    })
    .await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(weights.so_far().await?, [0, 25, 50, 100, 0]);
    assert_eq!(
        shares.so_far().await?,
        [2000],
        "the third backend's share at every moment"
    );
    assert_eq!(
        others.so_far().await?.len(),
        1,
        "rules, filters and timeouts at every moment"
    );
    shop.as_found(&Kinds::http_route(), "catalog", &before).await?;
    shop.as_found(&Kinds::service(), "legacy", &legacy).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s03_adoption_waits_for_the_route_and_goes_on_by_itself() -> anyhow::Result<()> {
    let shop = Shop::open("s03").await?;
    shop.app(2).await?;
    shop.serving().await?;
    let service = shop.spec(&Kinds::service(), "catalog").await?;
    let deployment = shop.spec(&Kinds::deployment(), "catalog").await?;
    shop.rollout(json!({})).await?;
    let status = shop
        .until("the refusal", |status| {
            condition(status, "Accepted") == ("False", "RouteNotFound")
        })
        .await?;
    assert!(
        status.message.contains("HTTPRoute catalog does not exist"),
        "{}",
        status.message
    );
    assert_eq!(
        shop.spec(&Kinds::deployment(), "catalog").await?,
        deployment,
        "nothing is changed"
    );
    shop.route(plain()).await?;
    let status = shop
        .until("adoption", |status| status.stable_revision.is_some())
        .await?;
    is(&status, "Accepted", "True", "Accepted");
    shop.held().await?;
    assert_eq!(shop.spec(&Kinds::service(), "catalog").await?, service);
    shop.close().await
}

/// Applies a cluster-wide or namespaced object by server-side apply.
async fn apply(api: &kube::Api<kube::api::DynamicObject>, manager: &str, object: Value) -> anyhow::Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    api.patch(&name, &PatchParams::apply(manager).force(), &Patch::Apply(object))
        .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s37_a_parent_that_nobody_serves_lets_no_step_begin() -> anyhow::Result<()> {
    let shop = Shop::open("s37").await?;
    shop.app(4).await?;
    let class = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "nobody"}, "spec": {"controllerName": "warmfront.dev/nobody"}});
    apply(
        &kube::Api::all_with(shop.client.clone(), &Kinds::gateway_class()),
        "e2e",
        class,
    )
    .await?;
    let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "nowhere"}, "spec": {"gatewayClassName": "nobody", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}});
    shop.create(&Kinds::gateway(), gateway).await?;
    shop.route(plain()).await?;
    let edge = shop.spec(&Kinds::http_route(), "catalog").await?["parentRefs"].clone();
    let mut both = edge.clone();
    both.as_array_mut()
        .into_iter()
        .for_each(|parents| parents.push(json!({"name": "nowhere"})));
    shop.merge(&Kinds::http_route(), "catalog", json!({"spec": {"parentRefs": both}}))
        .await?;
    shop.serving().await?;
    let mut plan = stays_at(25);
    plan["progressDeadline"] = json!("25s");
    shop.rollout(plan).await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let text = "no controller reports on parent Gateway e2e-s37/nowhere";
    let waiting = shop
        .until("the wait is explained", |status| status.message.contains(text))
        .await?;
    assert!(
        waiting.run.as_ref().is_some_and(|run| run.step_started_at.is_none()),
        "the clock does not start: {waiting:?}"
    );
    let back = shop
        .until("the way back", |status| status.phase == Phase::RollingBack)
        .await?;
    assert_eq!(
        back.run.and_then(|run| run.ending).map(|ending| ending.reason),
        Some(EndReason::RouteNotAccepted)
    );
    assert!(back.checks.is_empty(), "no check counts: {:?}", back.checks);
    let told = shop.told("RouteNotAccepted").await?;
    assert!(told.len() == 1 && told[0].contains(text), "{told:?}");
    // Until every parent has said so, weight 0 is not taken for served.
    shop.merge(&Kinds::http_route(), "catalog", json!({"spec": {"parentRefs": edge}}))
        .await?;
    let status = shop.ended(1, Phase::RolledBack).await?;
    is(&status, "RolledBack", "True", "RouteNotAccepted");
    assert_eq!(weights.so_far().await?, [0]);
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
