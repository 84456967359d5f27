//! Workflows run only what is pinned, with no more rights than they need, and nothing in them is one owner's.

use std::fs;

use serde_json::Value;

use crate::{read, root};

/// Files of `.github/workflows`, by name.
fn workflows() -> Vec<(String, String)> {
    let files = fs::read_dir(root().join(".github/workflows")).unwrap();
    let found: Vec<(String, String)> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .map(|name| (name.clone(), read(&format!(".github/workflows/{name}"))))
        .collect();
    assert!(found.len() >= 2);
    found
}

/// Why what stands after `uses:` may become something else; none if it cannot.
fn loose(uses: &str) -> Option<&'static str> {
    if uses.starts_with("./") {
        return None;
    }
    let Some((_, pin)) = uses.split_once('@') else {
        return Some("it names no commit");
    };
    let (digest, version) = pin.split_once(" # v").unwrap_or((pin, ""));
    if digest.len() != 40 || !digest.chars().all(|c| c.is_ascii_hexdigit()) {
        return Some("it names no commit by its whole digest");
    }
    version
        .is_empty()
        .then_some("it does not say, after #, which version that is")
}

#[test]
fn actions_are_pinned_by_digest() {
    for (name, text) in workflows() {
        for line in text.lines() {
            let Some((_, uses)) = line.split_once("uses: ") else {
                continue;
            };
            assert_eq!(loose(uses), None, "{name}: {uses}");
        }
    }
    assert!(loose("actions/checkout@v5").is_some());
    assert!(loose("actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8").is_some());
    assert!(loose("actions/checkout").is_some());
}

#[test]
fn jobs_end_and_write_only_where_they_must() {
    for (name, text) in workflows() {
        let workflow: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(
            workflow["permissions"],
            serde_json::json!({"contents": "read"}),
            "{name}"
        );
        for (job, body) in workflow["jobs"].as_object().unwrap() {
            assert!(
                body["uses"].is_string() || body["timeout-minutes"].is_u64(),
                "{name}: {job} may run for ever"
            );
            let writes = body["permissions"]
                .as_object()
                .is_some_and(|rights| rights.values().any(|right| right == "write"));
            assert!(
                !writes || ["image", "publish"].contains(&job.as_str()),
                "{name}: {job} may write"
            );
        }
    }
}

/// The registry of an image's name: what stands before the first slash, where that looks like a host.
fn registry(line: &str) -> Option<&str> {
    let keys = ["FROM ", "image: ", "repository: ", "registry: "];
    let line = line.trim().trim_start_matches("- ").trim_start_matches("# ");
    let name = keys.iter().find_map(|key| line.strip_prefix(key))?;
    let (host, _) = name.trim_matches(['"', '\'']).split_once('/')?;
    // `.example` is nobody's.
    (!host.contains('$') && host.contains(['.', ':']) && !host.ends_with(".example")).then_some(host)
}

/// The project has no registry of its own: whoever makes releases names one.
#[test]
fn no_registry_is_named() {
    assert_eq!(registry("  repository: registry.test/warmfront"), Some("registry.test"));
    assert_eq!(registry("FROM rust:1.95-slim-bookworm AS build"), None);
    let mut files = vec![
        "Dockerfile",
        "Makefile",
        "charts/warmfront/values.yaml",
        "README.md",
        "charts/warmfront/README.md",
    ];
    files.extend([".ci/image", ".ci/chart", ".ci/pack", ".ci/programs", ".ci/krew.yaml"]);
    let files = files.into_iter().map(|file| (file.to_owned(), read(file)));
    for (name, text) in files.chain(workflows()) {
        for line in text.lines() {
            assert_eq!(registry(line), None, "{name} names a registry: {line}");
        }
    }
}
