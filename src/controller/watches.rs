//! One watch per kind; every change is traced to the rollouts that it concerns.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

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
use crate::{
    api::{ROLLOUT_LABEL, condition::Refusal, traffic::RouteKind},
    router::RouteId,
};

/// Requests to look at a rollout.
pub type Queue = Pin<Box<dyn Stream<Item = Result<ReconcileRequest<DynamicObject>, std::convert::Infallible>> + Send>>;

type Sender = mpsc::UnboundedSender<ObjectRef<DynamicObject>>;

/// Which rollouts a changed object concerns.
type Concerns = fn(&Caches, &DynamicObject) -> Vec<ObjectRef<DynamicObject>>;

type Pick = fn(&Caches) -> &Cache;

type Start = Box<dyn FnOnce(Arc<Caches>, Sender) + Send>;

fn prepare(client: &Client, tasks: &TaskTracker, resource: ApiResource, pick: Pick, concerns: Concerns) -> (Cache, Start) {
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

/// Opens the watches of all kinds that the cluster has; `installed` tells which of the Gateway API it has.
pub fn open(client: &Client, tasks: &TaskTracker, installed: &BTreeSet<String>) -> (Arc<Caches>, Queue, Absent) {
    let (rollouts, rollouts_start) = prepare(client, tasks, Kinds::rollout(), |caches| &caches.rollouts, of_rollout);
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
    let (http_routes, http_routes_start) =
        prepare(client, tasks, Kinds::http_route(), |caches| &caches.http_routes, |caches, route| of_route(caches, RouteKind::Http, route));
    let (grpc_routes, grpc_routes_start) =
        prepare(client, tasks, Kinds::grpc_route(), |caches| &caches.grpc_routes, |caches, route| of_route(caches, RouteKind::Grpc, route));
    let (gateways, gateways_start) = prepare(client, tasks, Kinds::gateway(), |caches| &caches.gateways, |_, _| Vec::new());
    let (gateway_classes, gateway_classes_start) = prepare(client, tasks, Kinds::gateway_class(), |caches| &caches.gateway_classes, |_, _| Vec::new());
    let caches = Arc::new(Caches {
        rollouts,
        actions,
        sources,
        deployments,
        replica_sets,
        services,
        endpoint_slices,
        http_routes,
        grpc_routes,
        gateways,
        gateway_classes,
    });
    let (sender, receiver) = mpsc::unbounded_channel();
    let starts = [rollouts_start, actions_start, sources_start, deployments_start, replica_sets_start, services_start, endpoint_slices_start];
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
    (caches, Box::pin(queue), absent)
}

/// Kinds that the cluster lacked at start, with what opens their watches.
pub struct Absent {
    caches: Arc<Caches>,
    requests: Sender,
    kinds: Vec<(Pick, Start)>,
}

impl Absent {
    /// Whether some rollout names a route of such a kind.
    pub fn is_wanted(&self) -> bool {
        let kinds: Vec<&str> = self.kinds.iter().map(|(pick, _)| pick(&self.caches).resource().kind.as_str()).collect();
        !rollouts_where(&self.caches, |rollout| named_routes(rollout).any(|(kind, _)| kinds.contains(&kind))).is_empty()
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
            for rollout in rollouts_where(&self.caches, |rollout| named_routes(rollout).any(|(kind, _)| kind == cache.resource().kind)) {
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

/// Routes that a rollout names, by kind and name.
pub(super) fn named_routes(rollout: &DynamicObject) -> impl Iterator<Item = (&str, &str)> {
    let routes = rollout.data.pointer("/spec/traffic/gatewayAPI/routes").and_then(Value::as_array).into_iter().flatten();
    routes.filter_map(|route| Some((route.get("kind").and_then(Value::as_str).unwrap_or_else(|| RouteKind::default().into()), route.get("name")?.as_str()?)))
}

/// Itself, and those that share a Deployment or a route with it or wait for another one to go: they may take over.
fn of_rollout(caches: &Caches, rollout: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let mut concerned = rollouts_where(caches, |other| {
        other.namespace() == rollout.namespace() && other.name_any() != rollout.name_any() && (waits_for_another(other) || shares(other, rollout))
    });
    concerned.push(rollout_ref(rollout.namespace(), rollout.name_any()));
    concerned
}

fn shares(one: &DynamicObject, other: &DynamicObject) -> bool {
    let deployment = |rollout| spec_text(rollout, "/workload/deployment/name");
    deployment(one) == deployment(other) || named_routes(one).any(|route| named_routes(other).any(|named| named == route))
}

fn waits_for_another(rollout: &DynamicObject) -> bool {
    let conflicts: [&str; 2] = [Refusal::TargetConflict.into(), Refusal::RouteConflict.into()];
    let conditions = rollout.data.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    conditions.filter_map(|condition| condition.get("reason")?.as_str()).any(|reason| conflicts.contains(&reason))
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

fn of_route(caches: &Caches, kind: RouteKind, route: &DynamicObject) -> Vec<ObjectRef<DynamicObject>> {
    let (namespace, name) = (route.namespace(), route.name_any());
    let id = RouteId { kind, name: name.clone() };
    let kind: &str = kind.into();
    rollouts_where(caches, |rollout| {
        // One that it named before may still have something of ours in it.
        let remembered = || rollout.data.pointer("/status/originals/routes").is_some_and(|routes| routes.get(id.key()).is_some());
        rollout.namespace() == namespace && (named_routes(rollout).any(|named| named == (kind, name.as_str())) || remembered())
    })
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector::store::Writer, watcher::Event};
    use serde_json::json;

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
        caches_with(rollouts, Cache::new(Kinds::grpc_route(), Writer::<DynamicObject>::new(Kinds::grpc_route()).as_reader()))
    }

    fn caches_with(rollouts: &[DynamicObject], grpc_routes: Cache) -> Caches {
        let cache = |kind: ApiResource, objects: &[DynamicObject]| {
            let mut writer = Writer::<DynamicObject>::new(kind.clone());
            for object in objects {
                writer.apply_watcher_event(&Event::Apply(object.clone()));
            }
            Cache::new(kind, writer.as_reader())
        };
        Caches {
            rollouts: cache(Kinds::rollout(), rollouts),
            actions: cache(Kinds::action(), &[]),
            sources: cache(Kinds::source(), &[]),
            deployments: cache(Kinds::deployment(), &[]),
            replica_sets: cache(Kinds::replica_set(), &[]),
            services: cache(Kinds::service(), &[]),
            endpoint_slices: cache(Kinds::endpoint_slice(), &[]),
            http_routes: cache(Kinds::http_route(), &[]),
            grpc_routes,
            gateways: cache(Kinds::gateway(), &[]),
            gateway_classes: cache(Kinds::gateway_class(), &[]),
        }
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
    async fn a_missing_kind_is_looked_for_only_while_it_is_named_and_then_opened() {
        let all = [
            rollout("grpc", "b", &json!([{"kind": "GRPCRoute", "name": "catalog"}]), "RouteNotFound"),
            rollout("http", "a", &json!([{"name": "a"}]), "Accepted"),
        ];
        let absent = |rollouts: &[DynamicObject]| {
            let (requests, asked) = mpsc::unbounded_channel();
            let mut writer = Writer::<DynamicObject>::new(Kinds::grpc_route());
            let caches = Arc::new(caches_with(rollouts, Cache::new(Kinds::grpc_route(), writer.as_reader())));
            caches.grpc_routes.set_installed(false);
            let start: Start = Box::new(move |_, _| {
                writer.apply_watcher_event(&Event::Init);
                writer.apply_watcher_event(&Event::InitDone);
            });
            (Absent { caches, requests, kinds: vec![(|caches| &caches.grpc_routes, start)] }, asked)
        };
        assert!(!absent(&all[1..]).0.is_wanted(), "nobody names it");
        let (mut kinds, mut asked) = absent(&all);
        assert!(kinds.is_wanted());
        kinds.open(&set(&["HTTPRoute"])).await;
        assert!(!kinds.is_empty() && !kinds.caches().grpc_routes.is_installed() && asked.try_recv().is_err());
        kinds.open(&set(&["GRPCRoute"])).await;
        assert!(kinds.is_empty() && kinds.caches().grpc_routes.is_installed());
        assert_eq!(asked.try_recv().map(|rollout| rollout.name), Ok("grpc".to_owned()));
        assert!(asked.try_recv().is_err(), "only those that name it");
    }
}
