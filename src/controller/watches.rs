//! One watch per kind; every change is traced to the rollouts that it concerns.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

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
    keys::{self, named_routes, spec_text},
    shelf::{Keys, Slim},
    slim,
};
use crate::{
    api::{ROLLOUT_LABEL, traffic::RouteKind},
    router::RouteId,
};

/// Requests to look at a rollout.
pub type Queue = Pin<Box<dyn Stream<Item = Result<ReconcileRequest<DynamicObject>, std::convert::Infallible>> + Send>>;

/// Where they come from.
pub type Requests = mpsc::UnboundedSender<ObjectRef<DynamicObject>>;

/// Which rollouts a changed object concerns.
type Concerns = fn(&Caches, &DynamicObject) -> Vec<ObjectRef<DynamicObject>>;

type Pick = fn(&Caches) -> &Cache;

type Start = Box<dyn FnOnce(Arc<Caches>, Requests) + Send>;

type Events = BoxStream<'static, Result<Event<DynamicObject>, watcher::Error>>;

/// Objects that are listed with one request: what a page takes in memory is kept by the process for long.
const PAGE: u32 = 100;

/// Whole objects.
fn watch(client: &Client, resource: &ApiResource) -> Events {
    watcher(Api::all_with(client.clone(), resource), watcher::Config::default().page_size(PAGE)).default_backoff().boxed()
}

/// Metadata only, for kinds of which there are many and whose contents are seldom needed.
fn watch_metadata(client: &Client, resource: &ApiResource) -> Events {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), resource);
    let whole = |object: PartialObjectMeta<DynamicObject>| DynamicObject { types: object.types, metadata: object.metadata, data: serde_json::Value::Null };
    let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    let events = events.map_ok(move |event| match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(whole(object)),
        Event::Apply(object) => Event::Apply(whole(object)),
        Event::Delete(object) => Event::Delete(whole(object)),
    });
    events.boxed()
}

fn prepare(mut events: Events, tasks: &TaskTracker, resource: ApiResource, pick: Pick, keys: Keys, slim: Slim, concerns: Concerns) -> (Cache, Start) {
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

/// Opens the watches of all kinds that the cluster has; `installed` tells which of the Gateway API it has.
pub fn open(client: &Client, tasks: &TaskTracker, installed: &BTreeSet<String>) -> (Arc<Caches>, Queue, Requests, Absent) {
    let nothing: Keys = |_| Vec::new();
    let of_this_service: Concerns = |caches, object| of_service(caches, &object.namespace().unwrap_or_default(), &object.name_any());
    let start = |resource, pick, keys, slim, concerns| prepare(watch(client, &resource), tasks, resource, pick, keys, slim, concerns);
    let nobody: Concerns = |_, _| Vec::new();
    let (rollouts, rollouts_start) = start(Kinds::rollout(), |caches| &caches.rollouts, keys::rollout, slim::own, of_rollout);
    let (actions, actions_start) = start(Kinds::action(), |caches| &caches.actions, keys::action, slim::shared, of_action);
    let (sources, sources_start) = start(Kinds::source(), |caches| &caches.sources, nothing, slim::own, of_source);
    let (deployments, deployments_start) = start(Kinds::deployment(), |caches| &caches.deployments, keys::of_deployment, slim::deployment, of_deployment);
    let (replica_sets, replica_sets_start) = start(Kinds::replica_set(), |caches| &caches.replica_sets, keys::replica_set, slim::replica_set, of_replica_set);
    let (services, services_start) = start(Kinds::service(), |caches| &caches.services, keys::namespace, slim::service, of_this_service);
    let (endpoint_slices, endpoint_slices_start) =
        start(Kinds::endpoint_slice(), |caches| &caches.endpoint_slices, keys::endpoint_slice, slim::endpoint_slice, of_endpoint_slice);
    let (autoscalers, autoscalers_start) = start(Kinds::autoscaler(), |caches| &caches.autoscalers, keys::autoscaler, slim::autoscaler, of_autoscaler);
    let of_name = watch_metadata(client, &Kinds::config_map());
    let (config_maps, config_maps_start) =
        prepare(of_name, tasks, Kinds::config_map(), |caches| &caches.config_maps, nothing, slim::version_only, of_config_map);
    let of_http_route: Concerns = |caches, route| of_route(caches, RouteKind::Http, route);
    let of_grpc_route: Concerns = |caches, route| of_route(caches, RouteKind::Grpc, route);
    let (http_routes, http_routes_start) = start(Kinds::http_route(), |caches| &caches.http_routes, nothing, slim::shared, of_http_route);
    let (grpc_routes, grpc_routes_start) = start(Kinds::grpc_route(), |caches| &caches.grpc_routes, nothing, slim::shared, of_grpc_route);
    let (gateways, gateways_start) = start(Kinds::gateway(), |caches| &caches.gateways, nothing, slim::gateway, nobody);
    let (gateway_classes, gateway_classes_start) = start(Kinds::gateway_class(), |caches| &caches.gateway_classes, nothing, slim::gateway, nobody);
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
    let optional: [(Pick, Start); 4] = [
        (|caches| &caches.http_routes, http_routes_start),
        (|caches| &caches.grpc_routes, grpc_routes_start),
        (|caches| &caches.gateways, gateways_start),
        (|caches| &caches.gateway_classes, gateway_classes_start),
    ];
    let mut absent = Absent { caches: caches.clone(), requests: sender.clone(), kinds: Vec::new() };
    for (pick, start) in optional {
        let cache = pick(&caches);
        if installed.contains(&cache.resource().kind) {
            start(caches.clone(), sender.clone());
        } else {
            tracing::info!(kind = cache.resource().kind, "the cluster has no such kind; it is looked for when a rollout names it");
            cache.set_installed(false);
            absent.kinds.push((pick, start));
        }
    }
    let queue = stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|object| (Ok(ReconcileRequest::from(object)), receiver)) });
    (caches, Box::pin(queue), sender, absent)
}

