//! Requests without a pod: which of them another hand made, and how long Warmfront has to put right what it can.

use std::time::Duration;

use tokio::time::Instant;
use warmfront::api::status::Phase;

use super::{
    Witness,
    hands::DRAINED,
    past::{Part, Stretch, Trouble, after, covered},
};
use crate::{
    apiserver::{kinds::Kind, store::Change},
    scenario::given::NAME,
    world::{
        Object, deployment, keda, replica_set, text,
        traffic::{Failure, Traffic},
    },
};

/// What Warmfront can put right it has put right within this time.
const PUT_RIGHT: Duration = Duration::from_secs(2);
/// From the moment at which a ReplicaSet stands until its pods are made and found.
const PODS_FOLLOW: Duration = Duration::from_secs(3);
/// Proxies follow their own pace: no failed request is judged to less than this.
const SLACK: Duration = Duration::from_millis(150);

/// Pods that are not behind their Service count as lost after this time.
const LOST: Duration = Duration::from_secs(3);

/// What is waited for at least where nothing can be measured.
const UNMEASURED: Duration = Duration::from_mins(1);

/// Warmfront, whose deletions name no manager.
const OURS: [&str; 2] = ["warmfront", "unknown"];

/// Parts of the cluster, which do what somebody else has asked for.
const MACHINES: [&str; 5] = [
    deployment::NAME,
    "kube-controller-manager",
    "gateway",
    "kubelet",
    keda::NAME,
];

/// What a hand took away or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Pods of this revision.
    Pods(String),
    /// The ReplicaSet of this revision, be it with its Deployment.
    Set(String),
    /// The Service of this name.
    Service(String),
    /// The route.
    Route,
}

/// What hands did.
#[derive(Default)]
pub(super) struct Hands {
    touched: Vec<(Instant, Touched)>,
    /// When objects that users own were away.
    gone: Vec<(Kind, String, Instant, Option<Instant>)>,
    /// Selectors of Services from a moment on.
    selectors: Vec<(Instant, String, serde_json::Value)>,
    /// When Warmfront took away what led to the new version, or its pods, while nobody could see that requests come, and whether
    /// that was after a promotion.
    removed: Vec<(Instant, bool)>,
    /// When no pod of any version was ready.
    without_pods: Vec<(Instant, Option<Instant>)>,
}

/// Whether this writer is no part of the cluster.
pub(super) fn is_hand(by: &str) -> bool {
    !MACHINES.contains(&by) && !OURS.contains(&by)
}

fn hash(object: &Object) -> String {
    text(object, "/metadata/labels/pod-template-hash").to_owned()
}

impl Witness {
    /// Remembers what hands do to what users' requests need.
    pub(super) fn see_blame(&mut self, change: &Change, traffic: &Traffic) {
        let (at, hand) = (change.at, is_hand(&change.by));
        let touched = match (change.key.0, &change.old, &change.new) {
            (Kind::Pod, Some(old), new) if hand => {
                let lost = new.as_ref().is_none_or(|new| !replica_set::serves(new));
                lost.then(|| Touched::Pods(hash(old)))
            }
            // Kubernetes takes a Deployment's ReplicaSets away with it.
            (Kind::ReplicaSet, Some(old), None)
                if !OURS.contains(&change.by.as_str()) && deployment::replicas(old) > 0 =>
            {
                Some(Touched::Set(
                    text(old, "/spec/template/metadata/labels/pod-template-hash").to_owned(),
                ))
            }
            (Kind::Service, Some(_), _) if hand => Some(Touched::Service(change.key.2.clone())),
            (Kind::HttpRoute, Some(old), new) if hand && new.as_ref().map(|new| &new["spec"]) != Some(&old["spec"]) => {
                Some(Touched::Route)
            }
            _ => None,
        };
        self.hands.touched.extend(touched.map(|touched| (at, touched)));
        if matches!(change.key.0, Kind::Service | Kind::Deployment | Kind::HttpRoute) {
            let (kind, name) = (change.key.0, change.key.2.clone());
            if let Some(new) = &change.new {
                let back = self
                    .hands
                    .gone
                    .iter_mut()
                    .rev()
                    .find(|gone| gone.0 == kind && gone.1 == name);
                if let Some(gone) = back.filter(|gone| gone.3.is_none()) {
                    gone.3 = Some(at);
                }
                if kind == Kind::Service {
                    let selector = new["spec"]["selector"].clone();
                    self.hands.selectors.push((at, name, selector));
                }
            } else if hand {
                self.hands.gone.push((kind, name, at, None));
            }
        }
        self.see_removed(change, traffic);
        if change.key.0 == Kind::Pod {
            let none = !self
                .objects
                .iter()
                .any(|(key, pod)| key.0 == Kind::Pod && replica_set::serves(pod));
            match self.hands.without_pods.last_mut().filter(|(_, until)| until.is_none()) {
                Some((_, until)) if !none => *until = Some(at),
                None if none => self.hands.without_pods.push((at, None)),
                _ => {}
            }
        }
    }

