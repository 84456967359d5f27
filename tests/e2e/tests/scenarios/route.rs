//! The user's route: other hands, other rules, other backends.

use serde_json::{Value, json};
use warmfront::{api::status::Phase, controller::caches::Kinds};
use warmfront_e2e::{Load, Record, Shop, canary_percent, load::Connections, shop::steps};

use super::{RATE, is, stays_at};

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
    shop.merge(&Kinds::http_route(), "catalog", json!({"spec": {"rules": rules}})).await?;
    let status = shop.until("the drift is counted", |status| status.drift.corrected == 1).await?;
    let back = |route: Option<&kube::api::DynamicObject>| route.is_some_and(|route| canary_percent(route) == 25);
    warmfront_e2e::until(&shop.api(&Kinds::http_route()), "catalog", "25% again", std::time::Duration::from_mins(1), back).await?;
    assert_eq!(weights.so_far().await?, [25, 60, 25]);
    assert_eq!(status.run.map(|run| (run.number, run.step)), Some((1, 1)), "no step is counted");
    let told = shop.events("RouteDrift").await?;
    assert!(told.len() == 1 && told[0].contains("60%") && told[0].contains("25%") && told[0].contains("e2e"), "names values and manager: {told:?}");
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

/// Share of the third backend in the rule that is shared with the app, in hundredths of a percent.
fn third_share(route: &kube::api::DynamicObject) -> i64 {
    let backends: Vec<&Value> = route.data["spec"]["rules"][1]["backendRefs"].as_array().into_iter().flatten().collect();
    let weight = |backend: &&Value| backend["weight"].as_i64().unwrap_or(1);
    let total: i64 = backends.iter().map(weight).sum();
    let third: i64 = backends.iter().filter(|backend| backend["name"] == "legacy").map(weight).sum();
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
    shop.paused().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let shares = Record::start(shop.api(&Kinds::http_route()), "catalog", third_share).await?;
    let others = Record::start(shop.api(&Kinds::http_route()), "catalog", |route| {
        let rules = &route.data["spec"]["rules"];
        (rules[0].clone(), rules[1]["filters"].clone(), rules[1]["timeouts"].clone())
    })
    .await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(weights.so_far().await?, [0, 25, 50, 100, 0]);
    assert_eq!(shares.so_far().await?, [2000], "the third backend's share at every moment");
    assert_eq!(others.so_far().await?.len(), 1, "rules, filters and timeouts at every moment");
    shop.as_found(&Kinds::http_route(), "catalog", &before).await?;
    shop.as_found(&Kinds::service(), "legacy", &legacy).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
