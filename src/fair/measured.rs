//! Measures how far tests make a process grow.

use std::process::Command;

/// Largest memory that this process has had, in KiB.
pub(crate) fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// By how much a process of its own has grown in which this ignored test was run, in KiB, as the test printed it.
pub(crate) fn grown_by(test: &str) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads", "1"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let grew = text.split("grew by ").nth(1).and_then(|rest| rest.split(' ').next());
    grew.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}
