//! What of a status must be stored at once, and what can be read from the metrics store again.
//!
//! Figures, counts and sentences change with every tick. Ticks lie on a fixed grid and counters keep
//! their past, so a controller that starts again asks for the ticks since the last stored one.

use jiff::SignedDuration;

use crate::api::{CanaryRolloutStatus, status::Phase};

/// While a step is judged, what `kubectl get` shows is at most this old.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(30);

/// The same for what pods or a route are waited for. Most of these waits are over before.
const WAITS_SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// How long after the last time `next` may wait to be stored: not at all, if it says more than newer figures and sentences.
pub fn may_wait(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> SignedDuration {
    if says_more(stored, next) {
        return SignedDuration::ZERO;
    }
    let waiting = next.run.as_ref().is_none_or(|run| run.intent.is_some() || run.growing.is_some());
    let judged = matches!(next.phase, Phase::Shifting | Phase::Baking) && !waiting;
    if judged { FRESH_FOR } else { WAITS_SHOWN_AFTER }
}

/// Whether `next` is a transition, which must not be lost. That a check says something else, or has its first figure, is news.
pub fn says_more(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    if stored.announced != next.announced || stored.checks.len() != next.checks.len() || stored.conditions.len() != next.conditions.len() {
        return true;
    }
    // What every tick changes is made equal; what differs then is lasting.
    let mut same = next.clone();
    same.message.clone_from(&stored.message);
    same.figures.clone_from(&stored.figures);
    for (check, known) in same.checks.iter_mut().zip(&stored.checks) {
        if check.value.is_some() == known.value.is_some() {
            check.value.clone_from(&known.value);
        }
        check.baseline.clone_from(&known.baseline);
        check.evidence.clone_from(&known.evidence);
        check.message.clone_from(&known.message);
        check.at = known.at;
    }
    for (condition, known) in same.conditions.iter_mut().zip(&stored.conditions) {
        condition.message.clone_from(&known.message);
    }
    if let (Some(run), Some(known)) = (&mut same.run, &stored.run) {
        run.judge.clone_from(&known.judge);
        // Seen again at the next look.
        run.narrowed = known.narrowed;
    }
    same != *stored
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
        let wait = |change: fn(&mut CanaryRolloutStatus)| {
            let mut next = stored.clone();
            change(&mut next);
            may_wait(&stored, &next)
        };
        assert_eq!(wait(|next| next.checks[0] = check(Verdict::Wait, Some("0.2%"))), FRESH_FOR);
        assert_eq!(wait(|next| next.message = "holding still".to_owned()), FRESH_FOR);
        assert_eq!(wait(|next| next.run.as_mut().unwrap().judge.last_tick = Some(jiff::Timestamp::UNIX_EPOCH)), FRESH_FOR);
        assert_eq!(wait(|next| next.checks[0] = check(Verdict::Pass, Some("0.1%"))), SignedDuration::ZERO);
        assert_eq!(wait(|next| next.checks[0] = check(Verdict::Wait, None)), SignedDuration::ZERO);
        assert_eq!(wait(|next| next.run.as_mut().unwrap().step = 2), SignedDuration::ZERO);
        assert_eq!(wait(|next| next.announced += 1), SignedDuration::ZERO);
    }

    #[test]
    fn what_is_waited_for_is_shown_soon() {
        let waiting = CanaryRolloutStatus { phase: Phase::Preparing, ..judged(check(Verdict::Wait, None)) };
        let next = CanaryRolloutStatus { message: "1/2 pods".to_owned(), ..waiting.clone() };
        assert_eq!(may_wait(&waiting, &next), WAITS_SHOWN_AFTER);
        let mut written = judged(check(Verdict::Wait, None));
        written.run.as_mut().unwrap().intent =
            Some(crate::api::status::Intent::new(crate::api::Percent::FULL, std::collections::BTreeMap::default(), jiff::Timestamp::UNIX_EPOCH));
        let next = CanaryRolloutStatus { message: "waiting for the gateway".to_owned(), ..written.clone() };
        assert_eq!(may_wait(&written, &next), WAITS_SHOWN_AFTER);
    }
}
