//! One look at the world for one rollout: from the caches alone, plus what the engine asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use super::{Context, caches::controller_uid};
use crate::{
    api::{
        CanaryRolloutSpec, FIELD_MANAGER, FINALIZER, HASH_LABEL, Plan, RELEASE_ANNOTATION, ROLLOUT_LABEL,
        action::{RolloutActionSpec, RolloutActionStatus},
        metric_source::MetricSourceSpec,
        status::CanaryRolloutStatus,
    },
    engine::{
        Needs,
        observed::{ActionSeen, Deletion, Endpoint, Measured, Observed, Route, RouteSeen, SourceTiming},
    },
    router::{Target, gateway_api},
    workload::{deployment::Deployment, replica_set::ReplicaSet, service::Service},
};

/// A look-up that only adds to a message is given up after this time: no decision waits for it.
const LOOK_UP: std::time::Duration = std::time::Duration::from_secs(2);

/// The object as the API server wrote it.
pub(super) fn value(object: &DynamicObject) -> Value {
    // Metadata and data of a dynamic object always serialise; if not, nothing in it is believed.
    serde_json::to_value(object).unwrap_or_default()
}

/// Everything that the watches know about one rollout.
pub fn observe(context: &Context, rollout: &DynamicObject, spec: Option<&CanaryRolloutSpec>, status: &CanaryRolloutStatus) -> Observed {
    let mut seen = Observed {
        deletion: deletion(rollout),
        finalizer: rollout.finalizers().iter().any(|name| name == FINALIZER),
        actions: actions(context, rollout),
        ..Observed::default()
    };
    let valid = spec.and_then(|spec| Plan::try_from(spec).ok());
    let Some(plan) = valid.or_else(|| status.run.as_ref().and_then(|run| Plan::try_from(&run.plan).ok())) else {
        return seen;
    };
    let caches = &context.caches;
    let namespace = rollout.namespace().unwrap_or_default();
    let in_namespace = Some(namespace.as_str());
    seen.elder = elder(context, rollout, &plan.deployment);
    seen.deployment = caches
        .deployments
        .get(in_namespace, &plan.deployment)
        .filter(|object| object.metadata.deletion_timestamp.is_none())
        .map(|object| Deployment::read(&value(&object)));
    seen.replica_sets = replica_sets(context, rollout, seen.deployment.as_ref());
    let names = [&plan.service, &plan.canary_service].into_iter().chain(&plan.also_narrow);
    for name in names {
        if let Some(service) = caches.services.get(in_namespace, name).filter(|object| object.metadata.deletion_timestamp.is_none()) {
            seen.services.insert(name.clone(), Service::read(&value(&service)));
        }
        seen.endpoints.insert(name.clone(), endpoints(context, &namespace, name));
    }
    let target = Target { stable: plan.service.clone(), canary: plan.canary_service.clone() };
    for name in &plan.routes {
        let route = caches.http_routes.get(in_namespace, name).filter(|object| object.metadata.deletion_timestamp.is_none());
        seen.routes.insert(name.clone(), route.map_or(RouteSeen::Missing, |object| read_route(context, &object, &target)));
    }
    seen.source = source(context, &plan.source).map(|source| SourceTiming { scrape_interval: source.scrape_interval });
    seen
}

/// What the engine asked for beyond that.
pub async fn look_closer(context: &Context, namespace: &str, needs: &Needs, seen: &mut Observed) {
    if let Some((name, question)) = &needs.measure
        && let Some(source) = source(context, name)
    {
        let answer = context.provider.ask(&source, question).await;
        let readings = answer.into_iter().map(|reading| reading.map_err(|error| (error.cause, error.message))).collect();
        seen.measured = Some(Measured { start: question.start, end: question.end, readings });
    }
    if let Some(replica_set) = &needs.trouble_of {
        let hash = seen.replica_sets.iter().find(|set| set.name == *replica_set).map(|set| set.hash.clone());
        seen.trouble = match hash {
            Some(hash) => tokio::time::timeout(LOOK_UP, trouble(context, namespace, &hash)).await.unwrap_or_default(),
            None => None,
        };
    }
}

fn deletion(rollout: &DynamicObject) -> Deletion {
    let forced = rollout.annotations().get(RELEASE_ANNOTATION).is_some_and(|value| value == "force");
    match (&rollout.metadata.deletion_timestamp, forced) {
        (None, _) => Deletion::No,
        (Some(_), true) => Deletion::AtOnce,
        (Some(_), false) => Deletion::Asked,
    }
}

/// The rollout that was there first, if two name one Deployment.
fn elder(context: &Context, rollout: &DynamicObject, deployment: &str) -> Option<String> {
    let age = |object: &DynamicObject| (object.creation_timestamp(), object.name_any());
    let rivals = context.caches.rollouts.select(|other| {
        other.namespace() == rollout.namespace()
            && other.name_any() != rollout.name_any()
            && other.data.pointer("/spec/workload/deployment/name").and_then(Value::as_str) == Some(deployment)
    });
    rivals.iter().find(|other| age(other) < age(rollout)).map(|other| other.name_any())
}

