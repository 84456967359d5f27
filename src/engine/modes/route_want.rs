//! What the routes are to say, whichever way the two versions are run.

use crate::api::moment::Moment as _;
use jiff::Timestamp;

use crate::{api::status::Run, engine::facts::Facts, router::Want};

/// What the routes say while a release moves, and whether testers reach the new version.
pub fn introduced(facts: &Facts<'_>, run: &Run) -> (Want, bool) {
    let weight = run.intent.as_ref().map_or(run.weight, |intent| intent.weight);
    let introduced = run.intent.is_some() || run.entered_at.is_some();
    // A proxy has had time to learn of the new version's backend before a rule leads to it alone.
    let settled = |entered: Timestamp| facts.now >= entered.plus(facts.plan.settle.signed());
    let testers = run.entered_at.is_some_and(settled) && facts.ready_for_traffic(run) > 0;
    (
        if introduced {
            Want::Weight(weight)
        } else {
            Want::Drained
        },
        testers,
    )
}
