//! What is true at a moment: waited for, or expected.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Run,
    given::{NAME, NAMESPACE, SECOND},
    manifests,
};
use crate::{
    apiserver::{kinds::Kind, lock},
    witness,
    world::{
        Object, deployment, keda, number,
        replica_set::{serves, tag},
        text,
    },
};

/// What is true at a moment; what is left out may be anything.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Facts {
    /// Phase of the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Number of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Its step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// The new version's confirmed share in percent, no other being asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The new version's share in the route in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<f64>,
    /// The new version's Service stands in the route, whatever its weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<bool>,
    /// The same in the second route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_route: Option<f64>,
    /// Conditions by type, such as `Promoted: True/Adopted`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, String>,
    /// The message of condition `Accepted` has this in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// What checks say, by name: the verdict, and its cause if it has one, such as `noData/Empty`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, String>,
    /// The message has this in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Events of these reasons were told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// An Event was told with each of these texts in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
    /// One Event of each of these reasons was told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub once: Vec<String>,
    /// No Event of these reasons was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_events: Vec<String>,
    /// What another system was asked or told, by host: each once, however often it was sent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub called: BTreeMap<String, Vec<String>>,
    /// Ready pods of the release's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_pods: Option<i64>,
    /// Ready pods of the serving version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_pods: Option<i64>,
    /// Ready pods by the tag of their version.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pods: BTreeMap<String, i64>,
    /// `spec.paused` of the Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// The Deployment is as it is between releases: not paused where the API server holds a changed template at the
    /// beginning and none waits that was rejected, else paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests: Option<bool>,
    /// The Deployment carries our label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labelled: Option<bool>,
    /// The Deployment's own rollout is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Tag of the version that the Service's users get: of all its ready pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serves: Option<String>,
    /// Ended runs as `Outcome/Reason`, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<String>>,
    /// Confirmed weights of all runs in order, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// Shares in the order in which the route got them, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<Vec<f64>>,
    /// Answer to the last RolloutAction, such as `Rejected/NothingToAbort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Answers to all RolloutActions, with how many have it; `/` is none yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, usize>,
    /// What was made or changed is as found: route, Service, no canary Service, no held ReplicaSet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_found: Option<bool>,
    /// Route and Service are as found, and there is no canary Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_back: Option<bool>,
    /// The canary's Service and its entries in the route have the ports of the app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alike: Option<bool>,
    /// The CanaryRollout has our finalizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalizer: Option<bool>,
    /// The CanaryRollout is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<bool>,
    /// The namespace is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_gone: Option<bool>,
    /// `Accepted` of the second rollout, such as `False/TargetConflict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// The minimum of the HorizontalPodAutoscaler, be it the app's own or the one that KEDA keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// The minimum of the ScaledObject, −1 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_replica_count: Option<i64>,
    /// At most so many requests failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<f64>,
    /// Pods that were ever created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods_made: Option<usize>,
    /// Field managers of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_managers: Option<Vec<String>>,
    /// Weights of all backends of the route in order, null where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_weights: Option<Vec<Option<i64>>>,
}

struct Differences(Vec<String>);

impl Differences {
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, wanted: Option<&T>, is: &T) {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
            self.0.push(format!("{what} is {is:?}, not {wanted:?}"));
        }
    }

    /// Ready pods of each version that is asked for.
    fn pods(&mut self, wanted: &BTreeMap<String, i64>, pods: &[Object]) {
        for (version, wanted) in wanted {
            let ready = pods.iter().filter(|pod| tag(&pod["spec"]) == version && serves(pod));
            let ready = i64::try_from(ready.count()).unwrap_or(i64::MAX);
            self.same(&format!("pods of {version}"), Some(wanted), &ready);
        }
    }
}

/// How a RolloutAction was answered.
fn answer_of(action: &Object) -> String {
    format!("{}/{}", text(action, "/status/phase"), text(action, "/status/reason"))
}