fn replica_sets(context: &Context, rollout: &DynamicObject, deployment: Option<&Deployment>) -> Vec<ReplicaSet> {
    let name = rollout.name_any();
    let found = context.caches.replica_sets.select(|set| {
        let held = set.labels().get(ROLLOUT_LABEL) == Some(&name);
        let owned = deployment.is_some_and(|deployment| controller_uid(set) == Some(&deployment.uid));
        // Given away and not yet adopted: its labels answer the selector again.
        let orphan = deployment.is_some_and(|deployment| {
            controller_uid(set).is_none()
                && !deployment.selector.is_empty()
                && deployment.selector.iter().all(|(key, value)| set.labels().get(key) == Some(value))
        });
        set.namespace() == rollout.namespace() && (held || owned || orphan)
    });
    found.iter().map(|set| ReplicaSet::read(&value(set))).collect()
}

fn endpoints(context: &Context, namespace: &str, service: &str) -> Vec<Endpoint> {
    let slices = context.caches.endpoint_slices.select(|slice| {
        slice.namespace().as_deref() == Some(namespace) && slice.labels().get("kubernetes.io/service-name").is_some_and(|name| name == service)
    });
    let mut pods: BTreeMap<String, bool> = BTreeMap::new();
    for endpoint in slices.iter().filter_map(|slice| slice.data.get("endpoints")?.as_array()).flatten() {
        let Some(pod) = endpoint.pointer("/targetRef/name").and_then(Value::as_str) else { continue };
        let ready = endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true);
        *pods.entry(pod.to_owned()).or_default() |= ready;
    }
    pods.into_iter().map(|(pod, ready)| Endpoint { pod, ready }).collect()
}

fn read_route(context: &Context, object: &DynamicObject, target: &Target) -> RouteSeen {
    let live = value(object);
    let state = match gateway_api::read(&live, target) {
        Ok(state) => state,
        Err(error) => return RouteSeen::Unusable(error),
    };
    let gateways = context.caches.gateways.select(|_| true);
    let gateways = gateways.iter().map(|gateway| (format!("{}/{}", gateway.namespace().unwrap_or_default(), gateway.name_any()), value(gateway))).collect();
    let classes = context.caches.gateway_classes.select(|_| true);
    let classes = classes.iter().map(|class| (class.name_any(), value(class))).collect();
    RouteSeen::Found(Box::new(Route {
        generation: object.metadata.generation.unwrap_or_default(),
        acceptance: gateway_api::acceptance(&live, &gateways, &classes),
        other_manager: gateway_api::newest_other_manager(&live, FIELD_MANAGER),
        state,
        live,
    }))
}

fn source(context: &Context, name: &str) -> Option<MetricSourceSpec> {
    let object = context.caches.sources.get(None, name)?;
    serde_json::from_value(object.data.get("spec")?.clone()).ok()
}

fn actions(context: &Context, rollout: &DynamicObject) -> Vec<ActionSeen> {
    let name = rollout.name_any();
    let objects = context
        .caches
        .actions
        .select(|action| action.namespace() == rollout.namespace() && action.data.pointer("/spec/rollout").and_then(Value::as_str) == Some(&name));
    let read = |action: &DynamicObject| {
        let spec: RolloutActionSpec = serde_json::from_value(action.data.get("spec")?.clone()).ok()?;
        let status: RolloutActionStatus = action.data.get("status").and_then(|status| serde_json::from_value(status.clone()).ok()).unwrap_or_default();
        let created = action.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let decided = status.phase.map(|_| status.at.unwrap_or(created));
        Some(ActionSeen { name: action.name_any(), uid: action.uid().unwrap_or_default(), spec, created, decided })
    };
    let mut actions: Vec<ActionSeen> = objects.iter().filter_map(|action| read(action)).collect();
    actions.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    actions
}

/// What the API server tells about pods that do not become ready; a failed look-up only leaves the text out.
async fn trouble(context: &Context, namespace: &str, hash: &str) -> Option<String> {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(context.client.clone(), namespace);
    let pods = pods.list(&ListParams::default().labels(&format!("{HASH_LABEL}={hash}")).limit(50)).await.ok()?;
    pods.iter().find_map(|pod| {
        let name = pod.name_any();
        let status = pod.status.as_ref()?;
        let containers = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
        for container in containers {
            let state = container.state.as_ref();
            let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let exit = last.map(|ended| format!(", last exit code {}", ended.exit_code)).unwrap_or_default();
            if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()).filter(|waiting| waiting.reason.as_deref() != Some("ContainerCreating")) {
                let reason = waiting.reason.as_deref().unwrap_or("waiting");
                return Some(format!("pod {name}: {reason}{exit}, image \"{}\"", container.image));
            }
            if let Some(ended) = state.and_then(|state| state.terminated.as_ref()).filter(|ended| ended.exit_code != 0) {
                return Some(format!("pod {name}: exit code {}", ended.exit_code));
            }
        }
        let unscheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
        Some(format!("pod {name}: {}", unscheduled.message.as_deref().unwrap_or("not scheduled")))
    })
}

/// Whether the namespace itself is being deleted: then nothing is worth putting back.
pub async fn namespace_is_going(context: &Context, namespace: &str) -> bool {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(context.client.clone());
    match namespaces.get_metadata_opt(namespace).await {
        Ok(Some(found)) => found.metadata.deletion_timestamp.is_some(),
        Ok(None) => true,
        // Not known: the ordinary way out is the safe one.
        Err(_) => false,
    }
}
