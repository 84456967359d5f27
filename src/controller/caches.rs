//! What the watches have seen, and what our own writes have returned since.
//!
//! A watch lags behind a write by some milliseconds. Whoever decided on the older copy in between
//! would take his own write for somebody else's, so the answer of every write is kept until the
//! watch has caught up.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kube::{
    Resource, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::reflector::{ObjectRef, Store},
};
use tokio::sync::watch;

use crate::{api, engine::action::Kind};

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
    http_route: "gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes";
    gateway: "gateway.networking.k8s.io", "v1", "Gateway", "gateways";
    gateway_class: "gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses";
}

/// One kind of object, as fresh as it is known here.
pub struct Cache {
    resource: ApiResource,
    store: Store<DynamicObject>,
    written: std::sync::Mutex<HashMap<ObjectRef<DynamicObject>, Arc<DynamicObject>>>,
    /// The newest version that the watch has told of; it tells of all changes of a kind in order.
    newest: AtomicU64,
}

fn version(object: &DynamicObject) -> u64 {
    object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

impl Cache {
    /// Over what a watch fills.
    pub fn new(resource: ApiResource, store: Store<DynamicObject>) -> Self {
        Self { resource, store, written: std::sync::Mutex::default(), newest: AtomicU64::new(0) }
    }

    /// The watch's own store.
    pub fn store(&self) -> Store<DynamicObject> {
        self.store.clone()
    }

    /// The kind.
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    fn written(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef<DynamicObject>, Arc<DynamicObject>>> {
        // A panic of another pass leaves at worst an entry that the watch replaces.
        self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The newest copy.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Arc<DynamicObject>> {
        let mut key = ObjectRef::new_with(name, self.resource.clone());
        key.namespace = namespace.map(str::to_owned);
        let seen = self.store.get(&key);
        let written = self.written().get(&key).cloned();
        match (seen, written) {
            (Some(seen), Some(written)) => Some(if version(&written) > version(&seen) { written } else { seen }),
            (seen, written) => seen.or(written),
        }
    }

    /// The newest copies of all objects that `wanted` selects.
    pub fn select(&self, wanted: impl Fn(&DynamicObject) -> bool) -> Vec<Arc<DynamicObject>> {
        let mut found: HashMap<ObjectRef<DynamicObject>, Arc<DynamicObject>> =
            self.store.state().into_iter().map(|object| (ObjectRef::from_obj_with(&*object, self.resource.clone()), object)).collect();
        for (key, object) in self.written().iter() {
            if found.get(key).is_none_or(|seen| version(seen) < version(object)) {
                found.insert(key.clone(), object.clone());
            }
        }
        let mut found: Vec<_> = found.into_values().filter(|object| wanted(object)).collect();
        found.sort_by_key(|object| object.name_any());
        found
    }

    /// Remembers what a write of ours returned, unless the watch is past it: an answer that comes after
    /// the watch has told of the object's deletion would stay for ever.
    pub fn wrote(&self, object: DynamicObject) {
        let mut written = self.written();
        if version(&object) <= self.newest.load(Ordering::SeqCst) {
            return;
        }
        let key = ObjectRef::from_obj_with(&object, self.resource.clone());
        written.insert(key, Arc::new(object));
    }

    /// The watch has told of this copy, or of its deletion, and of everything before.
    pub fn caught_up(&self, object: &DynamicObject) {
        let seen = version(object);
        let mut written = self.written();
        self.newest.fetch_max(seen, Ordering::SeqCst);
        written.retain(|_, kept| version(kept) > seen);
    }

    /// Forgets what was written: the object is gone.
    pub fn deleted(&self, namespace: &str, name: &str) {
        let mut key = ObjectRef::new_with(name, self.resource.clone());
        key.namespace = Some(namespace.to_owned());
        self.written().remove(&key);
    }
}

/// All kinds.
pub struct Caches {
    /// CanaryRollouts.
    pub rollouts: Cache,
    /// RolloutActions.
    pub actions: Cache,
    /// MetricSources.
    pub sources: Cache,
    /// Deployments.
    pub deployments: Cache,
    /// ReplicaSets.
    pub replica_sets: Cache,
    /// Services.
    pub services: Cache,
    /// EndpointSlices.
    pub endpoint_slices: Cache,
    /// HTTPRoutes.
    pub http_routes: Cache,
    /// Gateways.
    pub gateways: Cache,
    /// GatewayClasses.
    pub gateway_classes: Cache,
}

impl Caches {
    /// Every cache.
    pub fn all(&self) -> [&Cache; 10] {
        let Self { rollouts, actions, sources, deployments, replica_sets, services, endpoint_slices, http_routes, gateways, gateway_classes } = self;
        [rollouts, actions, sources, deployments, replica_sets, services, endpoint_slices, http_routes, gateways, gateway_classes]
    }

    /// Waits until every watch has listed its objects once: before that, everything would seem to be missing.
    pub async fn wait_until_ready(&self) {
        for cache in self.all() {
            while cache.store.wait_until_ready().await.is_err() {
                tracing::error!(kind = cache.resource.kind, "the watch ended before its first list");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }

    /// The cache of a kind that is changed.
    pub fn of(&self, kind: Kind) -> &Cache {
        match kind {
            Kind::Deployment => &self.deployments,
            Kind::ReplicaSet => &self.replica_sets,
            Kind::Service => &self.services,
            Kind::HttpRoute => &self.http_routes,
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
    object.meta().owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}
