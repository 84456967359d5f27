//! How the programs of a release are compiled: which packages, linker and flags a target needs.

use std::{fs, process::Command};

use crate::{Folder, path_with, root, said};

const TOOLS: [&str; 14] = [
    "bash",
    "cat",
    "chmod",
    "cut",
    "dirname",
    "env",
    "grep",
    "install",
    "ls",
    "mkdir",
    "sed",
    "sha256sum",
    "touch",
    "tr",
];

/// What was done for a target on a machine of x86_64.
struct Done {
    /// What Cargo was asked for, with what in the environment.
    cargo: String,
    /// Debian packages that were looked for.
    packages: String,
}

/// Compiles with tools that only tell what they are asked for.
fn compiled(target: &str) -> Done {
    let work = Folder::new(&format!("compiled-{target}"));
    let (packages, built) = (work.0.join("packages"), work.0.join("target"));
    let release = built.join(target).join("release");
    let programs = ["warmfront", "kubectl-canary"].map(|program| release.join(program).display().to_string());
    let scripts = [
        ("uname", "echo x86_64".to_owned()),
        // All that is asked for is there.
        (
            "dpkg-query",
            format!(
                "echo \"${{@: -1}}\" >>{}; echo install ok installed",
                packages.display()
            ),
        ),
        (
            "cargo",
            format!(
                "echo \"$@\"; env | grep -E '^(RUSTFLAGS|CARGO_TARGET_.*_LINKER)='; mkdir -p {}; touch {}",
                release.display(),
                programs.join(" ")
            ),
        ),
    ];
    let path = path_with(&format!("compilers-{target}"), &TOOLS, &scripts);
    let out = work.0.join("out");
    let cargo = said(
        Command::new(root().join(".ci/programs"))
            .arg(target)
            .arg(&out)
            .env_clear()
            .env("PATH", &path.0)
            .env("HOME", &work.0)
            .env("CARGO_TARGET_DIR", &built),
    );
    assert!(out.join("warmfront").exists());
    Done {
        cargo: cargo.unwrap(),
        packages: fs::read_to_string(packages).unwrap_or_default(),
    }
}

#[test]
fn the_other_architecture_needs_its_compiler_and_nothing_else() {
    let done = compiled("aarch64-unknown-linux-gnu");
    assert_eq!(done.packages, "gcc-aarch64-linux-gnu\nlibc6-dev-arm64-cross\n");
    for wanted in [
        "build --release --locked --target aarch64-unknown-linux-gnu -p warmfront --bins\n",
        "RUSTFLAGS=-C target-feature=+crt-static",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc",
    ] {
        assert!(done.cargo.contains(wanted), "{wanted} is not in {}", done.cargo);
    }
}

#[test]
fn its_own_architecture_needs_nothing() {
    let done = compiled("x86_64-unknown-linux-gnu");
    assert_eq!(done.packages, "");
    assert!(
        done.cargo.contains("crt-static") && !done.cargo.contains("LINKER"),
        "{}",
        done.cargo
    );
}

/// A static program cannot be linked there.
#[test]
fn programs_for_macos_are_linked_as_there() {
    let done = compiled("aarch64-apple-darwin");
    assert_eq!(done.packages, "");
    assert!(
        done.cargo.contains("--target aarch64-apple-darwin") && !done.cargo.contains("crt-static"),
        "{}",
        done.cargo
    );
}
