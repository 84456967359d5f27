//! A CanaryRollout as it was read: what programs are shown untouched, and its status as far as it can be read.

use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams},
    core::ApiResource,
};

use super::connect::Cluster;
use crate::api::{
    CanaryRollout, CanaryRolloutSpec, CanaryRolloutStatus, GROUP, Plan,
    condition::ConditionType,
    status::{Outcome, Run},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A CanaryRollout that was read.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// As the API server has it.
    pub object: DynamicObject,
    /// Its status; empty before the controller has written one, or why it cannot be read.
    pub status: Result<CanaryRolloutStatus, String>,
    /// Its spec, or why it is not valid.
    pub plan: Result<Plan, String>,
}

impl Rollout {
    /// Reads what it can of an object.
    pub fn new(object: DynamicObject) -> Self {
        let status = match object.data.get("status").filter(|status| !status.is_null()) {
            None => Ok(CanaryRolloutStatus::default()),
            Some(status) => serde_path_to_error::deserialize(status).map_err(|error| {
                format!("its status cannot be read: {error}; a newer version of Warmfront may have written it: upgrade kubectl-canary")
            }),
        };
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let plan =
            CanaryRolloutSpec::read(&spec).and_then(|spec| Plan::try_from(&spec).map_err(|error| error.to_string()));
        Self { object, status, plan }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.object.name_any()
    }

    /// Its namespace.
    pub fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    /// When it was created.
    pub fn created(&self) -> Option<Timestamp> {
        self.object.creation_timestamp().map(|time| time.0)
    }

    /// Whether the controller has not seen the spec as it is now.
    pub fn is_unseen(&self) -> bool {
        let seen = self.status.as_ref().ok().and_then(|status| status.observed_generation);
        seen < self.object.metadata.generation
    }
}

/// Finds a condition of a status.
pub fn condition(status: &CanaryRolloutStatus, kind: ConditionType) -> Option<&Condition> {
    let name: &'static str = kind.into();
    status.conditions.iter().find(|condition| condition.type_ == name)
}

/// How the run has ended, if it has.
pub fn outcome(run: Option<&Run>) -> Option<Outcome> {
    run.and_then(|run| run.outcome)
}

/// The kind.
pub fn resource() -> ApiResource {
    ApiResource::erase::<CanaryRollout>(&())
}

/// What `-o name` prints of a rollout.
pub fn path(name: &str) -> String {
    format!("canaryrollout.{GROUP}/{name}")
}

/// The rollouts of the cluster's chosen namespace.
pub fn api(cluster: &Cluster) -> Api<DynamicObject> {
    Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource())
}

/// The rollouts of all namespaces.
pub fn api_of_all(cluster: &Cluster) -> Api<DynamicObject> {
    Api::all_with(cluster.client.clone(), &resource())
}

/// Reads one. Where there is none of that name, the error names those that there are.
pub async fn get(cluster: &Cluster, name: &str) -> anyhow::Result<Rollout> {
    let api = api(cluster);
    let namespace = &cluster.namespace;
    let tried = format!("reading CanaryRollout {namespace}/{name}");
    if let Some(object) = cluster.ask(&tried, api.get_opt(name)).await? {
        return Ok(Rollout::new(object));
    }
    let some = ListParams::default().limit(8);
    let others = cluster.ask(&tried, api.list_metadata(&some)).await?;
    let names: Vec<String> = others.items.iter().map(kube::ResourceExt::name_any).collect();
    let there = if names.is_empty() {
        format!("namespace {namespace} has none; name another namespace with -n, or look with `kubectl canary list -A`")
    } else {
        format!("namespace {namespace} has {}", names.join(", "))
    };
    anyhow::bail!("there is no CanaryRollout {namespace}/{name}: {there}")
}
