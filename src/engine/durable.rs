//! What of a status must be stored at once, and what can be read from the metrics store again.
//!
//! Figures, counts and sentences change with every tick. Ticks lie on a fixed grid and counters keep
//! their past, so a controller that starts again asks for the ticks since the last stored one.

use jiff::SignedDuration;

use crate::api::{
    CanaryRolloutStatus,
    status::{Figures, JudgeMemory, Phase},
};

/// While a step is judged, what `kubectl get` shows is at most this old.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Whether `next` says more than newer figures: a transition, which must not be lost. While no step is
/// judged nothing changes with every tick, and what keeps pods or a route waiting is shown at once.
pub fn must_be_stored(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let waiting = next.run.as_ref().is_none_or(|run| run.intent.is_some() || run.growing.is_some());
    let judged = matches!(next.phase, Phase::Shifting | Phase::Baking) && !waiting;
    !judged || lasting(stored) != lasting(next)
}

/// The status without what every tick changes. That a check says something else, or has its first figure, is news.
fn lasting(status: &CanaryRolloutStatus) -> CanaryRolloutStatus {
    let mut lasting = status.clone();
    lasting.message.clear();
    lasting.figures = Figures::default();
    for check in &mut lasting.checks {
        check.value = check.value.take().map(|_| String::new());
        check.baseline = None;
        check.evidence.clear();
        check.message.clear();
        check.at = None;
    }
    for condition in &mut lasting.conditions {
        condition.message.clear();
    }
    if let Some(run) = &mut lasting.run {
        run.judge = JudgeMemory::default();
    }
    lasting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{Cause, CheckStatus, Verdict};

    fn judged(check: CheckStatus) -> CanaryRolloutStatus {
        CanaryRolloutStatus { phase: Phase::Shifting, run: Some(run()), checks: vec![check], message: "holding".to_owned(), ..CanaryRolloutStatus::default() }
    }

    fn run() -> crate::api::status::Run {
        let plan = serde_json::json!({"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}, "unjudged": true});
        let run = serde_json::json!({"number": 1, "revision": "w", "replicaSet": "catalog-w", "from": "s", "startedAt": "2026-01-01T00:00:00Z", "step": 1, "of": 2, "weight": "5%", "plan": plan});
        serde_json::from_value(run).unwrap()
    }

    fn check(verdict: Verdict, value: Option<&str>) -> CheckStatus {
        CheckStatus {
            name: "error-rate".to_owned(),
            verdict,
            cause: (verdict == Verdict::Wait).then_some(Cause::FewSamples),
            value: value.map(str::to_owned),
            threshold: "<= 1%".to_owned(),
            baseline: None,
            evidence: value.map(|value| format!("rests on {value}")).unwrap_or_default(),
            at: None,
            message: String::new(),
        }
    }

    #[test]
    fn figures_may_be_lost_and_news_may_not() {
        let stored = judged(check(Verdict::Wait, Some("0.1%")));
        let differs = |change: fn(&mut CanaryRolloutStatus)| {
            let mut next = stored.clone();
            change(&mut next);
            must_be_stored(&stored, &next)
        };
        assert!(!differs(|next| next.checks[0] = check(Verdict::Wait, Some("0.2%"))));
        assert!(!differs(|next| next.message = "holding still".to_owned()));
        assert!(!differs(|next| next.run.as_mut().unwrap().judge.last_tick = Some(jiff::Timestamp::UNIX_EPOCH)));
        assert!(differs(|next| next.checks[0] = check(Verdict::Pass, Some("0.1%"))));
        assert!(differs(|next| next.checks[0] = check(Verdict::Wait, None)));
        assert!(differs(|next| next.run.as_mut().unwrap().step = 2));
        assert!(differs(|next| next.announced += 1));
        // Nothing is judged while pods are waited for: what is missing is shown at once.
        let mut waiting = stored.clone();
        waiting.phase = Phase::Preparing;
        assert!(must_be_stored(&waiting, &CanaryRolloutStatus { message: "1/2 pods".to_owned(), ..waiting.clone() }));
    }
}
