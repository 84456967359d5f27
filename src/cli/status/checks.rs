//! The checks of a release: value, limit, baseline, verdict and what it is based on.

use crate::{
    api::status::{CheckStatus, Evidence, NO_FIGURE, Verdict},
    cli::{
        paint::{Paint, Tone, clean},
        table::{self, Cell},
        words::wrapped,
    },
};

/// A line for each check under a line of headings, and what each says.
pub fn lines(checks: &[CheckStatus], width: usize, paint: Paint) -> Vec<String> {
    if checks.is_empty() {
        return Vec::new();
    }
    let head = ["", "CHECK", "VERDICT", "VALUE", "LIMIT", "OLD VERSION", "EVIDENCE"];
    let rows: Vec<Vec<Cell>> = std::iter::once(head.map(|name| Cell::new(name, Tone::Dim)).to_vec())
        .chain(checks.iter().map(row))
        .collect();
    let mut drawn = table::lines(&rows, paint).into_iter();
    let mut lines: Vec<String> = drawn.next().iter().map(|head| indented(head)).collect();
    for (line, check) in drawn.zip(checks) {
        lines.push(indented(&line));
        for said in wrapped(&clean(&check.message), width, 6) {
            lines.push(paint.tone(Tone::Dim, &said));
        }
    }
    lines
}

/// The sign in the first column takes less than a gap.
fn indented(line: &str) -> String {
    format!("  {line}")
}

fn row(check: &CheckStatus) -> Vec<Cell> {
    let (sign, tone) = match check.verdict {
        Verdict::Pass => ("✓", Tone::Good),
        Verdict::Fail => ("✗", Tone::Bad),
        Verdict::Wait => ("…", Tone::Warning),
        Verdict::NoData => ("?", Tone::Warning),
        Verdict::Unknown => ("?", Tone::Plain),
    };
    let verdict = match check.cause {
        Some(cause) => format!("{} {cause}", check.verdict),
        None => check.verdict.to_string(),
    };
    let or_none = |text: &Option<String>| clean(text.as_deref().unwrap_or(NO_FIGURE));
    vec![
        Cell::new(sign, tone),
        clean(&check.name).into(),
        Cell::new(verdict, tone),
        or_none(&check.value).into(),
        clean(&check.threshold).into(),
        or_none(&check.baseline).into(),
        check.evidence.as_ref().map(evidence).unwrap_or_default().into(),
    ]
}

/// `97 of 486 bad (20.00%), old 0 of 486; 100% against the limit`.
fn evidence(evidence: &Evidence) -> String {
    let share = if evidence.total > 0.0 {
        format!(" ({:.2}%)", 100.0 * evidence.bad / evidence.total)
    } else {
        String::new()
    };
    let old = if evidence.baseline_total > 0.0 {
        format!(", old {:.0} of {:.0}", evidence.baseline_bad, evidence.baseline_total)
    } else {
        String::new()
    };
    let against = 100.0 * evidence.strength;
    let against = if against >= 0.5 {
        format!("; {against:.0}% of what breaks the limit")
    } else {
        String::new()
    };
    let needed = if evidence.needed > evidence.total {
        format!("; {:.0} needed", evidence.needed.ceil())
    } else {
        String::new()
    };
    format!(
        "{:.0} of {:.0} bad{share}{old}{against}{needed}",
        evidence.bad, evidence.total
    )
}
