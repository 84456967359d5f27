//! The generated files are what the code says; `make generate` (UPDATE=1) writes them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use warmfront::runtime::generate;

fn same_or_written(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "{} is stale: run `make generate` and commit",
        path.display()
    );
}

#[test]
fn definitions_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in generate::crds().unwrap() {
        // Helm and kubectl read YAML 1.1, in which these words are booleans, as keys too.
        let bare = |line: &str| {
            line.trim_start_matches(['-', ' '])
                .trim_end()
                .trim_end_matches(':')
                .to_owned()
        };
        let boolean = text
            .lines()
            .find(|line| ["on", "off", "yes", "no", "y", "n"].contains(&bare(line).to_lowercase().as_str()));
        assert_eq!(boolean, None, "{name} has a field that YAML 1.1 takes for a boolean");
        assert!(text.len() < 100_000, "{name} is too large: {} bytes", text.len());
        same_or_written(&root.join("crds").join(name), &text);
        same_or_written(&root.join("charts/warmfront/files/crds").join(name), &text);
    }
}

#[test]
fn rules_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    same_or_written(&root.join("charts/warmfront/files/rbac.yaml"), &generate::rbac());
    same_or_written(
        &root.join("charts/warmfront/files/rbac-namespace.yaml"),
        &generate::namespace_rbac(),
    );
}
