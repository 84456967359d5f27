//! What the watches have seen, and what our own writes have returned since.
//!
//! A watch lags behind a write by some milliseconds. Whoever decided on the older copy in between
//! would take his own write for somebody else's, so the answer of every write is kept until the
//! watch has caught up.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kube::{
    Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        reflector::{Store, store},
        watcher::Event,
    },
};
use tokio::sync::watch;

use super::{
    named::{Named, event_of, named},
    shelf::{Keys, Shelf, Slim, Snapshot},
};
use crate::{api, engine::contract::kind::Kind};

/// The kinds that are watched.
pub struct Kinds;

macro_rules! kinds {
    ($($name:ident: $group:expr, $version:expr, $kind:expr, $plural:expr;)+) => {
        impl Kinds {
            $(
                #[doc = concat!("Kind `", $kind, "`.")]
                pub fn $name() -> ApiResource {
                    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk($group, $version, $kind), $plural)
                }
            )+
        }
    };
}

kinds! {
    rollout: api::GROUP, api::VERSION, "CanaryRollout", "canaryrollouts";
    action: api::GROUP, api::VERSION, "RolloutAction", "rolloutactions";
    source: api::GROUP, api::VERSION, "MetricSource", "metricsources";
    deployment: "apps", "v1", "Deployment", "deployments";
    replica_set: "apps", "v1", "ReplicaSet", "replicasets";
    service: "", "v1", "Service", "services";
    endpoint_slice: "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices";
    autoscaler: "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers";
    scaled_object: "keda.sh", "v1alpha1", "ScaledObject", "scaledobjects";
    config_map: "", "v1", "ConfigMap", "configmaps";
    http_route: "gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes";
    grpc_route: "gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes";
    gateway: "gateway.networking.k8s.io", "v1", "Gateway", "gateways";
    gateway_class: "gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses";
}

/// One kind of object, as fresh as it is known here: what the watch has seen, or what a write of ours has returned since.
pub struct Cache {
    resource: ApiResource,
    shelf: Mutex<Shelf>,
    /// kube's scheduler of passes looks objects up in a store of its own; ours are there by name only.
    names: Mutex<store::Writer<Named>>,
    in_sync: watch::Sender<bool>,
    installed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another pass leaves at worst a copy that the watch replaces.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// Empty, of a kind whose objects are found by `keys` and kept without what `slim` takes out.
    pub fn new(resource: ApiResource, keys: Keys, slim: Slim) -> Self {
        let names = Mutex::new(store::Writer::default());
        Self {
            resource,
            shelf: Mutex::new(Shelf::new(keys, slim)),
            names,
            in_sync: watch::channel(false).0,
            installed: AtomicBool::new(true),
        }
    }

    /// Whether the cluster has the kind, so that what is not here does not exist.
    pub fn is_installed(&self) -> bool {
        self.installed.load(Ordering::Acquire)
    }

    /// The cluster has the kind, or lacks it.
    pub fn set_installed(&self, installed: bool) {
        self.installed.store(installed, Ordering::Release);
    }

    /// Names of what is there, for kube's scheduler.
    pub fn names(&self) -> Store<Named> {
        lock(&self.names).as_reader()
    }

    /// The kind.
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// The newest copy.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Snapshot> {
        lock(&self.shelf).get(namespace.unwrap_or_default(), name)
    }

    /// Version of the newest copy.
    pub fn version(&self, namespace: &str, name: &str) -> Option<u64> {
        lock(&self.shelf).version(namespace, name)
    }

    /// The newest copies of all objects of a namespace that are about `key`.
    pub fn about(&self, namespace: &str, key: &str) -> Vec<Snapshot> {
        lock(&self.shelf).about(namespace, key)
    }

    /// Names of all objects of a namespace that are about `key`.
    pub fn names_about(&self, namespace: &str, key: &str) -> Vec<String> {
        lock(&self.shelf).names_about(namespace, key)
    }

    /// Namespaces and names of the objects that have a key like this.
    pub fn everywhere(&self, like: impl Fn(&str) -> bool) -> HashSet<(String, String)> {
        lock(&self.shelf).everywhere(like)
    }

    /// Differs from what it was before if anything of the namespace has changed, final answers of ours aside.
    pub fn stamp(&self, namespace: &str) -> u64 {
        lock(&self.shelf).stamp(namespace)
    }

    /// Namespaces and names of all objects.
    pub fn places(&self) -> Vec<(String, String)> {
        lock(&self.shelf).places()
    }

    /// Remembers what a write of ours returned, unless the watch is past it: an answer that comes after
    /// the watch has told of the object's deletion would stay for ever.
    pub fn wrote(&self, object: DynamicObject) {
        lock(&self.shelf).wrote(object, false);
    }

    /// The same for a write after which nothing is left to be decided: what the watch tells of it is no news.
    pub fn wrote_finally(&self, object: DynamicObject) {
        lock(&self.shelf).wrote(object, true);
    }

    /// A write of this process to an object begins, of which only what is said about the object is changed.
    /// What the watch tells before the write's end concerns nobody else, and is decided upon after it.
    pub fn writing<'a>(&'a self, namespace: &'a str, name: &'a str) -> Writing<'a> {
        lock(&self.shelf).begin_write(namespace, name);
        Writing {
            cache: self,
            namespace,
            name,
            ended: false,
        }
    }

    /// The watch has yet to tell what a write of ours has made of the object.
    pub fn is_behind(&self, namespace: &str, name: &str) -> bool {
        lock(&self.shelf).is_behind(namespace, name)
    }

    /// Takes over what was read from the API server, if the watch lags behind it.
    pub fn freshen(&self, object: DynamicObject) {
        lock(&self.shelf).freshen(object);
    }

    /// Takes in what the watch tells; returns the objects that it concerns.
    pub fn follow(&self, event: Event<DynamicObject>) -> Vec<Snapshot> {
        let listed = matches!(event, Event::InitDone);
        if self.resource == Kinds::rollout() {
            lock(&self.names).apply_watcher_event(&event_of(&event, named));
        }
        let touched = lock(&self.shelf).follow(event);
        if listed {
            self.in_sync.send_replace(true);
        }
        touched
    }

    /// Waits until the watch has listed its objects once.
    pub async fn wait_until_listed(&self) {
        // The sender lives as long as this.
        let _ = self.in_sync.subscribe().wait_for(|in_sync| *in_sync).await;
    }
}

