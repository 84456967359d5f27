//! One watch per kind; every change is traced to the rollouts that it concerns.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        controller::ReconcileRequest,
        reflector::ObjectRef,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    caches::{Cache, Caches, Kinds},
    keys::{self, spec_text},
    shelf::Keys,
};
use crate::api::ROLLOUT_LABEL;

/// Requests to look at a rollout.
pub type Queue = Pin<Box<dyn Stream<Item = Result<ReconcileRequest<DynamicObject>, std::convert::Infallible>> + Send>>;

type Sender = mpsc::UnboundedSender<ObjectRef<DynamicObject>>;

/// Which rollouts a changed object concerns.
type Concerns = fn(&Caches, &DynamicObject) -> Vec<ObjectRef<DynamicObject>>;

type Start = Box<dyn FnOnce(Arc<Caches>, Sender) + Send>;

type Events = BoxStream<'static, Result<Event<DynamicObject>, watcher::Error>>;

/// Whole objects.
fn watch(client: &Client, resource: &ApiResource) -> Events {
    watcher(Api::all_with(client.clone(), resource), watcher::Config::default()).default_backoff().modify(slim).boxed()
}

/// Metadata only, for kinds of which there are many and whose contents are seldom needed.
fn watch_metadata(client: &Client, resource: &ApiResource) -> Events {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), resource);
    let whole = |object: PartialObjectMeta<DynamicObject>| {
        let mut whole = DynamicObject { types: object.types, metadata: object.metadata, data: serde_json::Value::Null };
        slim(&mut whole);
        whole
    };
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let events = events.map_ok(move |event| match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(whole(object)),
        Event::Apply(object) => Event::Apply(whole(object)),
        Event::Delete(object) => Event::Delete(whole(object)),
    });
    events.boxed()
}

fn prepare(mut events: Events, tasks: &TaskTracker, resource: ApiResource, pick: fn(&Caches) -> &Cache, keys: Keys, concerns: Concerns) -> (Cache, Start) {
    let cache = Cache::new(resource.clone(), keys);
    let tasks = tasks.clone();
    let start = move |caches: Arc<Caches>, requests: Sender| {
        let follow = async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        for object in pick(&caches).follow(event) {
                            for rollout in concerns(&caches, &object) {
                                // The receiver is gone only when the process stops.
                                let _ = requests.send(rollout);
                            }
                        }
                    }
                    Err(error) => tracing::warn!(kind = resource.kind, %error, "watch failed; it starts again"),
                }
            }
        };
        tasks.spawn(follow);
    };
    (cache, Box::new(start))
}

/// Drops what no decision needs from the copies in memory.
fn slim(object: &mut DynamicObject) {
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// Opens all watches.
pub fn open(client: &Client, tasks: &TaskTracker) -> (Arc<Caches>, Queue) {
    let nothing: Keys = |_| Vec::new();
    let of_itself: Concerns = |_, object| vec![rollout_ref(object.namespace(), object.name_any())];
    let of_this_service: Concerns = |caches, object| of_service(caches, &object.namespace().unwrap_or_default(), &object.name_any());
    let start = |resource, pick, keys, concerns| prepare(watch(client, &resource), tasks, resource, pick, keys, concerns);
    let (rollouts, rollouts_start) = start(Kinds::rollout(), |caches| &caches.rollouts, keys::rollout, of_itself);
    let (actions, actions_start) = start(Kinds::action(), |caches| &caches.actions, keys::action, of_action);
    let (sources, sources_start) = start(Kinds::source(), |caches| &caches.sources, nothing, of_source);
    let (deployments, deployments_start) = start(Kinds::deployment(), |caches| &caches.deployments, keys::of_deployment, of_deployment);
    let (replica_sets, replica_sets_start) = start(Kinds::replica_set(), |caches| &caches.replica_sets, keys::replica_set, of_replica_set);
    let (services, services_start) = start(Kinds::service(), |caches| &caches.services, keys::namespace, of_this_service);
    let (endpoint_slices, endpoint_slices_start) = start(Kinds::endpoint_slice(), |caches| &caches.endpoint_slices, keys::endpoint_slice, of_endpoint_slice);
    let (autoscalers, autoscalers_start) = start(Kinds::autoscaler(), |caches| &caches.autoscalers, keys::autoscaler, of_autoscaler);
    let of_name = watch_metadata(client, &Kinds::config_map());
    let (config_maps, config_maps_start) = prepare(of_name, tasks, Kinds::config_map(), |caches| &caches.config_maps, nothing, of_config_map);
    let (http_routes, http_routes_start) = start(Kinds::http_route(), |caches| &caches.http_routes, nothing, of_route);
    let (gateways, gateways_start) = start(Kinds::gateway(), |caches| &caches.gateways, nothing, |_, _| Vec::new());
    let (gateway_classes, gateway_classes_start) = start(Kinds::gateway_class(), |caches| &caches.gateway_classes, nothing, |_, _| Vec::new());
    let caches = Arc::new(Caches {
        rollouts,
        actions,
        sources,
        deployments,
        replica_sets,
        services,
        endpoint_slices,
        autoscalers,
        config_maps,
        http_routes,
        gateways,
        gateway_classes,
    });
    let (sender, receiver) = mpsc::unbounded_channel();
    let starts = [
        rollouts_start,
        actions_start,
        sources_start,
        deployments_start,
        replica_sets_start,
        services_start,
        endpoint_slices_start,
        autoscalers_start,
        config_maps_start,
        http_routes_start,
        gateways_start,
        gateway_classes_start,
    ];
    for start in starts {
        start(caches.clone(), sender.clone());
    }
    let queue = stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|object| (Ok(ReconcileRequest::from(object)), receiver)) });
    (caches, Box::pin(queue))
}

