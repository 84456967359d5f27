//! The files of a backtest: YAML with a CanaryRollout, and its MetricSource if it stands there.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use crate::{
    api::{Plan, metric_source::MetricSourceSpec},
    kubernetes::json::text,
    simulate::file::{Document, Rollout, names, of_this_version, read_documents, rollout},
};

/// What is released, by whose metrics.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Without what cannot be asked of the past.
    pub rollout: Rollout,
    /// Where the metrics are.
    pub source: MetricSourceSpec,
    /// What was left out of the spec.
    pub left_out: Vec<&'static str>,
}

/// Fields of a MetricSource's spec that are stated beside the files, in place of theirs.
pub type Stated = Map<String, Value>;

/// Reads the files. Objects of other kinds are passed over.
pub fn read(paths: &[PathBuf], stated: &Stated) -> anyhow::Result<Subject> {
    subject(&read_documents(paths)?, &names(paths), stated)
}

/// What these documents, which stand in `files`, say.
pub fn subject(found: &[Document], files: &str, stated: &Stated) -> anyhow::Result<Subject> {
    let of_kind = |kind: &str| -> Vec<Document> {
        let found = found.iter().filter(|(_, value)| text(value, "/kind") == kind);
        found.cloned().collect()
    };
    let mut rollout = rollout(of_kind("CanaryRollout"), files)?;
    if rollout.plan.checks.is_empty() {
        bail!(
            "{files}: the CanaryRollout has no checks, so nothing would have been judged: add some, see docs/judging.md"
        );
    }
    let source = source(of_kind("MetricSource"), &rollout.plan.source, stated)?;
    let left_out = leave_out(&mut rollout)?;
    Ok(Subject {
        rollout,
        source,
        left_out,
    })
}

/// The MetricSource of that name, or the only one; none at all is one of defaults.
fn source(mut found: Vec<Document>, name: &str, stated: &Stated) -> anyhow::Result<MetricSourceSpec> {
    if found.len() > 1 {
        found.retain(|(_, value)| text(value, "/metadata/name") == name);
    }
    let (at, mut spec) = match found.into_iter().next() {
        Some((at, value)) => {
            of_this_version(&at, &value)?;
            let spec = value.get("spec").cloned().unwrap_or_default();
            (at, spec)
        }
        None => ("the MetricSource".to_owned(), json!({})),
    };
    let Some(fields) = spec.as_object_mut() else {
        bail!("{at}: spec is missing");
    };
    fields.extend(stated.clone());
    if !fields.contains_key("prometheus") {
        bail!("nobody says where Prometheus is: give --prometheus URL, or a MetricSource named {name} in the files");
    }
    let read = MetricSourceSpec::read(&spec).map_err(anyhow::Error::msg);
    read.with_context(|| at)
}

/// Takes out what asks people, other systems or the clock: nobody can be asked what he would have said.
fn leave_out(rollout: &mut Rollout) -> anyhow::Result<Vec<&'static str>> {
    let spec = &mut rollout.spec;
    let approval = spec.steps.iter().flatten().any(|step| step.approval);
    let left_out = [
        ("windows", !spec.windows.is_empty()),
        ("gates", !spec.gates.is_empty()),
        ("notify", !spec.notify.is_empty()),
        ("approvals", approval),
        ("paused", spec.paused),
    ];
    spec.windows.clear();
    spec.gates.clear();
    spec.notify.clear();
    for step in spec.steps.iter_mut().flatten() {
        step.approval = false;
    }
    spec.paused = false;
    rollout.plan = Plan::try_from(&rollout.spec)?;
    Ok(left_out
        .iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| *name)
        .collect())
}

/// What a text says that is no file.
#[cfg(test)]
pub fn parse(text: &str, stated: &Value) -> anyhow::Result<Subject> {
    let found = crate::simulate::file::documents(std::path::Path::new("test.yaml"), text)?;
    subject(&found, "test.yaml", stated.as_object().unwrap_or(&Map::new()))
}