/// A write that is under way.
pub struct Writing<'a> {
    cache: &'a Cache,
    namespace: &'a str,
    name: &'a str,
    ended: bool,
}

impl Writing<'_> {
    /// The write returned this version, and nothing has to follow from it. True if the watch has told of a later change meanwhile.
    pub fn ended(mut self, version: u64) -> bool {
        self.ended = true;
        lock(&self.cache.shelf).end_write(self.namespace, self.name, Some(version))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Whoever failed comes again.
            lock(&self.cache.shelf).end_write(self.namespace, self.name, None);
        }
    }
}

macro_rules! caches {
    ($($(#[$doc:meta])+ $kind:ident,)+) => {
        /// Number of the kinds that are watched.
        pub const KINDS: usize = [$(stringify!($kind)),+].len();

        /// All kinds.
        pub struct Caches {
            $($(#[$doc])+ pub $kind: Cache,)+
        }

        impl Caches {
            /// Every cache.
            pub fn all(&self) -> [&Cache; KINDS] {
                [$(&self.$kind),+]
            }
        }
    };
}

caches! {
    /// CanaryRollouts.
    rollouts,
    /// RolloutActions.
    actions,
    /// MetricSources.
    sources,
    /// Deployments.
    deployments,
    /// ReplicaSets.
    replica_sets,
    /// Services.
    services,
    /// EndpointSlices.
    endpoint_slices,
    /// HorizontalPodAutoscalers.
    autoscalers,
    /// KEDA's ScaledObjects.
    scaled_objects,
    /// ConfigMaps, without their contents.
    config_maps,
    /// HTTPRoutes.
    http_routes,
    /// GRPCRoutes.
    grpc_routes,
    /// Gateways.
    gateways,
    /// GatewayClasses.
    gateway_classes,
}

impl Caches {
    /// Differs from what it was before if anything has changed that a rollout of this namespace can be about, final answers of ours aside.
    pub fn stamp(&self, namespace: &str) -> [u64; KINDS] {
        self.all().map(|cache| {
            let everywhere = [&self.sources, &self.gateways, &self.gateway_classes]
                .iter()
                .any(|wide| std::ptr::eq(*wide, cache));
            let stamp = if everywhere {
                lock(&cache.shelf).stamp_of_all()
            } else if std::ptr::eq(cache, &raw const self.rollouts) {
                // Of other rollouts nobody reads the status; its own version is compared besides.
                lock(&cache.shelf).stamp_of_specs(namespace)
            } else {
                cache.stamp(namespace)
            };
            stamp << 1 | u64::from(cache.is_installed())
        })
    }

    /// Waits until every watch has listed its objects once: before that, everything would seem to be missing.
    pub async fn wait_until_ready(&self) {
        for cache in self.all().into_iter().filter(|cache| cache.is_installed()) {
            cache.wait_until_listed().await;
        }
    }

    /// The cache of a kind that is changed.
    pub fn of(&self, kind: Kind) -> &Cache {
        match kind {
            Kind::Deployment => &self.deployments,
            Kind::ReplicaSet => &self.replica_sets,
            Kind::Service => &self.services,
            Kind::HorizontalPodAutoscaler => &self.autoscalers,
            Kind::ScaledObject => &self.scaled_objects,
            Kind::HttpRoute => &self.http_routes,
            Kind::GrpcRoute => &self.grpc_routes,
        }
    }
}

#[cfg(test)]
impl Caches {
    /// Empty ones that no watch fills.
    pub fn empty() -> Self {
        let nothing = |resource| Cache::new(resource, |_| Vec::new(), |_| {});
        Self {
            rollouts: Cache::new(Kinds::rollout(), super::keys::rollout, |_| {}),
            actions: nothing(Kinds::action()),
            sources: nothing(Kinds::source()),
            deployments: nothing(Kinds::deployment()),
            replica_sets: nothing(Kinds::replica_set()),
            services: nothing(Kinds::service()),
            endpoint_slices: nothing(Kinds::endpoint_slice()),
            autoscalers: Cache::new(Kinds::autoscaler(), super::keys::autoscaler, |_| {}),
            scaled_objects: nothing(Kinds::scaled_object()),
            config_maps: nothing(Kinds::config_map()),
            http_routes: nothing(Kinds::http_route()),
            grpc_routes: nothing(Kinds::grpc_route()),
            gateways: nothing(Kinds::gateway()),
            gateway_classes: nothing(Kinds::gateway_class()),
        }
    }
}

/// Whether the process may be sent work: all watches are in sync.
#[derive(Clone)]
pub struct Readiness(Arc<watch::Sender<bool>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }
}

impl Readiness {
    /// All watches are in sync.
    pub fn set_ready(&self) {
        self.0.send_replace(true);
    }
    /// Whether they are.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }
}

/// Labels of a dynamic object that belong to the thing it is about.
pub fn controller_uid(object: &DynamicObject) -> Option<&str> {
    object
        .meta()
        .owner_references
        .as_ref()?
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}
