//! One watch per kind; every change is traced to the rollouts that it concerns.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::{
        WatchStreamExt,
        controller::ReconcileRequest,
        reflector::{self, ObjectRef},
        watcher,
    },
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::caches::{Cache, Caches, Kinds};
use crate::api::ROLLOUT_LABEL;

/// Requests to look at a rollout.
pub type Queue = Pin<Box<dyn Stream<Item = Result<ReconcileRequest<DynamicObject>, std::convert::Infallible>> + Send>>;

type Sender = mpsc::UnboundedSender<ObjectRef<DynamicObject>>;

/// Which rollouts a changed object concerns.
type Concerns = fn(&Caches, &DynamicObject) -> Vec<ObjectRef<DynamicObject>>;

type Start = Box<dyn FnOnce(Arc<Caches>, Sender) + Send>;

fn prepare(client: &Client, tasks: &TaskTracker, resource: ApiResource, pick: fn(&Caches) -> &Cache, concerns: Concerns) -> (Cache, Start) {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let writer = reflector::store::Writer::new(resource.clone());
    let cache = Cache::new(resource.clone(), writer.as_reader());
    let tasks = tasks.clone();
    let start = move |caches: Arc<Caches>, requests: Sender| {
        let changes = watcher(api, watcher::Config::default()).default_backoff().modify(slim).reflect(writer).touched_objects();
        let follow = async move {
            let mut changes = std::pin::pin!(changes);
            while let Some(change) = changes.next().await {
                match change {
                    Ok(object) => {
                        pick(&caches).caught_up(&object);
                        for rollout in concerns(&caches, &object) {
                            // The receiver is gone only when the process stops.
                            let _ = requests.send(rollout);
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
    let (rollouts, rollouts_start) =
        prepare(client, tasks, Kinds::rollout(), |caches| &caches.rollouts, |_, object| vec![rollout_ref(object.namespace(), object.name_any())]);
    let (actions, actions_start) = prepare(client, tasks, Kinds::action(), |caches| &caches.actions, of_action);
    let (sources, sources_start) = prepare(client, tasks, Kinds::source(), |caches| &caches.sources, of_source);
    let (deployments, deployments_start) = prepare(client, tasks, Kinds::deployment(), |caches| &caches.deployments, of_deployment);
    let (replica_sets, replica_sets_start) = prepare(client, tasks, Kinds::replica_set(), |caches| &caches.replica_sets, of_replica_set);
    let (services, services_start) = prepare(
        client,
        tasks,
        Kinds::service(),
        |caches| &caches.services,
        |caches, object| of_service(caches, object.namespace().as_deref(), &object.name_any()),
    );
    let (endpoint_slices, endpoint_slices_start) = prepare(client, tasks, Kinds::endpoint_slice(), |caches| &caches.endpoint_slices, of_endpoint_slice);
    let (http_routes, http_routes_start) = prepare(client, tasks, Kinds::http_route(), |caches| &caches.http_routes, of_route);
    let (gateways, gateways_start) = prepare(client, tasks, Kinds::gateway(), |caches| &caches.gateways, |_, _| Vec::new());
    let (gateway_classes, gateway_classes_start) = prepare(client, tasks, Kinds::gateway_class(), |caches| &caches.gateway_classes, |_, _| Vec::new());
    let caches = Arc::new(Caches { rollouts, actions, sources, deployments, replica_sets, services, endpoint_slices, http_routes, gateways, gateway_classes });
    let (sender, receiver) = mpsc::unbounded_channel();
    let starts = [
        rollouts_start,
        actions_start,
        sources_start,
        deployments_start,
        replica_sets_start,
        services_start,
        endpoint_slices_start,
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

fn spec_text<'a>(rollout: &'a DynamicObject, pointer: &str) -> Option<&'a str> {
    rollout.data.get("spec")?.pointer(pointer).and_then(Value::as_str)
}

fn rollouts_where(caches: &Caches, wanted: impl Fn(&DynamicObject) -> bool) -> Vec<ObjectRef<DynamicObject>> {
    let all = caches.rollouts.store().state();
    all.iter().filter(|rollout| wanted(rollout)).map(|rollout| rollout_ref(rollout.namespace(), rollout.name_any())).collect()
}

fn of_action(_: &Caches, action: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    spec_text(action, "/rollout").map(|name| rollout_ref(action.namespace(), name)).into_iter().collect()
}

fn of_source(caches: &Caches, source: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let name = source.name_any();
    rollouts_where(caches, |rollout| spec_text(rollout, "/metrics/source").unwrap_or("default") == name)
}

fn of_deployment(caches: &Caches, deployment: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let (namespace, name) = (deployment.namespace(), deployment.name_any());
    rollouts_where(caches, |rollout| rollout.namespace() == namespace && spec_text(rollout, "/workload/deployment/name") == Some(&name))
}

fn of_replica_set(caches: &Caches, set: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let namespace = set.namespace();
    if let Some(rollout) = set.labels().get(ROLLOUT_LABEL) {
        return vec![rollout_ref(namespace, rollout)];
    }
    let owners = set.owner_references().iter().filter(|owner| owner.kind == "Deployment");
    let owners: Vec<&str> = owners.map(|owner| owner.name.as_str()).collect();
    rollouts_where(caches, |rollout| {
        // One that was given away and not yet adopted has neither mark; its name begins with the Deployment's.
        let deployment = spec_text(rollout, "/workload/deployment/name").unwrap_or_default();
        rollout.namespace() == namespace && (owners.contains(&deployment) || (owners.is_empty() && set.name_any().starts_with(deployment)))
    })
}

fn of_service(caches: &Caches, namespace: Option<&str>, name: &str) -> Vec<ObjectRef<DynamicObject>> {
    rollouts_where(caches, |rollout| {
        let deployment = spec_text(rollout, "/workload/deployment/name").unwrap_or_default();
        let service = spec_text(rollout, "/traffic/service").unwrap_or(deployment);
        let canary = spec_text(rollout, "/traffic/canaryService").map_or_else(|| format!("{service}-canary"), str::to_owned);
        let narrowed = rollout.data.pointer("/spec/traffic/alsoNarrow").and_then(Value::as_array);
        let also = narrowed.is_some_and(|list| list.iter().any(|entry| entry == name));
        rollout.namespace().as_deref() == namespace && (service == name || canary == name || also)
    })
}

fn of_endpoint_slice(caches: &Caches, slice: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    slice.labels().get("kubernetes.io/service-name").map(|service| of_service(caches, slice.namespace().as_deref(), service)).unwrap_or_default()
}

fn of_route(caches: &Caches, route: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let (namespace, name) = (route.namespace(), route.name_any());
    rollouts_where(caches, |rollout| {
        let routes = rollout.data.pointer("/spec/traffic/gatewayAPI/routes").and_then(Value::as_array);
        rollout.namespace() == namespace && routes.is_some_and(|routes| routes.iter().any(|route| route["name"] == *name))
    })
}