impl Run {
    /// What of `facts` is not true now.
    pub fn differences(&self, facts: &Facts) -> Vec<String> {
        let mut found = Differences(Vec::new());
        let status = self.status().unwrap_or_default();
        let run = status.run.clone();
        found.same("phase", facts.phase.as_ref(), &status.phase.to_string());
        found.same("run", facts.run.as_ref(), &run.as_ref().map_or(0, |run| run.number));
        found.same("step", facts.step.as_ref(), &run.as_ref().map_or(0, |run| run.step));
        let percent = |hundredths: u32| f64::from(hundredths) / 100.0;
        let weight = run
            .as_ref()
            .filter(|run| run.intent.is_none())
            .map_or(-1.0, |run| percent(run.weight.hundredths()));
        found.same("weight", facts.weight.as_ref(), &weight);
        for (kind, wanted) in &facts.conditions {
            let is = status
                .conditions
                .iter()
                .find(|condition| condition.type_ == *kind)
                .map(|condition| format!("{}/{}", condition.status, condition.reason));
            found.same(kind, Some(wanted), &is.unwrap_or_default());
        }
        for (name, wanted) in &facts.checks {
            let check = status.checks.iter().find(|check| check.name == *name);
            let is = check.map_or_else(String::new, |check| match check.cause {
                Some(cause) => format!("{}/{cause}", check.verdict),
                None => check.verdict.to_string(),
            });
            found.same(&format!("check {name}"), Some(wanted), &is);
        }
        if let Some(part) = &facts.accepted {
            let mut conditions = status.conditions.iter();
            let said = conditions.find(|condition| condition.type_ == "Accepted");
            let said = said.map(|condition| condition.message.as_str()).unwrap_or_default();
            if !said.contains(part.as_str()) {
                found.0.push(format!("Accepted says {said:?}, without {part:?}"));
            }
        }
        if let Some(part) = facts
            .message
            .as_ref()
            .filter(|part| !status.message.contains(part.as_str()))
        {
            found
                .0
                .push(format!("the message is {:?}, without {part:?}", status.message));
        }
        if let Some(wanted) = &facts.history {
            let is: Vec<String> = status
                .history
                .iter()
                .map(|entry| format!("{}/{}", entry.outcome, entry.reason))
                .collect();
            found.same("history", Some(wanted), &is);
        }
        let canary = run.as_ref().map(|run| run.revision.clone()).unwrap_or_default();
        let stable = status.stable_revision.clone().unwrap_or_default();
        self.of_objects(facts, &canary, &stable, &mut found);
        self.of_the_past(facts, &mut found);
        found.0
    }