/// Kinds that the cluster lacked at start, with what opens their watches.
pub struct Absent {
    caches: Arc<Caches>,
    requests: Requests,
    kinds: Vec<(Pick, Start)>,
}

impl Absent {
    /// Whether some rollout names a route that is of such a kind or needs it.
    pub fn is_wanted(&self) -> bool {
        let kinds: Vec<&str> = self.kinds.iter().map(|(pick, _)| pick(&self.caches).resource().kind.as_str()).collect();
        !naming(&self.caches, &kinds).is_empty()
    }

    /// Opens the watches of those that the cluster has by now, and has the rollouts looked at that name them.
    pub async fn open(&mut self, installed: &BTreeSet<String>) {
        let (found, absent) = std::mem::take(&mut self.kinds).into_iter().partition(|(pick, _)| installed.contains(&pick(&self.caches).resource().kind));
        self.kinds = absent;
        let found: Vec<(Pick, Start)> = found;
        let mut opened = Vec::new();
        for (pick, start) in found {
            start(self.caches.clone(), self.requests.clone());
            opened.push(pick);
        }
        for pick in opened {
            let cache = pick(&self.caches);
            cache.wait_until_listed().await;
            cache.set_installed(true);
            tracing::info!(kind = cache.resource().kind, "the cluster has the kind now");
            for rollout in naming(&self.caches, &[&cache.resource().kind]) {
                // The receiver is gone only when the process stops.
                let _ = self.requests.send(rollout);
            }
        }
    }

    /// Whether every kind was found.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// What the watches have seen.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }
}

/// The rollout of this name, for the queue.
pub(super) fn rollout_ref(namespace: Option<String>, name: impl Into<String>) -> ObjectRef<DynamicObject> {
    let mut reference = ObjectRef::new_with(&name.into(), Kinds::rollout());
    reference.namespace = namespace;
    reference
}

fn rollouts_about(caches: &Caches, namespace: Option<&str>, key: &str) -> Vec<ObjectRef<DynamicObject>> {
    let namespace = namespace.unwrap_or_default();
    caches.rollouts.names_about(namespace, key).into_iter().map(|name| rollout_ref(Some(namespace.to_owned()), name)).collect()
}

/// Rollouts that name a route of one of these kinds, or any route if one of them is what routes hang on.
fn naming(caches: &Caches, kinds: &[&str]) -> Vec<ObjectRef<DynamicObject>> {
    // Which Gateway a route has as its parent, and which class that is of, stands in other objects.
    let parents = [Kinds::gateway().kind, Kinds::gateway_class().kind];
    let of_all = parents.iter().any(|parent| kinds.contains(&parent.as_str()));
    let is_of = |key: &str| key.split_once('/').is_some_and(|(kind, _)| of_all || kinds.contains(&kind));
    // Those that only named one before have its key, too.
    let found = caches.rollouts.everywhere(|key| key.strip_prefix(keys::ROUTE).is_some_and(is_of));
    let names =
        |(namespace, name): &(String, String)| caches.rollouts.get(Some(namespace), name).is_some_and(|rollout| named_routes(&rollout).any(|key| is_of(&key)));
    found.into_iter().filter(names).map(|(namespace, name)| rollout_ref(Some(namespace), name)).collect()
}

/// Itself, and those that share a Deployment or a route with it or wait for another one to go: they may take over.
fn of_rollout(caches: &Caches, rollout: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let namespace = rollout.namespace();
    let itself = rollout_ref(rollout.namespace(), rollout.name_any());
    let targets = keys::deployments(rollout).map(keys::deployment);
    let routes = named_routes(rollout).map(|key| keys::route(&key));
    let shared = targets.chain(routes).chain([keys::WAITING.to_owned()]);
    let mut concerned: Vec<_> = shared.flat_map(|key| rollouts_about(caches, namespace.as_deref(), &key)).filter(|other| *other != itself).collect();
    concerned.sort_by(|one, other| one.name.cmp(&other.name));
    concerned.dedup();
    concerned.push(itself);
    concerned
}

fn of_action(_: &Caches, action: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    spec_text(action, "/rollout").map(|name| rollout_ref(action.namespace(), name)).into_iter().collect()
}

