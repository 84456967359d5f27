//! A small obedient cluster for one Deployment: it does what Kubernetes and a gateway do, at once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    super::{
        contract::{Decision, Identity, action::Action, call::Reply, in_force::InForce, kind::Kind, observed::*},
        decide, needs,
    },
    cluster::{found, template},
    pair_world::Apps,
};
use crate::{
    api::{
        CanaryRolloutSpec, CanaryRolloutStatus, Percent,
        action::{RolloutActionSpec, Verb},
        status::{Cause, PauseReason, Phase},
    },
    router::RouteId,
};

#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one thing that may go wrong by itself"
)]
#[derive(Clone)]
pub struct World {
    pub now: Timestamp,
    pub spec: CanaryRolloutSpec,
    pub status: CanaryRolloutStatus,
    pub objects: BTreeMap<(Kind, String), Value>,
    pub finalizer: bool,
    pub deletion: Deletion,
    /// Share of bad requests of the new version, by check.
    pub bad: f64,
    /// Share of bad requests of the version that serves when no release runs, by check.
    pub stable_bad: f64,
    /// What its metrics lack, if anything.
    pub lacks: Option<(Cause, &'static str)>,
    /// What is said of pods that are scraped twice.
    pub scraped_twice: Option<&'static str>,
    /// How many times its metrics were looked at.
    pub inspections: usize,
    /// Share of failing requests of the old version.
    pub baseline_bad: f64,
    /// Share of lookups of the new version that miss; without it they fail as requests do.
    pub missed: Option<f64>,
    /// Metrics are there.
    pub answers: bool,
    /// All but those of requests.
    pub lacks_requests: bool,
    /// Requests a second that still reach a version that has lost its traffic.
    pub lagging: f64,
    /// The gateway accepts what it is given.
    pub accepts: bool,
    /// It tells the generation of what it accepts.
    pub reports_generations: bool,
    /// The cluster has no kind of route.
    pub kinds_missing: bool,
    /// Pods of new ReplicaSets become ready.
    pub ready: bool,
    /// Pods of the version that serves are ready.
    pub stable_ready: bool,
    /// So many of them are not.
    pub stable_lost: u32,
    /// So many pods of the newest version are lost.
    pub lost: u32,
    /// Contents of the ConfigMap that the template names.
    pub config: Option<&'static str>,
    /// Somebody who takes our entry out of the route as soon as it is in.
    pub fighter: Option<String>,
    pub actions: Vec<ActionSeen>,
    /// Confirmed weights of the canary in the order in which they stood in the route.
    pub weights: Vec<u32>,
    /// Names of the Events told.
    pub told: Vec<String>,
    /// Their texts.
    pub notes: String,
    /// Number of the last Event that reaches people.
    pub events_reach: i64,
    /// Seconds between two samples of a series.
    pub scrape: u64,
    /// The lag that the source states, in seconds.
    pub lag: Option<u64>,
    /// Another rollout was there first.
    pub route_elder: Option<(String, RouteId)>,
    /// What other systems answer; none do if it is `None`.
    pub answer: Option<Result<u16, String>>,
    /// What they answered, by key of the call.
    pub replies: BTreeMap<String, Reply>,
    /// Bodies of the calls.
    pub called: Vec<Value>,
    /// Two Deployments instead of the one.
    pub pair: Option<Apps>,
    /// The policy, and what a dry run has told of it.
    pub hold: (Policy, Option<Probed>),
}

impl World {
    pub fn new(spec: &Value) -> Self {
        Self {
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            spec: serde_json::from_value(spec.clone()).unwrap(),
            status: CanaryRolloutStatus::default(),
            objects: found(),
            finalizer: false,
            deletion: Deletion::No,
            bad: 0.0,
            stable_bad: 0.0,
            lacks: None,
            scraped_twice: None,
            baseline_bad: 0.0,
            missed: None,
            answers: true,
            lacks_requests: false,
            inspections: 0,
            lagging: 0.0,
            accepts: true,
            reports_generations: true,
            kinds_missing: false,
            ready: true,
            stable_ready: true,
            stable_lost: 0,
            lost: 0,
            config: None,
            fighter: None,
            actions: Vec::new(),
            weights: Vec::new(),
            told: Vec::new(),
            notes: String::new(),
            events_reach: i64::MAX,
            scrape: 1,
            lag: None,
            route_elder: None,
            answer: Some(Ok(200)),
            replies: BTreeMap::new(),
            called: Vec::new(),
            pair: None,
            hold: Default::default(),
        }
    }

