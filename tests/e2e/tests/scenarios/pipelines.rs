//! What pipelines do with kubectl and curl alone, under an account with the rights in examples/pipelines/rbac.yaml.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k8s_openapi::ByteString;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::process::Command;
use warmfront::{api::status::Phase, controller::kinds::Kinds};
use warmfront_e2e::{Shop, condition};

use super::stays_at;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/pipelines")
        .join(name)
}

/// The account stands in the shop's namespace.
async fn hire(shop: &Shop) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(example("rbac.yaml"))?;
    for object in serde_yaml::Deserializer::from_str(&text) {
        let mut object: Value = serde::Deserialize::deserialize(object)?;
        object["metadata"]["namespace"] = json!(shop.namespace);
        if let Some(subjects) = object["subjects"].as_array_mut() {
            for subject in subjects {
                subject["namespace"] = json!(shop.namespace);
            }
        }
        shop.kubectl_with(&["apply", "-f", "-"], &object).await?;
    }
    Ok(format!("--as=system:serviceaccount:{}:pipeline", shop.namespace))
}

/// One step that needs a person, and the last one.
fn approved() -> Value {
    json!({"steps": [{"weight": 25, "hold": "1s", "approval": true}, {"weight": 100, "hold": "1s"}], "checks": [], "unjudged": true, "bake": "1s"})
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn pipelines_account_may_what_a_release_needs_and_no_more() -> anyhow::Result<()> {
    let shop = Shop::adopted("pipelines-rbac", stays_at(25)).await?;
    let account = hire(&shop).await?;
    let may = [
        "get canaryrollouts/catalog",
        "list canaryrollouts",
        "watch canaryrollouts",
        "create rolloutactions",
        "get rolloutactions",
        "get deployments/catalog",
        "patch deployments/catalog",
    ];
    let may_not = [
        "create canaryrollouts",
        "update canaryrollouts/catalog",
        "patch canaryrollouts/catalog",
        "patch canaryrollouts/catalog --subresource=status",
        "delete canaryrollouts/catalog",
        "delete rolloutactions",
        "patch rolloutactions --subresource=status",
        "list deployments",
        "patch deployments/other",
        "delete deployments/catalog",
        "get secrets",
        "get pods",
        "patch services",
        "patch httproutes",
        "get canaryrollouts --all-namespaces",
    ];
    for (rights, granted) in [(&may[..], true), (&may_not[..], false)] {
        for right in rights {
            let words: Vec<&str> = ["auth", "can-i"]
                .into_iter()
                .chain(right.split(' '))
                .chain([account.as_str()])
                .collect();
            let answer = shop.kubectl(&words).await;
            assert_eq!(answer.is_ok(), granted, "{right}: {answer:?}");
        }
    }
    // The same in deed.
    shop.kubectl(&["get", "cro", "catalog", &account]).await?;
    shop.kubectl(&[
        "set",
        "image",
        "deployment/catalog",
        "catalog=localhost/catalog:other",
        &account,
    ])
    .await?;
    shop.until("the release of that image", |status| status.run.is_some())
        .await?;
    let refused = shop.kubectl(&["delete", "cro", "catalog", &account]).await;
    assert!(
        refused.is_err_and(|why| why.to_string().contains("Forbidden")),
        "it is told so"
    );
    shop.close().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn pipelines_promote_by_kubectl_create() -> anyhow::Result<()> {
    let shop = Shop::adopted("pipelines-create", approved()).await?;
    let account = hire(&shop).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.until("the approval", |status| {
        condition(status, "Paused") == ("True", "Approval")
    })
    .await?;
    // The file says step 2, and the release stands at step 1: nothing happens.
    let mut action: Value = serde_yaml::from_str(&std::fs::read_to_string(example("promote.yaml"))?)?;
    for (step, phase) in [(2, "Expired"), (1, "Applied")] {
        action["spec"]["step"] = json!(step);
        let made = shop
            .kubectl_with(&["create", "-o", "name", "-f", "-", &account], &action)
            .await?;
        let answered = ["wait", "--for=jsonpath={.status.phase}", "--timeout=30s", made.trim()];
        shop.kubectl(&answered).await?;
        let found = shop
            .kubectl(&["get", made.trim(), "-o", "jsonpath={.status.phase}", &account])
            .await?;
        assert_eq!(found, phase, "at step {step}");
    }
    shop.ended(1, Phase::Succeeded).await?;
    shop.close().await
}

/// promote-by-api.sh under the account's own token; whether it ended well, and what it said.
async fn by_curl(shop: &Shop, step: &str) -> anyhow::Result<(bool, String)> {
    let view = async |path: &str| {
        shop.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", path])
            .await
    };
    let server = view("jsonpath={.clusters[0].cluster.server}").await?;
    let authority = view("jsonpath={.clusters[0].cluster.certificate-authority-data}").await?;
    let ByteString(authority) = serde_json::from_value(json!(authority)).context("reading the cluster's authority")?;
    let file = std::env::temp_dir().join(format!("{}-{}.crt", shop.namespace, std::process::id()));
    tokio::fs::write(&file, authority).await?;
    let token = shop.kubectl(&["create", "token", "pipeline", "--duration=10m"]).await?;
    let ended = Command::new(example("promote-by-api.sh"))
        .args([&shop.namespace, "catalog", step, "the \"smoke\" tests \\ passed"])
        .env("SERVER", server)
        .env("TOKEN", token.trim())
        .env("CA", &file)
        .output()
        .await?;
    let said = [ended.stdout, ended.stderr].concat();
    Ok((ended.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn pipelines_promote_by_curl() -> anyhow::Result<()> {
    let shop = Shop::adopted("pipelines-curl", approved()).await?;
    hire(&shop).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.until("the approval", |status| {
        condition(status, "Paused") == ("True", "Approval")
    })
    .await?;
    let (done, said) = by_curl(&shop, "2").await?;
    assert!(!done && said.contains("Expired"), "at another step: {said}");
    let (done, said) = by_curl(&shop, "1").await?;
    assert!(done && said.contains("Applied"), "{said}");
    shop.ended(1, Phase::Succeeded).await?;
    let actions = shop.api(&Kinds::action()).list(&ListParams::default()).await?;
    let reasons: Vec<&Value> = actions
        .items
        .iter()
        .map(|action| &action.data["spec"]["reason"])
        .collect();
    assert_eq!(
        reasons,
        [&json!("the \"smoke\" tests \\ passed"); 2],
        "a reason is a text, whatever stands in it"
    );
    shop.close().await
}
