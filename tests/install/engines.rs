//! `make image` finds the container engine that is there.

use std::process::Command;

use crate::{path_with, root, said};

/// What the script runs besides an engine.
const TOOLS: [&str; 6] = ["bash", "cat", "dirname", "env", "git", "sed"];

/// An engine of which `info` ends so.
fn engine(name: &str, info: &str) -> String {
    format!("if [ \"$1\" = info ]; then {info}; exit; fi\necho {name} \"$@\"")
}

/// The command line of the engine that is found.
fn built_with(name: &str, engines: &[(&str, &str)], arguments: &[&str]) -> Result<String, String> {
    let scripts: Vec<(&str, String)> = engines.iter().map(|(name, info)| (*name, engine(name, info))).collect();
    let path = path_with(name, &TOOLS, &scripts);
    said(
        Command::new(root().join(".ci/image"))
            .args(arguments)
            .env("PATH", &path.0),
    )
}

#[test]
fn the_first_that_answers_builds() {
    let version = format!("VERSION={}", env!("CARGO_PKG_VERSION"));
    let docker = built_with("docker", &[("docker", "true"), ("podman", "true")], &[]).unwrap();
    assert!(docker.starts_with("docker buildx build --load "), "{docker}");
    assert!(docker.contains(&version) && docker.ends_with(" ."), "{docker}");
    assert!(
        docker.contains(&format!("--tag warmfront:{} ", env!("CARGO_PKG_VERSION"))),
        "{docker}"
    );
    let podman = built_with("podman", &[("docker", "false"), ("podman", "true")], &["x/y:1"]).unwrap();
    assert!(podman.starts_with("podman build --format docker "), "{podman}");
    assert!(podman.contains("--tag x/y:1 "), "{podman}");
    let buildah = built_with("buildah", &[("buildah", "true")], &["x", "--platform", "linux/arm64"]).unwrap();
    assert!(
        buildah.starts_with("buildah build ") && buildah.ends_with("--platform linux/arm64 ."),
        "{buildah}"
    );
}

#[test]
fn what_is_pushed_is_not_loaded() {
    let pushed = built_with("pushed", &[("docker", "true")], &["x", "--push"]).unwrap();
    assert!(
        pushed.starts_with("docker buildx build --build-arg ") && pushed.contains(" --push "),
        "{pushed}"
    );
}

#[test]
fn without_an_engine_it_says_what_to_do() {
    let none = built_with("none", &[], &[]).unwrap_err();
    assert!(
        none.contains("docker (with buildx), podman or buildah. None is in PATH"),
        "{none}"
    );
    let silent = built_with("silent", &[("docker", "false")], &[]).unwrap_err();
    assert!(silent.contains("`info` fails for: docker"), "{silent}");
}
