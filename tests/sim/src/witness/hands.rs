//! Who holds which pods: the Deployment one active ReplicaSet, users' Services one version, nobody an owner of ours; of autoscalers we touch the minimum alone.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    Witness,
    blame::is_hand,
    past::{Stretch, Trouble, after},
};
use crate::{
    apiserver::{kinds::Kind, store::Change},
    world::{Object, controller, deployment, replica_set, text, traffic::Traffic},
};

/// Another hand's change of a Service or a Deployment is answered within this time.
const ANSWERED: Duration = Duration::from_secs(2);

/// So long after the last request pods of a version that never served go at the earliest: 30 s from the confirmation,
/// which the last proxy follows.
pub(super) const DRAINED: Duration = Duration::from_secs(25);

/// A window of metrics without a request.
const COUNTED: Duration = Duration::from_secs(1);

impl Witness {
    fn sets(&self) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(|(key, _)| key.0 == Kind::ReplicaSet)
            .map(|(_, set)| set)
    }

    pub(super) fn see_hands(&mut self, change: &Change, traffic: &Traffic) {
        let at = change.at;
        if change.key.0 == Kind::Deployment && change.by != "warmfront" && change.by != deployment::NAME {
            self.meddled = Some(at);
        }
        // Kubernetes' own rollout has just ended, and what it left is narrowed now.
        let paused = |object: &Option<Object>| object.as_ref().is_some_and(|object| object["spec"]["paused"] == true);
        let complete = |object: &Option<Object>| object.as_ref().is_some_and(is_complete);
        let ended = complete(&change.new) && !complete(&change.old);
        if change.key.0 == Kind::Deployment && (paused(&change.new) && !paused(&change.old) || ended) {
            self.rolled_out = Some(at);
        }
        if change.key.0 == Kind::ReplicaSet {
            // Another hand deletes what serves.
            if change.by == "kubectl" {
                self.meddled = Some(at);
            }
            self.see_set(change, traffic);
        }
        let mut wrong = Vec::new();
        for (_, owner) in self.objects.iter().filter(|(key, _)| key.0 == Kind::Deployment) {
            let uid = text(owner, "/metadata/uid");
            let active = self
                .sets()
                .filter(|set| controller(set) == Some(uid) && deployment::replicas(set) > 0);
            let active: Vec<&str> = active.map(|set| text(set, "/metadata/name")).collect();
            let under_way = self.statuses.values().any(|status| status.originals.paused.is_some());
            if active.len() > 1 && owner["spec"]["paused"] == true && under_way && self.calm(at) && self.narrowed(at) {
                wrong.push(format!("the paused Deployment owns {}", active.join(" and ")));
            }
        }
        for text in wrong {
            self.violation(at, text);
        }
    }

    fn see_set(&mut self, change: &Change, traffic: &Traffic) {
        let (at, name) = (change.at, change.key.2.clone());
        if let Some(set) = &change.new {
            let template = &set["spec"]["template"];
            let hash = text(template, "/metadata/labels/pod-template-hash").to_owned();
            self.tags.insert(hash, replica_set::tag(&template["spec"]).to_owned());
        }
        let owners = change
            .new
            .as_ref()
            .and_then(|set| set.pointer("/metadata/ownerReferences")?.as_array().cloned());
        if owners
            .into_iter()
            .flatten()
            .any(|owner| owner["kind"] == "CanaryRollout")
        {
            self.violation(
                at,
                format!("ReplicaSet {name} is owned by the CanaryRollout: the garbage collector may take it"),
            );
        }
        let size = |set: &Object| deployment::replicas(set);
        if change.new.is_none() && is_hand(&change.by) {
            return self.note(at, format!("ReplicaSet {name} is deleted (by {})", change.by));
        }
        let (old, new) = (change.old.as_ref().map_or(0, size), change.new.as_ref().map_or(0, size));
        if old != new {
            self.note(
                at,
                format!("ReplicaSet {name}: {old} → {new} pods wanted (by {})", change.by),
            );
        }
        let serving = self.statuses.values().any(|status| {
            status
                .stable_revision
                .as_deref()
                .is_some_and(|hash| name.ends_with(hash))
        });
        let rate = traffic.rate(&name);
        let native = change.by == deployment::NAME && !(serving && self.paused());
        // Of proxies that are late by more than the drain metrics tell a moment later.
        let unseen = self.past.routed_within(at) >= DRAINED && !traffic.is_seen_at(&name, at);
        let in_vain = !self.stable_stands() || unseen;
        if new == 0 && old > 0 && rate > 0.0 && !native && !in_vain && self.calm(at) {
            self.violation(
                at,
                format!("ReplicaSet {name} goes to 0 pods under {rate:.0} requests a second"),
            );
        }
        // How long one that served stands by is its owner's choice.
        let served = self.stable.iter().any(|hash| name.ends_with(hash.as_str()));
        // Proxies that are late send their last requests later, and a window of metrics in which none comes ends the drain.
        let drained = DRAINED.saturating_sub(self.past.routed_within(at)).max(COUNTED);
        // Direct callers met its pods for a moment when another hand widened the Service.
        let by_others = |last: &Instant| {
            self.widened
                .iter()
                .any(|widened| *last >= *widened && *last <= after(*widened, ANSWERED, self.troubles()))
        };
        let last = traffic.last(&name).filter(|last| !by_others(last));
        let since = last
            .map(|last| at.duration_since(last))
            .filter(|since| *since < drained);
        if let (true, Some(since)) = (
            new == 0 && old > 0 && change.by == "warmfront" && !served && !in_vain && self.calm(at),
            since,
        ) {
            self.violation(
                at,
                format!("ReplicaSet {name} goes to 0 pods {since:?} after its last request"),
            );
        }
    }

    pub(super) fn see_service(&mut self, change: &Change) {
        let selector = |object: &Option<Object>| object.as_ref().map(|object| object["spec"]["selector"].clone());
        let (old, new) = (selector(&change.old), selector(&change.new));
        if old == new {
            return;
        }
        let hash = |selector: Option<serde_json::Value>| match selector {
            None => "absent".to_owned(),
            Some(selector) => selector
                .get("pod-template-hash")
                .and_then(|hash| hash.as_str())
                .unwrap_or("wide")
                .to_owned(),
        };
        self.note(
            change.at,
            format!(
                "Service {}: {} → {} (by {})",
                change.key.2,
                hash(old),
                hash(new),
                change.by
            ),
        );
        if change.by != "warmfront" {
            self.meddled = Some(change.at);
            self.widened.push(change.at);
        }
    }

    /// Of autoscalers we change nothing but the minimum, and nothing at all of those that KEDA keeps.
    pub(super) fn see_autoscaler(&mut self, change: &Change) {
        let (at, kind, name) = (change.at, change.key.0.traits().kind, &change.key.2);
        let (least, most) = if change.key.0 == Kind::ScaledObject {
            ("minReplicaCount", "maxReplicaCount")
        } else {
            ("minReplicas", "maxReplicas")
        };
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return;
        };
        let [before, after] = [old, new].map(|object| object["spec"][least].as_i64());
        if before != after {
            let text = |min: Option<i64>| min.map_or_else(|| "left out".to_owned(), |min| min.to_string());
            self.note(
                at,
                format!(
                    "{kind} {name}: {least} {} → {} (by {})",
                    text(before),
                    text(after),
                    change.by
                ),
            );
        }
        if change.by != "warmfront" {
            return;
        }
        if new
            .pointer("/metadata/ownerReferences/0/kind")
            .is_some_and(|owner| owner == "ScaledObject")
        {
            self.violation(at, format!("{kind} {name} was written, and a ScaledObject keeps it"));
        }
        let rest = |object: &Object| {
            let (mut spec, metadata) = (object["spec"].clone(), &object["metadata"]);
            spec.as_object_mut().map(|spec| spec.remove(least));
            json!([
                spec,
                metadata["annotations"],
                metadata["labels"],
                metadata["finalizers"]
            ])
        };
        if rest(old) != rest(new) {
            self.violation(at, format!("more of {kind} {name} was written than its minimum"));
        }
        let bound = |field: &str| new["spec"][field].as_i64();
        // KEDA refuses a ScaledObject whose bounds are not in order.
        let (idle, min, max) = (
            bound("idleReplicaCount").unwrap_or(-1),
            after.unwrap_or_default(),
            bound(most).unwrap_or(100),
        );
        if idle >= min.max(0) && idle >= 0 || min > max {
            self.violation(at, format!("{kind} {name} has the bounds {idle} < {min} ≤ {max}"));
        }
    }

    fn paused(&self) -> bool {
        self.objects
            .iter()
            .any(|(key, object)| key.0 == Kind::Deployment && object["spec"].get("paused") == Some(&json!(true)))
    }

    /// The ReplicaSet of what serves is there: without it users have whatever is ready.
    fn stable_stands(&self) -> bool {
        let stable = self
            .statuses
            .values()
            .filter_map(|status| status.stable_revision.as_deref());
        let mut gone = stable.filter(|hash| !self.sets().any(|set| text(set, "/metadata/name").ends_with(hash)));
        gone.next().is_none()
    }

    /// Looks at what was true until now.
    pub(super) fn see_unready(&mut self, now: Instant) {
        if !self.stable_is_ready() {
            self.stable_unready = Some(now);
        }
    }

    /// Pods of what serves are ready: Services are not narrowed to others.
    fn stable_is_ready(&self) -> bool {
        let ready = |hash: &str| {
            let mut pods = self.objects.iter().filter(|(key, _)| key.0 == Kind::Pod);
            pods.any(|(_, pod)| replica_set::serves(pod) && text(pod, "/metadata/labels/pod-template-hash") == hash)
        };
        let mut stable = self
            .statuses
            .values()
            .filter_map(|status| status.stable_revision.as_deref());
        stable.all(ready)
    }

    /// Kubernetes rolls a Deployment out by itself, or it is not known to rest.
    fn rolls_out(&self) -> bool {
        let deployments = self.objects.iter().filter(|(key, _)| key.0 == Kind::Deployment);
        let mut rolling = deployments.map(|(_, object)| object["spec"]["paused"] != true && !is_complete(object));
        rolling.any(|rolling| rolling)
    }

    /// No other hand changed anything just now; what stood in Warmfront's way since then is not counted.
    fn calm(&self, at: Instant) -> bool {
        let Some(meddled) = self.meddled else { return true };
        at > after(meddled, ANSWERED, self.troubles())
    }

    /// What delays the answer to another hand.
    fn troubles(&self) -> Vec<Stretch> {
        self.past.of(|trouble| match trouble {
            Trouble::Dead | Trouble::Blind | Trouble::Slow => true,
            // Nothing is written before the status remembers why.
            Trouble::Refused(kind, _) => matches!(
                kind,
                Kind::Service | Kind::ReplicaSet | Kind::Deployment | Kind::CanaryRollout
            ),
        })
    }

    /// No native rollout has ended just now.
    fn narrowed(&self, at: Instant) -> bool {
        self.rolled_out.is_none_or(|ended| at.duration_since(ended) > ANSWERED)
    }

    /// Who calls a user's Service directly meets one version only.
    pub(super) fn mixed(&mut self, traffic: &Traffic) {
        let now = Instant::now();
        self.see_unready(now);
        let unready = self
            .stable_unready
            .is_some_and(|at| now <= after(at, ANSWERED, self.troubles()));
        if self.rolls_out()
            || unready
            || !self.calm(now)
            || !self.narrowed(now)
            || !self.statuses.values().any(|status| status.originals.paused.is_some())
        {
            return;
        }
        let mixed = traffic.direct.iter().find(|(_, versions)| versions.len() > 1);
        if let Some((service, versions)) = mixed {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            let text = format!("Service {service} reaches pods of {}", versions.join(" and "));
            if !self.violations.iter().any(|violation| violation.ends_with(&text)) {
                self.violation(now, text);
            }
        }
    }
}

/// The Deployment has all its pods, of its template alone, and its controller has seen the newest spec.
fn is_complete(object: &Object) -> bool {
    let wanted = deployment::replicas(object);
    let fields = ["replicas", "updatedReplicas", "availableReplicas"];
    let whole = fields.iter().all(|field| object["status"][*field] == wanted);
    whole && object["status"]["observedGeneration"] == object["metadata"]["generation"]
}
