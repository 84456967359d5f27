//! What of the chart is written by `make generate` (UPDATE=1): its version and the table of its values.

use std::{fmt::Write, fs};

use crate::{read, root, values};

fn same_or_written(path: &str, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join(path), text).unwrap();
    }
    assert!(read(path) == text, "{path} is stale: run `make generate` and commit");
}

/// The version stands in Cargo.toml; the image's tag is the chart's appVersion, unless `image.tag` says otherwise.
#[test]
fn the_chart_has_the_version_of_cargo_toml() {
    let chart = read("charts/warmfront/Chart.yaml");
    let mut lines = Vec::new();
    for line in chart.lines() {
        let name = line.split(':').next().unwrap_or_default();
        lines.push(match name {
            "version" | "appVersion" => format!("{name}: {}", env!("CARGO_PKG_VERSION")),
            _ => line.to_owned(),
        });
    }
    assert!(
        lines
            .iter()
            .filter(|line| line.contains(env!("CARGO_PKG_VERSION")))
            .count()
            >= 2
    );
    same_or_written("charts/warmfront/Chart.yaml", &(lines.join("\n") + "\n"));
}

#[test]
fn the_charts_readme_has_all_values() {
    let path = "charts/warmfront/README.md";
    let readme = read(path);
    let heading = "## Values\n";
    let (before, _) = readme.split_once(heading).unwrap();
    let mut text = format!("{before}{heading}\n| value | default | meaning |\n|---|---|---|\n");
    for entry in values::entries() {
        let default = entry.default.to_string().replace('|', "\\|");
        let about = entry.about.replace('|', "\\|");
        writeln!(text, "| `{}` | `{default}` | {about} |", entry.path).unwrap();
    }
    same_or_written(path, &text);
}
