//! What people install: the chart, the image, and what a release is made of.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and starts programs"
)]

mod cases;
mod changelog;
mod compiled;
mod dockerfile;
mod engines;
mod helm;
mod packed;
mod switches;
mod values;
mod workflows;
mod written;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// The checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// What a script prints; else what it complains of.
fn said(command: &mut Command) -> Result<String, String> {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("warmfront-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A PATH on which nothing but these programs is found, and these scripts.
fn path_with(name: &str, tools: &[&str], scripts: &[(&str, String)]) -> Folder {
    let folder = Folder::new(name);
    for tool in tools {
        let found = ["/usr/bin", "/bin", "/usr/local/bin"].map(|at| Path::new(at).join(tool));
        let found = found.into_iter().find(|path| path.exists());
        symlink(found.unwrap_or_else(|| panic!("no {tool}")), folder.0.join(tool)).unwrap();
    }
    for (script, body) in scripts {
        let path = folder.0.join(script);
        fs::write(&path, format!("#!/usr/bin/env bash\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}
