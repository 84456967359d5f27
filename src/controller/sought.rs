//! Whether any rollout seeks an object: of the others nothing is kept, however many a cluster holds.
//!
//! An object is found by keys, those of `look::keys`, under which the caches file the rollouts that seek it.

use std::collections::HashSet;

use kube::{ResourceExt, api::DynamicObject};

use super::{
    caches::Cache,
    kinds::{Caches, Concerns, Row, Watched},
    list::Query,
};
use crate::{
    api::{ROLLOUT_LABEL, traffic::RouteKind},
    kubernetes::json::string_map,
    look::keys::{self, ANY},
    router::RouteId,
    workload::autoscaler::AutoscalerKind,
};

/// Tells the keys of an object.
pub type Keys = fn(&DynamicObject) -> Vec<String>;

/// Which objects of a kind are kept, and whom a change of one concerns.
#[derive(Clone, Copy)]
pub enum Sought {
    /// All: there are few.
    All(Concerns),
    /// Those in namespaces that have a rollout; whom one concerns is found by its keys.
    InNamespace(Keys),
    /// The same for what Deployments name: it concerns their rollouts.
    ByDeployments(Keys),
    /// Those that rollouts find by a key; keys of rollouts that begin like this find objects of the kind.
    ByKey(Keys, &'static [&'static str]),
}

impl Sought {
    /// The keys by which those find an object whom it concerns.
    pub fn keys(self, object: &DynamicObject) -> Vec<String> {
        match self {
            Self::All(_) => Vec::new(),
            Self::InNamespace(keys) | Self::ByDeployments(keys) | Self::ByKey(keys, _) => keys(object),
        }
    }

    /// The keys by which an object is sought; one that nobody seeks by any of them is not kept.
    pub fn sought_by(self, object: &DynamicObject) -> Vec<String> {
        match self {
            Self::All(_) => Vec::new(),
            Self::InNamespace(_) | Self::ByDeployments(_) => vec![ANY.to_owned()],
            Self::ByKey(keys, _) => keys(object),
        }
    }

    /// Whether anybody seeks an object.
    pub fn is_sought(self, caches: &Caches, object: &DynamicObject) -> bool {
        if let Self::All(_) = self {
            return true;
        }
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let by = self.sought_by(object);
        by.iter().any(|key| caches.rollouts.has_about(namespace, key))
    }

    /// Whether a rollout with this key seeks objects of the kind by it.
    fn serves(self, key: &str) -> bool {
        match self {
            Self::All(_) => false,
            Self::InNamespace(_) | Self::ByDeployments(_) => key == ANY,
            Self::ByKey(_, prefixes) => prefixes.iter().any(|prefix| key.starts_with(prefix)),
        }
    }
}

impl Caches {
    /// By which keys objects of a kind are sought, each with its namespace.
    pub fn seeking(&self, row: &Row) -> HashSet<(String, String)> {
        if let Sought::All(_) = row.sought {
            return HashSet::new();
        }
        self.rollouts.keys_like(|key| row.sought.serves(key))
    }

    /// What a rollout of the namespace with these keys seeks and is not known to be here: caches, and the keys by which it does.
    pub fn missing(&self, namespace: &str, keys: &[String]) -> Vec<(&Cache, String)> {
        let mut missing = Vec::new();
        for cache in self.all().into_iter().filter(|cache| cache.is_installed()) {
            let sought = keys.iter().filter(|key| cache.row().sought.serves(key));
            let unknown = sought.filter(|key| !cache.is_complete(namespace, key));
            missing.extend(unknown.map(|key| (cache, key.clone())));
        }
        missing
    }

    /// What has the API server list all objects of a kind that are sought by a key, and not many others.
    pub fn query(&self, row: &Row, namespace: &str, key: &str) -> Query {
        let name = key.rsplit('/').next().unwrap_or_default();
        let by_name = Some(format!("metadata.name={name}"));
        let of_deployment = || {
            let deployment = self.deployments.get(Some(namespace), name)?;
            let labels = string_map(&deployment.data, "/spec/selector/matchLabels");
            let terms: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            (!terms.is_empty()).then(|| terms.join(","))
        };
        let (labels, fields) = match (row.plural, key.split('/').next()) {
            ("deployments" | "httproutes" | "grpcroutes", _) => (None, by_name),
            ("endpointslices", _) => (Some(format!("{}={name}", keys::SERVICE_NAME)), None),
            ("replicasets", Some("held")) => (Some(format!("{ROLLOUT_LABEL}={name}")), None),
            // A Deployment owns those that answer its selector.
            ("replicasets", _) => (of_deployment(), None),
            _ => (None, None),
        };
        Query {
            namespace: Some(namespace.to_owned()),
            metadata_only: row.watched == Watched::Metadata,
            labels,
            fields,
            ..Query::all(row.resource())
        }
    }
}

pub(super) fn deployment(deployment: &DynamicObject) -> Vec<String> {
    vec![keys::deployment(&deployment.name_any())]
}

pub(super) fn replica_set(set: &DynamicObject) -> Vec<String> {
    let held = set.labels().get(ROLLOUT_LABEL).map(|rollout| keys::held_by(rollout));
    let owners = set.owner_references().iter();
    let mut found: Vec<String> = owners
        .filter(|owner| owner.kind == "Deployment")
        .map(|owner| keys::deployment(&owner.name))
        .chain(held)
        .collect();
    if found.is_empty() {
        // One that was given away and not yet adopted has neither mark; its name begins with the Deployment's.
        let name = set.name_any();
        let prefixes = name.match_indices('-').map(|(end, _)| &name[..end]);
        found.extend(prefixes.map(keys::deployment));
    }
    found
}

pub(super) fn service(service: &DynamicObject) -> Vec<String> {
    vec![keys::service(&service.name_any())]
}

pub(super) fn endpoint_slice(slice: &DynamicObject) -> Vec<String> {
    let service = slice.labels().get(keys::SERVICE_NAME);
    service.map(|name| keys::service(name)).into_iter().collect()
}

pub(super) fn autoscaler(scaler: &DynamicObject) -> Vec<String> {
    scaler_of(AutoscalerKind::HorizontalPodAutoscaler, scaler)
}

pub(super) fn scaled_object(scaler: &DynamicObject) -> Vec<String> {
    scaler_of(AutoscalerKind::ScaledObject, scaler)
}

fn scaler_of(kind: AutoscalerKind, scaler: &DynamicObject) -> Vec<String> {
    let scaled = kind.target(&scaler.data);
    scaled.map(|name| keys::deployment(&name)).into_iter().collect()
}

pub(super) fn config_map(config: &DynamicObject) -> Vec<String> {
    vec![config.name_any()]
}

pub(super) fn http_route(route: &DynamicObject) -> Vec<String> {
    of_route(RouteKind::Http, route)
}

pub(super) fn grpc_route(route: &DynamicObject) -> Vec<String> {
    of_route(RouteKind::Grpc, route)
}

fn of_route(kind: RouteKind, route: &DynamicObject) -> Vec<String> {
    let id = RouteId {
        kind,
        name: route.name_any(),
    };
    vec![keys::route(&id.key())]
}
