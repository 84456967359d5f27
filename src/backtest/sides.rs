//! Whose series are the two versions': told by pods, by hashes or by Services, or the running version as both.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

use super::file::Subject;
use crate::{
    api::{
        metric_source::Preset,
        plan::{CheckKind, Plan},
        traffic::RouteKind,
    },
    kubernetes::pod_name,
    provider::{
        self, Protocol, Version, Whose, prometheus,
        shell::{Span, StoreClient},
    },
};

/// How a version is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// A regular expression that names of its pods match.
    pub pods: Option<String>,
    /// Its `pod-template-hash`.
    pub hash: Option<String>,
    /// Its Service.
    pub service: Option<String>,
}

impl Told {
    fn is_told(&self) -> bool {
        *self != Self::default()
    }
}

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Sides {
    /// The two versions, by the names under which they are measured.
    pub subject: provider::Subject,
    /// Whether there are two.
    pub whose: Whose,
}

/// Finds the versions that are told.
pub async fn find(
    store: &StoreClient,
    of: &Subject,
    candidate: &Told,
    baseline: &Told,
    span: Span,
) -> anyhow::Result<Sides> {
    let plan = &of.rollout.plan;
    let running = plan.baseline.as_ref().unwrap_or(&plan.deployment);
    let search = Search { store, of, span };
    let whose = if candidate.is_told() {
        Whose::New
    } else {
        Whose::Running
    };
    refuse_other_names(of, candidate, baseline)?;
    let old = search.version("baseline", baseline, running, &plan.service).await?;
    let new = if whose == Whose::New {
        search
            .version("candidate", candidate, &plan.deployment, &plan.canary_service)
            .await?
    } else {
        old.clone()
    };
    if whose == Whose::New {
        refuse_the_same(of, &new, &old)?;
    }
    let protocols = plan.routes.iter().map(|route| match route.kind {
        RouteKind::Http => Protocol::Http,
        RouteKind::Grpc => Protocol::Grpc,
    });
    let subject = provider::Subject {
        namespace: of.rollout.namespace.clone(),
        protocols: protocols.collect(),
        candidate: new,
        baseline: old,
    };
    Ok(Sides { subject, whose })
}

/// Whether any check is answered by the pods' own metrics.
fn asks_pods(of: &Subject) -> bool {
    let lookups = |plan: &Plan| {
        plan.checks
            .iter()
            .any(|check| matches!(check.kind, CheckKind::HitRatio { .. }))
    };
    of.source.preset == Preset::App || lookups(&of.rollout.plan)
}

/// A name that the preset does not go by would be passed over, and the figures would be those of something else.
fn refuse_other_names(of: &Subject, candidate: &Told, baseline: &Told) -> anyhow::Result<()> {
    let services = candidate.service.is_some() || baseline.service.is_some();
    if of.source.preset == Preset::App && services {
        bail!(
            "preset app tells versions by their pods: give --candidate-pods or --candidate-hash instead of --candidate-service, and the same for the baseline; or --preset envoy"
        );
    }
    if candidate.is_told() && of.source.preset == Preset::Envoy && candidate.service.is_none() && !asks_pods(of) {
        bail!(
            "preset envoy tells versions by their Services: give --candidate-service, such as {}; or --preset app",
            of.rollout.plan.canary_service
        );
    }
    let pods = |told: &Told| told.pods.is_some() || told.hash.is_some();
    if candidate.is_told() && asks_pods(of) && !(pods(candidate) && pods(baseline)) {
        bail!(
            "both versions must be told: give --candidate-pods and --baseline-pods, each a regular expression of pods' names, or --candidate-hash and --baseline-hash"
        );
    }
    Ok(())
}

fn refuse_the_same(of: &Subject, new: &Version, old: &Version) -> anyhow::Result<()> {
    let both = new.replica_sets.iter().find(|set| old.replica_sets.contains(set));
    if let Some(set) = both.filter(|_| asks_pods(of)) {
        bail!(
            "pods of ReplicaSet {set} are told as both versions: let one expression match no pod of the other's; pods of one ReplicaSet are not told apart"
        );
    }
    if of.source.preset == Preset::Envoy && new.service == old.service {
        bail!("{} is told as the Service of both versions", new.service);
    }
    Ok(())
}

struct Search<'a> {
    store: &'a StoreClient,
    of: &'a Subject,
    span: Span,
}

impl Search<'_> {
    async fn version(&self, which: &str, told: &Told, deployment: &str, service: &str) -> anyhow::Result<Version> {
        let replica_sets = match (&told.hash, &told.pods) {
            (Some(hash), _) => vec![format!("{deployment}-{hash}")],
            (None, Some(pods)) => self.replica_sets(which, pods).await?,
            // Names of a Deployment's pods: its own, the revision's hash, five letters.
            (None, None) if self.asks_names() => {
                let pods = format!("{deployment}-[a-z0-9]+-[a-z0-9]+");
                self.replica_sets(which, &pods).await?
            }
            (None, None) => Vec::new(),
        };
        let hash = |set: &String| set.rsplit('-').next().unwrap_or_default().to_owned();
        let workload = if self.of.rollout.plan.is_pair() {
            deployment.to_owned()
        } else {
            replica_sets.join("|")
        };
        Ok(Version {
            workload,
            service: told.service.clone().unwrap_or_else(|| service.to_owned()),
            ports: BTreeSet::new(),
            hash: replica_sets.iter().map(hash).collect::<Vec<_>>().join("|"),
            replica_sets,
        })
    }

    /// Whether names of pods are needed: for pods' metrics, or for an expression that inserts them.
    fn asks_names(&self) -> bool {
        let names = |kind: &CheckKind| match kind {
            CheckKind::Query { promql, .. } => promql.contains("{{candidate.") || promql.contains("{{baseline."),
            // Any pair of counters is told apart by pods.
            CheckKind::Ratio { .. } => true,
            CheckKind::ErrorRate { .. } | CheckKind::Latency { .. } | CheckKind::HitRatio { .. } => false,
        };
        asks_pods(self.of) || self.of.rollout.plan.checks.iter().any(|check| names(&check.kind))
    }

    async fn replica_sets(&self, which: &str, pods: &str) -> anyhow::Result<Vec<String>> {
        let (source, plan) = (&self.of.source, &self.of.rollout.plan);
        let kinds = plan.routes.iter().map(|route| match route.kind {
            RouteKind::Http => Protocol::Http,
            RouteKind::Grpc => Protocol::Grpc,
        });
        let protocols: BTreeSet<Protocol> = kinds.collect();
        let protocols: Vec<Protocol> = protocols.into_iter().collect();
        let namespace = &self.of.rollout.namespace;
        let selector = prometheus::ask_pod_names(source, namespace, &protocols, pods);
        let found = self.store.ask_pods(source, &selector, self.span).await;
        let found = found.with_context(|| format!("asking Prometheus for pods that match {pods}"))?;
        let sets: BTreeSet<&str> = found.iter().filter_map(|pod| pod_name::replica_set(pod)).collect();
        if sets.is_empty() {
            bail!(
                "no pod whose name matches {pods} has metrics of requests in namespace {namespace} between {} and {}: does the expression fit (--{which}-pods), is it the right preset (--preset), do the pods' names stand in label {} and their namespace in {} (--pod-label, --namespace-label), and does this Prometheus keep metrics for so long?",
                self.span.start,
                self.span.end,
                source.pod_label,
                source.namespace_label
            );
        }
        Ok(sets.into_iter().map(str::to_owned).collect())
    }
}
