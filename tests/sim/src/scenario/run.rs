//! Runs one scenario in simulated time and says how it ended.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use warmfront::api::{CanaryRolloutStatus, status::Phase};

use super::{
    Facts, Given, Scenario, Step,
    given::{CANDIDATE, GIT, NAME, NAMESPACE, create},
};
use crate::{
    apiserver::{
        Shared,
        kinds::Kind,
        lock,
        store::{by, wall},
    },
    outcome::Outcome,
    process::{Faults, Supervised},
    world::{self, Cluster, text},
};

/// Longest that anything is waited for, unless a step says otherwise.
const PATIENCE: Duration = Duration::from_mins(10);
/// Nothing may move for so long before a scenario is at rest: longer than a call may hang.
const REST: Duration = Duration::from_secs(75);
/// Longest that coming to rest may take.
const LONGEST: Duration = Duration::from_mins(20);
/// How often facts are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A scenario that runs.
pub struct Run {
    /// The cluster.
    pub cluster: Shared,
    /// The controller under test.
    pub controller: Supervised,
    /// A second one, if there are two leaders.
    pub second: Option<Supervised>,
    /// What it began with.
    pub given: Given,
    /// The Deployment that is released, as Git has it.
    pub manifest: Value,
    /// RolloutActions created so far.
    pub acts: u32,
    /// When pods were lost.
    pub losses: Vec<Instant>,
    begun: Instant,
    disturbed: bool,
    world: JoinHandle<()>,
}

/// How a scenario ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What was wrong; empty if all was as expected.
    pub wrong: Vec<String>,
    /// The timeline.
    pub timeline: String,
    /// What is compared between runs.
    pub outcome: Outcome,
    /// Calls of the first controller.
    pub calls: Vec<String>,
    /// Calls besides watches while everything rested.
    pub idle_calls: usize,
}

/// Applies a manifest of the Deployment.
fn apply(cluster: &Shared, manifest: Value) {
    let store = &mut lock(cluster).store;
    let changed = store.update(Kind::Deployment, NAMESPACE, NAME, by(GIT), |object| {
        json_patch::merge(object, &manifest);
        Ok(())
    });
    if changed.is_err() {
        create(store, Kind::Deployment, NAMESPACE, manifest);
    }
}

/// Waits until Kubernetes has rolled the app out.
async fn rolled_out(cluster: &Shared) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let app = lock(cluster)
            .store
            .get(Kind::Deployment, NAMESPACE, NAME)
            .unwrap_or_default();
        let size = world::deployment::replicas(&app);
        let whole = ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|field| app["status"][*field] == size);
        if whole && app["status"]["observedGeneration"] == app["metadata"]["generation"] {
            return;
        }
    }
}

/// Runs a future in simulated time of its own.
pub fn simulate<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime without IO starts").block_on(future)
}

/// How many controllers believe to be the only one.
#[derive(Clone, Copy, Debug)]
pub struct Leaders {
    /// One or two.
    pub number: usize,
    /// Their calls take times of which this is the seed; without one, all take the same.
    pub seed: Option<u64>,
}

impl Default for Leaders {
    fn default() -> Self {
        Self { number: 1, seed: None }
    }
}

impl Scenario {
    /// Runs it with several controllers, or with calls that take random times.
    pub fn play_with(&self, leaders: Leaders) -> Ended {
        simulate(async { Run::begin(self, Vec::new(), leaders).await.play(self).await })
    }

    /// Runs it to its end, with the given faults of the controller's processes.
    pub fn play(&self, faults: Vec<Faults>) -> Ended {
        simulate(async { Run::begin(self, faults, Leaders::default()).await.play(self).await })
    }
}

impl Run {
    /// Builds the world and starts the controller.
    pub async fn begin(scenario: &Scenario, faults: Vec<Faults>, leaders: Leaders) -> Self {
        let given = scenario.given.clone();
        let start = Instant::now();
        let cluster: Shared = std::sync::Arc::new(std::sync::Mutex::new(Cluster::new(start, given.world.clone())));
        given.build(&cluster);
        let world = tokio::spawn(world::run(cluster.clone()));
        let running = given.running;
        if running {
            // Two versions, so that there is a history.
            for version in ["v0", "v1"] {
                apply(&cluster, given.deployment(version));
                rolled_out(&cluster).await;
            }
            // What failed before anything ran is nobody's fault.
            let mut guard = lock(&cluster);
            guard.see_traffic(Instant::now());
            guard.traffic.failures.clear();
            guard.witness.pods_made = 0;
        }
        let manifest = given.deployment_of(given.released(), if given.pair { "v2" } else { "v1" });
        if given.pair {
            create(&mut lock(&cluster).store, Kind::Deployment, NAMESPACE, manifest.clone());
        }
        let disturbed = !faults.is_empty() || leaders.seed.is_some();
        lock(&cluster).ways = leaders.seed.map(fastrand::Rng::with_seed);
        let controller = Supervised::start(&cluster, faults);
        let second = (leaders.number == 2).then(|| Supervised::start(&cluster, Vec::new()));
        let run = Self {
            cluster,
            controller,
            second,
            given,
            manifest,
            acts: 0,
            losses: Vec::new(),
            begun: Instant::now(),
            disturbed,
            world,
        };
        {
            let mut guard = lock(&run.cluster);
            let rollout = json!({"metadata": {"name": NAME}, "spec": run.given.spec()});
            create(&mut guard.store, Kind::CanaryRollout, NAMESPACE, rollout);
            guard.witness.note(Instant::now(), "the CanaryRollout is applied");
        }
        run
    }

