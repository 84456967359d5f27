//! Runs one scenario in simulated time and says how it ended.

mod ended;
mod script;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use warmfront::api::CanaryRolloutStatus;

use super::{
    Given, Scenario,
    given::{GIT, NAME, NAMESPACE, create},
    manifests::Manifests,
};
use crate::{
    apiserver::{Shared, kinds::Kind, lock, store::by},
    outcome::Outcome,
    process::{Faults, Supervised},
    world::{self, Cluster},
};

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
    /// The owner's manifests.
    pub manifests: Manifests,
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
        let manifests = Manifests::new(&given);
        if given.pair {
            let candidate = manifests.deployment.clone();
            create(&mut lock(&cluster).store, Kind::Deployment, NAMESPACE, candidate);
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
            manifests,
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

    /// Status of the rollout, if there is one; of one that cannot be read the conditions.
    pub fn status(&self) -> Option<CanaryRolloutStatus> {
        let rollout = lock(&self.cluster).store.get(Kind::CanaryRollout, NAMESPACE, NAME)?;
        let status = rollout.get("status")?;
        let conditions = || serde_json::json!({"conditions": status.get("conditions")});
        serde_json::from_value(status.clone())
            .or_else(|_| serde_json::from_value(conditions()))
            .ok()
    }
}
