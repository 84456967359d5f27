//! Each failure of the API server with what to do about it.

use serde_json::Value;

use super::super::tests::{cluster, failure};
use crate::cli::rollout;

async fn said(code: u16, body: Value) -> String {
    let (cluster, _) = cluster(move |_, _| (code, body.clone()));
    match rollout::get(&cluster, "catalog").await {
        Ok(_) => panic!("read"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn a_missing_right_names_the_rights_that_are_needed() {
    let message = "canaryrollouts.warmfront.dev \"catalog\" is forbidden: User \"eve\" cannot get resource";
    let said = said(403, failure(403, "Forbidden", message, "catalog")).await;
    assert!(
        said.starts_with("reading CanaryRollout shop/catalog failed: "),
        "{said}"
    );
    assert!(
        said.contains("User \"eve\"") && said.contains("get, list and watch on canaryrollouts"),
        "{said}"
    );
}

#[tokio::test]
async fn a_cluster_without_warmfront_is_told_from_a_name_that_does_not_exist() {
    let (with, _) = cluster(|what, _| {
        if what.contains("/catalog") {
            (
                404,
                failure(
                    404,
                    "NotFound",
                    "canaryrollouts.warmfront.dev \"catalog\" not found",
                    "catalog",
                ),
            )
        } else {
            let items = serde_json::json!([{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "katalog"}}]);
            (
                200,
                serde_json::json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": items}),
            )
        }
    });
    let error = rollout::get(&with, "catalog").await.unwrap_err().to_string();
    assert!(
        error.contains("there is no CanaryRollout shop/catalog: namespace shop has katalog"),
        "{error}"
    );
    let without = said(404, Value::String("404 page not found".to_owned())).await;
    assert!(without.contains("is Warmfront installed"), "{without}");
}

#[tokio::test]
async fn credentials_that_have_expired_are_called_so() {
    let said = said(401, failure(401, "Unauthorized", "Unauthorized", "")).await;
    assert!(said.contains("log in again"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_silent_is_not_waited_for_without_end() {
    tokio::time::pause();
    let (mut cluster, _) = cluster(|_, _| (200, Value::Null));
    cluster.client = kube::Client::new(
        tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        }),
        "shop",
    );
    let said = rollout::get(&cluster, "catalog").await.unwrap_err().to_string();
    assert!(said.contains("https://api.test has not answered within 5 s"), "{said}");
}
