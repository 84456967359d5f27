//! `make image` finds the container engine that is there.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::{Folder, root, said};

/// What the script runs besides an engine.
const TOOLS: [&str; 7] = ["bash", "cat", "dirname", "echo", "env", "git", "sed"];

/// Where nothing but these programs is found.
fn path_with(name: &str, engines: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(name);
    for tool in TOOLS {
        let found = ["/usr/bin", "/bin", "/usr/local/bin"].map(|at| Path::new(at).join(tool));
        let found = found
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("no {tool}"));
        std::os::unix::fs::symlink(found, folder.0.join(tool)).unwrap();
    }
    for (engine, info) in engines {
        let path = folder.0.join(engine);
        let script =
            format!("#!/usr/bin/env bash\nif [ \"$1\" = info ]; then {info}; exit; fi\necho {engine} \"$@\"\n");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// The command line of the engine that is found.
fn built_with(name: &str, engines: &[(&str, &str)], arguments: &[&str]) -> Result<String, String> {
    let path = path_with(name, engines);
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
