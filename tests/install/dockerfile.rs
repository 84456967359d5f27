//! The Dockerfile, and the image that the tests build without an engine: both are the same, and as the chart runs it.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::{read, root, said, values};

/// An instruction and its arguments, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, arguments) = line.split_once(' ').unwrap();
            (
                name.to_owned(),
                arguments.split_whitespace().collect::<Vec<_>>().join(" "),
            )
        })
        .collect()
}

/// Those of the last stage, after its FROM.
fn last_stage() -> Vec<(String, String)> {
    let all = instructions();
    let from = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    assert_eq!(all[from].1, "scratch");
    all[from + 1..].to_vec()
}

fn only(name: &str) -> String {
    let mut found = last_stage().into_iter().filter(|(found, _)| found == name);
    let (_, arguments) = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "{name} twice");
    arguments
}

#[test]
fn the_image_of_the_tests_is_that_of_the_dockerfile() {
    let images = read("tests/cluster/images");
    let line = images
        .lines()
        .find(|line| line.starts_with("image warmfront:dev "))
        .unwrap();
    let mut parts = line.split('\'');
    let config: Value = serde_json::from_str(parts.nth(1).unwrap()).unwrap();
    let tested: BTreeSet<&str> = parts
        .next()
        .unwrap()
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap().1.trim_matches('"'))
        .collect();
    let last_stage = last_stage();
    let copies: Vec<&str> = last_stage
        .iter()
        .filter(|(name, _)| name == "COPY")
        .map(|(_, arguments)| arguments.strip_prefix("--from=build ").unwrap())
        .collect();
    let built: BTreeSet<&str> = copies.iter().map(|copy| copy.split_once(' ').unwrap().1).collect();
    assert_eq!(built, tested);
    assert!(copies.contains(&"/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt"));
    let entrypoint: Value = serde_json::from_str(&only("ENTRYPOINT")).unwrap();
    assert_eq!(config["Entrypoint"], entrypoint);
    assert_eq!(config["User"], only("USER"));
    let context = &values::defaults()["securityContext"];
    assert_eq!(
        only("USER"),
        format!("{}:{}", context["runAsUser"], context["runAsGroup"])
    );
}

#[test]
fn labels_say_what_cargo_toml_says() {
    let labels = only("LABEL");
    for (name, value) in [
        ("title", env!("CARGO_PKG_NAME")),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("version", "$VERSION"),
        ("revision", "$REVISION"),
    ] {
        let label = format!("org.opencontainers.image.{name}=\"{value}\"");
        assert!(labels.contains(&label), "{label} is not in {labels}");
    }
}

#[test]
fn it_is_built_by_the_compiler_that_cargo_toml_names() {
    let base = format!("rust:{}-slim-bookworm", env!("CARGO_PKG_RUST_VERSION"));
    let first = instructions().remove(0);
    assert_eq!(
        first,
        ("FROM".to_owned(), format!("--platform=$BUILDPLATFORM {base} AS build"))
    );
    let release = read(".github/workflows/release.yml");
    assert!(
        release.contains(&format!("container: {base}\n")),
        "programs for download are built as those in the image"
    );
}

#[test]
fn all_that_is_built_reaches_the_engine() {
    let manifest = read("Cargo.toml");
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = "))
        .unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    let ignored = read(".dockerignore");
    let ignored: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(ignored.contains(&"target") && ignored.contains(&".git"));
    let needed = members.iter().map(String::as_str).chain([
        "src",
        ".ci/programs",
        "Cargo.toml",
        "Cargo.lock",
        "tests/cluster/paths.sh",
        "tests/cluster/debian.sh",
    ]);
    for path in needed.filter(|path| *path != ".") {
        assert!(root().join(path).exists(), "{path}");
        let left_out = ignored
            .iter()
            .find(|pattern| path == **pattern || path.starts_with(&format!("{pattern}/")));
        assert_eq!(left_out, None, "{path}");
    }
}

#[test]
fn architectures_of_images_are_targets_of_rust() {
    let target = |arch: &str| said(Command::new(root().join(".ci/target")).arg(arch));
    assert_eq!(target("amd64").unwrap(), "x86_64-unknown-linux-gnu");
    assert_eq!(target("arm64").unwrap(), "aarch64-unknown-linux-gnu");
    assert!(target("riscv64").unwrap_err().contains("not for 'riscv64'"));
    let programs = said(Command::new(root().join(".ci/programs")).args(["wasm32-wasip1", "x"]));
    assert!(programs.unwrap_err().contains("wasm32-wasip1"));
}