    /// Remembers what Warmfront takes from under proxies that lag.
    fn see_removed(&mut self, change: &Change, traffic: &Traffic) {
        if !OURS.contains(&change.by.as_str()) {
            return;
        }
        let size = |object: &Option<Object>| object.as_ref().map_or(0, |object| deployment::replicas(object));
        let gone = match change.key.0 {
            Kind::Service => change.new.is_none(),
            Kind::ReplicaSet => size(&change.old) > 0 && size(&change.new) == 0,
            _ => false,
        };
        let promoted = self
            .statuses
            .get(NAME)
            .is_some_and(|status| status.phase == Phase::Succeeded);
        if gone && (promoted || !traffic.is_seen_at(&change.key.2, change.at)) {
            self.hands.removed.push((change.at, promoted));
        }
    }

    /// Requests of proxies that nobody could see when the new version's Service or pods went: either they sent none at that time,
    /// or, after a promotion, nothing tells those that come through its Service from the others, and a minute is waited for.
    fn unseen(&self, until: Instant) -> impl Iterator<Item = Stretch> {
        let late = self.past.routed_within(until);
        let by_rule = move |(at, promoted): &(Instant, bool)| {
            let given = if *promoted { UNMEASURED } else { DRAINED };
            (late >= given).then_some((*at, *at + late))
        };
        self.hands.removed.iter().filter_map(by_rule)
    }

    /// Whether another hand made these requests fail, and Warmfront was not late with what it owes.
    pub fn excuses(&self, failure: &Failure) -> bool {
        let service = failure.service.as_str();
        let end = |until: Option<Instant>| until.unwrap_or(failure.to);
        // Nobody can serve where no version has a pod.
        let mut excused: Vec<Stretch> = self
            .hands
            .without_pods
            .iter()
            .map(|(from, until)| (*from, end(*until) + PODS_FOLLOW))
            .collect();
        if service != NAME {
            excused.extend(self.unseen(failure.to));
        }
        for (at, touched) in self.hands.touched.iter().filter(|(at, _)| *at <= failure.to) {
            let from = *at;
            match touched {
                Touched::Pods(hash) | Touched::Set(hash) if self.selected(service, hash, from, failure.to) => {
                    excused.push((from, self.pods_back(from, hash, failure.to)));
                    if service != NAME {
                        excused.push((from, self.fallen(from, failure.to)));
                    }
                }
                Touched::Service(name) if name == service => {
                    excused.push((from, self.service_right(from, service, failure.to)));
                    // It is made as the user's own: without that its share falls instead, once its pods count as lost.
                    let own = self.away(Kind::Service, failure.to).into_iter();
                    if service != NAME && own.into_iter().any(|(away, back)| away <= from && from < back) {
                        excused.push((from, self.fallen(from + LOST, failure.to)));
                    }
                }
                Touched::Route => excused.push((from, self.fallen(from, failure.to))),
                Touched::Pods(_) | Touched::Set(_) | Touched::Service(_) => {}
            }
        }
        covered((failure.from, failure.to), excused, SLACK)
    }

