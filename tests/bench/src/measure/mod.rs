//! The measures, in the order in which they are taken.

mod flip;
mod hostile;
mod kill;
mod load;
mod outage;
mod release;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    Measure,
    audit::Audit,
    controller::{Controller, Launch},
    figures::Figures,
    journal::Journal,
    standins::{
        gateway,
        store::{self, Store},
    },
    world::{self, App, Plan, Seen, World},
};

/// Longest wait for one app; many times what it takes.
const PATIENCE: Duration = Duration::from_mins(3);

/// The control plane, the stand-ins, and the process that is measured.
pub struct Bench {
    world: World,
    audit: Audit,
    store: Store,
    launch: Launch,
    controller: Option<Controller>,
    /// Confirmed weights, in hundredths of a percent.
    weights: Arc<Journal<u32>>,
    rollouts: Arc<Journal<Seen>>,
    version: u32,
}

/// Takes all measures of one size and writes them down.
pub async fn run(measure: &Measure) -> anyhow::Result<()> {
    let mut bench = Bench::open(measure).await?;
    let wants = |name: &str| measure.only.is_empty() || measure.only.iter().any(|only| only == name);
    let mut figures = Figures::default();
    let file = measure.results.join(format!("{}.json", measure.size));
    let apps: Vec<App> = (0..measure.size.rollouts).map(App::nth).collect();

    progress(&format!("bringing up {} apps", apps.len()));
    bench
        .world
        .open(
            &apps,
            PATIENCE + Duration::from_millis(200) * u32::try_from(apps.len())?,
        )
        .await?;
    bench.world.put_under_rollouts(&apps, &Plan::held()).await?;
    bench.world.make_foreign(measure.foreign).await?;
    bench.start_controller().await?;
    bench.all("adopted", apps.len(), |seen| seen.adopted).await?;
    bench.quiet().await?;
    if wants("idle") {
        progress(&format!("at rest for {} s", measure.idle_seconds));
        figures.idle = Some(bench.load(Duration::from_secs(measure.idle_seconds)).await?);
        write(&file, &figures)?;
    }
    if wants("hostile") {
        progress("others make large objects");
        figures.hostile = Some(bench.hostile().await?);
        write(&file, &figures)?;
    }
    if measure.size.idle_only {
        return Ok(());
    }

    progress("releasing all of them, to be held at 5%");
    bench.release_all(&apps).await?;
    if wants("active") {
        progress(&format!("held at 5% for {} s", measure.active_seconds));
        figures.active = Some(bench.load(Duration::from_secs(measure.active_seconds)).await?);
        write(&file, &figures)?;
    }
    if wants("flip") {
        progress("flipping metrics, 10 s interval");
        // A single rollout has to be released again each time, which takes half a minute.
        let flips = if apps.len() == 1 {
            measure.flips.div_ceil(2)
        } else {
            measure.flips
        };
        figures.flips = bench.flips(&apps, flips, Duration::from_secs(10)).await?;
        write(&file, &figures)?;
    }
    if wants("release") {
        progress("a release 5, 10, 25, 50, 75, 100% with 5 s holds");
        figures.release = Some(bench.whole_release().await?);
        write(&file, &figures)?;
    }
    if wants("kill") {
        progress("killing the controller in the middle of a 30 s step");
        figures.killed_steps = bench
            .kill("middle", Duration::from_secs(15))
            .await?
            .into_iter()
            .map(|killed| killed.step)
            .collect();
        progress("killing the controller in the last 5 s of a step");
        figures.late_restarts = bench
            .kill("late", Duration::from_secs(28))
            .await?
            .into_iter()
            .map(|killed| killed.after_restart)
            .collect();
        write(&file, &figures)?;
    }
    // These do not depend on the number of rollouts.
    if measure.size.rollouts == 1 && wants("flip") {
        progress("flipping metrics, 1 s interval, no settling");
        figures.fast_flips = bench.fast_flips(measure.flips).await?;
        write(&file, &figures)?;
    }
    if measure.size.rollouts == 1 && wants("outage") {
        progress(&format!("the metrics store is down for {} s", measure.outage_seconds));
        figures.outage = Some(bench.outage(Duration::from_secs(measure.outage_seconds)).await?);
        write(&file, &figures)?;
    }
    // The last one: its rollouts stay.
    if measure.size.rollouts == 1 && wants("beside") {
        progress("flipping metrics, 10 s interval, beside a hostile namespace");
        figures.hostile_flips = bench
            .flips_beside_a_hostile_namespace(&apps, measure.flips.div_ceil(2), Duration::from_secs(10))
            .await?;
        figures.hostile_load = Some(bench.load(Duration::from_secs(measure.active_seconds)).await?);
        write(&file, &figures)?;
    }
    Ok(())
}

