//! Which kinds of the Gateway API the cluster has: none of them is needed to start, and those that come later are found.

use std::{collections::BTreeSet, time::Duration};

use kube::Client;

use super::watches::Absent;

const API: &str = "gateway.networking.k8s.io/v1";
/// How often a missing kind is looked for while a rollout names it. Otherwise nothing is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// Between attempts while the API server does not answer at start.
const RETRY: Duration = Duration::from_secs(1);

/// Kinds that the cluster has.
async fn ask(client: &Client) -> Result<BTreeSet<String>, kube::Error> {
    match client.list_api_group_resources(API).await {
        Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.kind).collect()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Kinds that the cluster has, once the API server tells.
pub async fn installed(client: &Client) -> BTreeSet<String> {
    loop {
        match ask(client).await {
            Ok(kinds) => return kinds,
            Err(error) => tracing::warn!(%error, "asking the API server for the kinds of {API}; it is tried again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Looks for the missing kinds as long as a rollout names one, and opens their watches.
pub async fn follow(client: Client, mut absent: Absent) {
    absent.caches().wait_until_ready().await;
    while !absent.is_empty() {
        tokio::time::sleep(LOOK_AGAIN).await;
        if !absent.is_wanted() {
            continue;
        }
        match ask(&client).await {
            Ok(kinds) => absent.open(&kinds).await,
            Err(error) => tracing::warn!(%error, "asking the API server for the kinds of {API}; it is tried again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        http::{StatusCode, header},
        routing::get,
    };
    use serde_json::{Value, json};

    use super::*;

    async fn asked(status: StatusCode, body: Value) -> Result<BTreeSet<String>, kube::Error> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Router::new()
            .route("/apis/gateway.networking.k8s.io/v1", get(move || async move { (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()) }));
        let server = tokio::spawn(async move { axum::serve(listener, server).await });
        let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
        config.default_retry = false;
        let found = ask(&Client::try_from(config).unwrap()).await;
        server.abort();
        found
    }

    #[tokio::test]
    async fn kinds_are_those_that_the_api_server_lists() {
        let resource = |kind: &str, name: &str| json!({"name": name, "kind": kind, "namespaced": true, "singularName": "", "verbs": ["list", "watch"]});
        let resources = [resource("HTTPRoute", "httproutes"), resource("HTTPRoute", "httproutes/status"), resource("Gateway", "gateways")];
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API, "resources": resources});
        let found = asked(StatusCode::OK, list).await.unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["Gateway", "HTTPRoute"]);
        let status =
            |code: u16, reason: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": code});
        assert!(asked(StatusCode::NOT_FOUND, status(404, "NotFound")).await.unwrap().is_empty(), "no Gateway API at all");
        assert!(asked(StatusCode::SERVICE_UNAVAILABLE, status(503, "ServiceUnavailable")).await.is_err(), "no answer is not a no");
    }
}
