//! The files of a simulation: YAML with a CanaryRollout and a Simulation, in any order, also in several files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::spec::Simulation;
use crate::{
    api::{CanaryRolloutSpec, Plan},
    kubernetes::json::text,
};

/// What is needed of a Simulation where there is none.
const LEAST: &str = "---\napiVersion: warmfront.dev/v1alpha1\nkind: Simulation\ntraffic:\n  requestsPerSecond: 100";

/// What is released, and in which world.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Namespace of the CanaryRollout.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its spec.
    pub spec: CanaryRolloutSpec,
    /// What follows from that.
    pub plan: Plan,
    /// The world.
    pub simulation: Simulation,
}

/// Reads the files. Objects of other kinds are passed over.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Subject> {
    let mut found = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        found.extend(documents(path, &text)?);
    }
    let names = paths.iter().map(|path| path.display().to_string());
    subject(found, &names.collect::<Vec<_>>().join(", "))
}

/// The documents of one file, each with where it stands.
fn documents(path: &Path, text: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for (number, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let at = format!("{}, document {}", path.display(), number.saturating_add(1));
        let value = Value::deserialize(document).with_context(|| at.clone())?;
        found.push((at, value));
    }
    Ok(found)
}

/// What these documents, which stand in `files`, say.
fn subject(found: Vec<(String, Value)>, files: &str) -> anyhow::Result<Subject> {
    let (mut rollouts, mut simulations) = (Vec::new(), Vec::new());
    for (at, value) in found {
        match text(&value, "/kind") {
            "CanaryRollout" => rollouts.push((at, value)),
            "Simulation" => simulations.push((at, value)),
            _ => {}
        }
    }
    let (at, rollout) = one(rollouts, "CanaryRollout", files, "")?;
    let (world_at, world) = one(simulations, "Simulation", files, &format!(", such as\n{LEAST}"))?;
    let name = text(&rollout, "/metadata/name");
    if name.is_empty() {
        bail!("{at}: metadata.name is missing");
    }
    of_this_version(&at, &rollout)?;
    of_this_version(&world_at, &world)?;
    let spec = CanaryRolloutSpec::read(rollout.get("spec").unwrap_or(&Value::Null));
    let spec = spec.map_err(anyhow::Error::msg).with_context(|| at.clone())?;
    let plan = Plan::try_from(&spec).with_context(|| at.clone())?;
    let simulation = strictly::<Simulation>(&world).map_err(anyhow::Error::msg);
    let namespace = text(&rollout, "/metadata/namespace");
    Ok(Subject {
        namespace: if namespace.is_empty() { "default" } else { namespace }.to_owned(),
        name: name.to_owned(),
        spec,
        plan,
        simulation: simulation.with_context(|| world_at.clone())?,
    })
}

fn one(found: Vec<(String, Value)>, kind: &str, files: &str, hint: &str) -> anyhow::Result<(String, Value)> {
    let count = found.len();
    let mut found = found.into_iter();
    match (found.next(), count) {
        (Some(only), 1) => Ok(only),
        (None, _) => bail!("{files}: there is no {kind}: add a document of that kind{hint}"),
        (Some(_), count) => bail!("{files}: there are {count} documents of kind {kind}: simulate one at a time"),
    }
}

fn of_this_version(at: &str, object: &Value) -> anyhow::Result<()> {
    match text(object, "/apiVersion") {
        "warmfront.dev/v1alpha1" => Ok(()),
        other => bail!("{at}: apiVersion is {other:?}: write warmfront.dev/v1alpha1"),
    }
}

/// Reads all of a value: a field that is not known is an error that names it.
fn strictly<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string().replace(".?", "")));
    let read = read.map_err(|error| match track.path().to_string().as_str() {
        "." => error.to_string(),
        path => format!("{path}: {error}"),
    })?;
    match unknown.as_slice() {
        [] => Ok(read),
        fields => Err(format!(
            "unknown field {}: take it out, or see docs/simulate.md",
            fields.join(", ")
        )),
    }
}

/// What a text says that is no file.
#[cfg(test)]
pub fn parse(text: &str) -> anyhow::Result<Subject> {
    subject(documents(Path::new("test.yaml"), text)?, "test.yaml")
}
