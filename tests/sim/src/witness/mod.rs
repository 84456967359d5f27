//! Sees every change in order, keeps what is worth telling, and complains about what must never be.
//!
//! It judges by what the world did, not by what the product says about itself, wherever it can.

mod blame;
mod events;
mod hands;
pub mod past;
mod rejected;
mod route;
mod run;
mod served;

pub use route::{percent, share};

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use warmfront::api::{CanaryRolloutSpec, CanaryRolloutStatus, Percent};

use crate::{
    apiserver::{
        kinds::Kind,
        store::{Change, Key, Store, wall},
    },
    world::{Object, traffic::Traffic},
};

/// A line of the timeline.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Instant,
    /// What.
    pub text: String,
}

/// A weight that was confirmed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confirmed {
    /// Number of the run.
    pub run: i64,
    /// Its step.
    pub step: i32,
    /// The weight.
    pub weight: Percent,
}

/// Sees everything.
pub struct Witness {
    start: Instant,
    seen: u64,
    objects: BTreeMap<Key, Object>,
    /// Status of the rollout, by name.
    statuses: BTreeMap<String, CanaryRolloutStatus>,
    specs: BTreeMap<String, CanaryRolloutSpec>,
    /// The timeline.
    pub lines: Vec<Line>,
    /// What must never be, and was.
    pub violations: Vec<String>,
    /// Weights as they were confirmed, in order.
    pub confirmed: Vec<Confirmed>,
    /// The canary's share in the route in hundredths of a percent, in the order in which the route was written.
    pub shares: Vec<u32>,
    /// Phases in order.
    pub phases: Vec<String>,
    /// Events that statuses ask for, by rollout and sequence: reason and text.
    pub promised: BTreeMap<(String, i64), (String, String)>,
    /// Events that were told, by name.
    pub told: BTreeMap<String, (String, String)>,
    /// RolloutActions that were carried out, as Events tell.
    answered: BTreeSet<String>,
    route: route::Seen,
    /// Times at which another hand changed something that only we should change.
    pub meddled: Option<Instant>,
    /// Times at which another hand changed a Service.
    widened: Vec<Instant>,
    /// When the last native rollout ended: the Deployment was paused again.
    rolled_out: Option<Instant>,
    /// When last no pod of what serves was ready.
    stable_unready: Option<Instant>,
    /// Revisions that ever were the stable one.
    stable: BTreeSet<String>,
    /// Users changed the plan or asked for something that shortens a step.
    pub plan_changes: usize,
    /// Pods that were ever created.
    pub pods_made: usize,
    /// How the world behaved, and what stood in Warmfront's way.
    pub past: past::Past,
    hands: blame::Hands,
    /// Tags of the images of revisions.
    tags: BTreeMap<String, String>,
    unserved: served::Unserved,
}

impl Witness {
    /// Has seen nothing yet.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            seen: 0,
            objects: BTreeMap::new(),
            statuses: BTreeMap::new(),
            specs: BTreeMap::new(),
            lines: Vec::new(),
            violations: Vec::new(),
            confirmed: Vec::new(),
            shares: Vec::new(),
            phases: Vec::new(),
            promised: BTreeMap::new(),
            told: BTreeMap::new(),
            answered: BTreeSet::new(),
            route: route::Seen::default(),
            meddled: None,
            widened: Vec::new(),
            rolled_out: None,
            stable_unready: None,
            stable: BTreeSet::new(),
            plan_changes: 0,
            pods_made: 0,
            past: past::Past::default(),
            hands: blame::Hands::default(),
            tags: BTreeMap::new(),
            unserved: served::Unserved::default(),
        }
    }

    /// Looks at all changes since the last time.
    pub fn catch_up(&mut self, store: &Store, traffic: &Traffic) {
        self.see_served(Instant::now());
        self.see_unready(Instant::now());
        for change in store.since(self.seen) {
            self.see(change, traffic);
            self.seen = change.version;
        }
        self.mixed(traffic);
    }

    /// The last status of a rollout.
    pub fn status(&self, rollout: &str) -> Option<&CanaryRolloutStatus> {
        self.statuses.get(rollout)
    }

    /// A line of the timeline.
    pub fn note(&mut self, at: Instant, text: impl Into<String>) {
        self.lines.push(Line { at, text: text.into() });
    }

    fn violation(&mut self, at: Instant, text: impl AsRef<str>) {
        let line = format!("{} {}", wall(self.start, at).strftime("%H:%M:%S.%3f"), text.as_ref());
        self.note(at, format!("VIOLATION: {}", text.as_ref()));
        self.violations.push(line);
    }

    fn see(&mut self, change: &Change, traffic: &Traffic) {
        match &change.new {
            Some(new) => drop(self.objects.insert(change.key.clone(), new.clone())),
            None => drop(self.objects.remove(&change.key)),
        }
        self.see_blame(change, traffic);
        let its_own = matches!(
            change.key.0,
            Kind::CanaryRollout | Kind::RolloutAction | Kind::Event | Kind::HttpRoute | Kind::GrpcRoute
        );
        if change.by == "warmfront" && !its_own && self.specs.values().any(|spec| spec.workload.pair.is_some()) {
            self.violation(
                change.at,
                format!(
                    "{} {} was touched, and of a pair only routes are",
                    change.key.0.traits().kind,
                    change.key.2
                ),
            );
        }
        match change.key.0 {
            Kind::CanaryRollout => self.see_rollout(change),
            Kind::HttpRoute if change.key.2 == crate::scenario::given::NAME => self.see_route(change),
            Kind::Event => self.see_event(change),
            Kind::ReplicaSet | Kind::Deployment => self.see_hands(change, traffic),
            Kind::Service => self.see_service(change),
            Kind::HorizontalPodAutoscaler | Kind::ScaledObject => self.see_autoscaler(change),
            Kind::Pod => self.pods_made += usize::from(change.old.is_none()),
            Kind::Namespace
            | Kind::EndpointSlice
            | Kind::ConfigMap
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::Gateway
            | Kind::GatewayClass
            | Kind::RolloutAction
            | Kind::MetricSource
            | Kind::HoldPolicy
            | Kind::HoldBinding => {}
        }
    }
}