fn rollout_ref(namespace: Option<String>, name: impl Into<String>) -> ObjectRef<DynamicObject> {
    let mut reference = ObjectRef::new_with(&name.into(), Kinds::rollout());
    reference.namespace = namespace;
    reference
}

fn rollouts_about(caches: &Caches, namespace: Option<&str>, key: &str) -> Vec<ObjectRef<DynamicObject>> {
    let about = caches.rollouts.about(namespace.unwrap_or_default(), key);
    about.iter().map(|rollout| rollout_ref(rollout.namespace(), rollout.name_any())).collect()
}

fn of_action(_: &Caches, action: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    spec_text(action, "/rollout").map(|name| rollout_ref(action.namespace(), name)).into_iter().collect()
}

fn of_source(caches: &Caches, source: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let name = source.name_any();
    let all = caches.rollouts.all();
    let named = all.iter().filter(|rollout| spec_text(rollout, "/metrics/source").unwrap_or("default") == name);
    named.map(|rollout| rollout_ref(rollout.namespace(), rollout.name_any())).collect()
}

fn of_deployment(caches: &Caches, deployment: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    rollouts_about(caches, deployment.namespace().as_deref(), &keys::deployment(&deployment.name_any()))
}

fn of_replica_set(caches: &Caches, set: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let namespace = set.namespace();
    if let Some(rollout) = set.labels().get(ROLLOUT_LABEL) {
        return vec![rollout_ref(namespace, rollout)];
    }
    let namespace = namespace.as_deref();
    let owners: Vec<_> = set.owner_references().iter().filter(|owner| owner.kind == "Deployment").collect();
    if !owners.is_empty() {
        return owners.iter().flat_map(|owner| rollouts_about(caches, namespace, &keys::deployment(&owner.name))).collect();
    }
    // One that was given away and not yet adopted has neither mark; its name begins with the Deployment's.
    let name = set.name_any();
    let prefixes = name.match_indices('-').map(|(end, _)| &name[..end]);
    prefixes.flat_map(|deployment| rollouts_about(caches, namespace, &keys::deployment(deployment))).collect()
}

fn of_service(caches: &Caches, namespace: &str, name: &str) -> Vec<ObjectRef<DynamicObject>> {
    rollouts_about(caches, Some(namespace), &keys::service(name))
}

fn of_endpoint_slice(caches: &Caches, slice: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let namespace = slice.namespace().unwrap_or_default();
    slice.labels().get(keys::SERVICE_NAME).map(|service| of_service(caches, &namespace, service)).unwrap_or_default()
}

fn of_autoscaler(caches: &Caches, scaler: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    keys::autoscaler(scaler).iter().flat_map(|key| rollouts_about(caches, scaler.namespace().as_deref(), key)).collect()
}

fn of_config_map(caches: &Caches, config: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let readers = caches.deployments.about(&config.namespace().unwrap_or_default(), &config.name_any());
    readers.iter().flat_map(|deployment| of_deployment(caches, deployment)).collect()
}

fn of_route(caches: &Caches, route: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    rollouts_about(caches, route.namespace().as_deref(), &keys::route(&route.name_any()))
}