    /// Plays the script and sees what came of it.
    pub async fn play(mut self, scenario: &Scenario) -> Ended {
        let mut wrong = Vec::new();
        if let Err(error) = self.script(scenario).await {
            wrong.push(format!("{error:#}"));
        }
        let mut idle_calls = 0;
        if wrong.is_empty() && !scenario.restless {
            match self.rest().await {
                Ok(calls) => idle_calls = calls,
                Err(error) => wrong.push(format!("{error:#}")),
            }
        }
        if wrong.is_empty() {
            wrong.extend(
                self.differences(&scenario.end)
                    .into_iter()
                    .map(|text| format!("at the end: {text}")),
            );
        }
        wrong.extend(self.judge(scenario));
        self.end(wrong, idle_calls)
    }

    async fn script(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        if self.given.adopted && self.given.running && !self.given.pair {
            let adopted = Facts {
                paused: Some(true),
                conditions: [("Promoted".to_owned(), "True/Adopted".to_owned())].into(),
                ..Facts::default()
            };
            self.wait(&adopted, PATIENCE)
                .await
                .map_err(|error| error.context("adoption"))?;
        }
        self.begun = Instant::now();
        for (number, step) in scenario.script.iter().enumerate() {
            self.step(step)
                .await
                .map_err(|error| error.context(format!("step {} of the script", number + 1)))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        if let Some(at) = step.at {
            tokio::time::sleep_until(self.begun + Duration::from_secs_f64(at)).await;
        }
        if let Some(when) = &step.when {
            // With something going wrong it may take longer, but must come.
            let within = step.within.map(Duration::from_secs_f64).filter(|_| !self.disturbed);
            self.wait(when, within.unwrap_or(PATIENCE)).await?;
        }
        if let Some(after) = step.after {
            tokio::time::sleep(Duration::from_secs_f64(after)).await;
        }
        for deed in &step.deeds {
            self.perform(deed)?;
        }
        if let Some(expected) = &step.expect {
            let wrong = self.differences(expected);
            anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        }
        if let Some(always) = &step.always {
            let end = Instant::now() + Duration::from_secs_f64(step.length.unwrap_or_default());
            let mut seen = 0;
            while Instant::now() < end {
                if self.moved(&mut seen) {
                    let wrong = self.differences(always);
                    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Waits until facts are true.
    pub async fn wait(&self, facts: &Facts, within: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + within;
        let mut seen = 0;
        loop {
            if !self.moved(&mut seen) && Instant::now() < end {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let wrong = self.differences(facts);
            if wrong.is_empty() {
                return Ok(());
            }
            let status = self
                .status()
                .map(|status| format!("{}: {}", status.phase, status.message))
                .unwrap_or_default();
            anyhow::ensure!(
                Instant::now() < end,
                "not within {within:?}: {} ({status})",
                wrong.join("; ")
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether anything has changed since the version that was seen last.
    fn moved(&self, seen: &mut u64) -> bool {
        let version = lock(&self.cluster).store.version();
        std::mem::replace(seen, version) != version
    }

    /// Waits until nothing moves any more; returns the calls besides watches meanwhile.
    pub async fn rest(&self) -> anyhow::Result<usize> {
        let end = Instant::now() + LONGEST;
        loop {
            let before = lock(&self.cluster).store.version();
            let calls = || self.controller.lives().iter().filter_map(|life| life.last_call()).max();
            let last = calls();
            tokio::time::sleep(REST).await;
            let still = lock(&self.cluster).store.version() == before;
            let resting = self.status().is_none_or(|status| {
                let phase = matches!(status.phase, Phase::Idle | Phase::Succeeded | Phase::RolledBack);
                phase && status.kept.is_empty()
            });
            if still && resting {
                return Ok(usize::from(calls() != last));
            }
            let status = self
                .status()
                .map(|status| format!("{}: {}", status.phase, status.message))
                .unwrap_or_default();
            anyhow::ensure!(Instant::now() < end, "it does not come to rest ({status})");
        }
    }

    /// Status of the rollout, if there is one.
    pub fn status(&self) -> Option<CanaryRolloutStatus> {
        let rollout = lock(&self.cluster).store.get(Kind::CanaryRollout, NAMESPACE, NAME)?;
        serde_json::from_value(rollout.get("status")?.clone()).ok()
    }

    /// What is not as it was found; ReplicaSets may still be held after a rollback, until the template is another one.
    pub fn not_as_found(&self, sets: bool) -> Vec<String> {
        let cluster = lock(&self.cluster);
        let store = &cluster.store;
        let mut wrong = Vec::new();
        let objects = [
            (Kind::Service, NAME, Given::service()),
            (Kind::Service, CANDIDATE, Given::service_of(CANDIDATE)),
            (Kind::HttpRoute, NAME, self.given.route()),
        ];
        for (kind, name, found) in objects {
            let Some(object) = store.get(kind, NAMESPACE, name) else {
                continue;
            };
            if object["spec"] != found["spec"] {
                wrong.push(format!("{} is not as found: {}", kind.traits().kind, object["spec"]));
            }
        }
        for (kind, _, name) in store
            .all()
            .keys()
            .filter(|key| key.0 == Kind::Service && key.2 != NAME && key.2 != CANDIDATE)
        {
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
    fn judge(&self, scenario: &Scenario) -> Vec<String> {
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
            wrong.extend(cluster.traffic.failures.iter().map(|failure| {
                let at = wall(cluster.traffic.start, failure.from).strftime("%H:%M:%S.%3f");
                format!("{:.1} requests failed at {at}: {}", failure.requests, failure.why)
            }));
        }
        wrong
    }

    /// Stops everything.
    fn end(self, wrong: Vec<String>, idle_calls: usize) -> Ended {
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