    pub fn get(&self, kind: Kind, name: &str) -> &Value {
        &self.objects[&(kind, name.to_owned())]
    }

    pub fn apply_version(&mut self, version: &str) {
        self.objects.get_mut(&(Kind::Deployment, "catalog".to_owned())).unwrap()["spec"]["template"] =
            template(version);
    }

    pub fn ask(&mut self, verb: Verb) {
        let uid = format!("a{}", self.actions.len());
        let spec = RolloutActionSpec {
            rollout: "catalog".to_owned(),
            action: verb,
            revision: None,
            step: None,
            reason: None,
        };
        self.actions.push(ActionSeen {
            name: uid.clone(),
            uid,
            version: "1".to_owned(),
            spec,
            by: Some("kubectl-create".to_owned()),
            created: self.now,
            decided: None,
        });
    }

    /// Somebody else writes the backends of the route.
    pub fn edit_route(&mut self, backends: Value, manager: &str) {
        let route = self.objects.get_mut(&(Kind::HttpRoute, "catalog".to_owned())).unwrap();
        route["spec"]["rules"][0]["backendRefs"] = backends;
        route["metadata"]["generation"] = json!(route["metadata"]["generation"].as_i64().unwrap() + 1);
        route["metadata"]["managedFields"] =
            json!([{"manager": manager, "operation": "Update", "time": self.now.to_string()}]);
        self.weights.push(0);
    }

    /// One pass, after which everything that must hold is checked; whether it changed anything.
    pub fn pass(&mut self) -> (bool, Decision) {
        let result = self.pass_unchecked();
        self.check();
        result
    }

    /// Passes in which the world was just edited by another hand.
    pub fn settle_unchecked(&mut self) {
        self.pass_unchecked();
        self.settle();
    }

    /// The rollout, and its plan in force.
    pub fn subject(&self) -> (Identity, InForce) {
        let id = Identity {
            namespace: "shop".to_owned(),
            name: "catalog".to_owned(),
            uid: "u".to_owned(),
            generation: 1,
        };
        (id, InForce::new(Ok(&self.spec.clone().into()), &self.status))
    }

    pub fn pass_unchecked(&mut self) -> (bool, Decision) {
        let (id, in_force) = self.subject();
        self.pass_of(&id, &in_force)
    }

    /// A pass that goes by this spec and plan.
    pub fn pass_of(&mut self, id: &Identity, in_force: &InForce) -> (bool, Decision) {
        let mut seen = self.look();
        seen.configs = self
            .config
            .iter()
            .map(|held| ("settings".to_owned(), format!("version of {held}")))
            .collect();
        let needs = needs(id, in_force, &self.status, &seen, self.now);
        seen.measured = needs.measure.map(|question| self.measure(&question));
        seen.drained = needs.drained.map(|asked| self.look_for_requests(&asked));
        seen.inspected = needs.inspect.map(|asked| self.inspect(&asked));
        seen.config_digests = needs
            .configs
            .iter()
            .filter_map(|name| Some((name.clone(), self.config?.to_owned())))
            .collect();
        seen.actions_read = needs.actions.into_iter().collect();
        let decision = decide(id, in_force, &self.status, &seen, self.now);
        let changed = self.follow(&decision);
        (changed, decision)
    }

    /// Stores the status and does what was decided; whether anything changed.
    fn follow(&mut self, decision: &Decision) -> bool {
        let mut changed = decision.status != self.status;
        for notice in decision
            .status
            .events
            .pending
            .iter()
            .filter(|notice| notice.sequence > self.status.events.emitted)
        {
            self.told.push(notice.reason.clone());
            self.notes.push_str(&notice.note);
        }
        self.status = decision.status.clone();
        for one in &decision.actions {
            changed = true;
            self.carry_out(&one.action);
        }
        for call in &decision.calls {
            let Some(answer) = self.answer.clone() else { continue };
            changed = true;
            self.called.push(call.body.clone());
            self.replies.insert(
                call.key.clone(),
                Reply {
                    attempt: call.attempt,
                    answer,
                },
            );
        }
        changed
    }

