//! What the routes are to say, whichever way the two versions are run.

use jiff::Timestamp;

use crate::{
    api::{CanaryRolloutStatus, status::Run},
    engine::facts::Facts,
    router::Want,
};

/// What the routes say while a release moves, and whether testers reach the new version.
pub fn introduced(facts: &Facts<'_>, run: &Run) -> (Want, bool) {
    let weight = run.intent.as_ref().map_or(run.weight, |intent| intent.weight);
    let introduced = run.intent.is_some() || run.entered_at.is_some();
    // A proxy has had time to learn of the new version's backend before a rule leads to it alone.
    let settled = |entered: Timestamp| facts.now >= entered + facts.plan.settle.signed();
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

/// What the routes say between releases. Our entry leaves `settle` after its weight did: a proxy that learns of the missing
/// backend before it learns of the weight would fail the requests in between.
pub fn at_rest_route(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Want {
    let ended = status.run.as_ref().and_then(|run| run.ended_at);
    if ended.is_some_and(|ended| facts.now < ended + facts.plan.settle.signed()) {
        Want::Drained
    } else {
        Want::Absent
    }
}
