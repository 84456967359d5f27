//! Parts of the test cluster that fail for a while: processes that stand still, controllers that are cut off.
//!
//! Whatever was stopped goes on when its guard is dropped, also when the scenario has failed meanwhile.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Context as _;

/// A part that stands still: its processes are there and do nothing.
pub struct Frozen {
    part: String,
    processes: BTreeSet<u32>,
}

impl Frozen {
    /// Stops one of the programs that the test cluster has started, such as `kubelet`, with those that it has started itself.
    pub fn new(part: &str) -> anyhow::Result<Self> {
        let pids = std::env::var("WF_PIDS").context("WF_PIDS is not set: run these tests by `make test`")?;
        let path = PathBuf::from(pids).join(part);
        let first: u32 = fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?
            .trim()
            .parse()
            .context("a process id")?;
        // The number may long be another process's.
        let command = fs::read_to_string(format!("/proc/{first}/cmdline"))
            .with_context(|| format!("process {first} of {part}"))?;
        anyhow::ensure!(command.contains(part), "process {first} is not {part} but {command}");
        let frozen = Self {
            part: part.to_owned(),
            processes: with_descendants(first)?,
        };
        frozen.signal("STOP")?;
        Ok(frozen)
    }

    /// Stops all processes of a pod on this machine.
    pub fn pod(uid: &str) -> anyhow::Result<Self> {
        let of_pod = |process: &u32| {
            fs::read_to_string(format!("/proc/{process}/cgroup")).is_ok_and(|groups| groups.contains(uid))
        };
        let frozen = Self {
            part: format!("pod {uid}"),
            processes: processes()?.into_iter().filter(of_pod).collect(),
        };
        anyhow::ensure!(
            !uid.is_empty() && !frozen.processes.is_empty(),
            "no process belongs to {}",
            frozen.part
        );
        frozen.signal("STOP")?;
        Ok(frozen)
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill")
            .args(["-s", name])
            .args(self.processes.iter().map(u32::to_string))
            .status()
            .context("starting kill")?;
        anyhow::ensure!(
            sent.success(),
            "signal {name} did not reach {} ({:?})",
            self.part,
            self.processes
        );
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = self.signal("CONT") {
            eprintln!("{error:#}");
        }
    }
}

/// All processes of this machine.
fn processes() -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("listing processes")? {
        found.extend(entry?.file_name().to_string_lossy().parse::<u32>().ok());
    }
    Ok(found)
}

/// A process and all that come from it.
fn with_descendants(first: u32) -> anyhow::Result<BTreeSet<u32>> {
    let mut parents = Vec::new();
    for process in processes()? {
        // One that has just ended has no parent any more.
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let parent = status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:"))
            .and_then(|parent| parent.trim().parse::<u32>().ok());
        parents.extend(parent.map(|parent| (process, parent)));
    }
    let mut found = BTreeSet::from([first]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(process, parent)| found.contains(parent) && !found.contains(process))
            .map(|(process, _)| *process)
            .collect();
        if more.is_empty() {
            return Ok(found);
        }
        found.extend(more);
    }
}

/// The table of packet filters that cuts pods off.
const TABLE: &str = "e2e_partition";
/// Where the API server listens.
const API_SERVER_PORT: u16 = 6443;

/// Pods whose packets to and from the API server are dropped, those of standing connections too.
pub struct Partition(());

impl Partition {
    /// Cuts off the pods with these addresses.
    pub fn of(addresses: &[String]) -> anyhow::Result<Self> {
        let pods = addresses.join(", ");
        // Before the filters that know connections: a packet out of nowhere and one of an old connection are the same there.
        let rules = format!(
            "add table ip {TABLE}\ndelete table ip {TABLE}\n\
             table ip {TABLE} {{\n\
               set pods {{ type ipv4_addr; elements = {{ {pods} }}; }}\n\
               chain from_pods {{ type filter hook input priority 0; ip saddr @pods tcp dport {API_SERVER_PORT} drop; }}\n\
               chain to_pods {{ type filter hook output priority -300; ip daddr @pods tcp sport {API_SERVER_PORT} drop; }}\n\
             }}\n"
        );
        let partition = Self(());
        filter(&rules)?;
        Ok(partition)
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Err(error) = filter(&format!("add table ip {TABLE}\ndelete table ip {TABLE}\n")) {
            eprintln!("{error:#}");
        }
    }
}

/// Changes packet filters of the network namespace in which the tests run, which is the cluster's.
fn filter(rules: &str) -> anyhow::Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("starting nft")?;
    nft.stdin
        .take()
        .context("nft takes no input")?
        .write_all(rules.as_bytes())?;
    anyhow::ensure!(nft.wait()?.success(), "nft refused {rules}");
    Ok(())
}