    fn carry_out(&mut self, action: &Action) {
        if let (
            Some(_),
            Action::Patch { kind, .. }
            | Action::TakeTrafficOff { kind, .. }
            | Action::Create { kind, .. }
            | Action::Delete { kind, .. },
        ) = (&self.pair, action)
        {
            assert!(
                matches!(kind, Kind::HttpRoute | Kind::GrpcRoute),
                "of a pair only routes are touched: {action:?}"
            );
        }
        match action {
            Action::AddFinalizer => self.finalizer = true,
            Action::DropFinalizer => self.finalizer = false,
            Action::Create { kind, object } => {
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                self.objects.entry((*kind, name)).or_insert_with(|| (**object).clone());
            }
            Action::Patch { kind, name, patch } | Action::TakeTrafficOff { kind, name, patch } => {
                self.patch(*kind, name, patch);
            }
            Action::Delete { kind, name } => {
                self.objects.remove(&(*kind, name.clone()));
            }
            Action::Answer { name, .. } => {
                let now = self.now;
                let mut actions = self.actions.iter_mut();
                actions.find(|action| action.name == *name).unwrap().decided = Some(now);
            }
            Action::Forget { name } => self.actions.retain(|action| action.name != *name),
        }
    }

    fn patch(&mut self, kind: Kind, name: &str, patch: &[json_patch::PatchOperation]) {
        let before = self.canary_share();
        let object = self.objects.get_mut(&(kind, name.to_owned())).unwrap();
        json_patch::patch(object, patch).unwrap();
        if let Some(generation) = object["metadata"]["generation"].as_i64() {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        if matches!(kind, Kind::HttpRoute | Kind::GrpcRoute) {
            // The API server keeps who wrote when, until that itself is removed.
            if patch
                .iter()
                .any(|operation| operation.path().to_string().starts_with("/spec"))
            {
                object["metadata"]["managedFields"] = json!([{"manager": "warmfront", "time": self.now}]);
            }
            let after = self.canary_share();
            let none = |share: Option<Percent>| share.is_none_or(|share| share == Percent::ZERO);
            // Proxies learn of backends and of shares in any order.
            assert!(
                before.is_some() == after.is_some() || (none(before) && none(after)),
                "a backend came or went with its share: {before:?} → {after:?}"
            );
            if let Some(manager) = self.fighter.clone().filter(|_| after.is_some()) {
                self.edit_route(json!([{"name": "catalog", "port": 80}]), &manager);
            }
            let share = self.share();
            if self.weights.last().copied().unwrap_or_default() != share {
                self.weights.push(share);
            }
        }
    }

    /// The plan in force.
    pub fn plan(&self) -> crate::api::Plan {
        InForce::new(Ok(&self.spec.clone().into()), &self.status)
            .plan()
            .unwrap()
            .clone()
    }

    /// Passes until nothing changes any more.
    pub fn settle(&mut self) -> Decision {
        for _ in 0..200 {
            let (changed, decision) = self.pass();
            if !changed {
                return decision;
            }
        }
        panic!("no end: {:#?}", self.status);
    }

    /// Lets time pass until the condition holds, waking when the engine asks for it.
    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = self.now + SignedDuration::from_hours(4);
        loop {
            let decision = self.settle();
            if holds(self) {
                return;
            }
            self.now = decision.wake.unwrap_or_else(|| {
                panic!(
                    "{what}: nothing is waited for in {:?}: {}",
                    self.status.phase, self.status.message
                )
            });
            assert!(
                self.now < end,
                "{what} does not come: {:?}: {}",
                self.status.phase,
                self.status.message
            );
        }
    }

    pub fn is_paused_for(&self, reason: PauseReason) -> bool {
        let run = self.status.run.as_ref();
        run.is_some_and(|run| run.paused_for == Some(reason))
    }

    pub fn until_phase(&mut self, phase: Phase) {
        self.until(&phase.to_string(), |world| world.status.phase == phase);
    }

    pub fn adopted(mut self) -> Self {
        self.until("adoption", |world| {
            world.status.stable_revision.is_some() && world.get(Kind::Deployment, "catalog")["spec"]["paused"] == true
        });
        self
    }
}
