//! The controller's pods: which one leads, and what is done to them.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams},
};
use serde_json::Value;

use super::{PATIENCE, shop::core, until};

/// Where the chart is installed, and under which name.
const NAMESPACE: &str = "warmfront";

/// All of them.
pub struct Controllers {
    pods: Api<DynamicObject>,
    leases: Api<DynamicObject>,
}

/// What the lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Name of the pod; empty when the lease was given back.
    pub by: String,
    /// How often it changed hands.
    pub transitions: i64,
    /// When it was taken.
    pub since: String,
    /// When it was renewed.
    pub renewed: String,
}

fn held(lease: &DynamicObject) -> Held {
    let text = |field: &str| lease.data["spec"][field].as_str().unwrap_or_default().to_owned();
    Held {
        by: text("holderIdentity"),
        transitions: lease.data["spec"]["leaseTransitions"].as_i64().unwrap_or_default(),
        since: text("acquireTime"),
        renewed: text("renewTime"),
    }
}

impl Controllers {
    /// Those that the chart has installed.
    pub fn new(client: &Client) -> Self {
        let lease = ApiResource {
            group: "coordination.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "coordination.k8s.io/v1".to_owned(),
            kind: "Lease".to_owned(),
            plural: "leases".to_owned(),
        };
        Self {
            pods: Api::namespaced_with(client.clone(), NAMESPACE, &core("Pod", "pods")),
            leases: Api::namespaced_with(client.clone(), NAMESPACE, &lease),
        }
    }

    /// What the lease says now.
    pub async fn lease(&self) -> anyhow::Result<Held> {
        Ok(held(&self.leases.get(NAMESPACE).await.context("reading the lease")?))
    }

    /// Waits until the lease is as wanted.
    pub async fn until(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Held) -> bool + Send,
    ) -> anyhow::Result<Held> {
        let found = until(
            &self.leases,
            NAMESPACE,
            what,
            within,
            |lease: Option<&DynamicObject>| lease.is_some_and(|lease| wanted(&held(lease))),
        )
        .await?;
        found.as_ref().map(held).context("the lease is gone")
    }

    /// Names of the pods that are not being deleted.
    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.pods.list(&ListParams::default()).await?;
        Ok(pods
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .map(ResourceExt::name_any)
            .collect())
    }

    /// Addresses of these pods.
    pub async fn addresses(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.pods.list(&ListParams::default()).await?;
        Ok(pods
            .items
            .iter()
            .filter_map(|pod| pod.data["status"]["podIP"].as_str())
            .map(str::to_owned)
            .collect())
    }

    /// Waits until the process in a pod has passed over rollouts so many times since it started.
    pub async fn passes(&self, pod: &str, number: usize) -> anyhow::Result<()> {
        let address = self.pods.get(pod).await?.data["status"]["podIP"]
            .as_str()
            .context("the pod has no address")?
            .to_owned();
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("setting up a client")?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let metrics = client
                .get(format!("http://{address}:8080/metrics"))
                .send()
                .await
                .context("asking for metrics")?
                .text()
                .await?;
            let counts = metrics
                .lines()
                .filter(|line| line.starts_with("warmfront_reconciliations_total"));
            let passes: usize = counts
                .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
                .sum();
            if passes >= number {
                return Ok(());
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "{pod} has made {passes} passes within {PATIENCE:?}, not {number}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until two pods are ready, one of which leads, and names both: the leader first.
    pub async fn both(&self) -> anyhow::Result<(Held, String)> {
        for pod in self.names().await? {
            let ready = |pod: Option<&DynamicObject>| pod.is_none_or(|pod| container(pod)["ready"] == true);
            until(&self.pods, &pod, "the controller's pod is ready", PATIENCE, ready).await?;
        }
        let pods = self.names().await?;
        let leader = self
            .until("one of the pods leads", PATIENCE, |lease| pods.contains(&lease.by))
            .await?;
        let others: Vec<_> = pods.into_iter().filter(|pod| *pod != leader.by).collect();
        anyhow::ensure!(others.len() == 1, "one pod stands by: {others:?}");
        Ok((leader, others.concat()))
    }

    /// Deletes a pod without waiting for its end.
    pub async fn delete(&self, pod: &str) -> anyhow::Result<()> {
        self.pods
            .delete(pod, &DeleteParams::default())
            .await
            .with_context(|| format!("deleting pod {pod}"))?;
        Ok(())
    }

    /// Deletes all pods, and waits until they are gone and another one leads.
    pub async fn replace(&self) -> anyhow::Result<()> {
        let old = self.names().await?;
        for pod in &old {
            self.delete(pod).await?;
        }
        for pod in &old {
            until(
                &self.pods,
                pod,
                "the controller's pod is gone",
                PATIENCE,
                |found: Option<&DynamicObject>| found.is_none(),
            )
            .await?;
        }
        self.until("a new pod leads", PATIENCE, |lease| {
            !lease.by.is_empty() && !old.contains(&lease.by)
        })
        .await
        .map(|_| ())
    }

    /// Waits until the container of a pod has ended this many times: code and signal of its last end.
    pub async fn restarted(&self, pod: &str, times: i64, within: Duration) -> anyhow::Result<(i64, i64)> {
        let again = |pod: Option<&DynamicObject>| {
            pod.is_some_and(|pod| {
                container(pod)["restartCount"].as_i64() >= Some(times) && container(pod)["state"]["running"].is_object()
            })
        };
        let found = until(&self.pods, pod, "the container runs again", within, again)
            .await?
            .context("the pod is gone")?;
        let ended = &container(&found)["lastState"]["terminated"];
        Ok((
            ended["exitCode"].as_i64().unwrap_or_default(),
            ended["signal"].as_i64().unwrap_or_default(),
        ))
    }

    /// How often the container of a pod has started again.
    pub async fn restarts(&self, pod: &str) -> anyhow::Result<i64> {
        Ok(container(&self.pods.get(pod).await?)["restartCount"]
            .as_i64()
            .unwrap_or_default())
    }

    /// Number of the controller's process in a pod.
    pub async fn process(&self, pod: &str) -> anyhow::Result<Process> {
        let uid = self.pods.get(pod).await?.uid().unwrap_or_default();
        for entry in std::fs::read_dir("/proc").context("listing processes")? {
            let path = entry?.path();
            let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
            if read("comm").trim() == "warmfront" && read("cgroup").contains(&uid) {
                return Ok(Process(
                    path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                ));
            }
        }
        anyhow::bail!("no process of pod {pod} ({uid}) is called warmfront")
    }
}

fn container(pod: &DynamicObject) -> &Value {
    &pod.data["status"]["containerStatuses"][0]
}

/// A controller's process on this machine.
pub struct Process(String);

impl Process {
    /// Sends it a signal.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = tokio::process::Command::new("kill")
            .args(["-s", name, &self.0])
            .status()
            .await
            .context("starting kill")?;
        anyhow::ensure!(sent.success(), "signal {name} did not reach process {}", self.0);
        Ok(())
    }
}

