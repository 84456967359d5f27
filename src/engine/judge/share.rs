//! Whether the new version gets the share of the requests that its weight says.
//!
//! Requests that hang are in no count, and neither are those that a route sends elsewhere: few requests, all of them good, are
//! no proof of a good version.

use crate::{
    api::{
        Percent,
        metric_source::Preset,
        plan::{CheckKind, Plan, PlannedCheck},
        status::{Cause, CheckStatus, JudgeMemory, SideTotals, Verdict},
    },
    engine::contract::observed::{Measured, Source},
    provider::Reading,
};

/// This many ticks of the step are looked back on.
const LOOK_BACK: usize = 8;
/// Fewer expected requests than this prove nothing.
const ENOUGH: f64 = 100.0;
/// At this weight nothing is left to compare with.
const ALL: f64 = 0.98;
/// Least part of the expected requests, where all requests to both versions are counted and shared out by weight …
const LEAST: f64 = 0.6;
/// … and where callers who pass the route by, or rules without weights, may be counted for the old version too.
const LEAST_OF_ROUTED: f64 = 0.1;

/// What the weight says of the requests.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The new version's confirmed share.
    pub weight: Percent,
    /// Least part of the requests which that share makes that must have come.
    pub least: f64,
}

impl Expected {
    /// At this weight, of what the source counts.
    pub fn new(weight: Percent, plan: &Plan, source: Option<Source>) -> Self {
        let rules_are_ours = plan
            .routes
            .iter()
            .all(|route| route.rules.iter().all(|rule| rule == "*"));
        let only_routed = source.is_some_and(|source| source.preset == Preset::Envoy);
        let least = if only_routed && rules_are_ours {
            LEAST
        } else {
            LEAST_OF_ROUTED
        };
        Self { weight, least }
    }
}

/// Adds a tick that has both sides' requests.
pub fn count(memory: &mut JudgeMemory, checks: &[PlannedCheck], tick: &Measured) {
    let requests = checks
        .iter()
        .zip(&tick.readings)
        .find_map(|(check, reading)| match (&check.kind, reading) {
            (
                CheckKind::ErrorRate { .. } | CheckKind::Latency { .. },
                Ok(Reading::Counts {
                    candidate, baseline, ..
                }),
            ) => Some(SideTotals {
                candidate: candidate.total,
                baseline: baseline.as_ref()?.total,
            }),
            _ => None,
        });
    memory.share.extend(requests);
    let surplus = memory.share.len().saturating_sub(LOOK_BACK);
    memory.share.drain(..surplus);
}

/// That far fewer requests reached the new version than its weight says, in words.
fn mismatch(memory: &JudgeMemory, expected: Expected) -> Option<String> {
    let share = expected.weight.fraction();
    let got: f64 = memory.share.iter().map(|tick| tick.candidate).sum();
    let all = got + memory.share.iter().map(|tick| tick.baseline).sum::<f64>();
    let due = share * all;
    if share >= ALL || due < ENOUGH || got >= expected.least * due {
        return None;
    }
    Some(format!(
        "{got:.0} of {all:.0} requests were counted for the new version, about {due:.0} are expected at {}: do its requests hang, does the gateway send it none, or do most callers reach the old version past the route?",
        expected.weight
    ))
}

/// No check passes while the traffic is not there. What fails still fails.
pub fn hold(memory: &JudgeMemory, expected: Expected, checks: &mut [CheckStatus]) {
    let Some(why) = mismatch(memory, expected) else { return };
    let undecided = |check: &&mut CheckStatus| matches!(check.verdict, Verdict::Pass | Verdict::Wait);
    for check in checks.iter_mut().filter(undecided) {
        check.verdict = Verdict::Wait;
        check.cause = Some(Cause::ShareMismatch);
        check.message.clone_from(&why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ticks: &[(f64, f64)]) -> JudgeMemory {
        JudgeMemory {
            share: ticks
                .iter()
                .map(|&(candidate, baseline)| SideTotals { candidate, baseline })
                .collect(),
            ..JudgeMemory::default()
        }
    }

    fn is_held(ticks: &[(f64, f64)], weight: &str, least: f64) -> bool {
        let expected = Expected {
            weight: weight.parse().unwrap(),
            least,
        };
        mismatch(&seen(ticks), expected).is_some()
    }

    #[test]
    fn far_fewer_requests_than_the_weight_says_are_a_mismatch() {
        assert!(is_held(&[(3_000.0, 114_000.0)], "5%", LEAST));
        assert!(!is_held(&[(3_700.0, 114_000.0)], "5%", LEAST));
        assert!(!is_held(&[(40.0, 1_460.0)], "5%", LEAST), "too few to tell");
        assert!(!is_held(&[(3_000.0, 114_000.0)], "5%", LEAST_OF_ROUTED));
        assert!(is_held(&[(0.0, 250.0); 8], "5%", LEAST_OF_ROUTED));
        assert!(!is_held(&[(0.0, 249.0); 8], "5%", LEAST_OF_ROUTED), "not yet");
        assert!(!is_held(&[(0.0, 9_000.0)], "98%", LEAST));
        assert!(!is_held(&[(0.0, 9_000.0)], "0%", LEAST));
        assert!(!is_held(&[(900.0, 100.0)], "5%", LEAST), "testers add to their share");
    }
}
