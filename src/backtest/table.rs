//! The past for programs, as CSV.

use std::fmt::Write as _;

use super::report::{Again, Once};

/// A text as a field of CSV (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A row for each release.
pub fn releases(report: &Again) -> String {
    let mut text = "begun,outcome,ended,seconds,greatest_weight,reason,waited,message\n".to_owned();
    for entry in &report.releases {
        let waited: Vec<&str> = entry.waited.iter().map(|waited| waited.cause.as_str()).collect();
        // A text cannot fail to grow.
        let _ = writeln!(
            text,
            "{},{},{},{:.0},{},{},{},{}",
            entry.begun,
            entry.outcome,
            entry.ended,
            entry.seconds,
            entry.greatest_weight,
            entry.reason.as_deref().unwrap_or_default(),
            waited.join(" "),
            field(&entry.message)
        );
    }
    text
}

/// A row for each tick and check.
pub fn ticks(report: &Once) -> String {
    let mut text =
        "time,step,check,verdict,cause,value,baseline,threshold,bad,total,baseline_bad,baseline_total,message\n"
            .to_owned();
    for tick in &report.ticks {
        for check in &tick.checks {
            let counted = check.evidence.unwrap_or_default();
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{},{},{},{},{},{}",
                tick.time,
                tick.step,
                field(&check.name),
                check.verdict,
                check.cause.map(|cause| cause.to_string()).unwrap_or_default(),
                field(check.value.as_deref().unwrap_or_default()),
                field(check.baseline.as_deref().unwrap_or_default()),
                field(&check.threshold),
                counted.bad,
                counted.total,
                counted.baseline_bad,
                counted.baseline_total,
                field(&check.message)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_stays_one_field() {
        assert_eq!(field("20% of 40"), "20% of 40");
        assert_eq!(field("a, \"b\"\nc"), "\"a, \"\"b\"\"\nc\"");
    }
}
