//! The ReplicaSet controller and the pods: created, ready after a while or never, removed with grace.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Cluster, Object, Part, Settings, controller, deployment::replicas, number, settings, text};
use crate::apiserver::{
    kinds::Kind,
    refusal::Refusal,
    store::{Key, by, status_by},
};

const NAME: &str = "kube-controller-manager";
/// Pods that are asked to stop serve on for so long.
const GRACE: Duration = Duration::from_secs(1);

/// The ReplicaSet controller, and what runs the pods.
pub struct ReplicaSetController;

impl Part for ReplicaSetController {
    fn follows(&self, kind: Kind) -> bool {
        matches!(kind, Kind::ReplicaSet | Kind::Pod)
    }
    fn delay(&self, _: &Settings) -> Duration {
        Duration::from_millis(10)
    }
    fn act(&mut self, cluster: &mut Cluster, now: Instant) -> Option<Instant> {
        let mut wake = run_pods(cluster, now);
        for set in cluster.store.list(Kind::ReplicaSet, None) {
            let next = sync(cluster, &set, now);
            wake = [wake, next].into_iter().flatten().min();
        }
        wake
    }
}

/// The tag of a pod's or a template's image.
pub fn tag(spec: &Value) -> &str {
    text(spec, "/containers/0/image")
        .rsplit_once(':')
        .map_or("", |(_, tag)| tag)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod gets new requests.
pub fn serves(pod: &Value) -> bool {
    is_ready(pod) && pod.pointer("/metadata/deletionTimestamp").is_none()
}

/// Whether a pod's node is lost: whoever is sent there gets no answer.
pub fn is_cut_off(pod: &Value) -> bool {
    pod.pointer("/status/lostSince").is_some()
}

/// A pod's node is lost.
pub fn lose_node(cluster: &mut Cluster, namespace: &str, pod: &str) -> Result<(), Refusal> {
    let since = moment(Instant::now(), cluster.traffic.start);
    let lost = json!({"phase": "Running", "startedAt": 0, "lostSince": since, "conditions": [{"type": "Ready", "status": "False"}]});
    let change = |pod: &mut Value| {
        pod["status"] = lost.clone();
        Ok(())
    };
    cluster
        .store
        .update(Kind::Pod, namespace, pod, status_by("node"), change)
        .map(|_| ())
}

/// Moments inside the simulation, kept with the pod as milliseconds.
fn moment(now: Instant, start: Instant) -> i64 {
    i64::try_from(now.duration_since(start).as_millis()).unwrap_or(i64::MAX)
}

/// Starts and stops pods; returns when the next one is due.
fn run_pods(cluster: &mut Cluster, now: Instant) -> Option<Instant> {
    let start = cluster.traffic.start;
    let mut wake: Option<Instant> = None;
    let mut look_again = |at: Instant| wake = Some(wake.map_or(at, |wake| wake.min(at)));
    for pod in cluster.store.list(Kind::Pod, None) {
        let (namespace, name) = (
            text(&pod, "/metadata/namespace").to_owned(),
            text(&pod, "/metadata/name").to_owned(),
        );
        if pod.pointer("/metadata/deletionTimestamp").is_some() {
            let since = number(&pod, "/status/stoppingSince", -1);
            if since < 0 {
                let since = moment(now, start);
                let _ = cluster
                    .store
                    .update(Kind::Pod, &namespace, &name, status_by("kubelet"), |pod| {
                        pod["status"]["stoppingSince"] = json!(since);
                        Ok(())
                    });
                look_again(now + GRACE);
                continue;
            }
            let due = start + Duration::from_millis(u64::try_from(since).unwrap_or_default()) + GRACE;
            if due <= now {
                let key: Key = (Kind::Pod, namespace, name);
                cluster.store.remove(&key, by("kubelet"));
            } else {
                look_again(due);
            }
            continue;
        }
        if is_cut_off(&pod) {
            let lost = u64::try_from(number(&pod, "/status/lostSince", 0)).unwrap_or_default();
            let due = start + Duration::from_millis(lost) + settings::seconds(cluster.settings.node_replaced_after);
            if due <= now {
                cluster.store.remove(&(Kind::Pod, namespace, name), by("node"));
            } else {
                look_again(due);
            }
            continue;
        }
        if is_ready(&pod) {
            continue;
        }
        let version = cluster.settings.version(tag(&pod["spec"]));
        let status = if let Some(reason) = &version.never_ready {
            let container = json!({"name": "app", "image": text(&pod, "/spec/containers/0/image"), "ready": false, "state": {"waiting": {"reason": reason}}, "lastState": {"terminated": {"exitCode": 1}}, "restartCount": 1, "imageID": ""});
            json!({"phase": "Pending", "startedAt": pod["status"]["startedAt"], "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [container]})
        } else {
            let started = u64::try_from(number(&pod, "/status/startedAt", 0)).unwrap_or_default();
            let due = start + Duration::from_millis(started) + settings::seconds(cluster.settings.pods_ready_after);
            if due > now {
                look_again(due);
                continue;
            }
            json!({"phase": "Running", "startedAt": started, "readySince": moment(now, start), "conditions": [{"type": "Ready", "status": "True"}]})
        };
        let _ = cluster
            .store
            .update(Kind::Pod, &namespace, &name, status_by("kubelet"), |pod| {
                pod["status"] = status;
                Ok(())
            });
    }
    wake
}

fn sync(cluster: &mut Cluster, set: &Object, now: Instant) -> Option<Instant> {
    let (namespace, name, uid) = (
        text(set, "/metadata/namespace"),
        text(set, "/metadata/name"),
        text(set, "/metadata/uid"),
    );
    let start = cluster.traffic.start;
    let pods = |cluster: &Cluster| -> Vec<Object> {
        let all = cluster.store.list(Kind::Pod, Some(namespace));
        all.into_iter()
            .filter(|pod| controller(pod) == Some(uid) && pod.pointer("/metadata/deletionTimestamp").is_none())
            .collect()
    };
    let mut own = pods(cluster);
    let wanted = usize::try_from(replicas(set)).unwrap_or_default();
    let mut failure = None;
    if set.pointer("/metadata/deletionTimestamp").is_none() {
        for _ in own.len()..wanted {
            let there = cluster.store.list(Kind::Pod, Some(namespace)).len();
            if let Some(quota) = cluster.settings.quota.filter(|quota| there >= *quota) {
                failure = Some(format!(
                    "pods \"{name}-\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods={there}, limited: pods={quota}"
                ));
                break;
            }
            let base: String = format!("{name}-").chars().take(58).collect();
            let pod_name = format!("{base}{}", cluster.store.fresh_suffix());
            let template = &set["spec"]["template"];
            let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true});
            let pod = json!({
                "metadata": {"name": pod_name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]},
                "spec": template["spec"],
                "status": {"phase": "Pending", "startedAt": moment(now, start)},
            });
            let _ = cluster.store.create(Kind::Pod, namespace, pod, by(NAME));
        }
        // Those that are not ready go first, then the youngest.
        own.sort_by_key(|pod| (is_ready(pod), std::cmp::Reverse(number(pod, "/status/startedAt", 0))));
        let surplus = own.len().saturating_sub(wanted);
        for pod in own.iter().take(surplus) {
            let _ = cluster
                .store
                .delete(Kind::Pod, namespace, text(pod, "/metadata/name"), None, by(NAME));
        }
    }
    let own = pods(cluster);
    let ready: Vec<&Object> = own.iter().filter(|pod| is_ready(pod)).collect();
    let minimum = number(set, "/spec/minReadySeconds", 0) * 1_000;
    let age = |pod: &Object| moment(now, start) - number(pod, "/status/readySince", 0);
    let available = ready.iter().filter(|pod| age(pod) >= minimum).count();
    let wake = ready
        .iter()
        .map(|pod| minimum - age(pod))
        .filter(|left| *left > 0)
        .min();
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "replicas": own.len(),
        "fullyLabeledReplicas": own.len(),
        "readyReplicas": ready.len(),
        "availableReplicas": available,
    });
    if let Some(failure) = &failure {
        status["conditions"] =
            json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failure}]);
    }
    let _ = cluster
        .store
        .update(Kind::ReplicaSet, namespace, name, status_by(NAME), |object| {
            object["status"] = status;
            Ok(())
        });
    // What could not be created is tried again.
    let again = failure.map(|_| now + Duration::from_secs(1));
    let wake = wake.map(|left| now + Duration::from_millis(u64::try_from(left).unwrap_or_default()));
    [again, wake].into_iter().flatten().min()
}
