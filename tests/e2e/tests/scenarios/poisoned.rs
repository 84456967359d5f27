//! Objects that kube's own types cannot read, in a namespace that has no rollout: nobody else is stopped by them.
//!
//! They start the controllers anew, so they run by themselves.

use anyhow::Context as _;
use kube::api::PostParams;
use serde_json::{Value, json};
use warmfront::api::status::Phase;
use warmfront_e2e::{Controllers, Shop};

/// What whoever may create an object can put into it: a time that no clock shows, and fields nested 130 deep.
fn poisons(version: &str) -> [(&'static str, String); 2] {
    let entry = |time: &str, fields: &str| {
        format!(
            r#"{{"manager":"poison","operation":"Update","apiVersion":"{version}","time":"{time}","fieldsType":"FieldsV1","fieldsV1":{fields}}}"#
        )
    };
    let labels = |fields: &str| format!(r#"{{"f:metadata":{{"f:labels":{{"f:p":{fields}}}}}}}"#);
    let deep = format!("{}{{}}{}", r#"{"f:a":"#.repeat(130), "}".repeat(130));
    [
        ("late", entry("9999-12-31T23:59:59Z", &labels("{}"))),
        ("nested", entry("2026-01-01T00:00:00Z", &labels(&deep))),
    ]
}

/// The API server keeps what an update says of fields that it does not change, and of nothing else.
async fn poison(shop: &Shop, path: &str, name: &str, managed: &str, rest: &str) -> anyhow::Result<()> {
    let body = |version: &str, managed: &str| {
        format!(r#"{{"metadata":{{"name":"{name}","labels":{{"p":"p"}}{version},"managedFields":[{managed}]}}{rest}}}"#)
            .into_bytes()
    };
    let request = kube::core::Request::new(path);
    let create = request.create(&PostParams::default(), body("", ""))?;
    let created: Value = shop.client.request(create).await.context(name.to_owned())?;
    let version = format!(r#","resourceVersion":{}"#, created["metadata"]["resourceVersion"]);
    let replace = request.replace(name, &PostParams::default(), body(&version, managed))?;
    let replaced = shop.client.request_text(replace).await.context(name.to_owned())?;
    let read: Result<kube::api::DynamicObject, _> = serde_json::from_str(&replaced);
    anyhow::ensure!(
        read.is_err(),
        "the API server has taken the poison out of {name}: {replaced}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn objects_that_cannot_be_read_stop_nobody() -> anyhow::Result<()> {
    let app = Shop::adopted(
        "poison-victim",
        json!({"steps": [{"weight": 25, "hold": "1s"}, {"weight": 100}], "checks": [], "unjudged": true}),
    )
    .await?;
    let other = Shop::open("poisoned").await?;
    let namespace = &other.namespace;
    let deployment = r#","spec":{"replicas":0,"selector":{"matchLabels":{"app":"p"}},"template":{"metadata":{"labels":{"app":"p"}},"spec":{"containers":[{"name":"p","image":"p"}]}}}"#;
    let rollout = r#","apiVersion":"warmfront.dev/v1alpha1","kind":"CanaryRollout","spec":{"workload":{"deployment":{"name":"p"}},"traffic":{"gatewayAPI":{"routes":[{"name":"p"}]}},"checks":[],"unjudged":true}"#;
    for (version, path, rest) in [
        (
            "v1",
            format!("/api/v1/namespaces/{namespace}/configmaps"),
            r#","data":{"a":"b"}"#,
        ),
        (
            "apps/v1",
            format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            deployment,
        ),
        (
            "warmfront.dev/v1alpha1",
            format!("/apis/warmfront.dev/v1alpha1/namespaces/{namespace}/canaryrollouts"),
            rollout,
        ),
    ] {
        for (name, managed) in poisons(version) {
            poison(&other, &path, name, &managed, rest).await?;
        }
    }
    // Those that run have seen them in their watches.
    app.release(&[("VERSION", "v2")]).await?;
    app.ended(1, Phase::Succeeded).await?;
    // Those that start find them in their lists.
    let controllers = Controllers::new(&app.client);
    controllers.replace().await?;
    controllers.both().await?;
    app.release(&[("VERSION", "v3")]).await?;
    app.ended(2, Phase::Succeeded).await?;
    other.close().await?;
    app.close().await
}
