//! The Deployment controller: what it owns, how it scales while paused, and its own rollout.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Cluster, Object, Part, Settings, answers, controller, hash, history, number, text};
use crate::apiserver::{
    kinds::Kind,
    store::{Store, by, status_by},
};

/// Name under which it writes.
pub const NAME: &str = "kube-controller-manager";
const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
const DESIRED: &str = "/metadata/annotations/deployment.kubernetes.io~1desired-replicas";

/// The Deployment controller.
pub struct DeploymentController;

impl Part for DeploymentController {
    fn follows(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Deployment | Kind::ReplicaSet)
    }
    fn delay(&self, _: &Settings) -> Duration {
        Duration::from_millis(20)
    }
    fn act(&mut self, cluster: &mut Cluster, _: Instant) -> Option<Instant> {
        for deployment in cluster.store.list(Kind::Deployment, None) {
            sync(&mut cluster.store, &deployment);
        }
        None
    }
}

/// Wanted pods.
pub fn replicas(object: &Value) -> i64 {
    number(object, "/spec/replicas", 1)
}

fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// Creation time, then name: the order in which ReplicaSets are looked through.
fn age(set: &Object) -> (String, String) {
    (
        text(set, "/metadata/creationTimestamp").to_owned(),
        name(set).to_owned(),
    )
}

/// Owned ReplicaSets, after adopting what answers the selector and letting go of what does not.
fn claim(store: &mut Store, deployment: &Value) -> Vec<Object> {
    let (namespace, uid) = (
        text(deployment, "/metadata/namespace"),
        text(deployment, "/metadata/uid"),
    );
    let selector = deployment.pointer("/spec/selector/matchLabels");
    let going = deployment.pointer("/metadata/deletionTimestamp").is_some();
    let mut owned = Vec::new();
    for set in store.list(Kind::ReplicaSet, Some(namespace)) {
        let fits = answers(selector, set.pointer("/metadata/labels"));
        match (controller(&set), fits) {
            (Some(owner), true) if owner == uid => owned.push(set),
            (Some(owner), false) if owner == uid => {
                let _ = store.update(Kind::ReplicaSet, namespace, name(&set), by(NAME), |object| {
                    if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                        owners.retain(|owner| owner["uid"] != *uid);
                    }
                    if object["metadata"]["ownerReferences"]
                        .as_array()
                        .is_some_and(Vec::is_empty)
                    {
                        object["metadata"]
                            .as_object_mut()
                            .map(|metadata| metadata.remove("ownerReferences"));
                    }
                    Ok(())
                });
            }
            (None, true) if !going && set.pointer("/metadata/deletionTimestamp").is_none() => {
                let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name(deployment), "uid": uid, "controller": true, "blockOwnerDeletion": true});
                let adopted = store.update(Kind::ReplicaSet, namespace, name(&set), by(NAME), |object| {
                    match object["metadata"]["ownerReferences"].as_array_mut() {
                        Some(owners) => owners.push(owner),
                        None => object["metadata"]["ownerReferences"] = json!([owner]),
                    }
                    Ok(())
                });
                owned.extend(adopted);
            }
            _ => {}
        }
    }
    owned.sort_by_key(age);
    owned
}

/// The Deployment's ReplicaSets: the one of its template, the oldest if there are several, and the others.
struct Sets {
    new: Option<Object>,
    old: Vec<Object>,
}

impl Sets {
    fn sort(deployment: &Value, mut owned: Vec<Object>) -> Self {
        let template = hash::without(&deployment["spec"]["template"]);
        let new = owned
            .iter()
            .position(|set| hash::without(&set["spec"]["template"]) == template);
        let new = new.map(|index| owned.remove(index));
        Self { new, old: owned }
    }

    fn all(&self) -> impl Iterator<Item = &Object> {
        self.new.iter().chain(&self.old)
    }
}

fn sync(store: &mut Store, deployment: &Object) {
    let owned = claim(store, deployment);
    if deployment.pointer("/metadata/deletionTimestamp").is_some() {
        return;
    }
    let mut sets = Sets::sort(deployment, owned);
    let paused = deployment.pointer("/spec/paused") == Some(&json!(true));
    number_newest(store, deployment, &mut sets);
    let active = |set: &&Object| replicas(set) > 0;
    let scaling = sets.all().filter(active).any(|set| {
        let desired = text(set, DESIRED);
        !desired.is_empty() && desired != replicas(deployment).to_string()
    });
    if paused || scaling {
        scale(store, deployment, &mut sets);
        if paused {
            history::clean(store, deployment, &sets.old);
        }
    } else {
        roll(store, deployment, &mut sets);
    }
    write_status(store, deployment, &sets);
}

