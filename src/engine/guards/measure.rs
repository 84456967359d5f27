//! How the answers of a tick enter the status.

use crate::{
    api::Percent,
    engine::{
        contract::observed::Measured,
        draft::{Draft, Judged},
        facts::Facts,
        judge::{self, share::Expected},
    },
};

/// Has the answers of a tick judged.
pub fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    if let Some(measured) = &facts.seen.measured {
        take_in(facts, measured, next);
    }
}

/// The same for answers of an earlier look.
pub fn take_in(facts: &Facts<'_>, measured: &Measured, next: &mut Draft) {
    if measured.readings.len() != facts.plan.checks.len() {
        return; // The plan changed between asking and answering.
    }
    let weight = next.run().map_or(Percent::ZERO, |run| run.weight);
    let expected = Expected::new(weight, facts.plan, facts.seen.source);
    let Some(Judged {
        memory,
        checks,
        figures,
    }) = next.judge_mut()
    else {
        return;
    };
    *checks = judge::judge(
        memory,
        figures,
        &facts.plan.checks,
        measured,
        expected,
        checks,
        facts.now,
    );
}
