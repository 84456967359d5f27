//! What happens in a scenario: what users, Git tools, nodes, gateways and crashes do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Run,
    deployment_hands::Manifest,
    given::{CANDIDATE, NAME, NAMESPACE, SECOND, config, create},
    manifests::Commit,
};
use crate::{
    access::Fault,
    apiserver::{
        kinds::Kind,
        lock,
        refused::Refuse,
        store::{Store, admission::POLICY, by},
    },
    witness::past::Trouble,
    world::{controller, keda, replica_set, text},
};

/// Name of the new version's Service where the rollout names none.
pub const CANARY_SERVICE: &str = "catalog-canary";
/// Watches that broke off are open again after this time.
const REOPENED: Duration = Duration::from_secs(2);

/// One thing that happens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Deed {
    /// A version is applied; of a pair's candidate.
    Apply(String),
    /// A version of a pair's baseline is applied.
    ApplyBaseline(String),
    /// A version and a size are applied in one go.
    ApplyWith {
        /// Tag of the image.
        version: String,
        /// Wanted pods.
        replicas: i64,
    },
    /// The Deployment is scaled.
    Scale(i64),
    /// Only labels and annotations of the Deployment change.
    Label,
    /// Somebody unpauses the Deployment.
    Unpause,
    /// A manager sets `paused: false` of the Deployment, and nothing else.
    UnpauseAs(String),
    /// Another hand takes our label off the Deployment.
    Unlabel,
    /// kubectl applies a manifest of the app from its own side.
    ApplyFromKubectl(Manifest),
    /// A RolloutAction is created.
    Act(Act),
    /// The rollout's spec is changed: keys replace those of the spec, null removes one.
    Spec(Value),
    /// Something is deleted.
    Delete(What),
    /// Something that was deleted, or never was there, is applied.
    Create(What),
    /// The owner's manifests say something else from now on; `reapply` brings each into the cluster.
    Commit(Commit),
    /// A Git tool applies its manifest, as it is now.
    Reapply(What),
    /// A Git tool deletes the Services that have its label and stand in no manifest.
    Prune,
    /// Another hand changes the app's Service: a JSON Patch.
    EditService(json_patch::Patch),
    /// Another hand changes the new version's Service, if it is there: a JSON Patch.
    EditCanaryService(json_patch::Patch),
    /// Pods are lost at once, as with their node.
    LosePods(Side),
    /// The ReplicaSet of these pods is deleted, if there is one.
    DeleteReplicaSet(Side),
    /// A node on which these pods ran is lost: they are not ready from now on, and others come in their place after
    /// `nodeReplacedAfter`.
    LoseNode(Vec<Side>),
    /// The world behaves differently: laid over the scenario's `world`.
    World(Value),
    /// The ConfigMap that the app reads says something else.
    Configure(String),
    /// The ConfigMap is written again with this label, and says the same.
    LabelConfig(String),
    /// Another hand sets the minimum of the HorizontalPodAutoscaler, be it the app's own or the one that KEDA keeps.
    SetMinimum(i64),
    /// Its owner sets the maximum of the HorizontalPodAutoscaler.
    SetMaximum(i64),
    /// Another hand sets the minimum of the ScaledObject; null leaves it out.
    SetMinReplicaCount(Option<i64>),
    /// Another hand writes the new version's share into the route.
    SetWeight(i64),
    /// Another hand changes the route: a JSON Patch.
    EditRoute(json_patch::Patch),
    /// Another hand, or a newer version, writes into the rollout's status: a JSON Patch.
    EditStatus(json_patch::Patch),
    /// Writes of the controller are refused for a while.
    Refuse(Refuse),
    /// The controller's place is taken by one that gives every workload back.
    Uninstall,
    /// It is taken by an ordinary one again.
    Install,
    /// The controller dies.
    Crash,
    /// The controller dies at its next call to the API server, after it was carried out.
    CrashAfterNextCall,
    /// All watches of the controller break off.
    BreakWatches,
    /// Another hand writes into an object's managedFields what kube's own types cannot read.
    Poison(What),
}

/// A RolloutAction.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Act {
    /// What is asked.
    pub action: String,
    /// Only at this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// So many are created at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<usize>,
}

