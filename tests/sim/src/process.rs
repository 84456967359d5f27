//! Processes of the real controller, started and, when they die, started again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warmfront::controller::{
    self, Context,
    calls::{Calls, Rules},
    discovery,
    leadership::Leadership,
    watches,
};

use crate::{
    access::{Access, Fault, Life},
    apiserver::{Shared, lock, store::wall},
    witness::past::Trouble,
    world::{hooks, metrics},
};

/// Faults of one process, by the number of the call.
pub type Faults = BTreeMap<u64, Fault>;

/// Time from the death of a process to the start of the next.
const RESTART: Duration = Duration::from_millis(500);

/// From its start until it has seen everything.
const AWAKE: Duration = Duration::from_secs(1);

/// One process.
struct Process {
    life: Arc<Life>,
    main: JoinHandle<()>,
}

fn start(cluster: &Shared, faults: Faults) -> Process {
    let life = Life::new(faults);
    let client = Access {
        cluster: cluster.clone(),
        life: life.clone(),
    }
    .client();
    let main = tokio::spawn(run(cluster.clone(), client));
    Process { life, main }
}

/// What the process does from its start on.
async fn run(cluster: Shared, client: kube::Client) {
    let installed = discovery::installed(&client).await;
    let (caches, queue, requests, absent) = watches::open(&client, &TaskTracker::new(), &installed);
    let (begin, uninstalls) = {
        let cluster = lock(&cluster);
        (cluster.traffic.start, cluster.uninstalls)
    };
    let clock = Box::new(move || wall(begin, tokio::time::Instant::now()));
    let calls = Calls::new(Arc::new(hooks::Hooks(cluster.clone())), Rules::default(), requests);
    let mut context = Context::new(
        client.clone(),
        Leadership::without_election(),
        caches,
        Box::new(metrics::Store(cluster)),
        calls,
        clock,
    );
    if uninstalls {
        context = context.to_uninstall();
    }
    // Both end with the process.
    tokio::join!(
        controller::run(Arc::new(context), queue, CancellationToken::new()),
        discovery::follow(client, absent)
    );
}

/// A controller that is started again whenever it dies.
pub struct Supervised {
    lives: Arc<Mutex<Vec<Arc<Life>>>>,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Starts it; `faults` has those of its first process, of its second, and so on.
    pub fn start(cluster: &Shared, faults: impl IntoIterator<Item = Faults>) -> Self {
        let lives = Arc::new(Mutex::new(Vec::new()));
        let mut faults: VecDeque<Faults> = faults.into_iter().collect();
        let first = start(cluster, faults.pop_front().unwrap_or_default());
        lives
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(first.life.clone());
        let (cluster, all) = (cluster.clone(), lives.clone());
        let task = tokio::spawn(async move {
            let mut process = first;
            loop {
                process.life.ended().await;
                // Its watches wait for ever; its passes are dropped with its main task.
                process.main.abort();
                {
                    let (now, mut cluster) = (tokio::time::Instant::now(), lock(&cluster));
                    cluster.witness.note(now, "the controller dies");
                    cluster.witness.past.trouble(Trouble::Dead, now, RESTART + AWAKE);
                }
                tokio::time::sleep(RESTART).await;
                process = start(&cluster, faults.pop_front().unwrap_or_default());
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(process.life.clone());
            }
        });
        Self { lives, task }
    }

    /// All processes so far.
    pub fn lives(&self) -> Vec<Arc<Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one that runs.
    pub fn current(&self) -> Arc<Life> {
        let lives = self.lives();
        lives.last().cloned().unwrap_or_else(|| Life::new(Faults::new()))
    }

    /// Ends it for good.
    pub fn stop(&self) {
        self.task.abort();
        for life in self.lives() {
            life.kill();
        }
    }
}