/// What a pod has asked of the API server besides reading, since a moment: verb and resource, from the API server's own log.
pub fn writes(pod: &str, since: Timestamp) -> anyhow::Result<Vec<String>> {
    requests(pod, since, |verb, _| !matches!(verb, "get" | "list" | "watch"))
}

/// What a pod has asked of the API server besides watches and the lease, since a moment: of objects of this namespace, or of no single one.
pub fn asked(pod: &str, namespace: &str, since: Timestamp) -> anyhow::Result<Vec<String>> {
    let elsewhere = |about: &Value| about["namespace"].as_str().is_some_and(|other| other != namespace);
    requests(pod, since, |verb, about| {
        verb != "watch" && about["resource"] != "leases" && !elsewhere(about)
    })
}

fn requests(pod: &str, since: Timestamp, wanted: impl Fn(&str, &Value) -> bool) -> anyhow::Result<Vec<String>> {
    let path = std::env::var("WF_AUDIT").context("WF_AUDIT is not set: run these tests by `make test`")?;
    let log = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let mut found = Vec::new();
    let mut known = false;
    // The last line may not be written to its end.
    for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let of_pod = event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0] == *pod;
        known |= of_pod;
        let at: Timestamp = event["requestReceivedTimestamp"]
            .as_str()
            .unwrap_or_default()
            .parse()
            .context("the time of a request")?;
        let (verb, about) = (event["verb"].as_str().unwrap_or_default(), &event["objectRef"]);
        if of_pod && at >= since && wanted(verb, about) {
            found.push(format!("{at} {verb} {} {}", about["resource"], about["name"]));
        }
    }
    anyhow::ensure!(known, "the log has no request of pod {pod}");
    Ok(found)
}