/// The wanted ReplicaSet carries the highest number, and the Deployment the same.
fn number_newest(store: &mut Store, deployment: &Value, sets: &mut Sets) {
    let revision = |set: &Object| text(set, REVISION).parse::<i64>().unwrap_or_default();
    let next = sets.old.iter().map(revision).max().unwrap_or_default() + 1;
    let Some(new) = &mut sets.new else { return };
    let namespace = text(deployment, "/metadata/namespace");
    let wanted = next.max(revision(new)).to_string();
    let minimum = deployment["spec"].get("minReadySeconds").cloned().unwrap_or(json!(0));
    let numbered = store.update(Kind::ReplicaSet, namespace, name(new), by(NAME), |object| {
        object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!(wanted);
        if object["spec"].get("minReadySeconds").unwrap_or(&json!(0)) != &minimum {
            object["spec"]["minReadySeconds"] = minimum;
        }
        Ok(())
    });
    if let Ok(numbered) = numbered {
        *new = numbered;
    }
    let _ = store.update(Kind::Deployment, namespace, name(deployment), by(NAME), |object| {
        object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!(wanted);
        Ok(())
    });
}

fn resize(store: &mut Store, deployment: &Value, set: &mut Object, size: i64) {
    let size = size.max(0);
    let desired = replicas(deployment).to_string();
    let resized = store.update(
        Kind::ReplicaSet,
        text(deployment, "/metadata/namespace"),
        name(set),
        by(NAME),
        |object| {
            object["spec"]["replicas"] = json!(size);
            object["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] = json!(desired);
            Ok(())
        },
    );
    if let Ok(resized) = resized {
        *set = resized;
    }
}

/// Sizes while paused: the one active ReplicaSet, or the newest if none is.
fn scale(store: &mut Store, deployment: &Value, sets: &mut Sets) {
    let wanted = replicas(deployment);
    let active: Vec<String> = sets
        .all()
        .filter(|set| replicas(set) > 0)
        .map(|set| name(set).to_owned())
        .collect();
    let chosen = match active.as_slice() {
        [] => sets.new.as_ref().or(sets.old.last()).map(|set| name(set).to_owned()),
        [one] => Some(one.clone()),
        _ => None,
    };
    if let Some(chosen) = chosen {
        let set = sets.new.iter_mut().chain(&mut sets.old).find(|set| name(set) == chosen);
        if let Some(set) = set.filter(|set| replicas(set) != wanted) {
            resize(store, deployment, set, wanted);
        }
        return;
    }
    let saturated = sets.new.as_ref().is_some_and(|new| {
        text(new, DESIRED) == wanted.to_string()
            && replicas(new) == wanted
            && number(new, "/status/availableReplicas", 0) == wanted
    });
    if saturated {
        for old in sets.old.iter_mut().filter(|set| replicas(set) > 0) {
            resize(store, deployment, old, 0);
        }
    } else if deployment["spec"]["paused"] != true {
        in_proportion(store, deployment, sets);
    }
}

/// Scaled while it is rolled out: each ReplicaSet gets its part of the difference, the biggest one what is left of it.
fn in_proportion(store: &mut Store, deployment: &Value, sets: &mut Sets) {
    let most = |size: i64| if size > 0 { size + (size + 3) / 4 } else { 0 };
    let allowed = most(replicas(deployment));
    let mut active: Vec<&mut Object> = sets
        .new
        .iter_mut()
        .chain(&mut sets.old)
        .filter(|set| replicas(set) > 0)
        .collect();
    active.sort_by_key(|set| std::cmp::Reverse(replicas(set)));
    let add = allowed - active.iter().map(|set| replicas(set)).sum::<i64>();
    let part = |set: &Object| {
        let before = most(text(set, DESIRED).parse().unwrap_or_else(|_| replicas(deployment))).max(1);
        // Rounded to the nearest pod.
        let wanted = (2 * replicas(set) * allowed + before) / (2 * before);
        let part = wanted - replicas(set);
        if add > 0 {
            part.clamp(0, add)
        } else {
            part.clamp(add, 0)
        }
    };
    let mut parts: Vec<i64> = active.iter().map(|set| part(set)).collect();
    let left = add - parts.iter().sum::<i64>();
    if let Some(first) = parts.first_mut() {
        *first += left;
    }
    for (set, part) in active.into_iter().zip(parts) {
        let size = replicas(set) + part;
        resize(store, deployment, set, size);
    }
}

/// Kubernetes' own rollout: the new one grows within the surge, the old ones shrink as it becomes available.
fn roll(store: &mut Store, deployment: &Value, sets: &mut Sets) {
    let wanted = replicas(deployment);
    if sets.new.is_none() {
        sets.new = create(store, deployment, &sets.old);
    }
    let Some(new) = &mut sets.new else { return };
    let (surge, missing) = ((wanted + 3) / 4, wanted / 4);
    // Both zero cannot be: then one may be missing.
    let missing = if surge == 0 && missing == 0 { 1 } else { missing };
    let total: i64 = replicas(new) + sets.old.iter().map(|set| replicas(set)).sum::<i64>();
    if replicas(new) > wanted {
        resize(store, deployment, new, wanted);
        return;
    }
    if replicas(new) < wanted && total < wanted + surge {
        let size = replicas(new) + (wanted + surge - total).min(wanted - replicas(new));
        resize(store, deployment, new, size);
        return;
    }
    let available = |set: &Object| number(set, "/status/availableReplicas", 0);
    let unavailable_new = replicas(new) - available(new);
    let minimum = wanted - missing;
    let most = total - minimum - unavailable_new;
    if most > 0 {
        // Pods that are not available go first: nobody misses them.
        let mut left = most;
        for old in sets.old.iter_mut().filter(|set| replicas(set) > 0) {
            let sick = (replicas(old) - available(old)).clamp(0, left);
            if sick > 0 {
                left -= sick;
                let size = replicas(old) - sick;
                resize(store, deployment, old, size);
            }
        }
        let all_available: i64 = available(new)
            + sets
                .old
                .iter()
                .map(|set| available(set).min(replicas(set)))
                .sum::<i64>();
        let mut spare = all_available - minimum;
        for old in sets.old.iter_mut().filter(|set| replicas(set) > 0) {
            if spare <= 0 {
                break;
            }
            let less = replicas(old).min(spare);
            spare -= less;
            let size = replicas(old) - less;
            resize(store, deployment, old, size);
        }
    }
    let complete = sets
        .new
        .as_ref()
        .is_some_and(|new| available(new) == wanted && replicas(new) == wanted)
        && sets.old.iter().all(|set| replicas(set) == 0);
    if complete {
        history::clean(store, deployment, &sets.old);
    }
}

fn create(store: &mut Store, deployment: &Value, old: &[Object]) -> Option<Object> {
    let namespace = text(deployment, "/metadata/namespace");
    let highest = old
        .iter()
        .filter_map(|set| text(set, REVISION).parse::<i64>().ok())
        .max()
        .unwrap_or_default();
    for collisions in 0..8 {
        let hash = hash::of(&deployment["spec"]["template"], collisions);
        let mut template = deployment["spec"]["template"].clone();
        template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        let mut selector = deployment["spec"]["selector"]["matchLabels"].clone();
        selector["pod-template-hash"] = json!(hash);
        let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name(deployment), "uid": deployment["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true});
        let surge = (replicas(deployment) + 3) / 4;
        let total: i64 = old.iter().map(|set| replicas(set)).sum();
        let size = (replicas(deployment) + surge - total).clamp(0, replicas(deployment));
        let set = json!({
            "metadata": {
                "name": format!("{}-{hash}", name(deployment)),
                "labels": template["metadata"]["labels"],
                "annotations": {"deployment.kubernetes.io/revision": (highest + 1).to_string(), "deployment.kubernetes.io/desired-replicas": replicas(deployment).to_string()},
                "ownerReferences": [owner],
            },
            "spec": {"replicas": size, "minReadySeconds": number(deployment, "/spec/minReadySeconds", 0), "selector": {"matchLabels": selector}, "template": template},
        });
        // A name that is taken, by a ReplicaSet that was taken from it for example, leads to another hash.
        if let Ok(created) = store.create(Kind::ReplicaSet, namespace, set, by(NAME)) {
            let _ = store.update(Kind::Deployment, namespace, name(deployment), by(NAME), |object| {
                object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                    json!((highest + 1).to_string());
                Ok(())
            });
            return Some(created);
        }
    }
    None
}

fn write_status(store: &mut Store, deployment: &Value, sets: &Sets) {
    let namespace = text(deployment, "/metadata/namespace");
    let fresh = |set: &Object| store.get(Kind::ReplicaSet, namespace, name(set));
    let sum = |pointer: &str| {
        sets.all()
            .filter_map(fresh)
            .map(|set| number(&set, pointer, 0))
            .sum::<i64>()
    };
    let updated = sets
        .new
        .as_ref()
        .and_then(fresh)
        .map_or(0, |set| number(&set, "/status/replicas", 0));
    let (total, available) = (sum("/status/replicas"), sum("/status/availableReplicas"));
    let status = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": sum("/status/readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": (replicas(deployment) - available).max(0),
    });
    let _ = store.update(
        Kind::Deployment,
        namespace,
        name(deployment),
        status_by(NAME),
        |object| {
            object["status"] = status;
            Ok(())
        },
    );
}
