//! Programs of other tools against the cluster: kubectl, Helm, and what Flux and Argo CD think of an object.

use std::{path::PathBuf, process::Stdio};

use anyhow::Context as _;
use kube::{ResourceExt, api::TypeMeta, discovery::ApiResource};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};
use warmfront::controller::kinds::Kinds;

use super::Shop;

/// What other tools call an object.
#[derive(Debug, Deserialize)]
pub struct Opinion {
    /// Helm 4 and kpt, by the kstatus library.
    pub kstatus: String,
    /// Flux, by its own rule for the kind or by the one in examples/gitops.
    pub flux: String,
    /// Argo CD, by its own rule for the kind or by the one in examples/gitops.
    pub argocd: String,
    /// Why, one text each.
    pub messages: Vec<String>,
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::var("WF_TOOLS").context("WF_TOOLS is not set: run these tests by `make test`")?;
    Ok(PathBuf::from(folder).join(name))
}

/// Runs a program with this on its standard input; what it printed, or what it complained of.
async fn run(name: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new(program(name)?)
        .args(arguments)
        // `kubectl apply --applyset` is not on by itself.
        .env("KUBECTL_APPLYSET", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    // Closed when written, so that the program sees the end.
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let ended = child.wait_with_output().await?;
    anyhow::ensure!(
        ended.status.success(),
        "{name} {}: {}: {}",
        arguments.join(" "),
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// The chart of this version.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/warmfront");

/// The chart of the version before; its image is `warmfront:before`.
pub fn chart_before() -> anyhow::Result<String> {
    let chart = std::env::var("WF_BEFORE").unwrap_or_default();
    anyhow::ensure!(
        !chart.is_empty(),
        "WF_BEFORE names no chart: run this by tests/cluster/scenarios"
    );
    Ok(chart)
}

/// Installs the controller with the values that `tests/cluster/releases` gives it too and `more` such as `--set`, and waits until it is ready.
pub async fn install_controller(more: &[&str]) -> anyhow::Result<String> {
    install_chart(CHART, more).await
}

/// The same from another chart; where one is installed it is upgraded.
pub async fn install_chart(chart: &str, more: &[&str]) -> anyhow::Result<String> {
    let values = concat!(env!("CARGO_MANIFEST_DIR"), "/../cluster/values.yaml");
    let place = ["upgrade", "--install", "warmfront", chart, "-n", "warmfront"];
    let how = ["--values", values, "--wait", "--timeout", "2m"];
    run("helm", &[&place[..], &how, more].concat(), "").await
}

/// Uninstalls it, as its notes say.
pub async fn uninstall_controller() -> anyhow::Result<String> {
    let arguments = ["uninstall", "warmfront", "-n", "warmfront", "--wait", "--timeout", "5m"];
    run("helm", &arguments, "").await
}

/// The cluster's definitions are those of a chart, to the last field.
pub async fn definitions_are_of(chart: &str) -> anyhow::Result<()> {
    for plural in ["canaryrollouts", "rolloutactions", "metricsources"] {
        let file = format!("{chart}/files/crds/{plural}.yaml");
        let name = format!("{plural}.warmfront.dev");
        // What the API server would make of the file: it adds defaults.
        let wanted = run(
            "kubectl",
            &["replace", "--dry-run=server", "-o", "json", "-f", &file],
            "",
        )
        .await?;
        let there = run("kubectl", &["get", "crd", &name, "-o", "json"], "").await?;
        let spec = |text: &str| serde_json::from_str(text).map(|object: Value| object["spec"].clone());
        anyhow::ensure!(
            spec(&there)? == spec(&wanted)?,
            "{name} in the cluster is not as {file} has it"
        );
    }
    Ok(())
}

impl Shop {
    /// kubectl in this namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.kubectl_with(arguments, &Value::Null).await
    }

    /// The same with an object on its standard input.
    pub async fn kubectl_with(&self, arguments: &[&str], object: &Value) -> anyhow::Result<String> {
        let arguments = [&["-n", &self.namespace], arguments].concat();
        run("kubectl", &arguments, &object.to_string()).await
    }

    /// Installs or upgrades a Helm release of this one object and waits until Helm calls it ready.
    pub async fn helm_upgrade(&self, object: &Value) -> anyhow::Result<String> {
        let chart = std::env::temp_dir().join(format!("{}-{}", self.namespace, std::process::id()));
        tokio::fs::create_dir_all(chart.join("templates")).await?;
        let about = json!({"apiVersion": "v2", "name": "catalog", "version": "1.0.0"});
        tokio::fs::write(chart.join("Chart.yaml"), about.to_string()).await?;
        tokio::fs::write(chart.join("templates/object.yaml"), object.to_string()).await?;
        let folder = chart.to_string_lossy().into_owned();
        let arguments = [
            "upgrade",
            "--install",
            "catalog",
            &folder,
            "-n",
            &self.namespace,
            "--take-ownership",
            "--wait",
            "--timeout",
            "60s",
        ];
        let done = run("helm", &arguments, "").await;
        tokio::fs::remove_dir_all(&chart).await?;
        done
    }

    /// What other tools say of the Deployment by what they know themselves.
    pub async fn opinion(&self) -> anyhow::Result<Opinion> {
        self.opinion_of(&Kinds::deployment(), &[]).await
    }

    /// What they say of an object of that kind by the rules in examples/gitops.
    pub async fn opinion_by_our_rules(&self, kind: &ApiResource) -> anyhow::Result<Opinion> {
        self.opinion_of(kind, &[concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/gitops")])
            .await
    }

    async fn opinion_of(&self, kind: &ApiResource, rules: &[&str]) -> anyhow::Result<Opinion> {
        let mut object = self.api(kind).get("catalog").await?;
        object.types = Some(TypeMeta {
            api_version: kind.api_version.clone(),
            kind: kind.kind.clone(),
        });
        let said = run("health", rules, &serde_json::to_string(&object)?).await?;
        serde_json::from_str(&said).with_context(|| format!("reading what was said of {}: {said}", object.name_any()))
    }

    /// Every tool calls the Deployment healthy, and waiting for it ends at once.
    pub async fn healthy_to_all(&self) -> anyhow::Result<()> {
        self.kubectl(&["rollout", "status", "deployment/catalog", "--timeout=30s"])
            .await?;
        let opinion = self.opinion().await?;
        anyhow::ensure!(
            opinion.kstatus == "Current" && opinion.flux == "Current" && opinion.argocd == "Healthy",
            "other tools say {opinion:?}"
        );
        Ok(())
    }
}