/// An object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the objects' own names")]
pub enum What {
    Rollout,
    /// A second rollout of the same app.
    SecondRollout,
    Deployment,
    Candidate,
    Service,
    /// The new version's Service, which Warmfront makes.
    CanaryService,
    Route,
    Source,
    /// The ScaledObject, and KEDA with it if the cluster has none.
    ScaledObject,
    /// The policy by which the API server holds changed templates.
    HoldPolicy,
    /// Its binding.
    HoldBinding,
    Namespace,
    /// The ConfigMap that the app reads, if it reads one.
    Config,
}

/// Whose pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// The new version's.
    Canary,
    /// One of the new version's.
    OneCanary,
    /// The serving version's.
    Stable,
    /// One of the serving version's.
    OneStable,
}

impl What {
    pub(super) fn key(self) -> (Kind, &'static str, &'static str) {
        match self {
            Self::Rollout => (Kind::CanaryRollout, NAMESPACE, NAME),
            Self::SecondRollout => (Kind::CanaryRollout, NAMESPACE, SECOND),
            Self::Deployment => (Kind::Deployment, NAMESPACE, NAME),
            Self::Candidate => (Kind::Deployment, NAMESPACE, CANDIDATE),
            Self::Service => (Kind::Service, NAMESPACE, NAME),
            Self::CanaryService => (Kind::Service, NAMESPACE, CANARY_SERVICE),
            Self::Route => (Kind::HttpRoute, NAMESPACE, NAME),
            Self::ScaledObject => (Kind::ScaledObject, NAMESPACE, NAME),
            Self::Source => (Kind::MetricSource, "", "default"),
            Self::HoldPolicy => (Kind::HoldPolicy, "", POLICY),
            Self::HoldBinding => (Kind::HoldBinding, "", POLICY),
            Self::Namespace => (Kind::Namespace, "", NAMESPACE),
            Self::Config => (Kind::ConfigMap, NAMESPACE, NAME),
        }
    }
}

impl Run {
    /// Does it.
    pub fn perform(&mut self, deed: &Deed) -> anyhow::Result<()> {
        let what = serde_json::to_string(deed)?;
        lock(&self.cluster).witness.note(Instant::now(), format!("▸ {what}"));
        self.carry_out(deed).map_err(|error| error.context(what))
    }