fn of_source(caches: &Caches, source: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let wanted = keys::source(&source.name_any());
    caches.rollouts.everywhere(|key| key == wanted).into_iter().map(|(namespace, name)| rollout_ref(Some(namespace), name)).collect()
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

fn of_route(caches: &Caches, kind: RouteKind, route: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let id = RouteId { kind, name: route.name_any() };
    rollouts_about(caches, route.namespace().as_deref(), &keys::route(&id.key()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: &ApiResource, name: &str, data: &Value) -> DynamicObject {
        let mut object = DynamicObject::new(name, kind).within("shop");
        object.data = data.clone();
        object
    }

    fn rollout(name: &str, deployment: &str, routes: &Value, reason: &str) -> DynamicObject {
        let data = json!({
            "spec": {"workload": {"deployment": {"name": deployment}}, "traffic": {"gatewayAPI": {"routes": routes}}},
            "status": {"conditions": [{"type": "Accepted", "reason": reason}], "originals": {"routes": {"GRPCRoute/left": {}}}},
        });
        object(&Kinds::rollout(), name, &data)
    }

    fn caches(rollouts: &[DynamicObject]) -> Caches {
        let caches = Caches::empty();
        for rollout in rollouts {
            caches.rollouts.follow(Event::Apply(rollout.clone()));
        }
        caches
    }

    fn names(found: Vec<ObjectRef<DynamicObject>>) -> BTreeSet<String> {
        found.into_iter().map(|rollout| rollout.name).collect()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_rollout_that_goes_wakes_those_that_wait_for_it() {
        let own = json!([{"name": "own"}]);
        let shared = json!([{"name": "shared", "rules": ["a"]}]);
        let all = [
            rollout("elder", "catalog", &shared, "Accepted"),
            rollout("same-target", "catalog", &own, "TargetConflict"),
            rollout("same-route", "search", &shared, "RouteConflict"),
            // What it waits for may have been named in an earlier version of the other one's spec.
            rollout("waits", "cart", &json!([{"name": "third"}]), "RouteConflict"),
            rollout("other", "orders", &json!([{"kind": "GRPCRoute", "name": "shared"}]), "Accepted"),
        ];
        let caches = caches(&all[1..]);
        assert_eq!(names(of_rollout(&caches, &all[0])), set(&["elder", "same-target", "same-route", "waits"]));
    }

    #[test]
    fn a_route_concerns_those_that_name_its_kind_or_did() {
        let all = [
            rollout("http", "a", &json!([{"name": "catalog"}]), "Accepted"),
            rollout("grpc", "b", &json!([{"kind": "GRPCRoute", "name": "catalog"}]), "Accepted"),
        ];
        let caches = caches(&all);
        let of = |kind: RouteKind, resource: &ApiResource, name: &str| names(of_route(&caches, kind, &object(resource, name, &json!({}))));
        assert_eq!(of(RouteKind::Http, &Kinds::http_route(), "catalog"), set(&["http"]));
        assert_eq!(of(RouteKind::Grpc, &Kinds::grpc_route(), "catalog"), set(&["grpc"]));
        assert_eq!(of(RouteKind::Grpc, &Kinds::grpc_route(), "left"), set(&["http", "grpc"]));
        assert_eq!(of(RouteKind::Http, &Kinds::http_route(), "left"), set(&[]));
    }

    #[tokio::test]
    async fn a_missing_kind_is_looked_for_only_while_it_is_named_or_needed_and_then_opened() {
        let all = [
            rollout("grpc", "b", &json!([{"kind": "GRPCRoute", "name": "catalog"}]), "RouteNotFound"),
            rollout("http", "a", &json!([{"name": "a"}]), "Accepted"),
        ];
        let cases: [(Pick, &[&str]); 3] =
            [(|caches| &caches.grpc_routes, &["grpc"]), (|caches| &caches.gateways, &["grpc", "http"]), (|caches| &caches.gateway_classes, &["grpc", "http"])];
        for (pick, by) in cases {
            let absent = |rollouts: &[DynamicObject]| {
                let (requests, asked) = mpsc::unbounded_channel();
                let caches = Arc::new(caches(rollouts));
                pick(&caches).set_installed(false);
                let start: Start = Box::new(move |caches, _| [Event::Init, Event::InitDone].into_iter().for_each(|event| drop(pick(&caches).follow(event))));
                (Absent { caches, requests, kinds: vec![(pick, start)] }, asked)
            };
            assert!(!absent(&all[by.len()..]).0.is_wanted(), "nobody needs it");
            let (mut kinds, mut asked) = absent(&all);
            assert!(kinds.is_wanted());
            let kind = pick(kinds.caches()).resource().kind.clone();
            kinds.open(&set(&["HTTPRoute"])).await;
            assert!(!kinds.is_empty() && !pick(kinds.caches()).is_installed() && asked.try_recv().is_err());
            kinds.open(&set(&[&kind])).await;
            assert!(kinds.is_empty() && pick(kinds.caches()).is_installed());
            let told = std::iter::from_fn(|| asked.try_recv().ok()).map(|rollout| rollout.name).collect::<BTreeSet<_>>();
            assert_eq!(told, set(by), "only those that need {kind}");
        }
    }
}