    /// Whether a Service led to pods of a revision at any time.
    fn selected(&self, service: &str, hash: &str, from: Instant, until: Instant) -> bool {
        let mut selectors = self
            .hands
            .selectors
            .iter()
            .filter(|(_, name, _)| name == service)
            .peekable();
        while let Some((since, _, selector)) = selectors.next() {
            let ends = selectors.peek().map(|(at, _, _)| *at);
            let then = *since <= until && ends.is_none_or(|ends| ends >= from);
            let one = selector.get("pod-template-hash").and_then(|one| one.as_str());
            if then && one.is_none_or(|one| one == hash) {
                return true;
            }
        }
        false
    }

    /// What delays every answer.
    fn delays(&self, kinds: &[Kind]) -> Vec<Stretch> {
        self.past.of(|trouble| match trouble {
            Trouble::Dead | Trouble::Blind | Trouble::Slow => true,
            Trouble::Refused(kind, Part::Whole) => kinds.contains(&kind),
            Trouble::Refused(_, Part::Status) => false,
        })
    }

    fn away(&self, kind: Kind, until: Instant) -> Vec<Stretch> {
        let of = self.hands.gone.iter().filter(|gone| gone.0 == kind);
        of.map(|(_, _, from, back)| (*from, back.unwrap_or(until))).collect()
    }

    /// When what a hand took from under the new version's traffic has lost that traffic at the latest.
    fn fallen(&self, from: Instant, until: Instant) -> Instant {
        let mut delays = self.delays(&[Kind::HttpRoute]);
        delays.extend(self.past.not_accepting());
        delays.extend(self.away(Kind::HttpRoute, until));
        after(from, PUT_RIGHT + self.past.routed_within(until), delays)
    }

    /// When pods of a revision that a hand took away are back at the latest.
    fn pods_back(&self, from: Instant, hash: &str, until: Instant) -> Instant {
        let mut delays = self.delays(&[Kind::Deployment, Kind::ReplicaSet, Kind::Service]);
        let tag = self.tags.get(hash).map_or("", String::as_str);
        delays.extend(
            self.past
                .while_it(|settings| settings.version(tag).never_ready.is_some()),
        );
        delays.extend(self.past.while_it(|settings| settings.quota.is_some()));
        delays.extend(self.away(Kind::Deployment, until));
        after(from, PODS_FOLLOW + self.past.ready_within(from, until), delays)
    }

    /// When a Service that a hand changed or deleted leads to pods again at the latest; a user's own once it is there.
    fn service_right(&self, from: Instant, service: &str, until: Instant) -> Instant {
        let mut delays = self.delays(&[Kind::Service]);
        let own = self
            .hands
            .gone
            .iter()
            .filter(|gone| gone.0 == Kind::Service && gone.1 == service && service == NAME);
        delays.extend(own.map(|(_, _, from, back)| (*from, back.unwrap_or(until))));
        after(from, PUT_RIGHT, delays)
    }

    /// How often hands took a revision's pods or the Service before them away, from a moment to another.
    pub(super) fn losses(&self, revision: &str, from: Instant, until: Instant) -> usize {
        let of = self.hands.touched.iter().filter(|(at, touched)| {
            let its = match touched {
                Touched::Pods(hash) | Touched::Set(hash) => hash == revision,
                Touched::Service(name) => name != NAME,
                Touched::Route => false,
            };
            its && *at >= from && *at <= until
        });
        let mut moments: Vec<Instant> = of.map(|(at, _)| *at).collect();
        moments.dedup_by_key(|at| at.duration_since(self.start).as_secs());
        moments.len()
    }
}
