//! What may be decided on before it is stored: what was seen and judged, and the way back. What rises waits.

use crate::api::{
    CanaryRolloutStatus, Percent,
    status::{Outcome, Phase, Run},
};

/// Whether `next`, which could not be stored, may be decided on in the next pass; `known` is what it was decided on. If
/// not, that is decided again until it can be stored: nothing may follow from it.
pub fn may_be_kept(known: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let (Some(before), Some(run)) = (&known.run, &next.run) else {
        return false;
    };
    let same = before.number == run.number && before.ended_at.is_none();
    let exchanging = before.undoing.is_some() || run.undoing.is_some();
    if !same || exchanging {
        return false;
    }
    match next.phase {
        Phase::RollingBack => true,
        Phase::RolledBack | Phase::Idle => matches!(run.outcome, Some(Outcome::RolledBack | Outcome::Superseded)),
        Phase::Preparing | Phase::Shifting | Phase::Baking => !rises(before, run),
        Phase::Promoting | Phase::Succeeded | Phase::Unknown => false,
    }
}

/// The release asks for more than it did: a greater weight, or pods for one.
fn rises(before: &Run, run: &Run) -> bool {
    let weight = |run: &Run| run.intent.as_ref().map(|intent| intent.weight);
    let pods = |run: &Run| run.growing.as_ref().map(|growing| growing.weight);
    let most = before.weight.max(weight(before).unwrap_or(Percent::ZERO));
    weight(run) > Some(most) || run.weight > most || pods(run) > pods(before).max(Some(most))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::api::status::{Growing, Intent};

    fn percent(weight: u32) -> Percent {
        Percent::from_hundredths(weight * 100).unwrap()
    }

    fn intent(weight: u32) -> Intent {
        Intent::new(percent(weight), BTreeMap::default(), Timestamp::UNIX_EPOCH)
    }

    /// A release at 25% whose next weight, 50%, was stored as intent.
    fn shifting() -> CanaryRolloutStatus {
        let plan = json!({"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}, "unjudged": true});
        let run = json!({"number": 1, "revision": "w", "replicaSet": "catalog-w", "stableRevision": "s", "startedAt": "2026-01-01T00:00:00Z", "step": 2, "steps": 3, "weight": "25%", "plan": plan});
        let mut run: Run = serde_json::from_value(run).unwrap();
        run.intent = Some(intent(50));
        CanaryRolloutStatus {
            phase: Phase::Shifting,
            run: Some(run),
            ..CanaryRolloutStatus::default()
        }
    }

    #[test]
    fn what_was_seen_and_the_way_back_are_kept_and_what_rises_is_not() {
        type Change = fn(&mut CanaryRolloutStatus, &mut Run);
        let cases: [(&str, bool, Change); 12] = [
            ("a figure", true, |status, _| status.message = "holding".to_owned()),
            ("a confirmed weight", true, |_, run| {
                (run.weight, run.intent) = (percent(50), None);
            }),
            ("a fall to 0", true, |status, run| {
                (status.phase, run.weight, run.intent) = (Phase::Preparing, Percent::ZERO, None);
                run.growing = Some(Growing {
                    weight: percent(5),
                    since: Timestamp::UNIX_EPOCH,
                });
            }),
            ("the way back", true, |status, run| {
                (status.phase, run.intent) = (Phase::RollingBack, None);
            }),
            ("a run that was taken back", true, |status, run| {
                (status.phase, run.outcome) = (Phase::RolledBack, Some(Outcome::RolledBack));
                run.ended_at = Some(Timestamp::UNIX_EPOCH);
            }),
            ("another weight", false, |_, run| {
                (run.weight, run.intent) = (percent(50), Some(intent(100)));
            }),
            ("a lower weight besides 0", true, |_, run| {
                run.intent = Some(intent(10));
            }),
            ("a weight that nobody asked for", false, |_, run| {
                (run.weight, run.intent) = (percent(75), None);
            }),
            ("pods for another weight", false, |_, run| {
                run.growing = Some(Growing {
                    weight: percent(100),
                    since: Timestamp::UNIX_EPOCH,
                });
            }),
            ("a promotion", false, |status, _| status.phase = Phase::Promoting),
            ("a promotion that is undone", false, |_, run| {
                run.undoing = Some("s".to_owned());
            }),
            ("another release", false, |_, run| run.number = 2),
        ];
        let known = shifting();
        for (what, kept, change) in cases {
            let mut next = known.clone();
            let mut run = next.run.take().unwrap();
            change(&mut next, &mut run);
            next.run = Some(run);
            assert_eq!(may_be_kept(&known, &next), kept, "{what}");
        }
    }
}
