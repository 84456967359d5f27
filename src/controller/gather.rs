//! One look at the world for one rollout: from the caches alone, plus what the engine asks for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Context,
    keys::{self, named_routes},
    shelf::Snapshot,
};
use crate::{
    api::{
        CanaryRolloutSpec, FIELD_MANAGER, FINALIZER, HASH_LABEL, Plan, RELEASE_ANNOTATION,
        action::{RolloutActionSpec, RolloutActionStatus},
        metric_source::MetricSourceSpec,
        plan::Address,
        status::CanaryRolloutStatus,
    },
    engine::contract::{
        Needs,
        kind::Kind,
        observed::{ActionSeen, Deletion, Endpoint, Measured, Observed, Route, RouteSeen, SourceTiming},
    },
    kubernetes::managed_fields,
    router::{RouteId, Target, gateway_api},
    workload::{
        autoscaler::{Autoscaler, AutoscalerKind},
        deployment::Deployment,
        replica_set::ReplicaSet,
        service::Service,
        template::revision_of,
    },
};

/// A look-up that only adds to a message is given up after this time: no decision waits for it.
const LOOK_UP: std::time::Duration = std::time::Duration::from_secs(2);

/// Everything that the watches know about one rollout.
pub fn observe(
    context: &Context,
    rollout: &DynamicObject,
    plan: Option<&Plan>,
    status: &CanaryRolloutStatus,
) -> Observed {
    let mut seen = Observed {
        deletion: deletion(rollout),
        finalizer: rollout.finalizers().iter().any(|name| name == FINALIZER),
        actions: actions(context, rollout),
        ..Observed::default()
    };
    let Some(plan) = plan else { return seen };
    let caches = &context.caches;
    let namespace = rollout.namespace().unwrap_or_default();
    let in_namespace = Some(namespace.as_str());
    seen.forbidden_address = forbidden_address(context, &namespace, plan);
    seen.elder = elder(context, rollout, plan);
    seen.route_elder = route_elder(context, rollout, plan);
    let deployment = |name: &String| {
        caches
            .deployments
            .get(in_namespace, name)
            .filter(|object| !object.is_going())
            .map(|object| Deployment::read(object.value()))
    };
    seen.deployment = deployment(&plan.deployment);
    if let Some(baseline) = &plan.baseline {
        // Neither is scaled, so nobody has to be kept from scaling them.
        seen.baseline = deployment(baseline);
        let uids = seen
            .deployment
            .iter()
            .chain(&seen.baseline)
            .map(|deployment| keys::owned_by(&deployment.uid));
        let owned = uids.flat_map(|owner| caches.replica_sets.about(&namespace, &owner));
        seen.replica_sets = owned.map(|set| ReplicaSet::read(set.value())).collect();
    } else {
        seen.replica_sets = replica_sets(context, rollout, seen.deployment.as_ref());
        for kind in [AutoscalerKind::HorizontalPodAutoscaler, AutoscalerKind::ScaledObject] {
            let scalers = caches
                .of(kind.into())
                .about(&namespace, &keys::deployment(&plan.deployment));
            seen.autoscalers.extend(
                scalers
                    .iter()
                    .filter_map(|scaler| Autoscaler::read(kind, scaler.value())),
            );
        }
    }
    let configs: BTreeSet<String> = seen
        .deployment
        .iter()
        .chain(&seen.baseline)
        .flat_map(|deployment| deployment.template.config_maps())
        .collect();
    let version = |name: &String| {
        caches
            .config_maps
            .get(in_namespace, name)
            .and_then(|config| config.resource_version())
    };
    seen.configs = configs
        .iter()
        .filter_map(|name| Some((name.clone(), version(name)?)))
        .collect();
    let names = [&plan.service, &plan.canary_service]
        .into_iter()
        .chain(&plan.also_narrow);
    for name in names {
        if let Some(service) = caches
            .services
            .get(in_namespace, name)
            .filter(|object| !object.is_going())
        {
            seen.services.insert(name.clone(), Service::read(service.value()));
        }
        seen.endpoints
            .insert(name.clone(), endpoints(context, &namespace, name));
    }
    // Something of ours may still stand in routes that the plan named before.
    let left = status.originals.routes.keys().filter_map(|key| RouteId::from_key(key));
    let routes: BTreeSet<RouteId> = plan.routes.iter().map(RouteId::from).chain(left).collect();
    for id in routes {
        let ports_of = |service: &str| {
            seen.services
                .get(service)
                .map(Service::port_numbers)
                .unwrap_or_default()
        };
        let target = Target::of(plan, &id, status.originals.routes.get(&id.key()), ports_of);
        let route = look_at_route(context, &namespace, target, &id);
        seen.routes.insert(id, route);
    }
    if !status.is_active() && plan.baseline.is_none() {
        // Told when a release begins.
        seen.other_services = other_services(context, &namespace, plan, seen.deployment.as_ref());
    }
    seen.source = source(context, &plan.source).map(|source| SourceTiming {
        scrape_interval: source.scrape_interval,
    });
    seen.versions = versions(context, &namespace, &seen);
    seen
}

