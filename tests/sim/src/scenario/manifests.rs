//! What Git has, and applies again piece by piece; what others make of Services, who also prune.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Given, Run,
    deed::{CANARY_SERVICE, What},
    given::{CANDIDATE, GIT, NAME, NAMESPACE},
};
use crate::{
    apiserver::{
        kinds::Kind,
        lock,
        store::{Store, by},
    },
    world::text,
};

/// Label by which `kubectl apply --applyset --prune` knows its own objects.
const APPLYSET: &str = "applyset.kubernetes.io/part-of";

/// The owner's manifests.
pub struct Manifests {
    /// The Deployment that is released.
    pub deployment: Value,
    /// The app's Service.
    pub service: Value,
    /// The route.
    pub route: Value,
}

impl Manifests {
    /// As they are at the beginning.
    pub fn new(given: &Given) -> Self {
        Self {
            deployment: given.deployment_of(given.released(), if given.pair { "v2" } else { "v1" }),
            service: given.service(),
            route: given.route(),
        }
    }
}

/// Changes of the owner's manifests: each is laid over what stands there, lists whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Commit {
    /// Of the Deployment.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub deployment: Value,
    /// Of the Service.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub service: Value,
    /// Of the route.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub route: Value,
}

impl Run {
    /// The manifests say something else from now on; nothing is applied.
    pub(super) fn commit(&mut self, commit: &Commit) {
        let manifests = &mut self.manifests;
        for (manifest, change) in [
            (&mut manifests.deployment, &commit.deployment),
            (&mut manifests.service, &commit.service),
            (&mut manifests.route, &commit.route),
        ] {
            if !change.is_null() {
                json_patch::merge(manifest, change);
            }
        }
    }

    /// A forced apply: every field of the manifest is as in Git, lists and selectors whole.
    pub(super) fn reapply(&mut self, what: What) -> anyhow::Result<()> {
        let (kind, namespace, name) = what.key();
        let manifest = match what {
            What::Deployment => self.manifests.deployment.clone(),
            What::Service => self.manifests.service.clone(),
            What::Route => self.manifests.route.clone(),
            What::Rollout => json!({"spec": self.given.spec()}),
            What::SecondRollout
            | What::Candidate
            | What::CanaryService
            | What::Source
            | What::ScaledObject
            | What::HoldPolicy
            | What::HoldBinding
            | What::Config
            | What::Namespace => {
                anyhow::bail!("only Deployment, Service, route and rollout are applied again")
            }
        };
        let applied = lock(&self.cluster)
            .store
            .update(kind, namespace, name, by(GIT), |object| {
                if what == What::Service {
                    object["spec"]["selector"] = manifest["spec"]["selector"].clone();
                }
                json_patch::merge(object, &manifest);
                Ok(())
            });
        applied.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    /// Another hand changes a Service; one that is not there is left alone.
    pub(super) fn edit_service(&self, name: &str, patch: &json_patch::Patch) -> anyhow::Result<()> {
        let store = &mut lock(&self.cluster).store;
        let Some(service) = store.get(Kind::Service, NAMESPACE, name) else {
            return Ok(());
        };
        let mut edited = (*service).clone();
        json_patch::patch(&mut edited, patch)?;
        let changed = store.update(Kind::Service, NAMESPACE, name, by("kubectl-edit"), |object| {
            *object = edited.clone();
            Ok(())
        });
        changed.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    /// Deletes the Services that have the label of an applyset and stand in no manifest.
    pub(super) fn prune(&self) -> anyhow::Result<()> {
        let store = &mut lock(&self.cluster).store;
        let services = store.list(Kind::Service, Some(NAMESPACE)).into_iter();
        let marked = services.filter(|service| service["metadata"]["labels"].get(APPLYSET).is_some());
        let names: Vec<String> = marked
            .map(|service| text(&service, "/metadata/name").to_owned())
            .collect();
        for name in names.iter().filter(|name| *name != NAME && *name != CANDIDATE) {
            store
                .delete(Kind::Service, NAMESPACE, name, None, by("kubectl-applyset"))
                .map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        }
        Ok(())
    }
}

/// What of the new version's Service and of its entries in the route is not as with the app's own: their ports.
pub fn unlike(store: &Store) -> Vec<String> {
    let get = |kind, name| store.get(kind, NAMESPACE, name).unwrap_or_default();
    let ports = [NAME, CANARY_SERVICE].map(|name| get(Kind::Service, name)["spec"]["ports"].clone());
    let mut found = Vec::new();
    if ports[0] != ports[1] {
        found.push(format!(
            "the canary's Service has the ports {}, not {}",
            ports[1], ports[0]
        ));
    }
    let route = get(Kind::HttpRoute, NAME);
    for rule in route["spec"]["rules"].as_array().into_iter().flatten() {
        let port = |name: &str| {
            let backends = rule["backendRefs"].as_array()?;
            backends.iter().find(|backend| backend["name"] == name)?["port"].as_i64()
        };
        if port(NAME) != port(CANARY_SERVICE) {
            found.push(format!(
                "the canary's entry has port {:?}, not {:?}",
                port(CANARY_SERVICE),
                port(NAME)
            ));
        }
    }
    found
}

/// The Service of an app, as its owner has it.
pub fn service_of(app: &str) -> Value {
    json!({"metadata": {"name": app, "labels": {"app": app}}, "spec": {"type": "ClusterIP", "selector": {"app": app}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}})
}
