//! Which version an undo means, and what is written.

use serde_json::Value;

use super::*;
use crate::cli::{
    connect::Cluster,
    tests::{Requests, cluster, golden, rollout},
};

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "catalog"}}, "spec": {"containers": [{"name": "app", "image": image, "unknown": true}]}})
}

fn set(revision: &str, number: Option<&str>, labels: &Value) -> Value {
    let mut template = template(revision);
    template["metadata"]["labels"]["pod-template-hash"] = json!(revision);
    let mut metadata = json!({"name": format!("catalog-{revision}"), "namespace": "shop", "labels": labels});
    if let Some(number) = number {
        metadata["annotations"] = json!({"deployment.kubernetes.io/revision": number});
    }
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata,
        "spec": {"selector": {"matchLabels": {"app": "catalog", "pod-template-hash": revision}}, "template": template},
    })
}

/// A Deployment with this image, whose history is old (1), stable1 (2), and a canary that is in no history.
fn world(scene: &str, image: &str) -> (Cluster, Requests) {
    let held = json!({"warmfront.dev/rollout": "catalog"});
    let mut owned = set("stable1", Some("2"), &json!({"app": "catalog"}));
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog", "uid": "d", "controller": true}]);
    let mut foreign = set("foreign", Some("9"), &json!({"app": "other"}));
    foreign["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "other", "uid": "e", "controller": true}]);
    let sets = vec![
        set("old", Some("1"), &held),
        owned,
        set("wbd5g9f55x", None, &held),
        foreign,
    ];
    let status = golden(scene);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "catalog", "namespace": "shop", "uid": "d", "resourceVersion": "41"},
        "spec": {"template": template(image)},
    });
    cluster(move |what, _| {
        if what.contains("/replicasets") {
            (
                200,
                json!({"apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": {}, "items": sets}),
            )
        } else if what.contains("/deployments/catalog") {
            (200, deployment.clone())
        } else {
            (200, rollout(&status))
        }
    })
}

#[derive(clap::Parser)]
struct Parsed {
    #[command(flatten)]
    request: Request,
}

fn request(revision: Option<&str>) -> Request {
    let revision = revision
        .map(|revision| vec!["--revision", revision])
        .unwrap_or_default();
    let words = ["undo", "catalog", "--reason", "too slow"].into_iter().chain(revision);
    <Parsed as clap::Parser>::parse_from(words).request
}

async fn chosen(scene: &str, image: &str, number: Option<i64>) -> anyhow::Result<(String, Way)> {
    let (cluster, _) = world(scene, image);
    let target = template::target(&cluster, &request(None), "").await?;
    let versions = template::versions(&cluster, "catalog", &target.deployment).await?;
    let (version, way) = choose(&target, &versions, number)?;
    Ok((version.revision.clone(), way))
}

#[tokio::test]
async fn it_goes_to_what_serves_and_from_there_one_version_back() {
    let chosen_of = |scene, image, number| async move { chosen(scene, image, number).await.unwrap() };
    assert_eq!(
        chosen_of("shifting", "wbd5g9f55x", None).await,
        ("stable1".to_owned(), Way::Back)
    );
    assert_eq!(
        chosen_of("rolled-back", "wbd5g9f55x", None).await,
        ("stable1".to_owned(), Way::Settle)
    );
    assert_eq!(
        chosen_of("rolled-back", "stable1", None).await,
        ("old".to_owned(), Way::Release)
    );
    assert_eq!(
        chosen_of("shifting", "wbd5g9f55x", Some(1)).await,
        ("old".to_owned(), Way::Release)
    );
}

#[tokio::test]
async fn what_cannot_be_is_said_and_nothing_written() {
    let error = |scene, image, number| async move { chosen(scene, image, number).await.unwrap_err().to_string() };
    assert!(error("idle", "stable1", Some(7)).await.contains("has no revision 7"));
    assert!(
        error("idle", "stable1", Some(9)).await.contains("has no revision 9"),
        "another Deployment's"
    );
    assert!(
        error("idle", "stable1", Some(2))
            .await
            .contains("revision stable1 already")
    );
    assert!(
        error("new", "stable1", None)
            .await
            .contains("has not taken Deployment catalog over yet")
    );
    let pair = error("pair-shifting", "stable1", None).await;
    assert!(pair.contains("is a pair"), "{pair}");
    let (cluster, requests) = world("shifting", "wbd5g9f55x");
    let guarded = template::target(&cluster, &request(Some("other")), "").await;
    let refused = guarded.err().unwrap().to_string();
    assert!(
        refused.contains("meant for revision other, the release is of wbd5g9f55x"),
        "{refused}"
    );
    assert!(requests.lock().unwrap().iter().all(|(what, _)| what.starts_with("GET")));
}

#[tokio::test]
async fn the_template_is_written_whole_and_over_nobody_elses_change() {
    let (cluster, requests) = world("shifting", "wbd5g9f55x");
    let request = request(None);
    let target = template::target(&cluster, &request, "").await.unwrap();
    let versions = template::versions(&cluster, "catalog", &target.deployment)
        .await
        .unwrap();
    let (to, _) = choose(&target, &versions, None).unwrap();
    template::put(&cluster, &target, &request, &to.template).await.unwrap();
    let (what, body) = requests.lock().unwrap().last().unwrap().clone();
    assert!(
        what.starts_with("PATCH") && what.contains("fieldManager=kubectl-canary"),
        "{what}"
    );
    assert_eq!(
        body,
        json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "41"},
            {"op": "replace", "path": "/spec/template", "value": template("stable1")},
            {"op": "add", "path": "/metadata/annotations", "value": {}},
            {"op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": "too slow"},
        ])
    );
}
