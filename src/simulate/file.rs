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

/// A CanaryRollout.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its spec.
    pub spec: CanaryRolloutSpec,
    /// What follows from that.
    pub plan: Plan,
}

/// A document, and where it stands.
pub type Document = (String, Value);

/// Reads the files. Objects of other kinds are passed over.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Subject> {
    subject(read_documents(paths)?, &names(paths))
}

/// Names of files, for messages.
pub fn names(paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| path.display().to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// The documents of all the files.
pub fn read_documents(paths: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut found = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        found.extend(documents(path, &text)?);
    }
    Ok(found)
}

/// The documents of one file, each with where it stands.
pub fn documents(path: &Path, text: &str) -> anyhow::Result<Vec<Document>> {
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
    let rollout = rollout(rollouts, files)?;
    let (world_at, world) = one(simulations, "Simulation", files, &format!(", such as\n{LEAST}"))?;
    of_this_version(&world_at, &world)?;
    let simulation = strictly::<Simulation>(&world).map_err(anyhow::Error::msg);
    Ok(Subject {
        namespace: rollout.namespace,
        name: rollout.name,
        spec: rollout.spec,
        plan: rollout.plan,
        simulation: simulation.with_context(|| world_at.clone())?,
    })
}

/// The one CanaryRollout among these documents of that kind.
pub fn rollout(found: Vec<Document>, files: &str) -> anyhow::Result<Rollout> {
    let (at, rollout) = one(found, "CanaryRollout", files, "")?;
    let name = text(&rollout, "/metadata/name");
    if name.is_empty() {
        bail!("{at}: metadata.name is missing");
    }
    of_this_version(&at, &rollout)?;
    let spec = CanaryRolloutSpec::read(rollout.get("spec").unwrap_or(&Value::Null));
    let spec = spec.map_err(anyhow::Error::msg).with_context(|| at.clone())?;
    let plan = Plan::try_from(&spec).with_context(|| at.clone())?;
    let namespace = text(&rollout, "/metadata/namespace");
    Ok(Rollout {
        namespace: if namespace.is_empty() { "default" } else { namespace }.to_owned(),
        name: name.to_owned(),
        spec,
        plan,
    })
}

fn one(found: Vec<(String, Value)>, kind: &str, files: &str, hint: &str) -> anyhow::Result<(String, Value)> {
    let count = found.len();
    let mut found = found.into_iter();
    match (found.next(), count) {
        (Some(only), 1) => Ok(only),
        (None, _) => bail!("{files}: there is no {kind}: add a document of that kind{hint}"),
        (Some(_), count) => bail!("{files}: there are {count} documents of kind {kind}: name one at a time"),
    }
}

/// Refuses an object of another version.
pub fn of_this_version(at: &str, object: &Value) -> anyhow::Result<()> {
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