/// Of which versions the objects are that a decision may change.
fn versions(context: &Context, namespace: &str, seen: &Observed) -> BTreeMap<(Kind, String), u64> {
    let deployments = seen
        .deployment
        .iter()
        .map(|deployment| (Kind::Deployment, &deployment.name));
    let sets = seen.replica_sets.iter().map(|set| (Kind::ReplicaSet, &set.name));
    let services = seen.services.keys().map(|name| (Kind::Service, name));
    let scalers = seen.autoscalers.iter().map(|scaler| (scaler.kind.into(), &scaler.name));
    let routes = seen.routes.keys().map(|id| (id.kind.into(), &id.name));
    let all = deployments.chain(sets).chain(services).chain(scalers).chain(routes);
    all.filter_map(|(kind, name)| Some(((kind, name.clone()), context.caches.of(kind).version(namespace, name)?)))
        .collect()
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

/// What else the engine asked for.
pub async fn look_closer(context: &Context, namespace: &str, needs: &Needs, seen: &mut Observed) {
    for name in &needs.configs {
        if let Some(digest) = config_digest(context, namespace, name).await {
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

fn deletion(rollout: &DynamicObject) -> Deletion {
    let forced = rollout
        .annotations()
        .get(RELEASE_ANNOTATION)
        .is_some_and(|value| value == "force");
    match (&rollout.metadata.deletion_timestamp, forced) {
        (None, _) => Deletion::No,
        (Some(_), true) => Deletion::AtOnce,
        (Some(_), false) => Deletion::Asked,
    }
}

/// Rollouts of the namespace that are about the same thing and were there first.
fn elders(context: &Context, rollout: &DynamicObject, key: &str) -> Vec<Snapshot> {
    let age = |object: &DynamicObject| (object.creation_timestamp(), object.name_any());
    let namespace = rollout.namespace().unwrap_or_default();
    let mut names = context.caches.rollouts.names_about(&namespace, key);
    names.retain(|name| *name != rollout.name_any());
    let rivals = names
        .iter()
        .filter_map(|name| context.caches.rollouts.get(Some(&namespace), name));
    rivals.filter(|other| age(other) < age(rollout)).collect()
}

/// The rollout that was there first, if two name one Deployment in any role, and that Deployment.
fn elder(context: &Context, rollout: &DynamicObject, plan: &Plan) -> Option<(String, String)> {
    let mut named = std::iter::once(&plan.deployment).chain(&plan.baseline);
    named.find_map(|name| {
        Some((
            elders(context, rollout, &keys::deployment(name)).first()?.name_any(),
            name.clone(),
        ))
    })
}

/// The rollout that was there first, if two set weights in one rule of a route, and that route.
fn route_elder(context: &Context, rollout: &DynamicObject, plan: &Plan) -> Option<(String, RouteId)> {
    let namespace = rollout.namespace().unwrap_or_default();
    for id in plan.routes.iter().map(RouteId::from) {
        let names = |other: &DynamicObject| named_routes(other).any(|named| named == id.key());
        for other in elders(context, rollout, &keys::route(&id.key()))
            .iter()
            .filter(|other| names(other))
        {
            let spec = other
                .data
                .get("spec")
                .and_then(|spec| CanaryRolloutSpec::read(spec).ok());
            let Some(theirs) = spec.and_then(|spec| Plan::try_from(&spec).ok()) else {
                continue;
            };
            let live = context
                .caches
                .of(id.kind.into())
                .get(Some(&namespace), &id.name)
                .map(Snapshot::into_value);
            let target = |plan: &Plan| Target::of(plan, &id, None, |service| ports(context, &namespace, service));
            if gateway_api::overlap(live.as_ref(), &target(plan), &target(&theirs)) {
                return Some((other.name_any(), id));
            }
        }
    }
    None
}

/// Numbers of a Service's ports, as far as they are known.
fn ports(context: &Context, namespace: &str, service: &str) -> Vec<u64> {
    context
        .caches
        .services
        .get(Some(namespace), service)
        .map(|service| Service::read(service.value()).port_numbers())
        .unwrap_or_default()
}

fn replica_sets(context: &Context, rollout: &DynamicObject, deployment: Option<&Deployment>) -> Vec<ReplicaSet> {
    let namespace = rollout.namespace().unwrap_or_default();
    let about = |key: &str| context.caches.replica_sets.about(&namespace, key);
    let read = |set: Snapshot| {
        let set = ReplicaSet::read(set.value());
        (set.name.clone(), set)
    };
    let mut found: BTreeMap<String, _> = about(&keys::held_by(&rollout.name_any()))
        .into_iter()
        .map(read)
        .collect();
    if let Some(deployment) = deployment.filter(|deployment| !deployment.selector.is_empty()) {
        // Given away and not yet adopted: its labels answer the selector again.
        let answers = |set: &ReplicaSet| {
            deployment
                .selector
                .iter()
                .all(|(key, value)| set.labels.get(key) == Some(value))
        };
        let orphans = about(keys::ORPHAN)
            .into_iter()
            .map(read)
            .filter(|(_, set)| answers(set));
        found.extend(
            about(&keys::owned_by(&deployment.uid))
                .into_iter()
                .map(read)
                .chain(orphans),
        );
    }
    found.into_values().collect()
}

fn endpoints(context: &Context, namespace: &str, service: &str) -> Vec<Endpoint> {
    let slices = context.caches.endpoint_slices.about(namespace, service);
    let mut pods: BTreeMap<String, bool> = BTreeMap::new();
    for endpoint in slices
        .iter()
        .filter_map(|slice| slice.value().get("endpoints")?.as_array())
        .flatten()
    {
        let Some(pod) = endpoint.pointer("/targetRef/name").and_then(Value::as_str) else {
            continue;
        };
        let ready = endpoint
            .pointer("/conditions/ready")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        *pods.entry(pod.to_owned()).or_default() |= ready;
    }
    pods.into_iter().map(|(pod, ready)| Endpoint { pod, ready }).collect()
}

/// Services besides the plan's own that select the Deployment's pods.
fn other_services(context: &Context, namespace: &str, plan: &Plan, deployment: Option<&Deployment>) -> Vec<String> {
    let Some(labels) = deployment.map(|deployment| deployment.template.labels()) else {
        return Vec::new();
    };
    let selects = |service: &Service| {
        !service.selector.is_empty()
            && service
                .selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    };
    let known = |name: &str| {
        name == plan.service || name == plan.canary_service || plan.also_narrow.iter().any(|other| other == name)
    };
    let services = context.caches.services.about(namespace, keys::ANY);
    let services = services
        .iter()
        .filter(|service| !known(&service.name_any()))
        .map(|service| Service::read(service.value()));
    services.filter(selects).map(|service| service.name).collect()
}

fn look_at_route(context: &Context, namespace: &str, target: Target, id: &RouteId) -> RouteSeen {
    let cache = context.caches.of(id.kind.into());
    if !cache.is_installed() {
        return RouteSeen::NotInstalled;
    }
    let Some(object) = cache.get(Some(namespace), &id.name).filter(|object| !object.is_going()) else {
        return RouteSeen::Missing;
    };
    let live = object.into_value();
    let state = match gateway_api::read(&live, &target) {
        Ok(state) => state,
        Err(error) => return RouteSeen::Unusable(error),
    };
    let (mut gateways, mut classes) = (BTreeMap::new(), BTreeMap::new());
    for (namespace, name) in gateway_api::gateways(&live) {
        let Some(gateway) = context
            .caches
            .gateways
            .get(Some(&namespace), &name)
            .map(Snapshot::into_value)
        else {
            continue;
        };
        if let Some(class) = gateway.pointer("/spec/gatewayClassName").and_then(Value::as_str) {
            classes.extend(
                context
                    .caches
                    .gateway_classes
                    .get(None, class)
                    .map(|found| (class.to_owned(), found.into_value())),
            );
        }
        gateways.insert(format!("{namespace}/{name}"), gateway);
    }
    let acceptance = gateway_api::acceptance(&live, &gateways, &classes);
    // Read above; kept it would only take room.
    let mut live = live;
    live.as_object_mut().and_then(|object| object.remove("status"));
    RouteSeen::Found(Box::new(Route {
        generation: live
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        acceptance,
        written_at: managed_fields::written_at(&live, FIELD_MANAGER),
        other_manager: managed_fields::newest_other_manager(&live, FIELD_MANAGER),
        target,
        state,
        live: live.to_string().into(),
    }))
}

/// The MetricSource of this name, if it is there and can be read.
pub fn source(context: &Context, name: &str) -> Option<MetricSourceSpec> {
    let object = context.caches.sources.get(None, name)?;
    MetricSourceSpec::deserialize(object.data.get("spec")?).ok()
}

fn actions(context: &Context, rollout: &DynamicObject) -> Vec<ActionSeen> {
    let name = rollout.name_any();
    let objects = context
        .caches
        .actions
        .about(&rollout.namespace().unwrap_or_default(), &name);
    let read = |action: &DynamicObject| {
        let spec = RolloutActionSpec::deserialize(action.data.get("spec")?).ok()?;
        let status = action
            .data
            .get("status")
            .and_then(|status| RolloutActionStatus::deserialize(status).ok())
            .unwrap_or_default();
        let created = action.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let decided = status.phase.map(|_| status.at.unwrap_or(created));
        let made = action
            .managed_fields()
            .iter()
            .find(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty());
        let by = made.and_then(|entry| entry.manager.clone());
        Some(ActionSeen {
            name: action.name_any(),
            uid: action.uid().unwrap_or_default(),
            spec,
            by,
            created,
            decided,
        })
    };
    let mut actions: Vec<ActionSeen> = objects.iter().filter_map(|action| read(action)).collect();
    actions.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    actions
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
    match namespaces.get_metadata_opt(namespace).await {
        Ok(Some(found)) => found.metadata.deletion_timestamp.is_some(),
        Ok(None) => true,
        // Not known: the ordinary way out is the safe one.
        Err(_) => false,
    }
}
