//! What is compared between two runs of one scenario: everything but times, numbers and random names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use warmfront::api::CanaryRolloutStatus;

use crate::{
    apiserver::kinds::Kind,
    scenario::given::{NAME, NAMESPACE},
    world::Cluster,
};

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Objects without times, versions and random names.
    pub objects: BTreeMap<String, Value>,
    /// Confirmed weights by run and step, in order.
    pub weights: Vec<String>,
    /// Shares in the order in which the route got them.
    pub shares: Vec<u32>,
    /// Reasons of Events in order.
    pub events: Vec<String>,
    /// What other systems were sent, each key once.
    pub called: BTreeSet<String>,
}

impl Outcome {
    /// How it ended.
    pub fn of(cluster: &Cluster) -> Self {
        let mut objects = BTreeMap::new();
        for ((kind, namespace, name), object) in cluster.store.all() {
            if namespace != NAMESPACE || matches!(kind, Kind::Pod | Kind::Event | Kind::EndpointSlice) {
                continue;
            }
            objects.insert(format!("{}/{name}", kind.traits().kind), normal(*kind, object));
        }
        let witness = &cluster.witness;
        Self {
            objects,
            weights: witness
                .confirmed
                .iter()
                .map(|one| format!("run {} step {}: {}", one.run, one.step, one.weight))
                .collect(),
            shares: witness.shares.clone(),
            events: witness.reasons(),
            called: cluster
                .called
                .iter()
                .map(|called| format!("{} {} {}", called.host, called.about, called.key))
                .collect(),
        }
    }

    /// Where two differ.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut names: Vec<&String> = self.objects.keys().chain(other.objects.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (a, b) = (self.objects.get(name), other.objects.get(name));
            if a != b {
                found.push(format!(
                    "{name}: {} instead of {}",
                    b.unwrap_or(&Value::Null),
                    a.unwrap_or(&Value::Null)
                ));
            }
        }
        let mut compare = |what: &str, a: String, b: String| {
            if a != b {
                found.push(format!("{what}: {b} instead of {a}"));
            }
        };
        compare("weights", format!("{:?}", self.weights), format!("{:?}", other.weights));
        compare("shares", format!("{:?}", self.shares), format!("{:?}", other.shares));
        compare("Events", format!("{:?}", self.events), format!("{:?}", other.events));
        compare("calls", format!("{:?}", self.called), format!("{:?}", other.called));
        found
    }
}

fn normal(kind: Kind, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let owners: Vec<&Value> = metadata["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|owner| &owner["kind"])
        .collect();
    let managers: Vec<&Value> = metadata["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["manager"])
        .collect();
    let status = match kind {
        Kind::CanaryRollout => status(object),
        Kind::RolloutAction => json!([object["status"]["phase"], object["status"]["reason"]]),
        Kind::Deployment | Kind::ReplicaSet => {
            let mut status = object["status"].clone();
            status.as_object_mut().map(|status| status.remove("observedGeneration"));
            status
        }
        _ => Value::Null,
    };
    json!({
        "labels": metadata["labels"],
        "annotations": metadata["annotations"],
        "finalizers": metadata["finalizers"],
        "owners": owners,
        "managers": managers,
        "spec": object["spec"],
        "status": status,
    })
}

/// What is said of the rollout, times, figures and messages aside.
fn status(object: &Value) -> Value {
    let Ok(status) = serde_json::from_value::<CanaryRolloutStatus>(object["status"].clone()) else {
        return json!("unreadable");
    };
    let conditions: BTreeMap<String, String> = status
        .conditions
        .iter()
        .map(|condition| {
            (
                condition.type_.clone(),
                format!("{}/{}", condition.status, condition.reason),
            )
        })
        .collect();
    let history: Vec<String> = status
        .history
        .iter()
        .map(|entry| format!("{} {} {}/{}", entry.run, entry.revision, entry.outcome, entry.reason))
        .collect();
    let rejected: Vec<String> = status
        .rejected
        .iter()
        .map(|rejected| format!("{} {}", rejected.revision, rejected.reason))
        .collect();
    let run = status
        .run
        .as_ref()
        .map(|run| json!({"number": run.number, "revision": run.revision, "step": run.step, "weight": run.weight, "lost": run.capacity_lost}));
    json!({
        "phase": status.phase,
        "stable": status.stable_revision,
        "conditions": conditions,
        "history": history,
        "rejected": rejected,
        "kept": status.kept.len(),
        "draining": status.draining.len(),
        "run": run,
        "originals": status.originals,
        "events": status.events.emitted,
        "name": NAME,
    })
}