    fn carry_out(&mut self, deed: &Deed) -> anyhow::Result<()> {
        match deed {
            Deed::Apply(version) => self.deployment(&json!({"spec": {"template": self.given.template(self.given.released(), version)}})),
            Deed::ApplyBaseline(version) => self.merge(Kind::Deployment, NAME, &json!({"spec": {"template": self.given.template(NAME, version)}}), false),
            Deed::ApplyWith { version, replicas } => {
                self.deployment(&json!({"spec": {"template": self.given.template(self.given.released(), version), "replicas": replicas}}))
            }
            Deed::Scale(replicas) => self.deployment(&json!({"spec": {"replicas": replicas}})),
            Deed::Label => self.deployment(&json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"note": "hello"}}})),
            Deed::Unpause => self.deployment(&json!({"spec": {"paused": null}})),
            Deed::UnpauseAs(manager) => self.unpause_as(manager),
            Deed::Unlabel => self.unlabel(),
            Deed::ApplyFromKubectl(manifest) => self.apply_from_kubectl(manifest),
            Deed::Act(act) => self.act(act),
            Deed::Spec(change) => self.merge(Kind::CanaryRollout, NAME, &json!({"spec": change}), true),
            Deed::Delete(what) => {
                let (kind, namespace, name) = what.key();
                let there = lock(&self.cluster).store.get(kind, namespace, name).is_some();
                if *what == What::CanaryService && !there {
                    // It comes and goes with releases.
                    return Ok(());
                }
                lock(&self.cluster).store.delete(kind, namespace, name, None, by("kubectl")).map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
            }
            Deed::Create(what) => self.create(*what),
            Deed::Commit(commit) => {
                self.commit(commit);
                Ok(())
            }
            Deed::Reapply(what) => self.reapply(*what),
            Deed::Prune => self.prune(),
            Deed::EditService(patch) => self.edit_service(NAME, patch),
            Deed::EditCanaryService(patch) => self.edit_service(CANARY_SERVICE, patch),
            Deed::LosePods(side) => {
                self.lose_pods(*side);
                Ok(())
            }
            Deed::DeleteReplicaSet(side) => self.delete_set(*side),
            Deed::LoseNode(sides) => {
                for side in sides {
                    self.lose_node(*side)?;
                }
                Ok(())
            }
            Deed::World(change) => {
                let mut cluster = lock(&self.cluster);
                let mut settings = serde_json::to_value(&cluster.settings)?;
                json_patch::merge(&mut settings, change);
                cluster.settings = serde_json::from_value(settings)?;
                let settings = cluster.settings.clone();
                cluster.witness.past.behaves(Instant::now(), &settings);
                cluster.see_traffic(Instant::now());
                // Whoever waits looks again.
                cluster.poked = true;
                cluster.store.poke();
                Ok(())
            }
            Deed::Configure(says) => self.merge(Kind::ConfigMap, NAME, &config(says), false),
            Deed::LabelConfig(label) => self.merge(Kind::ConfigMap, NAME, &json!({"metadata": {"labels": {"label": label}}}), false),
            Deed::SetMinimum(least) => self.scaler(&json!({"minReplicas": least})),
            Deed::SetMaximum(most) => self.scaler(&json!({"maxReplicas": most})),
            Deed::SetMinReplicaCount(least) => self.merge(Kind::ScaledObject, NAME, &json!({"spec": {"minReplicaCount": least}}), false),
            Deed::SetWeight(percent) => self.set_weight(*percent),
            Deed::EditRoute(patch) => self.edit_route(patch),
            Deed::EditStatus(patch) => self.edit_status(patch),
            Deed::Refuse(refuse) => {
                let (now, mut cluster) = (Instant::now(), lock(&self.cluster));
                let refused = refuse.begin(now)?;
                let length = Duration::from_secs_f64(refuse.length + refuse.after.unwrap_or_default());
                cluster.witness.past.trouble(refused.trouble(), now, length);
                if refuse.after.is_some() {
                    cluster.witness.past.trouble(Trouble::Slow, now, length);
                }
                cluster.refused.push(refused);
                Ok(())
            }
            Deed::Uninstall | Deed::Install => {
                lock(&self.cluster).uninstalls = matches!(deed, Deed::Uninstall);
                self.controller.current().kill();
                Ok(())
            }
            Deed::Crash => {
                self.controller.current().kill();
                Ok(())
            }
            Deed::CrashAfterNextCall => {
                self.controller.current().fail_next(Fault::DiesAfter);
                Ok(())
            }
            Deed::BreakWatches => {
                self.controller.current().drop_watches();
                lock(&self.cluster).witness.past.trouble(Trouble::Blind, Instant::now(), REOPENED);
                Ok(())
            }
            Deed::Poison(what) => self.poison(*what),
        }
    }

    fn merge(&self, kind: Kind, name: &str, change: &Value, shallow: bool) -> anyhow::Result<()> {
        let mut cluster = lock(&self.cluster);
        let changed = cluster.store.update(kind, NAMESPACE, name, by("kubectl"), |object| {
            match (shallow, change["spec"].as_object()) {
                (true, Some(keys)) => {
                    for (key, value) in keys {
                        object["spec"][key] = value.clone();
                    }
                    if let Some(spec) = object["spec"].as_object_mut() {
                        spec.retain(|_, value| !value.is_null());
                    }
                }
                _ => json_patch::merge(object, change),
            }
            Ok(())
        });
        changed.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    fn poison(&self, what: What) -> anyhow::Result<()> {
        let (kind, namespace, name) = what.key();
        let mut nested = json!({});
        for _ in 0..130 {
            nested = json!({"f:a": nested});
        }
        let poison = json!([
            {"manager": "poison", "operation": "Update", "time": "9999-12-31T23:59:59Z", "fieldsV1": {}},
            {"manager": "poison", "operation": "Apply", "time": "2020-01-01T00:00:00Z", "fieldsV1": nested},
        ]);
        let poisoned = lock(&self.cluster)
            .store
            .update(kind, namespace, name, by("poison"), |object| {
                object["metadata"]["managedFields"] = poison;
                Ok(())
            });
        poisoned.map(|_| ()).map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    fn deployment(&mut self, change: &Value) -> anyhow::Result<()> {
        json_patch::merge(&mut self.manifests.deployment, change);
        self.merge(Kind::Deployment, self.given.released(), change, false)
    }

    fn act(&mut self, act: &Act) -> anyhow::Result<()> {
        let mut spec = serde_json::to_value(Act {
            times: None,
            ..act.clone()
        })?;
        spec["rollout"] = json!(NAME);
        for _ in 0..act.times.unwrap_or(1) {
            self.acts += 1;
            let name = format!("{}-{}", act.action.to_lowercase(), self.acts);
            let action = json!({"metadata": {"name": name}, "spec": spec});
            let created = lock(&self.cluster)
                .store
                .create(Kind::RolloutAction, NAMESPACE, action, by("kubectl"));
            created.map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        }
        Ok(())
    }

    fn create(&mut self, what: What) -> anyhow::Result<()> {
        let (kind, namespace, _) = what.key();
        let object = match what {
            What::Rollout => json!({"metadata": {"name": NAME}, "spec": self.given.spec()}),
            What::SecondRollout => json!({"metadata": {"name": SECOND}, "spec": self.given.second_spec()}),
            What::Deployment if self.given.pair => self.given.deployment("v1"),
            What::Deployment | What::Candidate => self.manifests.deployment.clone(),
            What::Service => self.manifests.service.clone(),
            What::CanaryService => anyhow::bail!("Warmfront makes it"),
            What::Config => anyhow::bail!("`given.config` makes it"),
            What::Route => self.manifests.route.clone(),
            What::Source => self.given.source(),
            What::ScaledObject => self.given.scaled_object(),
            What::HoldPolicy => Store::policy(),
            What::HoldBinding => Store::binding(),
            What::Namespace => json!({"metadata": {"name": NAMESPACE}}),
        };
        let store = &mut lock(&self.cluster).store;
        store.install(kind);
        create(store, kind, namespace, object)
            .map(|_| ())
            .ok_or_else(|| anyhow::anyhow!("it stands already"))
    }

    /// Another hand writes bounds of the HorizontalPodAutoscaler.
    fn scaler(&self, bounds: &Value) -> anyhow::Result<()> {
        let kept = self.given.scaled_object.is_some().then(|| keda::kept_for(NAME));
        let name = kept.unwrap_or_else(|| NAME.to_owned());
        self.merge(Kind::HorizontalPodAutoscaler, &name, &json!({"spec": bounds}), false)
    }

    /// Revision of a side's pods; empty where there is none.
    pub(super) fn hash_of(&self, side: Side) -> String {
        let status = self.status().unwrap_or_default();
        match side {
            Side::Stable | Side::OneStable => status.stable_revision.unwrap_or_default(),
            Side::Canary | Side::OneCanary => status.run.map(|run| run.revision).unwrap_or_default(),
        }
    }

    /// Names of pods.
    fn pods_of(&self, side: Side) -> Vec<String> {
        let hash = self.hash_of(side);
        let pods = lock(&self.cluster).store.list(Kind::Pod, Some(NAMESPACE));
        let of = pods
            .iter()
            .filter(|pod| text(pod, "/metadata/labels/pod-template-hash") == hash && controller(pod).is_some());
        let number = if matches!(side, Side::OneCanary | Side::OneStable) {
            1
        } else {
            pods.len()
        };
        of.take(number)
            .map(|pod| text(pod, "/metadata/name").to_owned())
            .collect()
    }

    fn lose_pods(&mut self, side: Side) {
        let lost = self.pods_of(side);
        let mut cluster = lock(&self.cluster);
        for pod in lost {
            cluster
                .store
                .remove(&(Kind::Pod, NAMESPACE.to_owned(), pod), by("node"));
        }
        cluster.see_traffic(Instant::now());
        self.losses.push(Instant::now());
    }

    fn lose_node(&mut self, side: Side) -> anyhow::Result<()> {
        let lost = self.pods_of(side);
        let mut cluster = lock(&self.cluster);
        for pod in lost {
            replica_set::lose_node(&mut cluster, NAMESPACE, &pod)
                .map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        }
        cluster.see_traffic(Instant::now());
        self.losses.push(Instant::now());
        Ok(())
    }
}
