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
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    caches::{Cache, Caches, Kinds},
    concerns::{
        naming, of_action, of_autoscaler, of_config_map, of_deployment, of_endpoint_slice, of_replica_set, of_rollout,
        of_route, of_scaled_object, of_service, of_source, scaled_by_keda,
    },
    discovery::{Absent, Installed, Optional},
    keys,
    named::{Named, RolloutRef, event_of},
    shelf::{Keys, Slim},
    slim,
};
use crate::api::traffic::RouteKind;

/// Requests to look at a rollout.
pub type Queue = Pin<Box<dyn Stream<Item = Result<ReconcileRequest<Named>, std::convert::Infallible>> + Send>>;

/// Where they come from.
pub type Requests = mpsc::UnboundedSender<RolloutRef>;

/// Which rollouts a changed object concerns.
type Concerns = fn(&Caches, &DynamicObject) -> Vec<RolloutRef>;

/// The cache of one kind.
pub(super) type Pick = fn(&Caches) -> &Cache;

/// Opens the watch of one kind.
pub(super) type Start = Box<dyn FnOnce(Arc<Caches>, Requests) + Send>;

type Events = BoxStream<'static, Result<Event<DynamicObject>, watcher::Error>>;

/// Objects that are listed with one request: what a page takes in memory is kept by the process for long.
const PAGE: u32 = 100;

/// Whole objects.
fn watch(client: &Client, resource: &ApiResource) -> Events {
    watcher(
        Api::all_with(client.clone(), resource),
        watcher::Config::default().page_size(PAGE),
    )
    .default_backoff()
    .boxed()
}

/// Metadata only, for kinds of which there are many and whose contents are seldom needed.
fn watch_metadata(client: &Client, resource: &ApiResource) -> Events {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), resource);
    let whole = |object: &PartialObjectMeta<DynamicObject>| DynamicObject {
        types: object.types.clone(),
        metadata: object.metadata.clone(),
        data: serde_json::Value::Null,
    };
    let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    events.map_ok(move |event| event_of(&event, whole)).boxed()
}

fn prepare(
    mut events: Events,
    tasks: &TaskTracker,
    resource: ApiResource,
    pick: Pick,
    keys: Keys,
    slim: Slim,
    concerns: Concerns,
) -> (Cache, Start) {
    let cache = Cache::new(resource.clone(), keys, slim);
    let tasks = tasks.clone();
    let start = move |caches: Arc<Caches>, requests: Requests| {
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

/// Opens the watches of all kinds that the cluster has; `installed` tells which it has of those that it may lack.
pub fn open(client: &Client, tasks: &TaskTracker, installed: &Installed) -> (Arc<Caches>, Queue, Requests, Absent) {
    let nothing: Keys = |_| Vec::new();
    let of_this_service: Concerns =
        |caches, object| of_service(caches, &object.namespace().unwrap_or_default(), &object.name_any());
    let start = |resource, pick, keys, slim, concerns| {
        prepare(watch(client, &resource), tasks, resource, pick, keys, slim, concerns)
    };
    let nobody: Concerns = |_, _| Vec::new();
    let (rollouts, rollouts_start) = start(
        Kinds::rollout(),
        |caches| &caches.rollouts,
        keys::rollout,
        slim::own,
        of_rollout,
    );
    let (actions, actions_start) = start(
        Kinds::action(),
        |caches| &caches.actions,
        keys::action,
        slim::shared,
        of_action,
    );
    let (sources, sources_start) = start(Kinds::source(), |caches| &caches.sources, nothing, slim::own, of_source);
    let (deployments, deployments_start) = start(
        Kinds::deployment(),
        |caches| &caches.deployments,
        keys::of_deployment,
        slim::deployment,
        of_deployment,
    );
    let (replica_sets, replica_sets_start) = start(
        Kinds::replica_set(),
        |caches| &caches.replica_sets,
        keys::replica_set,
        slim::replica_set,
        of_replica_set,
    );
    let (services, services_start) = start(
        Kinds::service(),
        |caches| &caches.services,
        keys::namespace,
        slim::service,
        of_this_service,
    );
    let (endpoint_slices, endpoint_slices_start) = start(
        Kinds::endpoint_slice(),
        |caches| &caches.endpoint_slices,
        keys::endpoint_slice,
        slim::endpoint_slice,
        of_endpoint_slice,
    );
    let (autoscalers, autoscalers_start) = start(
        Kinds::autoscaler(),
        |caches| &caches.autoscalers,
        keys::autoscaler,
        slim::autoscaler,
        of_autoscaler,
    );
    let (scaled_objects, scaled_objects_start) = start(
        Kinds::scaled_object(),
        |caches| &caches.scaled_objects,
        keys::scaled_object,
        slim::autoscaler,
        of_scaled_object,
    );
    let of_name = watch_metadata(client, &Kinds::config_map());
    let (config_maps, config_maps_start) = prepare(
        of_name,
        tasks,
        Kinds::config_map(),
        |caches| &caches.config_maps,
        nothing,
        slim::version_only,
        of_config_map,
    );
    let of_http_route: Concerns = |caches, route| of_route(caches, RouteKind::Http, route);
    let of_grpc_route: Concerns = |caches, route| of_route(caches, RouteKind::Grpc, route);
    let (http_routes, http_routes_start) = start(
        Kinds::http_route(),
        |caches| &caches.http_routes,
        nothing,
        slim::shared,
        of_http_route,
    );
    let (grpc_routes, grpc_routes_start) = start(
        Kinds::grpc_route(),
        |caches| &caches.grpc_routes,
        nothing,
        slim::shared,
        of_grpc_route,
    );
    let (gateways, gateways_start) = start(
        Kinds::gateway(),
        |caches| &caches.gateways,
        nothing,
        slim::gateway,
        nobody,
    );
    let (gateway_classes, gateway_classes_start) = start(
        Kinds::gateway_class(),
        |caches| &caches.gateway_classes,
        nothing,
        slim::gateway,
        nobody,
    );
    let caches = Arc::new(Caches {
        rollouts,
        actions,
        sources,
        deployments,
        replica_sets,
        services,
        endpoint_slices,
        autoscalers,
        scaled_objects,
        config_maps,
        http_routes,
        grpc_routes,
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
    ];
    for start in starts {
        start(caches.clone(), sender.clone());
    }
    let optional = [
        Optional {
            pick: |caches| &caches.http_routes,
            start: http_routes_start,
            calling: naming,
        },
        Optional {
            pick: |caches| &caches.grpc_routes,
            start: grpc_routes_start,
            calling: naming,
        },
        Optional {
            pick: |caches| &caches.gateways,
            start: gateways_start,
            calling: naming,
        },
        Optional {
            pick: |caches| &caches.gateway_classes,
            start: gateway_classes_start,
            calling: naming,
        },
        Optional {
            pick: |caches| &caches.scaled_objects,
            start: scaled_objects_start,
            calling: scaled_by_keda,
        },
    ];
    let absent = Absent::of(optional, installed, &caches, &sender);
    let queue = stream::unfold(receiver, |mut receiver| async move {
        receiver
            .recv()
            .await
            .map(|object| (Ok(ReconcileRequest::from(object)), receiver))
    });
    (caches, Box::pin(queue), sender, absent)
}
