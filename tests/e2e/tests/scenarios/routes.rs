//! Several routes and rules, of both kinds, and testers: all move together, and all are put back.

use serde_json::{Value, json};
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, condition, load::Connections, shop::steps, version};

use super::{RATE, is, plain, stays_at};

/// Shares of the canary in every rule that has the app's Service, in percent.
fn shares(route: &kube::api::DynamicObject) -> Vec<i64> {
    let weight = |rule: &Value, name: &str| -> Option<i64> {
        let found = rule["backendRefs"]
            .as_array()?
            .iter()
            .find(|backend| backend["name"] == name)?;
        Some(found["weight"].as_i64().unwrap_or(1))
    };
    let share = |rule: &Value| {
        let (stable, canary) = (
            weight(rule, "catalog")?,
            weight(rule, "catalog-canary").unwrap_or_default(),
        );
        Some(100 * canary / (stable + canary).max(1))
    };
    route.data["spec"]["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(share)
        .collect()
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s40_two_routes_and_all_their_rules_move_together() -> anyhow::Result<()> {
    let shop = Shop::open("s40-routes").await?;
    shop.app(4).await?;
    let rule = |path: &str, weight: i64| json!({"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [{"name": "catalog", "port": 80, "weight": weight}]});
    shop.route(json!([rule("/products/1", 7), rule("/", 3)])).await?;
    shop.route_named(
        &Kinds::http_route(),
        "second",
        &format!("second.{}", shop.host()),
        plain(),
    )
    .await?;
    shop.serving().await?;
    let found = [
        shop.spec(&Kinds::http_route(), "catalog").await?,
        shop.spec(&Kinds::http_route(), "second").await?,
    ];
    let routes = json!([{"name": "catalog", "rules": ["*"]}, {"name": "second"}]);
    shop.rollout(json!({"steps": steps(&[25, 50, 100]), "keepStable": "5s", "traffic": {"gatewayAPI": {"routes": routes}, "settle": "500ms"}})).await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let second = Record::start(shop.api(&Kinds::http_route()), "second", shares).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let quarter = shop.at(1, 25).await?;
    assert_eq!(shares(&shop.api(&Kinds::http_route()).get("catalog").await?), [25, 25]);
    assert_eq!(quarter.originals.routes["HTTPRoute/catalog"].rules.len(), 2);
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(second.so_far().await?, [[0], [25], [50], [100], [0]].map(Vec::from));
    shop.as_found(&Kinds::http_route(), "catalog", &found[0]).await?;
    shop.as_found(&Kinds::http_route(), "second", &found[1]).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s40_a_grpc_route_moves_and_is_put_back() -> anyhow::Result<()> {
    let shop = Shop::open("s40-grpc").await?;
    shop.app(4).await?;
    shop.route(plain()).await?;
    let calls = json!([{"matches": [{"method": {"service": "shop.Catalog", "method": "List"}}], "backendRefs": [{"name": "catalog", "port": 80}]}]);
    shop.route_named(&Kinds::grpc_route(), "calls", &format!("grpc.{}", shop.host()), calls)
        .await?;
    shop.serving().await?;
    let found = shop.spec(&Kinds::grpc_route(), "calls").await?;
    let traffic = json!({
        "gatewayAPI": {"routes": [{"name": "catalog"}, {"kind": "GRPCRoute", "name": "calls"}]}, "settle": "500ms",
        "testers": [{"header": "x-canary", "equals": "1"}],
    });
    // No gRPC call is made, and the app counts none.
    shop.rollout(
        json!({"steps": steps(&[25, 100]), "keepStable": "5s", "checks": [], "unjudged": true, "traffic": traffic}),
    )
    .await?;
    shop.held().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    let weights = Record::start(shop.api(&Kinds::grpc_route()), "calls", shares).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    // Confirmed: the gateway has accepted this generation of the GRPCRoute too.
    shop.at(1, 25).await?;
    let rules = shop.spec(&Kinds::grpc_route(), "calls").await?["rules"].clone();
    let for_testers = json!([{"type": "Exact", "name": "x-canary", "value": "1"}]);
    assert_eq!(
        (
            rules[1]["matches"][0]["method"]["service"].as_str(),
            &rules[1]["matches"][0]["headers"]
        ),
        (Some("shop.Catalog"), &for_testers),
        "{rules}"
    );
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(weights.so_far().await?, [[0], [25], [100], [0]].map(Vec::from));
    shop.as_found(&Kinds::grpc_route(), "calls", &found).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

/// Asks until this version answers, then so many times more; every answer in order.
async fn answers(host: &str, header: Option<(&str, &str)>, first: &str, times: usize) -> anyhow::Result<Vec<String>> {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while version(host, header).await? != first {
        anyhow::ensure!(
            tokio::time::Instant::now() < end,
            "{first} does not answer {header:?} on {host}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let mut seen = Vec::with_capacity(times);
    for _ in 0..times {
        seen.push(version(host, header).await?);
    }
    Ok(seen)
}

/// From its first answer on, this version alone answers.
async fn only(host: &str, header: Option<(&str, &str)>, wanted: &str, times: usize, why: &str) -> anyhow::Result<()> {
    let seen = answers(host, header, wanted, times).await?;
    assert!(seen.iter().all(|version| version == wanted), "{why}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s40_testers_reach_the_canary_before_and_beside_everybody_else() -> anyhow::Result<()> {
    let mut plan = stays_at(25);
    plan["traffic"] = json!({"gatewayAPI": {"routes": [{"name": "catalog"}]}, "settle": "500ms", "testers": [{"header": "X-Canary", "equals": "1"}]});
    let shop = Shop::adopted("s40-testers", plan).await?;
    let found = shop.spec(&Kinds::http_route(), "catalog").await?;
    let (host, tester) = (shop.host(), Some(("X-Canary", "1")));
    let load = Load::start(&host, RATE, Connections::KeepAlive).await?;
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", shares).await?;
    only(&host, tester, "v1", 5, "without a release they are like everybody else").await?;
    // A person holds the release before its first weight.
    shop.merge(&Kinds::rollout(), "catalog", json!({"spec": {"paused": true}}))
        .await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.until("the hold at 0%", |status| {
        condition(status, "Paused") == ("True", "User")
            && status.run.as_ref().is_some_and(|run| run.entered_at.is_some())
    })
    .await?;
    only(&host, tester, "v2", 30, "testers reach the canary at 0%").await?;
    only(&host, Some(("X-Canary", "2")), "v1", 30, "another value is no tester's").await?;
    only(&host, None, "v1", 60, "nobody else does").await?;
    assert_eq!(weights.so_far().await?, [vec![0]]);

    shop.merge(&Kinds::rollout(), "catalog", json!({"spec": {"paused": false}}))
        .await?;
    shop.at(1, 25).await?;
    only(&host, tester, "v2", 30, "and above 0%").await?;
    let others = answers(&host, None, "v1", 60).await?;
    assert!(
        others.iter().any(|version| version == "v1") && others.iter().any(|version| version == "v2"),
        "{others:?}"
    );

    let (phase, reason) = shop.act(Verb::Abort).await?;
    assert_eq!(phase, "Applied", "{reason}");
    shop.ended(1, Phase::RolledBack).await?;
    only(&host, tester, "v1", 30, "the normal rule again").await?;
    shop.as_found(&Kinds::http_route(), "catalog", &found).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}
