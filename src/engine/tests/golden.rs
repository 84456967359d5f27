//! Statuses as each version has left them: every later version reads them all, and goes on from them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;

use super::{scenes, *};
use crate::api::CanaryRolloutStatus;

/// Statuses of this version. A folder is never changed once its version is out; the next one gets a folder of its own.
const VERSION: &str = "v0.1";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/engine/tests/golden")
}

/// All that are kept, by version and scene.
pub fn kept() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for version in fs::read_dir(folder()).unwrap() {
        let version = version.unwrap();
        for file in fs::read_dir(version.path()).unwrap() {
            let file = file.unwrap();
            let scene = file.file_name().to_string_lossy().replace(".json", "");
            let name = format!("{}/{scene}", version.file_name().to_string_lossy());
            found.insert(name, serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap());
        }
    }
    found
}

/// Whether a word that this version does not know stands anywhere in it.
fn has_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => text == "Unknown" || text == "unknown",
        Value::Array(items) => items.iter().any(has_unknown),
        Value::Object(fields) => fields.values().any(has_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[test]
fn every_status_that_a_version_has_left_is_read_whole() {
    if std::env::var_os("UPDATE").is_some() {
        let folder = folder().join(VERSION);
        fs::create_dir_all(&folder).unwrap();
        for (name, world) in scenes::all() {
            let file = folder.join(format!("{name}.json"));
            if !file.exists() {
                fs::write(file, serde_json::to_string_pretty(&world.status).unwrap() + "\n").unwrap();
            }
        }
    }
    let kept = kept();
    assert!(kept.len() >= scenes::all().len(), "{:?}", kept.keys());
    for (name, stored) in kept {
        let read = CanaryRolloutStatus::deserialize(&stored).unwrap_or_else(|why| panic!("{name}: {why}"));
        let again = json!(read);
        assert!(!has_unknown(&again), "{name} has words that are not known");
        assert_eq!(again, stored, "{name}: nothing is lost");
    }
}

#[test]
fn a_release_goes_on_from_every_status_that_a_version_has_left() {
    let kept = kept();
    for (scene, mut world) in scenes::all() {
        for (name, stored) in kept.iter().filter(|(name, _)| name.ends_with(&format!("/{scene}"))) {
            world.status = CanaryRolloutStatus::deserialize(stored).unwrap();
            let before = world.status.phase;
            world.settle_unchecked();
            assert_ne!(world.status.phase, Phase::Unknown, "{name}");
            if before.is_active() {
                world.ask(Verb::Abort);
                world.fighter = None;
                world.settle();
                assert_eq!(world.share(), 0, "{name}: {}", world.status.message);
            }
        }
    }
}
