//! The process that is measured: started, killed, and read from /proc and its own metrics.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::histogram::Histogram;

/// Where the controller serves its metrics.
const LISTEN: &str = "127.0.0.1:8090";
/// Longest wait until all its watches are in sync.
const START: Duration = Duration::from_mins(2);
/// Clock ticks per second in /proc/PID/stat: the same on every Linux that this runs on.
const TICKS: f64 = 100.0;

/// How the controller is started.
pub struct Launch {
    /// The binary.
    pub program: PathBuf,
    /// Folder of the cluster: kubeconfig, logs and the files by which `down` finds processes.
    pub state: PathBuf,
}

/// A running controller; it is killed when this goes.
pub struct Controller {
    child: Child,
    pid_file: PathBuf,
    /// When it was started.
    pub started: Instant,
}

/// What it has used so far.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Seconds of CPU, in user and kernel mode.
    pub cpu: f64,
    /// Resident memory in MiB.
    pub resident: f64,
    /// Its peak since the start, or since it was forgotten.
    pub peak: f64,
}

impl Launch {
    /// Starts the controller as the pod of a chart would be: one identity, also after a restart.
    pub fn start(&self) -> anyhow::Result<Controller> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.state.join("logs/warmfront.log"))
            .context("opening the controller's log")?;
        let mut command = Command::new(&self.program);
        command.args(["run", "--listen", LISTEN]);
        command
            .env("KUBECONFIG", self.state.join("warmfront.kubeconfig"))
            .env("POD_NAME", "warmfront-0")
            .env("POD_NAMESPACE", "warmfront");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing the controller's log")?)
            .stderr(log);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let pid_file = self.state.join("pids/warmfront");
        fs::write(&pid_file, child.id().to_string()).context("recording the controller's pid")?;
        Ok(Controller {
            child,
            pid_file,
            started,
        })
    }
}

impl Controller {
    /// Waits until all its watches are in sync.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let address: SocketAddr = LISTEN.parse()?;
        let ready = async {
            loop {
                let answer = reqwest::get(format!("http://{address}/readyz")).await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(START, ready)
            .await
            .with_context(|| format!("the controller was not ready within {START:?}; see logs/warmfront.log"))
    }

    /// CPU and memory.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let stat =
            fs::read_to_string(process.join("stat")).context("reading the controller's CPU time: has it ended?")?;
        // The fields after the name, which is in parentheses; the first one is the state, number 3.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |number: usize| {
            fields
                .get(number - 3)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or_default()
        };
        let status = fs::read_to_string(process.join("status")).context("reading the controller's memory")?;
        let mib = |field: &str| {
            let kib = status
                .lines()
                .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or_default() / 1024.0
        };
        Ok(Usage {
            cpu: (ticks(14) + ticks(15)) / TICKS,
            resident: mib("VmRSS:"),
            peak: mib("VmHWM:"),
        })
    }

    /// Forgets the peak of its memory.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        fs::write(process.join("clear_refs"), "5").context("forgetting the peak of the controller's memory")
    }

    /// Lengths of its passes so far.
    pub async fn passes(&self) -> anyhow::Result<Histogram> {
        let text = reqwest::get(format!("http://{LISTEN}/metrics"))
            .await
            .context("asking the controller for its metrics")?
            .text()
            .await?;
        Ok(Histogram::read(&text, "warmfront_reconcile_duration_seconds"))
    }

    /// SIGKILL.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("killing the controller")?;
        self.child.wait().context("waiting for the controller's end")?;
        fs::remove_file(&self.pid_file).context("forgetting the controller's pid")?;
        Ok(())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // After `kill` there is nothing left to end.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.end();
        }
    }
}