fn progress(what: &str) {
    eprintln!("-- {what}");
}

fn write(file: &std::path::Path, figures: &Figures) -> anyhow::Result<()> {
    fs::write(file, serde_json::to_string_pretty(figures)?).with_context(|| format!("writing {}", file.display()))
}

impl Bench {
    async fn open(measure: &Measure) -> anyhow::Result<Self> {
        let kubeconfig = Kubeconfig::read_from(measure.state.join("kubeconfig"))
            .context("reading the administrator's kubeconfig")?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config).context("setting up the client of the API server")?;
        let rules =
            fs::read_to_string(&measure.rules).with_context(|| format!("reading {}", measure.rules.display()))?;
        let world = World { client: client.clone() };
        world
            .furnish(serde_yaml::from_str(&rules).context("reading the controller's rules")?)
            .await?;
        let mut store = Store::at(store::ADDRESS)?;
        store.up().await?;
        let (weights, rollouts) = (Arc::<Journal<u32>>::default(), Arc::<Journal<Seen>>::default());
        tokio::spawn(gateway::run(client.clone(), weights.clone()));
        tokio::spawn(world::follow(client, rollouts.clone()));
        let launch = Launch {
            program: measure.controller.clone(),
            state: measure.state.clone(),
        };
        Ok(Self {
            world,
            audit: Audit {
                path: measure.state.join("logs/audit.log"),
            },
            store,
            launch,
            controller: None,
            weights,
            rollouts,
            version: 0,
        })
    }

    async fn start_controller(&mut self) -> anyhow::Result<Instant> {
        let controller = self.launch.start()?;
        controller.ready().await?;
        let started = controller.started;
        self.controller = Some(controller);
        Ok(started)
    }

    fn controller(&self) -> anyhow::Result<&Controller> {
        self.controller.as_ref().context("the controller does not run")
    }

    /// Waits until this many rollouts are as wanted.
    async fn all(&self, what: &str, number: usize, wanted: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE + Duration::from_millis(500) * u32::try_from(number)?;
        let mut told = Instant::now();
        loop {
            let count = self.rollouts.count(&wanted);
            if count >= number {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "only {count} of {number} rollouts were {what} in time"
            );
            if told.elapsed() > Duration::from_secs(5) {
                eprintln!("   {count} of {number} {what}");
                told = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the controller has asked nothing and looked at nothing for some seconds: Kubernetes' own controllers go
    /// on writing into the statuses of Deployments for a while after they were taken over.
    async fn quiet(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (place, passes) = (self.audit.end()?, self.controller()?.passes().await?);
            tokio::time::sleep(Duration::from_secs(6)).await;
            // A watch that ends is opened again, and a lease is renewed, also at rest.
            let busy = self
                .audit
                .since(place)?
                .iter()
                .any(|request| !request.is_lease() && request.verb != "watch");
            let looked = self.controller()?.passes().await?.since(&passes).count();
            if !busy && looked < 1.0 {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the controller did not come to rest within {PATIENCE:?}: {looked} passes in the last 6 s"
            );
        }
    }

    /// Brings one more app under a rollout.
    async fn adopt(&self, app: &App, plan: &Plan) -> anyhow::Result<()> {
        let apps = std::slice::from_ref(app);
        self.world.open(apps, PATIENCE).await?;
        self.world.put_under_rollouts(apps, plan).await?;
        self.rollouts
            .until(&app.key(), "adoption", PATIENCE, |seen| seen.adopted)
            .await?;
        self.world.paused(app, PATIENCE).await
    }

    /// Starts a release of each app.
    async fn release(&mut self, apps: &[App]) -> anyhow::Result<()> {
        self.version += 1;
        self.world.release(apps, &self.version.to_string()).await
    }

    async fn release_all(&mut self, apps: &[App]) -> anyhow::Result<()> {
        self.release(apps).await?;
        self.all("held at 5%", apps.len(), Seen::is_held).await
    }
}
