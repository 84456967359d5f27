//! What is known of the world for one rollout: what the watches have seen, and what the engine asks for besides.

use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
};

use super::Context;
use crate::{
    api::{CanaryRolloutStatus, HASH_LABEL, MetricSourceSpec, Plan, plan::Address},
    engine::contract::{
        Needs,
        observed::{Drained, Measured, Observed},
    },
    look::{self, Viewpoint},
    workload::template::revision_of,
};

/// A look-up is given up after this time: no decision waits for it.
const LOOK_UP: std::time::Duration = std::time::Duration::from_secs(2);

/// Everything that the watches know about one rollout.
pub fn observe(
    context: &Context,
    rollout: &DynamicObject,
    plan: Option<&Plan>,
    status: &CanaryRolloutStatus,
) -> Observed {
    let namespace = rollout.namespace().unwrap_or_default();
    let subject = Viewpoint {
        rollout: &rollout.metadata,
        plan,
        status,
        forbidden_address: plan.and_then(|plan| forbidden_address(context, &namespace, plan)),
    };
    look::observe(&*context.caches, subject)
}

/// Asks the tick that is due, if one is. That may take as long as the store does not answer.
pub async fn measure(context: &Context, source: Option<&MetricSourceSpec>, needs: &Needs, seen: &mut Observed) {
    if let (Some(question), Some(source)) = (&needs.measure, source) {
        let answer = context.provider.ask(source, question).await;
        let readings = answer
            .into_iter()
            .map(|reading| reading.map_err(|error| (error.cause, error.message)))
            .collect();
        seen.measured = Some(Measured {
            start: question.start,
            end: question.end,
            readings,
        });
    }
}

/// Asks whether requests still reach a version that has lost its traffic, if that is due.
pub async fn look_for_requests(
    context: &Context,
    source: Option<&MetricSourceSpec>,
    needs: &Needs,
    seen: &mut Observed,
) {
    if let (Some(asked), Some(source)) = (&needs.drained, source) {
        let answer = context.provider.ask(source, &asked.question).await;
        let reading = answer.into_iter().next().and_then(Result::ok);
        seen.drained = Some(Drained {
            revision: asked.revision.clone(),
            needs: asked.needs,
            end: asked.question.end,
            requests: reading.and_then(|reading| reading.total()),
        });
    }
}

/// What else the engine asked for.
pub async fn look_closer(context: &Context, namespace: &str, needs: &Needs, seen: &mut Observed) {
    for name in &needs.configs {
        let digest = tokio::time::timeout(LOOK_UP, config_digest(context, namespace, name));
        if let Ok(Some(digest)) = digest.await {
            seen.config_digests.insert(name.clone(), digest);
        }
    }
    if let Some(replica_set) = &needs.trouble_of {
        let hash = seen
            .replica_sets
            .iter()
            .find(|set| set.name == *replica_set)
            .map(|set| set.hash.clone());
        seen.trouble = match hash {
            Some(hash) => tokio::time::timeout(LOOK_UP, trouble(context, namespace, &hash))
                .await
                .unwrap_or_default(),
            None => None,
        };
    }
}

/// The first address that this rollout may not have, and why.
fn forbidden_address(context: &Context, namespace: &str, plan: &Plan) -> Option<String> {
    let gates = plan.gates.iter().map(|gate| ("gate", &gate.name, gate.url.as_str()));
    let notifiers = plan.notifiers.iter().filter_map(|notifier| match &notifier.address {
        Address::Url(url) => Some(("notifier", &notifier.name, url.as_str())),
        // Known only when it is used.
        Address::Secret(_) => None,
    });
    gates.chain(notifiers).find_map(|(what, name, url)| {
        Some(format!(
            "the address of {what} {name}: {}",
            context.calls.refusal(namespace, url)?
        ))
    })
}

/// Digest of what a ConfigMap holds; `None` if it cannot be read, which is not a change.
async fn config_digest(context: &Context, namespace: &str, name: &str) -> Option<String> {
    let configs: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), namespace, context.caches.config_maps.resource());
    let config = configs.get_opt(name).await.ok()??;
    let held = serde_json::json!([config.data["data"], config.data["binaryData"]]);
    Some(revision_of(&held.to_string(), 0))
}

/// What the API server tells about pods that do not become ready; a failed look-up only leaves the text out.
async fn trouble(context: &Context, namespace: &str, hash: &str) -> Option<String> {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(context.client.clone(), namespace);
    let pods = pods
        .list(&ListParams::default().labels(&format!("{HASH_LABEL}={hash}")).limit(50))
        .await
        .ok()?;
    pods.iter().find_map(|pod| {
        let name = pod.name_any();
        let status = pod.status.as_ref()?;
        let containers = status
            .container_statuses
            .iter()
            .flatten()
            .chain(status.init_container_statuses.iter().flatten());
        for container in containers {
            let state = container.state.as_ref();
            let last = container
                .last_state
                .as_ref()
                .and_then(|state| state.terminated.as_ref());
            let exit = last
                .map(|ended| format!(", last exit code {}", ended.exit_code))
                .unwrap_or_default();
            if let Some(waiting) = state
                .and_then(|state| state.waiting.as_ref())
                .filter(|waiting| waiting.reason.as_deref() != Some("ContainerCreating"))
            {
                let reason = waiting.reason.as_deref().unwrap_or("waiting");
                return Some(format!("pod {name}: {reason}{exit}, image \"{}\"", container.image));
            }
            if let Some(ended) = state
                .and_then(|state| state.terminated.as_ref())
                .filter(|ended| ended.exit_code != 0)
            {
                return Some(format!("pod {name}: exit code {}", ended.exit_code));
            }
        }
        let unscheduled = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
        Some(format!(
            "pod {name}: {}",
            unscheduled.message.as_deref().unwrap_or("not scheduled")
        ))
    })
}

/// Whether the namespace itself is being deleted: then nothing is worth putting back.
pub async fn namespace_is_going(context: &Context, namespace: &str) -> bool {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(context.client.clone());
    let found = tokio::time::timeout(LOOK_UP, namespaces.get_metadata_opt(namespace)).await;
    let Ok(found) = found else { return false };
    match found {
        Ok(Some(found)) => found.metadata.deletion_timestamp.is_some(),
        Ok(None) => true,
        // Not known: the ordinary way out is the safe one.
        Err(_) => false,
    }
}
