//! The steps of a release, with the present one marked.

use jiff::Timestamp;

use super::moment;
use crate::{
    api::{
        CanaryRolloutStatus, Plan,
        plan::{PlannedStep, step_number},
        status::{Outcome, Phase},
    },
    cli::{
        paint::{Paint, Tone},
        rollout::outcome,
    },
};

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Done,
    Now,
    Broken,
    Ahead,
}

/// A line for each step, and for the bake.
pub fn lines(status: &CanaryRolloutStatus, plan: &Plan, now: Timestamp, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let number = step_number(Some(index));
        let mark = mark(status, number);
        let what = format!("{:>7}  {}", step.weight.to_string(), terms(step));
        lines.push(line(mark, &what, &progress(status, mark, now), paint));
    }
    if !plan.bake.is_zero() {
        let mark = mark(status, step_number(Some(plan.steps.len())));
        lines.push(line(
            mark,
            &format!("   bake  {}", plan.bake),
            &progress(status, mark, now),
            paint,
        ));
    }
    lines
}

fn line(mark: Mark, what: &str, progress: &str, paint: Paint) -> String {
    let (sign, tone) = match mark {
        Mark::Done => ("✓", Tone::Good),
        Mark::Now => ("▶", Tone::Strong),
        Mark::Broken => ("✗", Tone::Bad),
        Mark::Ahead => (" ", Tone::Dim),
    };
    let line = format!("{sign} {what}{progress}");
    format!("  {}", paint.tone(tone, line.trim_end()))
}

fn terms(step: &PlannedStep) -> String {
    let hold = if step.hold.is_zero() {
        "no hold".to_owned()
    } else {
        format!("hold {}", step.hold)
    };
    if step.approval {
        format!("{hold}, then an approval")
    } else {
        hold
    }
}

/// The bake is the step after the last one.
fn mark(status: &CanaryRolloutStatus, number: i32) -> Mark {
    let Some(run) = &status.run else {
        return Mark::Ahead;
    };
    let bake = number > run.steps;
    let present = if status.phase == Phase::Baking {
        bake
    } else {
        number == run.step
    };
    let behind = match status.phase {
        Phase::Promoting | Phase::Succeeded => true,
        Phase::Baking => !bake,
        Phase::Idle | Phase::Preparing | Phase::Shifting | Phase::RollingBack | Phase::RolledBack | Phase::Unknown => {
            number < run.step
        }
    };
    let outcome = outcome(Some(run)).or_else(|| run.ending.as_ref().map(|ending| ending.outcome));
    let broken = outcome.is_some_and(|outcome| outcome != Outcome::Promoted);
    if outcome == Some(Outcome::Promoted) {
        Mark::Done
    } else if present && broken {
        Mark::Broken
    } else if behind {
        Mark::Done
    } else if present {
        Mark::Now
    } else {
        Mark::Ahead
    }
}

/// Since when the present step counts.
fn progress(status: &CanaryRolloutStatus, mark: Mark, now: Timestamp) -> String {
    let run = status.run.as_ref().filter(|_| mark == Mark::Now);
    let Some(run) = run else {
        return String::new();
    };
    let since = run
        .step_started_at
        .map(|at| format!("   counts since {}", moment(now, at)));
    let approved = if run.approved { ", approved" } else { "" };
    let waived = if run.hold_waived { ", hold waived" } else { "" };
    let dropped = if run.skip_steps {
        ", the steps between are dropped"
    } else {
        ""
    };
    format!("{}{approved}{waived}{dropped}", since.unwrap_or_default())
}
