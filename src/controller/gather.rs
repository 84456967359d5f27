//! What is known of the world for one rollout: what the watches have seen, and what the engine asks for besides.

use k8s_openapi::api::core::v1::{Namespace, Pod, PodStatus};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Context,
    decode::{self, Answer, Part},
    list::{Items, Query},
    split::Item,
};
use crate::{
    api::{CanaryRolloutStatus, HASH_LABEL, MetricSourceSpec, Plan, plan::Address, status::Cause},
    engine::contract::{
        Identity, Needs,
        observed::{Drained, Inspected, Measured, Observed},
    },
    look::{self, Viewpoint},
    provider::{self, Inspection, NoData, Question},
    workload::template::revision_of,
};

/// A look-up is given up after this time: no decision waits for it.
const LOOK_UP: std::time::Duration = std::time::Duration::from_secs(2);

/// Pods that are looked at to find out why they are late.
const MOST_PODS: usize = 50;
/// What is read of them.
const STATUS: Part = Part::Only(&[("status", &["containerStatuses", "initContainerStatuses", "conditions"])]);

/// Longest wait for the answers to a tick: 30 s. One that is not answered then is one without data, and counts as such.
pub(super) const LONGEST_TICK: std::time::Duration = std::time::Duration::from_secs(30);

/// What the provider answers, or, if it does not in time, that it did not.
async fn answer(context: &Context, source: &MetricSourceSpec, question: &Question) -> provider::Answer {
    let answer = tokio::time::timeout(LONGEST_TICK, context.provider.ask(source, question)).await;
    answer.unwrap_or_else(|_| unanswered(question))
}

fn unanswered(question: &Question) -> provider::Answer {
    let late = || NoData {
        cause: Cause::ProviderDown,
        message: format!("the metrics store has not answered within {LONGEST_TICK:?}"),
    };
    question.quantities.iter().map(|_| Err(late())).collect()
}

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
        let answer = answer(context, source, question).await;
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
        let answer = answer(context, source, &asked.question).await;
        let reading = answer.into_iter().next().and_then(Result::ok);
        seen.drained = Some(Drained {
            revision: asked.revision.clone(),
            needs: asked.needs,
            end: asked.question.end,
            requests: reading.and_then(|reading| reading.total()),
        });
    }
}

/// Looks at the metrics of the running version, if that is due.
pub async fn inspect(context: &Context, source: Option<&MetricSourceSpec>, needs: &Needs, seen: &mut Observed) {
    if let (Some(asked), Some(source)) = (&needs.inspect, source) {
        let question = &asked.question;
        let inspection = tokio::time::timeout(LONGEST_TICK, context.provider.inspect(source, question)).await;
        let inspection = inspection.unwrap_or_else(|_| Inspection {
            answer: unanswered(question),
            scraped_twice: None,
        });
        let readings = inspection.answer.into_iter();
        seen.inspected = Some(Inspected {
            revision: asked.revision.clone(),
            basis: asked.basis.clone(),
            readings: readings
                .map(|reading| reading.map_err(|error| (error.cause, error.message)))
                .collect(),
            scraped_twice: inspection.scraped_twice,
        });
    }
}

/// What else the engine asked for.
pub async fn look_closer(context: &Context, id: &Identity, needs: &Needs, seen: &mut Observed) {
    let namespace = &id.namespace;
    read_actions(context, id, &needs.actions, seen).await;
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

/// Reads RolloutActions anew. One that cannot be read is taken in a later pass.
pub(super) async fn read_actions(context: &Context, id: &Identity, names: &[String], seen: &mut Observed) {
    let resource = context.caches.actions.resource();
    let actions: Api<Answer> = Api::namespaced_with(context.client.clone(), &id.namespace, resource);
    let reads = names
        .iter()
        .map(|name| tokio::time::timeout(LOOK_UP, actions.get_opt(name)));
    let found = futures::future::join_all(reads).await;
    for (name, found) in names.iter().zip(found) {
        let Ok(Ok(found)) = found else { continue };
        seen.actions.retain(|action| action.name != *name);
        let found = found.and_then(|action| look::actions::read(&json!(action.0)));
        seen.actions
            .extend(found.filter(|action| action.spec.rollout == id.name));
        seen.actions_read.insert(name.clone());
    }
    look::actions::sort(&mut seen.actions);
}

/// The first address that this rollout may not have, and why.
fn forbidden_address(context: &Context, namespace: &str, plan: &Plan) -> Option<String> {
    let gates = plan.gates.iter().map(|gate| ("gate", &gate.name, &gate.webhook));
    let notifiers = plan.notifiers.iter();
    let notifiers = notifiers.map(|notifier| ("notifier", &notifier.name, &notifier.webhook));
    gates.chain(notifiers).find_map(|(what, name, webhook)| {
        let Address::Url(url) = &webhook.address else {
            // Known only when it is used.
            return None;
        };
        Some(format!(
            "the address of {what} {name}: {}",
            context.calls.refusal(namespace, url)?
        ))
    })
}

/// Digest of what a ConfigMap holds; `None` if it cannot be read, which is not a change.
async fn config_digest(context: &Context, namespace: &str, name: &str) -> Option<String> {
    let configs: Api<Answer> =
        Api::namespaced_with(context.client.clone(), namespace, context.caches.config_maps.resource());
    let Answer(config) = configs.get_opt(name).await.ok()??;
    let held = serde_json::json!([config.data["data"], config.data["binaryData"]]);
    Some(revision_of(&held.to_string(), 0))
}

/// What the API server tells about pods that do not become ready; a failed look-up only leaves the text out.
async fn trouble(context: &Context, namespace: &str, hash: &str) -> Option<String> {
    let query = Query {
        namespace: Some(namespace.to_owned()),
        labels: Some(format!("{HASH_LABEL}={hash}")),
        ..Query::all(ApiResource::erase::<Pod>(&()))
    };
    let mut pods = Items::new(context.client.clone(), query);
    for _ in 0..MOST_PODS {
        let pod = pods.next().await.ok()??;
        if let Item::Text(text) = pod
            && let Ok(pod) = decode::object(&text, STATUS)
            && let Some(trouble) = trouble_of(&pod)
        {
            return Some(trouble);
        }
    }
    None
}

fn trouble_of(pod: &DynamicObject) -> Option<String> {
    let name = pod.name_any();
    let status = PodStatus::deserialize(pod.data.get("status")?).ok()?;
    let containers = status.container_statuses.iter().flatten();
    for container in containers.chain(status.init_container_statuses.iter().flatten()) {
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
    let mut conditions = status.conditions.iter().flatten();
    let unscheduled = conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    Some(format!(
        "pod {name}: {}",
        unscheduled.message.as_deref().unwrap_or("not scheduled")
    ))
}

/// Whether the namespace itself is being deleted: then nothing is worth putting back.
pub async fn namespace_is_going(context: &Context, namespace: &str) -> bool {
    let resource = ApiResource::erase::<Namespace>(&());
    let namespaces: Api<Answer> = Api::all_with(context.client.clone(), &resource);
    let found = tokio::time::timeout(LOOK_UP, namespaces.get_opt(namespace)).await;
    let Ok(found) = found else { return false };
    match found {
        Ok(Some(Answer(found))) => found.metadata.deletion_timestamp.is_some(),
        Ok(None) => true,
        // Not known: the ordinary way out is the safe one.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
