//! What came of a run: what is not as it was found, and what was wrong whatever the scenario is about.

use tokio::time::Instant;

use super::{Ended, Run};
use crate::{
    apiserver::{kinds::Kind, lock, store::wall},
    outcome::Outcome,
    scenario::{
        Scenario,
        given::{CANDIDATE, NAME, NAMESPACE},
        manifests::service_of,
    },
    world::{text, traffic::Failure},
};

impl Run {
    /// What is not as it was found; ReplicaSets may still be held after a rollback, until the template is another one.
    pub fn not_as_found(&self, sets: bool) -> Vec<String> {
        let cluster = lock(&self.cluster);
        let store = &cluster.store;
        let mut wrong = Vec::new();
        let objects = [
            (Kind::Service, NAME, self.manifests.service.clone()),
            (Kind::Service, CANDIDATE, service_of(CANDIDATE)),
            (Kind::HttpRoute, NAME, self.manifests.route.clone()),
        ];
        for (kind, name, found) in objects {
            let Some(object) = store.get(kind, NAMESPACE, name) else {
                continue;
            };
            if object["spec"] != found["spec"] {
                wrong.push(format!("{} is not as found: {}", kind.traits().kind, object["spec"]));
            }
        }
        let own = |name: &str| name == NAME || name == CANDIDATE || self.given.world.hooks.contains_key(name);
        for (kind, _, name) in store.all().keys().filter(|key| key.0 == Kind::Service && !own(&key.2)) {
            wrong.push(format!("{} {name} is left", kind.traits().kind));
        }
        for set in store.list(Kind::ReplicaSet, Some(NAMESPACE)) {
            if sets && set.pointer("/metadata/labels/warmfront.dev~1rollout").is_some() {
                wrong.push(format!("ReplicaSet {} is still held", text(&set, "/metadata/name")));
            }
        }
        wrong
    }

    /// What was wrong whatever the scenario is about.
    pub(super) fn judge(&self, scenario: &Scenario) -> Vec<String> {
        let mut guard = lock(&self.cluster);
        let cluster = &mut *guard;
        cluster.see_traffic(Instant::now());
        cluster.witness.catch_up(&cluster.store, &cluster.traffic);
        let mut wrong = cluster.witness.violations.clone();
        wrong.extend(cluster.complaints.iter().cloned());
        // A namespace that is going takes no Events.
        if cluster.store.get(Kind::Namespace, "", NAMESPACE).is_some() {
            wrong.extend(cluster.witness.lost_events());
        }
        if scenario.may_fail.is_none() {
            let excused = |failure: &&Failure| scenario.hands_may_fail && cluster.witness.excuses(failure);
            wrong.extend(
                cluster
                    .traffic
                    .failures
                    .iter()
                    .filter(|failure| !excused(failure))
                    .map(|failure| {
                        let at = |at| wall(cluster.traffic.start, at).strftime("%H:%M:%S.%3f");
                        let (from, to) = (at(failure.from), at(failure.to));
                        format!(
                            "{:.1} requests failed from {from} to {to}: {}",
                            failure.requests, failure.why
                        )
                    }),
            );
        }
        wrong
    }

    /// Stops everything.
    pub(super) fn end(self, wrong: Vec<String>, idle_calls: usize) -> Ended {
        self.controller.stop();
        if let Some(second) = &self.second {
            second.stop();
        }
        self.world.abort();
        let calls = self
            .controller
            .lives()
            .first()
            .map(|life| life.calls())
            .unwrap_or_default();
        let cluster = lock(&self.cluster);
        let start = cluster.traffic.start;
        let lines: Vec<String> = cluster
            .witness
            .lines
            .iter()
            .map(|line| format!("{:>9.3}s  {}", line.at.duration_since(start).as_secs_f64(), line.text))
            .collect();
        Ended {
            wrong,
            timeline: lines.join("\n"),
            outcome: Outcome::of(&cluster),
            calls,
            idle_calls,
        }
    }
}
