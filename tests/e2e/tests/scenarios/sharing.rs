//! The route is shared: with Git, and with other rollouts.

use std::time::Duration;

use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Record, Shop, canary_percent, condition, load::Connections, shop::steps, until};

use super::{RATE, is, plain, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s41_after_a_release_the_route_is_gits_again() -> anyhow::Result<()> {
    let shop = Shop::adopted("s41", json!({"steps": steps(&[50, 100]), "keepStable": "5s"})).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.ended(1, Phase::Succeeded).await?;
    let ours = |route: &DynamicObject| {
        route
            .managed_fields()
            .iter()
            .any(|entry| entry.manager.as_deref() == Some("warmfront"))
    };
    let let_go = |found: Option<&DynamicObject>| found.is_some_and(|route| !ours(route) && canary_percent(route) == 0);
    let routes = shop.api(&Kinds::http_route());
    until(
        &routes,
        "catalog",
        "no managedFields entry of ours is left",
        Duration::from_mins(3),
        let_go,
    )
    .await?;

    let rules = json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "timeouts": {"request": "9s"}, "backendRefs": [{"name": "catalog", "port": 80, "weight": 3}]}]);
    let from_git = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "catalog"},
        "spec": {"parentRefs": [{"name": "edge", "namespace": "gateway"}], "hostnames": [shop.host()], "rules": rules},
    });
    routes
        .patch(
            "catalog",
            &PatchParams::apply("gitops").force(),
            &Patch::Apply(from_git.clone()),
        )
        .await?;
    let applied = shop.spec(&Kinds::http_route(), "catalog").await?;
    assert_eq!(applied["rules"][0]["timeouts"]["request"], "9s");
    let specs = Record::start(routes.clone(), "catalog", |route| route.data["spec"].clone()).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        specs.so_far().await?,
        std::slice::from_ref(&applied),
        "the change stays"
    );
    assert!(!ours(&routes.get("catalog").await?));
    // Without force: nobody else owns any of its fields.
    routes
        .patch("catalog", &PatchParams::apply("gitops"), &Patch::Apply(from_git))
        .await?;

    shop.release(&[("VERSION", "v3")]).await?;
    shop.ended(2, Phase::Succeeded).await?;
    shop.as_found(&Kinds::http_route(), "catalog", &applied).await?;
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s42_the_younger_of_two_rollouts_is_refused() -> anyhow::Result<()> {
    let shop = Shop::adopted("s42", json!({"steps": steps(&[50, 100]), "keepStable": "5s"})).await?;
    shop.rollout_named("second", json!({"steps": steps(&[10, 100]), "traffic": {"canaryService": "second-canary", "service": "catalog", "gatewayAPI": {"routes": [{"name": "catalog"}]}}}))
        .await?;
    let refused = shop
        .until_of("second", "the refusal", |status| {
            condition(status, "Accepted") == ("False", "TargetConflict")
        })
        .await?;
    assert!(
        refused.message.contains("CanaryRollout catalog"),
        "names the other: {}",
        refused.message
    );
    let weights = Record::start(shop.api(&Kinds::http_route()), "catalog", canary_percent).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    let status = shop.ended(1, Phase::Succeeded).await?;
    is(&status, "Promoted", "True", "Promoted");
    assert_eq!(weights.so_far().await?, [0, 50, 100, 0], "not disturbed");
    let younger = shop.until_of("second", "its status", |_| true).await?;
    assert!(
        younger.run.is_none() && younger.stable_revision.is_none(),
        "it touches nothing: {younger:?}"
    );
    assert!(shop.api(&Kinds::service()).get_opt("second-canary").await?.is_none());
    let (failed, failures) = load.stop().await?;
    assert_eq!(failed, 0, "{failures}");
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s42_of_two_rollouts_in_one_rule_the_younger_takes_over_when_the_elder_goes() -> anyhow::Result<()> {
    let shop = Shop::open("s42-route").await?;
    shop.app(2).await?;
    shop.app_named("search", 2).await?;
    shop.route(json!([{"backendRefs": [{"name": "catalog", "port": 80}, {"name": "search", "port": 80}]}]))
        .await?;
    shop.serving().await?;
    shop.rollout(json!({})).await?;
    shop.held().await?;
    shop.rollout_named("search", json!({"workload": {"deployment": {"name": "search"}}}))
        .await?;
    let refused = shop
        .until_of("search", "the refusal", |status| {
            condition(status, "Accepted") == ("False", "RouteConflict")
        })
        .await?;
    assert!(
        refused
            .message
            .contains("CanaryRollout catalog sets weights in the same rule of HTTPRoute catalog"),
        "{}",
        refused.message
    );
    let untouched = shop.api(&Kinds::deployment()).get("search").await?;
    assert!(
        untouched.data["spec"]["paused"] != true && !untouched.labels().contains_key("warmfront.dev/rollout"),
        "it touches nothing"
    );

    shop.api(&Kinds::rollout())
        .delete("catalog", &DeleteParams::default())
        .await?;
    let status = shop
        .until_of("search", "it takes over", |status| status.stable_revision.is_some())
        .await?;
    is(&status, "Accepted", "True", "Accepted");
    shop.held_named("search").await?;
    shop.close().await
}

/// A tool that applies its route again and again, whatever is in it, until it is dropped.
struct Tool {
    task: tokio::task::JoinHandle<()>,
    applied: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Tool {
    fn start(shop: &Shop, every: Duration) -> Self {
        let manifest: Value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "catalog"},
            "spec": {"parentRefs": [{"name": "edge", "namespace": "gateway"}], "hostnames": [shop.host()], "rules": plain()},
        });
        let (routes, applied) = (
            shop.api(&Kinds::http_route()),
            std::sync::Arc::<std::sync::atomic::AtomicUsize>::default(),
        );
        let count = applied.clone();
        let task = tokio::spawn(async move {
            loop {
                match routes
                    .patch(
                        "catalog",
                        &PatchParams::apply("gitops").force(),
                        &Patch::Apply(&manifest),
                    )
                    .await
                {
                    Ok(_) => drop(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
                    Err(error) => eprintln!("the tool could not apply its route: {error}"),
                }
                tokio::time::sleep(every).await;
            }
        });
        Self { task, applied }
    }

    fn applied(&self) -> usize {
        self.applied.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn s39_a_tool_that_rewrites_the_route_keeps_it() -> anyhow::Result<()> {
    let shop = Shop::adopted("s39", stays_at(25)).await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let every = Duration::from_secs(5);
    let tool = Tool::start(&shop, every);
    let paused = shop
        .until("the route is contested", |status| {
            condition(status, "Paused") == ("True", "RouteContested")
        })
        .await?;
    assert!(
        tool.applied() <= 3,
        "at the latest after the third time, not after {}",
        tool.applied()
    );
    assert!(paused.message.contains("gitops"), "names the tool: {}", paused.message);
    is(&paused, "Healthy", "False", "RouteDrift");
    let told = shop.told("RouteContested").await?;
    assert!(told.len() == 1 && told[0].contains("gitops"), "{told:?}");

    let routes = shop.api(&Kinds::http_route());
    let theirs = |found: Option<&DynamicObject>| found.is_some_and(|route| canary_percent(route) == 0);
    until(&routes, "catalog", "canary weight 0", Duration::from_secs(10), theirs).await?;
    let writes = Record::start(routes, "catalog", |route| {
        (route.metadata.generation, canary_percent(route))
    })
    .await?;
    let before = tool.applied();
    let generations = writes.after(every * 2 + Duration::from_secs(1)).await?;
    assert_eq!(generations.len(), 1, "our writes stop: {generations:?}");
    assert!(tool.applied() >= before + 2, "the tool goes on meanwhile");

    drop(tool);
    let (phase, reason) = shop.act(Verb::Resume).await?;
    assert_eq!(phase, "Applied", "{reason}");
    shop.at(1, 25).await?;
    // A backend that is taken out together with its share leaves some requests without an answer.
    load.stop().await?;
    shop.close().await
}
