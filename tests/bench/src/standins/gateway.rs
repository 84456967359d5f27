//! A gateway controller without a data plane: it accepts every HTTPRoute as soon as it sees it.

use std::{pin::pin, sync::Arc};

use anyhow::Context as _;
use futures::StreamExt;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use warmfront::controller::kinds::Kinds;

use crate::journal::Journal;

/// Name under which it reports.
pub const CONTROLLER: &str = "bench.warmfront.dev/gateway";
/// The Gateway that all routes name, and its namespace.
pub const GATEWAY: (&str, &str) = ("edge", "gateway");

/// Accepts routes until the process ends, and notes the canary's weight in each, in hundredths of a percent.
pub async fn run(client: Client, weights: Arc<Journal<u32>>) -> anyhow::Result<()> {
    let routes: Api<DynamicObject> = Api::all_with(client.clone(), &Kinds::http_route());
    let mut seen = pin!(
        watcher(routes, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    while let Some(route) = seen.next().await {
        let route = match route {
            Ok(route) => route,
            Err(error) => {
                eprintln!("the gateway stand-in lost its watch, which starts again: {error}");
                continue;
            }
        };
        if observed(&route) == route.metadata.generation {
            continue;
        }
        let (client, weights) = (client.clone(), weights.clone());
        tokio::spawn(async move {
            let key = format!("{}/{}", route.namespace().unwrap_or_default(), route.name_any());
            match accept(client, &route).await {
                Ok(()) => weights.note(key, canary_weight(&route)),
                Err(error) => eprintln!("the gateway stand-in could not accept {key}: {error:#}"),
            }
        });
    }
    anyhow::bail!("the gateway stand-in ended")
}

fn observed(route: &DynamicObject) -> Option<i64> {
    route
        .data
        .pointer("/status/parents/0/conditions/0/observedGeneration")
        .and_then(Value::as_i64)
}

async fn accept(client: Client, route: &DynamicObject) -> anyhow::Result<()> {
    let namespace = route.namespace().unwrap_or_default();
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": route.metadata.generation,
            "lastTransitionTime": route.metadata.creation_timestamp})
    };
    let parent = json!({
        "parentRef": {"name": GATEWAY.0, "namespace": GATEWAY.1},
        "controllerName": CONTROLLER,
        "conditions": [condition("Accepted"), condition("ResolvedRefs")],
    });
    let patch = Patch::Merge(json!({"status": {"parents": [parent]}}));
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &Kinds::http_route());
    api.patch_status(&route.name_any(), &PatchParams::default(), &patch)
        .await
        .context("writing its status")?;
    Ok(())
}

/// Share of the backend whose name ends with `-canary`.
fn canary_weight(route: &DynamicObject) -> u32 {
    let backends = route
        .data
        .pointer("/spec/rules/0/backendRefs")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let weight = |backend: &Value| backend.get("weight").and_then(Value::as_u64).unwrap_or(1);
    let is_canary = |backend: &&Value| backend["name"].as_str().is_some_and(|name| name.ends_with("-canary"));
    let total: u64 = backends.iter().map(weight).sum();
    let canary: u64 = backends.iter().filter(is_canary).map(weight).sum();
    u32::try_from(canary * 10_000 / total.max(1)).unwrap_or_default()
}