    fn of_objects(&self, facts: &Facts, canary: &str, stable: &str, found: &mut Differences) {
        let cluster = lock(&self.cluster);
        let store = &cluster.store;
        let pods = store.list(Kind::Pod, Some(NAMESPACE));
        let ready = |hash: &str| {
            i64::try_from(
                pods.iter()
                    .filter(|pod| text(pod, "/metadata/labels/pod-template-hash") == hash && serves(pod))
                    .count(),
            )
            .unwrap_or_default()
        };
        found.same("canaryPods", facts.canary_pods.as_ref(), &ready(canary));
        found.same("stablePods", facts.stable_pods.as_ref(), &ready(stable));
        found.pods(&facts.pods, &store.list(Kind::Pod, Some(NAMESPACE)));
        let app = store.get(Kind::Deployment, NAMESPACE, NAME).unwrap_or_default();
        found.same("paused", facts.paused.as_ref(), &(app["spec"]["paused"] == true));
        let serving = store.list(Kind::ReplicaSet, Some(NAMESPACE)).into_iter();
        let serving = serving
            .map(|set| set["spec"]["template"].clone())
            .find(|template| text(template, "/metadata/labels/pod-template-hash") == stable);
        let waits = !stable.is_empty()
            && serving.is_none_or(|mut template| {
                if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
                    labels.remove("pod-template-hash");
                }
                template != app["spec"]["template"]
            });
        let rests = (app["spec"]["paused"] == true) == (waits || !self.given.holds());
        found.same("rests", facts.rests.as_ref(), &rests);
        let labelled = app["metadata"]["labels"]["warmfront.dev/rollout"] == NAME;
        found.same("labelled", facts.labelled.as_ref(), &labelled);
        let wanted = deployment::replicas(&app);
        let complete = ["updatedReplicas", "availableReplicas", "replicas"]
            .iter()
            .all(|field| app["status"][*field] == wanted);
        found.same("complete", facts.complete.as_ref(), &complete);
        let rollout = store.get(Kind::CanaryRollout, NAMESPACE, NAME).unwrap_or_default();
        let finalizers = rollout.pointer("/metadata/finalizers").and_then(Value::as_array);
        let finalizer = finalizers.is_some_and(|all| !all.is_empty());
        found.same("finalizer", facts.finalizer.as_ref(), &finalizer);
        found.same(
            "gone",
            facts.gone.as_ref(),
            &store.get(Kind::CanaryRollout, NAMESPACE, NAME).is_none(),
        );
        found.same(
            "namespaceGone",
            facts.namespace_gone.as_ref(),
            &store.get(Kind::Namespace, "", NAMESPACE).is_none(),
        );
        if let Some(wanted) = &facts.second {
            let second = store.get(Kind::CanaryRollout, NAMESPACE, SECOND).unwrap_or_default();
            let conditions = second.pointer("/status/conditions").and_then(Value::as_array);
            let accepted = conditions
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == "Accepted");
            let is = accepted
                .map(|accepted| format!("{}/{}", text(accepted, "/status"), text(accepted, "/reason")))
                .unwrap_or_default();
            found.same("second", Some(wanted), &is);
        }
        let scaler = |name: &str| store.get(Kind::HorizontalPodAutoscaler, NAMESPACE, name);
        let scaler = scaler(NAME)
            .or_else(|| scaler(&keda::kept_for(NAME)))
            .unwrap_or_default();
        found.same(
            "minimum",
            facts.minimum.as_ref(),
            &number(&scaler, "/spec/minReplicas", 0),
        );
        let scaled = store.get(Kind::ScaledObject, NAMESPACE, NAME).unwrap_or_default();
        found.same(
            "minReplicaCount",
            facts.min_replica_count.as_ref(),
            &number(&scaled, "/spec/minReplicaCount", -1),
        );
        drop(cluster);
        self.of_traffic(facts, found);
    }

    /// The route, what the Service reaches, and the last answer to a RolloutAction.
    fn of_traffic(&self, facts: &Facts, found: &mut Differences) {
        let cluster = lock(&self.cluster);
        let store = &cluster.store;
        let pods = store.list(Kind::Pod, Some(NAMESPACE));
        let route = store.get(Kind::HttpRoute, NAMESPACE, NAME).unwrap_or_default();
        found.same(
            "route",
            facts.route.as_ref(),
            &(f64::from(witness::share(&route)) / 100.0),
        );
        let entry = route["spec"].to_string().contains(&format!("{NAME}-canary"));
        found.same("entry", facts.entry.as_ref(), &entry);
        let second = store.get(Kind::HttpRoute, NAMESPACE, SECOND).unwrap_or_default();
        found.same(
            "secondRoute",
            facts.second_route.as_ref(),
            &(f64::from(witness::share(&second)) / 100.0),
        );
        if let Some(wanted) = &facts.serves {
            let service = store.get(Kind::Service, NAMESPACE, NAME).unwrap_or_default();
            let behind = pods.iter().filter(|pod| {
                serves(pod) && crate::world::answers(service.pointer("/spec/selector"), pod.pointer("/metadata/labels"))
            });
            let mut versions: Vec<&str> = behind.map(|pod| crate::world::replica_set::tag(&pod["spec"])).collect();
            versions.dedup();
            found.same("serves", Some(wanted), &versions.join(" and "));
        }
        if let Some(wanted) = &facts.route_managers {
            let managers = route.pointer("/metadata/managedFields").and_then(Value::as_array);
            let is: Vec<String> = managers
                .into_iter()
                .flatten()
                .map(|entry| text(entry, "/manager").to_owned())
                .collect();
            found.same("routeManagers", Some(wanted), &is);
        }
        if let Some(wanted) = &facts.backend_weights {
            let rules = route["spec"]["rules"].as_array();
            let is: Vec<Option<i64>> = rules
                .into_iter()
                .flatten()
                .filter_map(|rule| rule["backendRefs"].as_array())
                .flatten()
                .map(|one| one["weight"].as_i64())
                .collect();
            found.same("backendWeights", Some(wanted), &is);
        }
        if !facts.answers.is_empty() {
            let mut is = BTreeMap::new();
            for action in store.list(Kind::RolloutAction, Some(NAMESPACE)) {
                *is.entry(answer_of(&action)).or_default() += 1;
            }
            found.same("answers", Some(&facts.answers), &is);
        }
        if let Some(wanted) = &facts.answer {
            let mut actions = store.list(Kind::RolloutAction, Some(NAMESPACE));
            actions.sort_by_key(|action| {
                number(action, "/metadata/resourceVersion", 0).max(
                    text(action, "/metadata/name")
                        .rsplit_once('-')
                        .and_then(|(_, n)| n.parse().ok())
                        .unwrap_or_default(),
                )
            });
            let last = actions.last().map(answer_of).unwrap_or_default();
            found.same("answer", Some(wanted), &last);
        }
    }

    fn of_the_past(&self, facts: &Facts, found: &mut Differences) {
        if facts.as_found == Some(true) || facts.given_back == Some(true) {
            found.0.extend(self.not_as_found(facts.as_found == Some(true)));
        }
        let cluster = lock(&self.cluster);
        if facts.alike == Some(true) {
            found.0.extend(manifests::unlike(&cluster.store));
        }
        let witness = &cluster.witness;
        for (host, wanted) in &facts.called {
            let mut keys = BTreeSet::new();
            let once = cluster
                .called
                .iter()
                .filter(|called| called.host == *host && keys.insert(&called.key));
            found.same(
                &format!("what {host} was sent"),
                Some(wanted),
                &once.map(|called| called.about.clone()).collect(),
            );
        }
        let told: Vec<&String> = witness.told.values().map(|(reason, _)| reason).collect();
        for reason in facts.events.iter().filter(|reason| !told.contains(reason)) {
            found.0.push(format!("Event {reason} was not told"));
        }
        for part in &facts.told {
            if !witness.told.values().any(|(_, text)| text.contains(part.as_str())) {
                found.0.push(format!("no Event says {part:?}"));
            }
        }
        for reason in &facts.once {
            let times = told.iter().filter(|other| **other == reason).count();
            found.same(&format!("number of Events {reason}"), Some(&1), &times);
        }
        for reason in facts.no_events.iter().filter(|reason| told.contains(reason)) {
            found.0.push(format!("Event {reason} was told"));
        }
        if let Some(wanted) = &facts.weights {
            let is: Vec<f64> = witness
                .confirmed
                .iter()
                .map(|one| f64::from(one.weight.hundredths()) / 100.0)
                .collect();
            found.same("weights", Some(wanted), &is);
        }
        if let Some(wanted) = &facts.shares {
            let is: Vec<f64> = witness
                .shares
                .iter()
                .skip(1)
                .map(|share| f64::from(*share) / 100.0)
                .collect();
            found.same("shares", Some(wanted), &is);
        }
        let failed: f64 = cluster.traffic.failures.iter().map(|failure| failure.requests).sum();
        if let Some(most) = facts.failed.filter(|most| failed > *most) {
            found.0.push(format!(
                "{failed:.1} requests failed, more than {most}: {:?}",
                cluster.traffic.failures.first().map(|failure| &failure.why)
            ));
        }
        found.same("podsMade", facts.pods_made.as_ref(), &witness.pods_made);
    }
}
