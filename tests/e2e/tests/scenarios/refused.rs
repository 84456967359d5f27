//! Writes that a policy refuses: they hold up nothing but what needs them, and no version is rejected for them.

use std::time::Duration;

use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use warmfront::{
    api::{Percent, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::{Load, Shop, canary_percent, condition, load::Connections, shop::steps, until};

use super::{RATE, is, plain, stays_at};

/// A policy that is in force is so within this time.
const IN_FORCE: Duration = Duration::from_secs(30);
/// A version that fails is off its traffic within this time: some ticks of 2 s, and the gateway.
const OFF: Duration = Duration::from_secs(25);

fn policy_kind(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "admissionregistration.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "admissionregistration.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// A ValidatingAdmissionPolicy for objects of one kind and name in the shop's namespace.
struct Policy {
    name: String,
    policies: Api<DynamicObject>,
    bindings: Api<DynamicObject>,
}

impl Policy {
    /// Lets only those updates through for which the expression is true.
    async fn begin(shop: &Shop, of: &ApiResource, name: &str, expression: &str) -> anyhow::Result<Self> {
        let [policy, binding] = [
            policy_kind("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
            policy_kind("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        ];
        let begun = Self {
            name: shop.namespace.clone(),
            policies: Api::all_with(shop.client.clone(), &policy),
            bindings: Api::all_with(shop.client.clone(), &binding),
        };
        // Those of an earlier run.
        begun.end().await;
        let rule = json!({"apiGroups": [of.group], "apiVersions": [of.version], "operations": ["UPDATE"], "resources": [of.plural], "resourceNames": [name]});
        let spec = json!({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression, "message": "not now, says the test"}]});
        let of_namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": shop.namespace}});
        let bound = json!({"policyName": begun.name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": of_namespace}});
        for (api, kind, spec) in [(&begun.policies, &policy, spec), (&begun.bindings, &binding, bound)] {
            let object = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": begun.name}, "spec": spec});
            api.create(&PostParams::default(), &serde_json::from_value(object)?)
                .await?;
        }
        Ok(begun)
    }

    async fn end(&self) {
        let _ = self.bindings.delete(&self.name, &DeleteParams::default()).await;
        let _ = self.policies.delete(&self.name, &DeleteParams::default()).await;
    }
}

/// Waits until a change is refused, without making it.
async fn refused(shop: &Shop, of: &ApiResource, name: &str, change: Value) -> anyhow::Result<()> {
    let end = Instant::now() + IN_FORCE;
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    while shop.api(of).patch(name, &params, &Patch::Merge(&change)).await.is_ok() {
        anyhow::ensure!(Instant::now() < end, "the policy is not in force");
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_refused_autoscaler_delays_no_rollback() -> anyhow::Result<()> {
    let shop = Shop::adopted("refused-scaler", stays_at(25)).await?;
    let scalers = Kinds::autoscaler();
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"});
    let spec = json!({"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9});
    shop.create(
        &scalers,
        json!({"apiVersion": scalers.api_version, "kind": scalers.kind, "metadata": {"name": "catalog"}, "spec": spec}),
    )
    .await?;
    let policy = Policy::begin(&shop, &scalers, "catalog", "object.spec == oldObject.spec").await?;
    refused(&shop, &scalers, "catalog", json!({"spec": {"maxReplicas": 8}})).await?;

    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.5")]).await?;
    let quarter = Percent::from_hundredths(2_500)?;
    let status = shop
        .until("25%", |status| {
            status.run.as_ref().is_some_and(|run| run.weight == quarter)
        })
        .await?;
    let since = Instant::now();
    assert!(status.message.contains("HorizontalPodAutoscaler"), "{}", status.message);
    let status = shop.ended(1, Phase::RolledBack).await?;
    assert!(since.elapsed() < OFF, "after {:?}", since.elapsed());
    is(&status, "RolledBack", "True", "ErrorRateAboveMax");
    assert_eq!(shop.told("RolledBack").await?.len(), 1);
    policy.end().await;
    load.stop().await?;
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_refused_route_keeps_no_other_route_from_giving_its_traffic_back() -> anyhow::Result<()> {
    let shop = Shop::open("refused-route").await?;
    shop.app(4).await?;
    shop.route(plain()).await?;
    let routes = Kinds::http_route();
    shop.route_named(&routes, "second", &format!("second.{}", shop.host()), plain())
        .await?;
    shop.serving().await?;
    // Once the new version has traffic, the first route stays as it is.
    let carries = "oldObject.spec.rules.exists(r, has(r.backendRefs) && r.backendRefs.exists(b, b.name == 'catalog-canary' && has(b.weight) && b.weight > 0))";
    let policy = Policy::begin(
        &shop,
        &routes,
        "catalog",
        &format!("!({carries}) || object.spec == oldObject.spec"),
    )
    .await?;
    let traffic = json!({"gatewayAPI": {"routes": [{"name": "catalog"}, {"name": "second"}]}, "settle": "500ms"});
    shop.rollout(json!({"steps": steps(&[25, 100]), "traffic": traffic}))
        .await?;
    shop.paused().await?;
    let load = Load::start(&shop.host(), RATE, Connections::KeepAlive).await?;
    shop.release(&[("VERSION", "v2"), ("FAULT_ERROR_SHARE", "0.5")]).await?;
    let share =
        |wanted: i64| move |found: Option<&DynamicObject>| found.is_some_and(|route| canary_percent(route) == wanted);
    until(&shop.api(&routes), "second", "25%", Duration::from_mins(1), share(25)).await?;
    until(&shop.api(&routes), "second", "0%", OFF, share(0)).await?;
    let first = shop.api(&routes).get("catalog").await?;
    assert_eq!(canary_percent(&first), 25, "its write is refused");
    let status = shop
        .until("it is told", |status| status.message.contains("not now, says the test"))
        .await?;
    assert!(status.message.contains("HTTPRoute"), "{}", status.message);
    policy.end().await;
    let status = shop.ended(1, Phase::RolledBack).await?;
    assert_eq!(condition(&status, "RolledBack"), ("True", "ErrorRateAboveMax"));
    load.stop().await?;
    shop.close().await
}
