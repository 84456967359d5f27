//! Scenarios: what is given, what happens when, and what must hold; read from YAML.

pub mod deed;
pub mod deployment_hands;
pub mod facts;
pub mod given;
pub mod manifests;
pub mod random;
mod route_hands;
pub mod run;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use deed::Deed;
pub use facts::Facts;
pub use given::Given;
pub use run::{Ended, Leaders, Run};

/// One scenario.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub title: String,
    /// Numbers of the acceptance scenarios that it is.
    #[serde(default)]
    pub covers: Vec<u32>,
    /// What it begins with.
    #[serde(default)]
    pub given: Given,
    /// What happens, one after the other.
    #[serde(default)]
    pub script: Vec<Step>,
    /// Afterwards, once nothing moves any more.
    #[serde(default)]
    pub end: Facts,
    /// It does not come to rest by itself; it ends with its script.
    #[serde(default)]
    pub restless: bool,
    /// Requests may fail, for the reason that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_fail: Option<String>,
    /// Requests may fail where another hand made them, for as long as Warmfront needs to put it right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hands_may_fail: bool,
}

/// One moment of the script.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Step {
    /// Seconds since the script began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// Waits until this is true …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Facts>,
    /// … for so many seconds at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// Then so many seconds more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// What happens then.
    #[serde(rename = "do")]
    pub deeds: Vec<Deed>,
    /// What is true then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Facts>,
    /// What stays true for `for` seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always: Option<Facts>,
    /// See `always`.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<f64>,
}

impl Scenario {
    /// Reads a scenario; an unknown key is an error.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        // By way of a YAML value, which refuses a key that stands twice.
        let yaml: serde_yaml::Value = serde_yaml::from_str(text).context("this is not YAML")?;
        let json = serde_json::to_value(yaml).context("this YAML is not JSON")?;
        serde_json::from_value(json).context("this is not a scenario")
    }

    /// Reads a file.
    pub fn open(path: &std::path::Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::read(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// All scenarios of the repository, by file name.
    pub fn all() -> anyhow::Result<Vec<(String, Self)>> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "yaml") {
                let name = path
                    .file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned())
                    .unwrap_or_default();
                found.push((name, Self::open(&path)?));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The scenario with an API server that holds changed templates and with one that does not, unless it says which.
    pub fn both_ways(self, name: &str) -> Vec<(String, Self)> {
        let file = format!("tests/scenarios/{name}.yaml");
        if self.given.pair || self.given.hold.is_some() {
            return vec![(file, self)];
        }
        let held = |hold: bool| {
            let mut scenario = self.clone();
            scenario.given.hold = Some(hold);
            (format!("{file} with hold: {hold}"), scenario)
        };
        vec![held(true), held(false)]
    }

    /// One of them.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let all = Self::all()?;
        all.into_iter()
            .find(|(file, _)| file == name)
            .map(|(_, scenario)| scenario)
            .with_context(|| format!("tests/scenarios/{name}.yaml does not exist"))
    }
}
