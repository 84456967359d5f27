//! The changelog tells of the version that Cargo.toml has.

use std::process::Command;

use crate::{read, root, said};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_newest_section_is_that_of_the_version() {
    let changelog = read("CHANGELOG.md");
    let newest = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## ["))
        .find(|line| !line.starts_with("Unreleased"))
        .unwrap();
    assert!(newest.starts_with(&format!("{VERSION}] - ")), "{newest}");
    let notes = said(&mut Command::new(root().join(".ci/notes"))).unwrap();
    assert!(notes.contains("### Added") && !notes.contains("## ["), "{notes}");
}

#[test]
fn a_tag_that_is_not_of_the_version_is_refused() {
    let version = |tag: &str| said(Command::new(root().join(".ci/version")).arg(tag));
    assert_eq!(version("").unwrap(), VERSION);
    assert_eq!(version(&format!("v{VERSION}")).unwrap(), VERSION);
    for wrong in ["v9.9.9", VERSION] {
        let why = version(wrong).unwrap_err();
        assert!(why.contains(wrong) && why.contains(VERSION), "{why}");
    }
}
