//! What a release offers for download: archives, digests, krew's manifest, and the chart.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{Folder, helm, read, root, said};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const TARGETS: [(&str, &str); 4] = [
    ("x86_64-unknown-linux-gnu", "linux-amd64"),
    ("aarch64-unknown-linux-gnu", "linux-arm64"),
    ("x86_64-apple-darwin", "darwin-amd64"),
    ("aarch64-apple-darwin", "darwin-arm64"),
];

/// Programs that stand in for those of each target.
fn programs(folder: &Path) {
    for (target, _) in TARGETS {
        for program in ["warmfront", "kubectl-canary"] {
            let path = folder.join(target).join(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{program} for {target}")).unwrap();
        }
    }
}

fn pack(programs: &Path, out: &Path) -> Result<String, String> {
    let url = "https://downloads.example/v1";
    said(Command::new(root().join(".ci/pack")).args([programs, out]).arg(url))
}

#[test]
fn every_program_is_packed_with_its_digest() {
    let folder = Folder::new("pack");
    let (from, out, again) = (folder.0.join("programs"), folder.0.join("out"), folder.0.join("again"));
    programs(&from);
    pack(&from, &out).unwrap();
    let check = |at: &Path| {
        said(
            Command::new("sha256sum")
                .args(["--check", "--quiet", "SHA256SUMS"])
                .current_dir(at),
        )
    };
    check(&out).unwrap();
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    // Two archives for each target, and the manifest.
    assert_eq!(sums.lines().count(), 2 * TARGETS.len() + 1, "{sums}");

    let manifest: Value = serde_yaml::from_str(&fs::read_to_string(out.join("canary.yaml")).unwrap()).unwrap();
    assert_eq!(manifest["spec"]["version"], format!("v{VERSION}"));
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), TARGETS.len());
    for platform in platforms {
        let labels = &platform["selector"]["matchLabels"];
        let name = format!(
            "{}-{}",
            labels["os"].as_str().unwrap(),
            labels["arch"].as_str().unwrap()
        );
        let archive = format!("kubectl-canary-v{VERSION}-{name}.tar.gz");
        assert_eq!(platform["uri"], format!("https://downloads.example/v1/{archive}"));
        let digest = platform["sha256"].as_str().unwrap();
        assert!(sums.contains(&format!("{digest}  {archive}\n")), "{platform}");
        let (target, _) = TARGETS.into_iter().find(|(_, other)| *other == name).unwrap();
        let unpacked = Command::new("tar")
            .arg("-xzOf")
            .arg(out.join(&archive))
            .arg("kubectl-canary")
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&unpacked.stdout),
            format!("kubectl-canary for {target}")
        );
    }
    // In another second: archives have no time of their own.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    pack(&from, &again).unwrap();
    assert_eq!(
        fs::read_to_string(again.join("SHA256SUMS")).unwrap(),
        sums,
        "the same bytes once more"
    );
    fs::write(out.join(format!("warmfront-v{VERSION}-linux-amd64.tar.gz")), "else").unwrap();
    assert!(check(&out).is_err());
}

#[test]
fn a_target_that_is_not_known_is_told() {
    let folder = Folder::new("pack-unknown");
    fs::create_dir_all(folder.0.join("programs/mips")).unwrap();
    fs::write(folder.0.join("programs/mips/warmfront"), "").unwrap();
    let why = pack(&folder.0.join("programs"), &folder.0.join("out")).unwrap_err();
    assert!(why.contains("'mips', which is no target that releases have"), "{why}");
}

#[test]
fn releases_build_every_target() {
    let workflow: Value = serde_yaml::from_str(&read(".github/workflows/release.yml")).unwrap();
    let built: Vec<&str> = ["linux", "macos"]
        .iter()
        .flat_map(|job| {
            workflow["jobs"][job]["strategy"]["matrix"]["target"]
                .as_array()
                .unwrap()
        })
        .map(|target| target.as_str().unwrap())
        .collect();
    assert_eq!(built, TARGETS.map(|(target, _)| target));
}

#[test]
#[ignore = "needs Helm: make chart"]
fn the_packed_chart_runs_the_image_of_its_release() {
    let folder = Folder::new("chart");
    let chart = said(
        Command::new(root().join(".ci/chart"))
            .arg("registry.example/delivery/warmfront")
            .arg(&folder.0),
    );
    let chart = chart.unwrap();
    assert!(chart.ends_with(&format!("/warmfront-{VERSION}.tgz")), "{chart}");
    let rendered = helm::rendered(&chart, "{}", &[]).unwrap();
    let image = rendered.at("Deployment/wf", "spec template spec containers [warmfront] image");
    assert_eq!(image, format!("registry.example/delivery/warmfront:{VERSION}"));
}
